"""One object, one door: ``Session.handle``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..core import Box, Delta, Labels, MicrosamError
from ..core.box import Triple
from .actions import Action
from .history import History, Step
from .project import Project
from .requests import Embed, Predict, Request
from .signal import Signal
from .state import Change, Notice, Outcome, State


class Session:
    """State, labels and history of one annotation.

    ``handle`` is the only way in; it may be called from any thread. Actions change the session through four
    verbs: ``edit``, ``amend``, ``step_back`` and ``step_forward``. Slow work leaves as requests.
    """

    def __init__(self, shape: Triple, project: Project | None = None) -> None:
        self.labels = Labels(shape)
        self.changed: Signal[Change] = Signal()
        self.wanted: Signal[Request] = Signal()
        self.notice = Notice("")
        self.failure = ""
        self._lock = threading.RLock()
        self._history = History(State())
        self._awaiting: int | None = None
        self._tickets = 0
        self._painted: Box | None = None
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
            before, notice = self.state, self.notice
            self._painted, self._requests = None, []
            if self._project is not None and action.journaled:
                self._project.check()
            applied = self._apply(action)
            if applied and action.journaled and self._project is not None:
                self._record(action)
            outcome = Outcome(self._compare(before, notice), tuple(self._requests))
        self.changed.emit(outcome.change)
        for request in outcome.requests:
            self.wanted.emit(request)
        return outcome

    def pending(self) -> tuple[Request, ...]:
        """Return what a reopened session still waits for: its plane, and the answer to its prompts."""
        with self._lock:
            requests: list[Request] = [Embed(self.state.browsing.plane)]
            if self._awaiting is not None:
                requests.append(Predict(self._awaiting, self.state.prompts))
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

    def close(self) -> None:
        """Release the project folder; further changes raise ProjectError."""
        # Not under the lock: an annotator that hears of it waits for its threads, which may wait for the lock.
        if self._project is not None:
            self._project.close()

    # The four verbs of actions, and what they need.

    def edit(self, state: State, delta: Delta | None = None) -> None:
        """Push a new state, with a write to the labels; any answer still to come is no longer awaited."""
        if delta is not None:
            self._paint(delta)
        self._history.push(Step(state, delta))
        self._ask()

    def amend(self, state: State) -> None:
        """Replace the present state: answers and looking around are not steps of their own."""
        self._history.amend(state)

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

    def _walk(self, move: Callable[[], Delta | None]) -> None:
        browsing = self.state.browsing
        delta = move()
        if delta is not None:
            self._paint(delta)
        self._history.amend(replace(self.state, browsing=browsing))
        self._ask()

    def _ask(self) -> None:
        """Request an answer when the present state has none: also after an undo to one never answered."""
        self._awaiting = None
        if self.state.prompts and not self.state.answered:
            self._tickets += 1
            self._awaiting = self._tickets
            self._requests.append(Predict(self._tickets, self.state.prompts))

    def _paint(self, delta: Delta) -> None:
        self.labels.apply(delta)
        self._painted = delta.where if self._painted is None else self._painted.union(delta.where)

    def _apply(self, action: Action) -> bool:
        return action.apply(self) is not False

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

    def _compare(self, before: State, notice: Notice) -> Change:
        now = self.state
        return Change(
            prompts=now.prompts != before.prompts,
            proposal=now.proposal is not before.proposal,
            view=now.browsing.view != before.browsing.view or now.browsing.plane != before.browsing.plane,
            tool=now.browsing != before.browsing,
            notice=self.notice is not notice,
            labels=self._painted,
        )
