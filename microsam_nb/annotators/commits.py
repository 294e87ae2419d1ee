"""What the user does while an object that is to be committed waits for its answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..session import Change, Commit, Session
from ..widgets import Loop


class CommitQueue:
    """Commits the object in work as soon as the model has answered; what the user does meanwhile comes after that.

    ``guard`` does something and returns whether it went well; ``dropped`` is called when what was kept is left out.
    Only for the screen's thread.
    """

    def __init__(
        self,
        session: Session,
        loop: Loop,
        guard: Callable[[Callable[[], object]], bool],
        dropped: Callable[[], None],
    ) -> None:
        self._session, self._loop, self._guard, self._dropped = session, loop, guard, dropped
        self._held: deque[Callable[[], None]] | None = None
        session.changed.connect(self._release)

    @property
    def idle(self) -> bool:
        """Whether nothing waits for an object to be committed."""
        return self._held is None

    def in_turn(self, event: Callable[[], None]) -> None:
        """Do what the user did, or keep it until the object is committed."""
        if self._held is not None:
            self._held.append(event)
        else:
            event()

    def commit(self) -> None:
        """Commit the object; before the model has answered, as soon as it has."""
        if self._session.awaiting is None:
            self._guard(lambda: self._session.handle(Commit()))
            return
        self._held = deque()
        self._session.say("The object is committed as soon as the model has answered.")
        self._release(Change())

    def _release(self, _: Change) -> None:
        if self._held is not None and self._session.awaiting is None:
            self._loop.post(self._catch_up)

    def _catch_up(self) -> None:
        if self._held is None or self._session.awaiting is not None:
            return
        held, self._held = self._held, None
        state = self._session.state
        there = state.answered and state.proposal is not None
        if not there or not self._guard(lambda: self._session.handle(Commit())):
            # Further clicks were meant for the next object, not for this one.
            left = " What you did since then is left out." if held else ""
            self._dropped()
            self._session.say(f"{self._session.notice.text} The object is not committed.{left}", error=True)
            return
        failed: Exception | None = None
        for event in held:
            try:
                self.in_turn(event)
            except Exception as error:  # noqa: BLE001 - the others must not be lost with it; it is raised below
                failed = failed or error
        if failed is not None:
            raise failed
