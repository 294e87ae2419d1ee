"""What all annotators are made of: a session, its worker, and the widgets around a screen."""

from __future__ import annotations

import logging
import os
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from ..core import Image, MicrosamError
from ..files.labels import write_labels
from ..session import (
    Action,
    Change,
    Clear,
    Commit,
    Project,
    Redo,
    RemovePrompt,
    Runner,
    Session,
    SetPolarity,
    SetTool,
    SetView,
    Tool,
    Undo,
)
from ..session.runner import Service
from ..view import Click, Command, Drag, Press, action_for, command_for, gestures
from ..widgets import Interaction, Loop, Screen, Status, Toolbar, close_tree

_log = logging.getLogger("microsam_nb")


class Annotator:
    """An annotation on screen; show it as the last line of a cell.

    ``labels`` are the committed objects, ``session`` takes actions from scripts.
    """

    def __init__(self, image: Image, service: Service, project: Project | None, note: str = "") -> None:
        self.image, self.project = image, project
        self.session = Session(image.shape, project)
        self._closed = False
        self._answers: dict[str, int] = {}
        self._held: deque[Callable[[], None]] | None = None
        self._gestures = gestures()
        next(self._gestures)
        self._status = Status(note)
        self._toolbar = Toolbar(self._act)
        width, height = _size(image)
        self._screen = Screen(image.shown, self.session, width, height)
        self._interaction = Interaction(self._screen.canvas)
        self.widget = widgets.VBox([self._toolbar.box, self._status.box, self._screen.box, self._interaction])
        self.widget.add_class("msam-annotator")
        self._loop = Loop(self._paint, self._failed)
        self._listen()
        self.session.changed.connect(self._loop.repaint)
        self.session.changed.connect(self._release)
        self.session.say("Loading the model ...")
        if project is not None:
            project.closed.connect(lambda _: self.close())
        self._runner = Runner(self.session, service)
        self._loop.repaint(Change(tool=True, notice=True), True)

    @property
    def labels(self) -> NDArray[np.uint32]:
        """A copy of the committed objects, uint32 (y, x), 0 = background; (plane, y, x) for several planes."""
        volume = self.session.snapshot()
        return volume[0] if len(volume) == 1 and self.image.axes[0] == "y" else volume

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the labels as TIFF and return the path; by default NAME-HASH_labels.tif in the working folder."""
        where = Path(path) if path is not None else Path(f"{stem(self.image)}_labels.tif")
        labels = self.labels
        write_labels(where, labels)
        self.session.say(f"{np.count_nonzero(np.unique(labels))} objects are saved in {where}.")
        return where

    def wait(self, timeout: float = 60.0) -> None:
        """Return when the model has answered and the screen is painted. Raises TimeoutError."""
        end = time.monotonic() + timeout
        while True:
            for one in (self._loop, self._runner, self._loop):
                one.wait(max(0.0, end - time.monotonic()))
            if self._held is None and self._loop.idle and self._runner.idle:
                return

    def close(self) -> None:
        """Stop the threads, close the widgets and release the project."""
        if self._closed:
            return
        self._closed = True
        self._runner.close()
        self._loop.close()
        self.session.close()
        self._screen.close()
        close_tree(self.widget)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.widget._repr_mimebundle_(**kwargs)

    # From the browser: these callbacks only queue.

    def _listen(self) -> None:
        canvas = self._screen.canvas
        canvas.on_client_ready(lambda: self._loop.repaint(Change(tool=True, notice=True), True))
        self._interaction.on_msg(lambda _, message, __: self._loop.post(lambda: self._receive(message)))
        # Without the interaction layer ipycanvas' own events still annotate.
        canvas.on_mouse_down(lambda x, y: self._loop.post(lambda: self._press(Press("down", y, x))))
        canvas.on_mouse_up(lambda x, y: self._loop.post(lambda: self._press(Press("up", y, x))))
        canvas.on_mouse_out(lambda x, y: self._loop.post(lambda: self._press(Press("out", y, x))))
        canvas.on_mouse_wheel(lambda dx, dy: self._loop.post(lambda: self._zoom(0.8 if dy > 0 else 1.25)))
        canvas.on_key_down(lambda key, shift, ctrl, meta: self._loop.post(lambda: self._key(key, ctrl or meta, shift)))

    def _act(self, command: Command) -> None:
        self._loop.post(lambda: self._in_turn(lambda: self._do(command)))

    # On the screen's thread.

    def _receive(self, message: dict[str, Any]) -> None:
        kind = message.get("kind")
        if kind in ("ready", "size"):
            resized = self._screen.resize(message["width"], message["height"], message["density"])
            if resized or kind == "ready":
                self._loop.repaint(Change(view=True), True)
        elif kind == "view":
            self._answers[str(message["screen"])] = int(message["number"])
            self.session.handle(SetView(float(message["y"]), float(message["x"]), float(message["zoom"])))
            # Also when nothing changed (the view was at its limit) the browser must leave its preview.
            self._loop.repaint(Change(view=True))
        elif kind == "click":
            self._gesture(Click(message["y"], message["x"], message["button"], message["shift"]))
        elif kind == "drag":
            y0, x0, y1, x1 = (message[k] for k in ("y0", "x0", "y1", "x1"))
            self._gesture(Drag(y0, x0, y1, x1, message["button"], message["shift"]))
        elif kind == "key":
            self._key(message["key"], message["ctrl"], message["shift"])

    def _press(self, press: Press) -> None:
        ended = self._gestures.send(press)
        if ended is None:
            return
        view = self._screen.viewport
        (y0, x0), (y1, x1) = (view.to_image(p.row, p.column) for p in ended)
        self._gesture(Click(y0, x0) if ended[0] is ended[1] else Drag(y0, x0, y1, x1))

    def _gesture(self, gesture: Click | Drag) -> None:
        action = action_for(gesture, self.session.state.browsing)
        if action is not None:
            self._in_turn(lambda: self._handle(action))

    def _key(self, key: str, ctrl: bool, shift: bool) -> None:
        command = command_for(key, ctrl=ctrl, shift=shift)
        if command is not None:
            self._in_turn(lambda: self._do(command))

    def _in_turn(self, event: Callable[[], None]) -> None:
        """Do what the user did, or keep it until the object that waits for its answer is committed."""
        if self._held is not None:
            self._held.append(event)
        else:
            event()

    def _commit(self) -> None:
        """Commit the object; before the model has answered, as soon as it has. What the user does then comes after."""
        if self.session.awaiting is None:
            self._handle(Commit())
            return
        self._held = deque()
        self.session.say("The object is committed as soon as the model has answered.")
        self._release(Change())

    def _release(self, _: Change) -> None:
        if self._held is not None and self.session.awaiting is None:
            self._loop.post(self._catch_up)

    def _catch_up(self) -> None:
        if self._held is None or self.session.awaiting is not None:
            return
        held, self._held = self._held, None
        state = self.session.state
        if state.answered and state.proposal is not None:
            self._handle(Commit())
            for event in held:
                self._in_turn(event)
        else:
            # Further clicks were meant for the next object, not for this one.
            left = " What you did since then is left out." if held else ""
            self.session.say(f"{self.session.notice.text} The object is not committed.{left}", error=True)

    def _do(self, command: Command) -> None:
        actions: dict[Command, Action] = {
            Command.POINT: SetTool(Tool.POINT),
            Command.BOX: SetTool(Tool.BOX),
            Command.TOGGLE: SetPolarity(),
            Command.CLEAR: Clear(),
            Command.REMOVE: RemovePrompt(),
            Command.UNDO: Undo(),
            Command.REDO: Redo(),
            Command.FIT: SetView(),
        }
        if command in actions:
            self._handle(actions[command])
        elif command is Command.COMMIT:
            self._commit()
        elif command is Command.CLOSER:
            self._zoom(1.25)
        elif command is Command.FARTHER:
            self._zoom(0.8)
        elif command is Command.SAVE:
            self._guard(self.save)
        elif command is Command.HELP:
            self._status.toggle_help()

    def _zoom(self, factor: float) -> None:
        view = self._screen.viewport.zoomed(factor).view
        self._handle(SetView(view.y, view.x, view.zoom))

    def _handle(self, action: Action) -> None:
        self._guard(lambda: self.session.handle(action))

    def _guard(self, work: Callable[[], object]) -> None:
        try:
            work()
        except MicrosamError as error:
            self.session.say(str(error), error=True)
            # The browser has drawn a dot or a box already: a picture without it takes it away.
            self._loop.repaint(Change(prompts=True))

    def _failed(self, error: Exception) -> None:
        _log.error("The screen failed.", exc_info=error)
        self.session.say(
            f"Something went wrong on screen ({error.__class__.__name__}: {error}). Your objects are safe; "
            "run the cell again.",
            error=True,
        )

    def _paint(self, change: Change, everything: bool) -> None:
        session = self.session
        if everything or change.view:
            self._interaction.announce(self._screen.viewport, self._answers)
        drawn = replace(change, tool=False, notice=False, objects=False, work=False)
        if everything or drawn != Change():
            self._screen.paint(drawn, everything=everything)
        browsing = session.state.browsing
        self._interaction.tool, self._interaction.positive = browsing.tool.value, browsing.positive
        self._toolbar.show(
            browsing,
            can_undo=session.can_undo,
            can_redo=session.can_redo,
            prompted=bool(session.state.prompts),
            proposed=session.state.proposal is not None or session.awaiting is not None,
        )
        self._status.show(session.notice, busy=session.awaiting is not None)


def stem(image: Image) -> str:
    """Return a file name for an image: its name and the start of its hash, so that no two images share it."""
    plain = re.sub(r"[^\w.-]+", "_", image.name).strip("._") or "image"
    return f"{plain}-{image.fingerprint()[:8]}"


def _size(image: Image) -> tuple[int, int]:
    """Return width and height of the screen in CSS pixels: 900 wide, as high as the image needs within limits."""
    _, height, width = image.shape
    return 900, int(min(max(900 * height / width, 320), 640))
