"""From the browser to the session: messages, raw events, keys and buttons become actions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from ..core import MicrosamError
from ..session import (
    Action,
    Cancel,
    Change,
    Clear,
    Commit,
    Delete,
    Improve,
    LayerName,
    Redo,
    RemovePrompt,
    Segment,
    Select,
    Session,
    SetBatched,
    SetBrush,
    SetContours,
    SetLayer,
    SetLive,
    SetPolarity,
    SetTool,
    SetView,
    ShowAsModel,
    Undo,
)
from ..view import TOOLS, Click, Command, Drag, Press, action_for, command_for, gestures
from ..widgets import Interaction, Loop, Screen

_SHOWN = {
    Command.SHOW_IMAGE: LayerName.IMAGE,
    Command.SHOW_OBJECTS: LayerName.OBJECTS,
    Command.SHOW_CANDIDATES: LayerName.CANDIDATES,
    Command.SHOW_PROPOSAL: LayerName.PROPOSAL,
    Command.SHOW_PROMPTS: LayerName.PROMPTS,
}


class Controls:
    """What the user does on one screen. Callbacks of the browser only queue; the screen's thread does the rest.

    ``extra`` are commands that are no actions of the session, such as saving.
    """

    def __init__(
        self,
        session: Session,
        screen: Screen,
        interaction: Interaction,
        loop: Loop,
        extra: dict[Command, Callable[[], object]],
    ) -> None:
        self.session = session
        self.answers: dict[str, int] = {}
        self._screen, self._interaction, self._loop, self._extra = screen, interaction, loop, extra
        self._held: deque[Callable[[], None]] | None = None
        self._gestures = gestures()
        next(self._gestures)
        self._listen()
        session.changed.connect(self._release)

    @property
    def idle(self) -> bool:
        """Whether nothing waits for an object to be committed."""
        return self._held is None

    def act(self, command: Command) -> None:
        """Do what a button says, after what the user did before."""
        self._loop.post(lambda: self._in_turn(lambda: self._do(command)))

    def handle(self, action: Action) -> None:
        """Do an action, for example of a form, after what the user did before."""
        self._loop.post(lambda: self._in_turn(lambda: self._handle(action)))

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

    # On the screen's thread.

    def _receive(self, message: dict[str, Any]) -> None:
        kind = message.get("kind")
        if kind in ("ready", "size"):
            resized = self._screen.resize(message["width"], message["height"], message["density"])
            if resized or kind == "ready":
                self._loop.repaint(Change(view=True), True)
        elif kind == "view":
            self.answers[str(message["screen"])] = int(message["number"])
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
        now = self.session.state.browsing
        simple: dict[Command, Callable[[], Action]] = {
            Command.TOGGLE: SetPolarity,
            Command.SEGMENT: Segment,
            Command.CLEAR: Clear,
            Command.REMOVE: RemovePrompt,
            Command.UNDO: Undo,
            Command.REDO: Redo,
            Command.FIT: SetView,
            Command.LIVE: SetLive,
            Command.BATCHED: SetBatched,
            Command.CONTOURS: SetContours,
            Command.AS_MODEL: ShowAsModel,
            Command.DELETE: lambda: Delete(self.session.selected),
            Command.IMPROVE: lambda: Improve(self.session.selected[0] if self.session.selected else 0),
            Command.LARGER: lambda: SetBrush(min(1000.0, max(now.brush + 1, now.brush * 1.2))),
            Command.SMALLER: lambda: SetBrush(max(1.0, min(now.brush - 1, now.brush / 1.2))),
        }
        if command in TOOLS:
            self._handle(SetTool(TOOLS[command]))
        elif command in simple:
            self._handle(simple[command]())
        elif command in _SHOWN:
            layer = _SHOWN[command]
            self._handle(SetLayer(layer, visible=not getattr(now.layers, layer.value).visible))
        elif command in (Command.FAINTER, Command.STRONGER):
            step = 0.1 if command is Command.STRONGER else -0.1
            opacity = min(1.0, max(0.0, round(now.layers.objects.opacity + step, 2)))
            self._handle(SetLayer(LayerName.OBJECTS, opacity=opacity))
        elif command is Command.COMMIT:
            self._commit()
        elif command in (Command.NEXT, Command.PREVIOUS):
            self._go(1 if command is Command.NEXT else -1)
        elif command is Command.CLOSER:
            self._zoom(1.25)
        elif command is Command.FARTHER:
            self._zoom(0.8)
        elif command is Command.ESCAPE:
            self._escape()
        elif command in self._extra:
            self._guard(self._extra[command])

    def _escape(self) -> None:
        if self.session.work is not None or self.session.awaiting is not None:
            self._handle(Cancel())
        elif self.session.selected:
            self._handle(Select())

    def _go(self, step: int) -> None:
        labels = sorted(self.session.labels)
        if not labels:
            self.session.say("There are no objects yet. Click on one, then C keeps it.")
            return
        picked = self.session.selected
        at = labels.index(picked[-1]) + step if picked else (0 if step > 0 else -1)
        self.go_to(labels[at % len(labels)])

    def go_to(self, label: int) -> None:
        """Pick an object and move it into the middle of the screen."""
        self._handle(Select((label,)))
        (_, y0, x0), (_, y1, x1) = self.session.labels.box(label).start, self.session.labels.box(label).stop
        view = self._screen.viewport
        zoom = view.zoom
        y, x = (y0 + y1) / 2 - view.height / zoom / 2, (x0 + x1) / 2 - view.width / zoom / 2
        self._handle(SetView(y, x, zoom))

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
