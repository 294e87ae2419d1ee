"""The browser's half: pointer, keys, local preview, focus guard."""

from __future__ import annotations

from pathlib import Path

import anywidget
import ipywidgets as widgets
import traitlets

from ..view import KEYS, Viewport


class Interaction(anywidget.AnyWidget):
    """A hidden widget whose JavaScript sits on a MultiCanvas; see interaction.js for its messages."""

    _esm = Path(__file__).with_name("interaction.js")
    target = traitlets.Instance(widgets.DOMWidget).tag(sync=True, **widgets.widget_serialization)
    tool = traitlets.Unicode("point").tag(sync=True)
    positive = traitlets.Bool(True).tag(sync=True)
    shortcuts = traitlets.List().tag(sync=True)

    def __init__(self, target: widgets.DOMWidget) -> None:
        table = [{"name": k.name, "ctrl": k.ctrl, "shift": k.shift} for k in KEYS]
        super().__init__(target=target, shortcuts=table)
        self.layout.display = "none"

    def announce(self, view: Viewport, answers: dict[str, int]) -> None:
        """Tell which view the next picture shows, and of each screen the last view message that it answers."""
        farthest, closest = view.limits
        self.send(
            {
                "kind": "view",
                "answers": answers,
                "closest": closest,
                "farthest": farthest,
                "y": view.y,
                "x": view.x,
                "zoom": view.zoom,
                "width": view.width,
                "height": view.height,
            }
        )
