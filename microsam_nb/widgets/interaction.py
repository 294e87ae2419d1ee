"""The browser's half: pointer, keys, local preview, focus guard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from ..session import State
from ..view import (
    TOOLS,
    Click,
    Drag,
    Gesture,
    Handle,
    Outline,
    Parts,
    Removal,
    Shift,
    Stroke,
    Viewport,
    handles,
    shortcuts,
)


class Interaction(anywidget.AnyWidget):
    """A hidden widget whose JavaScript sits on a MultiCanvas; see interaction.js for its messages."""

    # The text, not the path: anywidget would keep every widget that was ever made, to tell it of changes of the file.
    _esm = Path(__file__).with_name("interaction.js").read_text(encoding="utf-8")
    target = traitlets.Instance(widgets.DOMWidget).tag(sync=True, **widgets.widget_serialization)
    tool = traitlets.Unicode("point").tag(sync=True)
    positive = traitlets.Bool(True).tag(sync=True)
    brush = traitlets.Float(10.0).tag(sync=True)
    #: The prompts that can be moved and removed, as ``Handle.plain``.
    prompts = traitlets.List().tag(sync=True)
    shortcuts = traitlets.List().tag(sync=True)
    #: How many planes the wheel goes through with Shift or Alt.
    planes = traitlets.Int(1).tag(sync=True)

    def __init__(
        self, target: widgets.DOMWidget, planes: int = 1, *, movie: bool = False, series: bool = False
    ) -> None:
        table = [
            {
                "name": key.name,
                "ctrl": key.ctrl,
                "shift": key.shift,
                "loose": key.loose,
                "repeats": key.repeats,
                "command": key.command.value,
                "tool": TOOLS[key.command].value if key.command in TOOLS else "",
            }
            for key in shortcuts(volume=planes > 1, movie=movie, series=series)
        ]
        super().__init__(target=target, shortcuts=table, planes=planes)
        self.layout.display = "none"
        self._told: dict[str, Any] = {}

    def show(
        self, state: State, view: Viewport, views: dict[str, int], done: dict[str, int], *, anew: bool = False
    ) -> None:
        """Tell what the next picture shows, and of each screen the last view and the last gesture that are in it.

        ``anew``: also when nothing of it is new, for a page that knows nothing yet.
        """
        browsing = state.browsing
        with self.hold_sync():
            self.tool, self.positive, self.brush = browsing.tool.value, browsing.positive, browsing.brush
            self.prompts = [one.plain for one in handles(state)]
        farthest, closest = view.limits
        message = {
            "kind": "view",
            "answers": dict(views),
            "done": dict(done),
            "closest": closest,
            "farthest": farthest,
            "plane": browsing.plane,
            "rows": view.shape[0],
            "columns": view.shape[1],
            "y": view.y,
            "x": view.x,
            "zoom": view.zoom,
            "width": view.width,
            "height": view.height,
        }
        if anew or message != self._told:
            self._told = message
            self.send(message)


def gesture_of(message: dict[str, Any]) -> Gesture | None:
    """Read a gesture from a message of the browser; None for other messages."""
    button, shift = int(message.get("button", 0)), bool(message.get("shift", False))
    match message.get("kind"):
        case "click":
            return Click(float(message["y"]), float(message["x"]), button, shift)
        case "drag":
            y0, x0, y1, x1 = (float(message[k]) for k in ("y0", "x0", "y1", "x1"))
            return Drag(y0, x0, y1, x1, button, shift)
        case "stroke":
            return Stroke(_vertices(message["points"]), float(message["width"]), button)
        case "outline":
            return Outline(_vertices(message["points"]))
        case "parts":
            return Parts(_vertices(message["points"]))
        case "shift":
            handle = Handle.of(message["prompt"])
            return Shift(handle, int(message["part"]), float(message["dy"]), float(message["dx"]))
        case "removal":
            return Removal(Handle.of(message["prompt"]))
    return None


def _vertices(flat: list[float]) -> tuple[tuple[float, float], ...]:
    """Make (y, x) pairs of y, x, y, x ..."""
    return tuple((float(y), float(x)) for y, x in zip(flat[::2], flat[1::2], strict=True))
