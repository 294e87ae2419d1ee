"""From the browser to the session: messages, raw events, keys and buttons become actions."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..core import LabelError, LineageError, MicrosamError, Stop
from ..session import (
    AcceptCandidates,
    Action,
    AddPrompt,
    BeginDaughters,
    Cancel,
    Change,
    Clear,
    ColourByClass,
    Delete,
    DeleteIn,
    ExtendObject,
    FindAll,
    Improve,
    LayerName,
    Redo,
    RejectCandidates,
    RemovePrompt,
    Segment,
    Select,
    Session,
    SetBatched,
    SetBrush,
    SetChannels,
    SetContours,
    SetLayer,
    SetLive,
    SetPlane,
    SetPolarity,
    SetTool,
    SetView,
    ShowAsModel,
    Tool,
    Undo,
    choose_class,
)
from ..view import (
    MOVIE,
    TOOLS,
    Command,
    Corners,
    Drag,
    Gesture,
    Outline,
    Pan,
    Press,
    Removal,
    Shift,
    Stroke,
    action_for,
    command_for,
    gestures,
)
from ..view.kin import meant, track_action
from ..widgets import Interaction, Loop, Screen, gesture_of
from .commits import CommitQueue
from .looking import Looking

#: Seconds after which something drawn is no longer wanted: nobody waits so long, and the picture is another one.
STALE = 60.0
#: Part of the screen that an arrow key moves over.
_STEP = 0.15
_ARROWS = {"ArrowLeft": (0, -1), "ArrowRight": (0, 1), "ArrowUp": (-1, 0), "ArrowDown": (1, 0)}

#: What only changes how things look, or which tool the next gesture has: it never waits for a commit. The size of
#: the brush does: strokes that wait are painted with it.
_LOOKS = (SetView, SetPlane, SetLayer, SetContours, ColourByClass, SetChannels, ShowAsModel, SetTool, SetPolarity)

_SHOWN = {
    Command.SHOW_IMAGE: LayerName.IMAGE,
    Command.SHOW_OBJECTS: LayerName.OBJECTS,
    Command.SHOW_CANDIDATES: LayerName.CANDIDATES,
    Command.SHOW_PROPOSAL: LayerName.PROPOSAL,
    Command.SHOW_PROMPTS: LayerName.PROMPTS,
    Command.SHOW_NEIGHBOURS: LayerName.NEIGHBOURS,
}

#: How far a command goes through the planes.
_TURNS = {Command.NEXT_PLANE: 1, Command.PREVIOUS_PLANE: -1, Command.FIRST_PLANE: -(10**9), Command.LAST_PLANE: 10**9}

_AT_ONCE = {
    *TOOLS, *_SHOWN, *_TURNS, Command.TOGGLE, Command.FIT, Command.CLOSER, Command.FARTHER, Command.CONTOURS,
    Command.AS_MODEL, Command.FAINTER, Command.STRONGER, Command.HELP,
}  # fmt: skip


class Controls:
    """What the user does on one screen. Callbacks of the browser only queue; the screen's thread does the rest.

    ``extra`` are commands that are no actions of the session, such as saving. That of Escape comes first: when it
    returns true, nothing else is left. ``volume``: there are several planes, and keys to go through them; those of
    tracks there are where the session is one of a movie.
    """

    def __init__(
        self,
        session: Session,
        screen: Screen,
        interaction: Interaction,
        loop: Loop,
        extra: dict[Command, Callable[[], object]],
        *,
        volume: bool = False,
    ) -> None:
        self.session = session
        self._volume, self._series = volume, Command.NEXT_IMAGE in extra
        self._screen, self._interaction, self._loop, self._extra = screen, interaction, loop, extra
        self._queue = CommitQueue(session, loop, self._guard, self._forget_previews)
        # Of each page's screen: the newest view and gesture that came, the newest gesture that was done, and how much
        # its clock differs from ours, with the fastest way of a message.
        self._views: dict[str, int] = {}
        self._came: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._ways: dict[str, float] = {}
        self._refusing: dict[str, float] = {}
        self.looking = Looking(session, screen, self._handle)
        self._gestures = gestures()
        next(self._gestures)
        self._path: deque[tuple[float, float]] | None = None
        #: Whether the image is being left: nothing more is done to it, also before the page shows that.
        self.held = False
        self._listen()

    @property
    def idle(self) -> bool:
        """Whether nothing waits for an object to be committed."""
        return self._queue.idle

    def act(self, command: Command) -> None:
        """Do what a button says, after what the user did before."""
        # What waits can always be stopped.
        stop = command is Command.ESCAPE
        self._loop.post(self._leave if stop else lambda: self._command(command))

    def handle(self, action: Action) -> None:
        """Do an action, for example of a form, after what the user did before."""
        if isinstance(action, _LOOKS):
            self._loop.post(lambda: self._handle(action))
        else:
            self._loop.post(lambda: self._queue.in_turn(lambda: self._handle(action)))

    def show(self, *, everything: bool = False) -> None:
        """Tell the browser what the next picture shows; ``everything``: there is a page that knows nothing yet."""
        state = self.session.state
        self._interaction.show(state, self._screen.viewport, self._views, self._done, anew=everything)

    # From the browser: these callbacks only queue.

    def _listen(self) -> None:
        canvas = self._screen.canvas
        canvas.on_client_ready(lambda: self._loop.repaint(Change(tool=True, notice=True), True))
        self._interaction.on_msg(lambda _, message, __: self._hear(message))
        # Without the interaction layer ipycanvas' own events still annotate.
        canvas.on_mouse_down(lambda x, y: self._hear_press(y, x))
        canvas.on_mouse_move(lambda x, y: self._hear_move(y, x))
        canvas.on_mouse_up(lambda x, y: self._hear_release("up", y, x))
        canvas.on_mouse_out(lambda x, y: self._hear_release("out", y, x))
        canvas.on_mouse_wheel(lambda dx, dy: self._loop.post(lambda: self.looking.zoom(0.8 if dy > 0 else 1.25)))
        canvas.on_key_down(lambda key, shift, *ctrl: self._loop.post(lambda: self._raw_key(key, any(ctrl), shift)))

    def _hear(self, message: dict[str, Any]) -> None:
        arrived = time.time()
        # Of the views and planes that wait, only the newest counts.
        kind = message.get("kind")
        slot = (kind, message.get("screen")) if kind in ("view", "plane") else None
        self._loop.post(lambda: self._receive(message, arrived), slot)

    def _hear_press(self, row: float, column: float) -> None:
        self._path = deque()
        self._loop.post(lambda: self._raw("down", row, column))

    def _hear_move(self, row: float, column: float) -> None:
        # ipycanvas sends every move of the mouse, wanted or not: they are collected, and read together.
        path = self._path
        if path is not None:
            path.append((row, column))
            self._loop.post(lambda: self._raw_moves(path), ("move", id(path)))

    def _hear_release(self, kind: str, row: float, column: float) -> None:
        path, self._path = self._path, None
        if path is not None:
            self._loop.post(lambda: self._raw_moves(path))
            self._loop.post(lambda: self._raw(kind, row, column))

    # On the screen's thread.

    def _receive(self, message: dict[str, Any], arrived: float) -> None:
        kind, screen = message.get("kind"), str(message.get("screen", ""))
        late = self._late(screen, message, arrived)
        if kind in ("ready", "size"):
            resized = self._screen.resize(message["width"], message["height"], message["density"])
            if resized or kind == "ready":
                # A page that was resized still has its pictures; only a new one has none.
                self._loop.repaint(Change(view=True), kind == "ready")
        elif kind == "view":
            self._views[screen] = int(message["number"])
            self._forget_screens()
            self.session.handle(SetView(float(message["y"]), float(message["x"]), float(message["zoom"])))
            # Also when nothing changed (the view was at its limit) the browser must leave its preview.
            self._loop.repaint(Change(view=True))
        elif kind == "plane":
            self._handle(SetPlane(int(message["plane"])))
        else:
            number = int(message.get("number", 0))
            self._came[screen] = number
            command = self._command_of(message)
            if command is Command.ESCAPE:
                self._answering(screen, number, self._escape)
            elif command in _AT_ONCE:
                try:
                    self._act(message, late)
                finally:
                    # In its turn: an answer to what came later would take the previews of what waits away.
                    self._queue.in_turn(lambda: self._answering(screen, number, lambda: None))
            else:
                self._queue.in_turn(lambda: self._answering(screen, number, lambda: self._act(message, late)))

    def _command_of(self, message: dict[str, Any]) -> Command | None:
        if message.get("kind") != "key":
            return None
        return self._command_for(message["key"], ctrl=message["ctrl"], shift=message["shift"])

    def _command_for(self, key: str, *, ctrl: bool, shift: bool) -> Command | None:
        volume, movie = self._volume, self.session.movie
        return command_for(key, ctrl=ctrl, shift=shift, volume=volume, movie=movie, series=self._series)

    def _command(self, command: Command) -> None:
        plane = self.session.state.browsing.plane
        if command in _AT_ONCE:
            self._do(command, plane)
        else:
            self._queue.in_turn(lambda: self._do(command, plane))

    def _answering(self, screen: str, number: int, work: Callable[[], None]) -> None:
        """Do what the browser asked for, and whatever comes of it, let the browser take its preview away."""
        try:
            work()
        finally:
            self._done[screen] = max(number, self._done.get(screen, 0))
            self._loop.repaint(Change(prompts=True))

    def _act(self, message: dict[str, Any], late: float) -> None:
        if message["kind"] == "key":
            command = self._command_of(message)
            if command is not None:
                self._do(command, int(message.get("plane", self.session.state.browsing.plane)))
            return
        gesture = gesture_of(message)
        if gesture is None:
            return
        if late > STALE and isinstance(gesture, Drag | Stroke | Outline | Shift):
            self.session.say(f"What was drawn {late:.0f} s ago is left out: draw it again.", error=True)
            return
        now = self.session.state.browsing
        # What the user saw when the hand moved counts, not what has been chosen since.
        tool = Tool(message.get("tool", now.tool))
        self._gesture(gesture, tool, bool(message.get("positive", now.positive)), int(message.get("plane", now.plane)))

    def _late(self, screen: str, message: dict[str, Any], arrived: float) -> float:
        """Return by how many seconds a message came later than the fastest one of its screen."""
        if "time" not in message:
            return 0.0
        way = arrived - float(message["time"]) / 1000
        self._ways[screen] = min(way, self._ways.get(screen, way))
        late = way - self._ways[screen]
        if late <= STALE:
            self._refusing.pop(screen, None)
        elif arrived - self._refusing.setdefault(screen, arrived) > STALE:
            # Nothing waits as long as that: a clock was set right, and every message would be late for good.
            self._ways[screen], late = way, 0.0
        return late

    def _forget_screens(self) -> None:
        """Keep the newest pages only: each one that was ever opened has its number."""
        for known in (self._views, self._came, self._done, self._ways):
            while len(known) > 20:
                known.pop(next(iter(known)))

    def _gesture(self, gesture: Gesture, tool: Tool, positive: bool, plane: int) -> None:
        if self.held:
            return
        state = self.session.state
        seen = replace(state.browsing, tool=tool, positive=positive, plane=plane, selected=self.session.selected)

        def work() -> None:
            # Making the action can fail as well: a polygon needs three corners.
            action = action_for(gesture, replace(state, browsing=seen), self.session.labels.at)
            if action is not None:
                self.session.handle(action)
            elif isinstance(gesture, Shift | Removal):
                self.session.say("This prompt has changed since; nothing was done.", error=True)

        self._guard(work)

    # Raw events of ipycanvas.

    def _raw(self, kind: str, row: float = 0.0, column: float = 0.0) -> bool:
        """Do what comes of a raw event; return whether anything did."""
        made = self._send(kind, row, column)
        if isinstance(made, Pan):
            self.looking.pan(made.rows, made.columns)
        elif isinstance(made, Corners):
            parts = self.session.state.browsing.tool is Tool.PARTS
            what, ends = ("Part", "takes the object apart") if parts else ("Corner", "closes the polygon")
            held = f"{what} {made.count}. Enter {ends}, Backspace takes the last one back."
            self.session.say(held if made.count else "It is left.")
        elif made is not None:
            now = self.session.state.browsing
            self._queue.in_turn(lambda: self._gesture(made, now.tool, now.positive, now.plane))
        return made is not None

    def _raw_moves(self, path: deque[tuple[float, float]]) -> None:
        rows = columns = 0.0
        while path:
            made = self._send("move", *path.popleft())
            if isinstance(made, Pan):
                rows, columns = rows + made.rows, columns + made.columns
        if rows or columns:
            self.looking.pan(rows, columns)

    def _send(self, kind: str, row: float, column: float) -> Gesture | Pan | Corners | None:
        y, x = self._screen.viewport.to_image(row, column)
        return self._gestures.send(Press(kind, self.session.state.browsing.tool, row, column, y, x))

    def _raw_key(self, key: str, ctrl: bool, shift: bool) -> None:
        if key in _ARROWS:
            rows, columns = _ARROWS[key]
            view = self._screen.viewport
            self.looking.pan(-_STEP * rows * view.height, -_STEP * columns * view.width)
        elif key in ("Enter", "Backspace", "Escape") and self._raw(key):
            return
        elif (command := self._command_for(key, ctrl=ctrl, shift=shift)) is Command.ESCAPE:
            self._escape()
        elif command is not None:
            self._command(command)

    def _do(self, command: Command, plane: int) -> None:
        """Do what a command says; ``plane``: what was shown when it was given."""
        if self.held:
            return
        now = self.session.state.browsing
        simple: dict[Command, Callable[[], Action]] = {
            Command.TOGGLE: SetPolarity,
            Command.SEGMENT: Segment,
            Command.SEGMENT_OBJECT: ExtendObject,
            Command.STOP_HERE: lambda: AddPrompt(Stop(plane)),
            Command.CLEAR: Clear,
            Command.REMOVE: RemovePrompt,
            Command.UNDO: Undo,
            Command.REDO: Redo,
            Command.FIT: SetView,
            Command.LIVE: SetLive,
            Command.BATCHED: SetBatched,
            Command.CONTOURS: SetContours,
            Command.AS_MODEL: ShowAsModel,
            Command.ACCEPT_ALL: AcceptCandidates,
            Command.REJECT_ALL: RejectCandidates,
            Command.DELETE: lambda: Delete(self.session.selected),
            Command.DELETE_HERE: lambda: DeleteIn(self._picked_one("deleted here"), plane),
            Command.IMPROVE: lambda: Improve(self._picked_one("improved")),
            Command.LARGER: lambda: SetBrush(min(1000.0, max(now.brush + 1, now.brush * 1.2))),
            Command.SMALLER: lambda: SetBrush(max(1.0, min(now.brush - 1, now.brush / 1.2))),
        }
        if command in TOOLS:
            self._handle(SetTool(TOOLS[command]))
        elif command in simple:
            self._guard(lambda: self.session.handle(simple[command]()))
        elif command in _TURNS:
            self.looking.look_at(now.plane + _TURNS[command])
        elif command in _SHOWN and now.tool is Tool.CLASSIFY:
            self._guard(lambda: self.session.handle(choose_class(self.session, list(_SHOWN).index(command))))
        elif command in _SHOWN:
            layer = _SHOWN[command]
            self._handle(SetLayer(layer, visible=not getattr(now.layers, layer.value).visible))
        elif command in (Command.FAINTER, Command.STRONGER):
            step = 0.1 if command is Command.STRONGER else -0.1
            opacity = min(1.0, max(0.0, round(now.layers.objects.opacity + step, 2)))
            self._handle(SetLayer(LayerName.OBJECTS, opacity=opacity))
        elif command is Command.DIVIDE and meant(self.session):
            self._divide(plane)
        elif command in MOVIE:
            self._guard(lambda: self.session.handle(track_action(command, self.session.selected, plane)))
        elif command is Command.COMMIT:
            self._queue.commit()
        elif command is Command.FIND:
            self._guard(self._extra.get(command, bool))
            self._handle(FindAll.again(self.session.state, self.session.model))
        elif command in (Command.NEXT, Command.PREVIOUS):
            self.looking.step(1 if command is Command.NEXT else -1)
        elif command is Command.CLOSER:
            self.looking.zoom(1.25)
        elif command is Command.FARTHER:
            self.looking.zoom(0.8)
        elif command is Command.ESCAPE:
            self._escape()
        elif command in self._extra:
            self._guard(self._extra[command])

    def _picked_one(self, done: str) -> int:
        """Return the picked object, 0 for none. Raises LabelError where there are several: what is to be ``done``?"""
        picked = self.session.selected
        if len(picked) > 1:
            raise LabelError(f"{len(picked)} objects are picked.", f"Pick the one that is to be {done}.")
        return picked[0] if picked else 0

    def _divide(self, frame: int) -> None:
        """Commit the object in hand, then let its track divide in a frame."""
        target, before = self.session.state.target, set(self.session.labels)
        self._queue.commit()

        def begin() -> None:
            made = [target] if target else sorted(set(self.session.labels) - before)
            if len(made) != 1:
                raise LineageError(f"{len(made)} tracks were committed.", "Pick the one that divides.")
            self.session.handle(BeginDaughters(made[0], frame))

        def go_on() -> None:
            state = self.session.state
            # Else it was not committed: why has been told.
            if not (state.prompts or state.proposals):
                self._guard(begin)

        # After the commit, which may wait for the model's answer.
        self._queue.in_turn(go_on)

    def _leave(self) -> None:
        """The button: leave a polygon that was begun without the interaction layer, or else stop what runs."""
        self._extra.get(Command.ESCAPE, bool)()
        if not self._raw("Escape"):
            self._stop()

    def _escape(self) -> None:
        """The key: close what lies over the image, or else stop what runs."""
        if not self._extra.get(Command.ESCAPE, bool)():
            self._stop()

    def _stop(self) -> None:
        if self.session.work is not None or self.session.awaiting is not None:
            self._handle(Cancel())
        elif self.session.selected:
            self._handle(Select())

    def _forget_previews(self) -> None:
        """Let the browser take away what it has drawn of gestures that nobody will do any more."""
        self._done.update(self._came)
        self._loop.repaint(Change(prompts=True))

    def _handle(self, action: Action) -> None:
        if self.held:
            return
        self._guard(lambda: self.session.handle(action))

    def _guard(self, work: Callable[[], object]) -> bool:
        """Do something; say what went wrong, and return whether nothing did."""
        try:
            work()
            return True
        except MicrosamError as error:
            self.session.say(str(error), error=True)
            # The browser has drawn a dot or a box already: a picture without it takes it away.
            self._loop.repaint(Change(prompts=True))
            return False
