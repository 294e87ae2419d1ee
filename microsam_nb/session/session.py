"""One object, one door: ``Session.handle``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..core import Box, Delta, Labels, MicrosamError, Note, ObjectInfo
from ..core.box import Triple
from .actions import Action
from .grouping import group
from .history import History, Step, Write
from .project import Project
from .requests import Embed, Predict, Request
from .signal import Signal
from .state import Change, Notice, Outcome, State, Work


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of objects: ``area`` in pixels, ``box`` half-open."""

    label: int
    area: int
    box: Box
    info: ObjectInfo


class Session:
    """State, labels and history of one annotation.

    ``handle`` is the only way in; it may be called from any thread. Actions change the session through their verbs:
    ``write``, ``edit``, ``amend``, ``step_back`` and ``step_forward``. Slow work leaves as requests.
    """

    def __init__(self, shape: Triple, project: Project | None = None) -> None:
        self.labels = Labels(shape)
        #: What is said about the objects, by number; only ``write`` changes it.
        self.infos: dict[int, ObjectInfo] = {}
        self.changed: Signal[Change] = Signal()
        self.wanted: Signal[Request] = Signal()
        self.notice = Notice("")
        self.work: Work | None = None
        self.failure = ""
        #: Name of the model that answers, once it is loaded, and the device it runs on.
        self.model = self.device = ""
        self._lock = threading.RLock()
        self._history = History(State())
        self._awaiting: int | None = None
        self._tickets = 0
        self._painted: Box | None = None
        self._noted = False
        self._written: list[Write] = []
        self._requests: list[Request] = []
        self._project: Project | None = None
        if project is not None:
            try:
                self._replay(project)
            except BaseException:
                project.close()
                raise
            self._project = project

    @property
    def shape(self) -> Triple:
        return self.labels.shape

    @property
    def state(self) -> State:
        with self._lock:
            return self._history.state

    @property
    def selected(self) -> tuple[int, ...]:
        """The picked objects that are still there."""
        return tuple(label for label in self.state.browsing.selected if label in self.labels)

    @property
    def awaiting(self) -> int | None:
        """Ticket of the answer that is still to come."""
        return self._awaiting

    @property
    def can_undo(self) -> bool:
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        return self._history.can_redo

    def handle(self, action: Action) -> Outcome:
        """Apply ``action``, write it to the journal, tell listeners, and hand out requests.

        Raises MicrosamError, with nothing changed, when the action is not possible.
        """
        with self._lock:
            before = self.state, self.notice, self.work
            self._painted, self._noted, self._requests = None, False, []
            if self._project is not None and action.journaled:
                self._project.check()
            applied = self._apply(action)
            if applied and action.journaled and self._project is not None:
                self._record(action)
            outcome = Outcome(self._compare(*before), tuple(self._requests))
        self.changed.emit(outcome.change)
        for request in outcome.requests:
            self.wanted.emit(request)
        return outcome

    def pending(self) -> tuple[Request, ...]:
        """Return what a reopened session still waits for: its plane, and the answer to its prompts."""
        with self._lock:
            requests: list[Request] = [Embed(self.state.browsing.plane)]
            if self._awaiting is not None:
                requests.append(self._question(self._awaiting))
            return tuple(requests)

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a sentence in the status line."""
        with self._lock:
            if self.notice == Notice(text, error):
                return
            self.notice = Notice(text, error)
        self.changed.emit(Change(notice=True))

    def snapshot(self) -> NDArray[np.uint32]:
        """Return a copy of the labels (plane, y, x) that no write in progress can tear."""
        with self._lock:
            return self.labels.volume.copy()

    def crop(self, where: Box) -> NDArray[np.uint32]:
        """Return a copy of a part of the labels (planes, h, w) that no write in progress can tear."""
        with self._lock:
            return self.labels.volume[where.slices].copy()

    def rows(self) -> list[Row]:
        """Return the table of all objects, in the order of their numbers."""
        with self._lock:
            return [
                Row(label, self.labels.area(label), self.labels.box(label), self.infos.get(label, ObjectInfo()))
                for label in sorted(self.labels)
            ]

    def close(self) -> None:
        """Release the project folder; further changes raise ProjectError."""
        # Not under the lock: an annotator that hears of it waits for its threads, which may wait for the lock.
        if self._project is not None:
            self._project.close()

    # The verbs of actions, and what they need.

    def write(self, *writes: Write) -> None:
        """Change labels or what is said about objects; part of the step that ``edit`` ends.

        An object without pixels is forgotten. When the action fails later everything is taken back.
        """
        for one in writes:
            self._do(one)
            self._written.append(one)
            if not isinstance(one, Delta):
                continue
            for label in one.numbers(before=True):
                if label in self.infos and label not in self.labels:
                    self.write(Note(label, self.infos[label], None))

    def edit(self, state: State, *writes: Write) -> None:
        """Push a new state with all that was written; any answer still to come is no longer awaited."""
        self.write(*writes)
        self._history.push(Step(state, tuple(self._written)))
        self._written.clear()
        self._ask(by_itself=state.browsing.live)

    def amend(self, state: State) -> None:
        """Replace the present state: answers and looking around are not steps of their own."""
        self._history.amend(state)

    def ask(self) -> None:
        """Request an answer to the present prompts, whether there is one or not."""
        if self.state.prompts:
            self._history.amend(replace(self.state, answered=False))
        self._ask(by_itself=True)

    def want(self, request: Request) -> None:
        """Hand out a request when the action is done."""
        self._requests.append(request)

    def step_back(self) -> None:
        """Undo one step; how the user looks stays."""
        self._walk(self._history.back)

    def step_forward(self) -> None:
        """Redo one step; how the user looks stays."""
        self._walk(self._history.forward)

    def settle(self, ticket: int) -> bool:
        """Return whether ``ticket`` is awaited; if so, it is not any longer."""
        if ticket != self._awaiting:
            return False
        self._awaiting = None
        return True

    def restart(self, state: State) -> None:
        """Begin a new history at ``state``; what was written until now stays."""
        self._history = History(state)
        self._written.clear()
        self._ask(by_itself=state.browsing.live)

    def _replay(self, project: Project) -> None:
        for number, action in enumerate(project.journal.read(), start=1):
            try:
                applied = self._apply(action)
            except (MicrosamError, ValueError, TypeError, AttributeError, IndexError) as error:
                raise project.journal.damaged(number, error) from error
            if not applied:
                # Only what had come of something was written.
                raise project.journal.damaged(number, ValueError(f"{type(action).__name__} has no effect"))
        self._requests.clear()
        self.notice = Notice("")

    def _walk(self, move: Callable[[], tuple[Write, ...]]) -> None:
        browsing = self.state.browsing
        for one in move():
            self._do(one)
        self._history.amend(replace(self.state, browsing=browsing))
        self._ask(by_itself=browsing.live)

    def _ask(self, *, by_itself: bool) -> None:
        """Request an answer when the present state has none: also after an undo to one never answered."""
        self._awaiting = None
        if by_itself and self.state.prompts and not self.state.answered:
            self._tickets += 1
            self._awaiting = self._tickets
            self._requests.append(self._question(self._tickets))

    def _question(self, ticket: int) -> Predict:
        state = self.state
        return Predict(ticket, group(state.prompts, batched=state.browsing.batched))

    def _do(self, one: Write) -> None:
        if isinstance(one, Delta):
            self.labels.apply(one)
            self._painted = one.where if self._painted is None else self._painted.union(one.where)
        elif one.after is None:
            self.infos.pop(one.label, None)
        else:
            self.infos[one.label] = one.after
        self._noted = True

    def _apply(self, action: Action) -> bool:
        try:
            applied = action.apply(self) is not False
        except BaseException:
            for one in reversed(self._written):
                self._do(one.reverse())
            self._written.clear()
            raise
        assert not self._written, f"{type(action).__name__} wrote without a step."
        return applied

    def _record(self, action: Action) -> None:
        assert self._project is not None
        try:
            self._project.journal.append(action)
        except OSError as error:
            self.notice = Notice(
                f"The journal cannot be written ({error.strerror}). Your work is kept in memory: free some disk "
                "space, or save the labels to another place.",
                error=True,
            )

    def _compare(self, before: State, notice: Notice, work: Work | None) -> Change:
        now = self.state
        old, new = before.browsing, now.browsing
        shown = ("layers", "channels", "as_model")
        return Change(
            prompts=now.prompts != before.prompts,
            proposal=now.proposals is not before.proposals or now.target != before.target,
            candidates=now.candidates is not before.candidates,
            view=new.view != old.view or new.plane != old.plane,
            tool=new != old,
            layers=any(getattr(new, name) != getattr(old, name) for name in shown),
            objects=self._noted or new.selected != old.selected,
            notice=self.notice is not notice,
            work=self.work is not work,
            labels=self._painted,
        )
