"""What of a session is on screen, and what of it changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ..core import Box, Candidate
from .guesses import Guesses
from .state import Change, Notice, Spread, State, Work

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True, slots=True)
class Looks:
    """All that is shown at one moment, except the labels."""

    state: State
    shown: tuple[Candidate, ...]
    suggested: tuple[Candidate, ...]
    spread: Spread | None
    notice: Notice
    work: Work | None
    guesses: Guesses

    @classmethod
    def of(cls, session: Session) -> Self:
        return cls(
            session.state, session.shown, session.suggested, session.spread, session.notice, session.work,
            session.guesses,
        )  # fmt: skip

    def changed(self, session: Session, labels: Box | None, *, noted: bool) -> Change:
        """Return what is different now; ``labels``: the box that was written, ``noted``: objects were."""
        before, now = self.state, session.state
        old, new = before.browsing, now.browsing
        layers = ("layers", "channels", "as_model")
        return Change(
            prompts=now.prompts != before.prompts,
            proposal=(
                session.shown is not self.shown
                or now.target != before.target
                or now.sections != before.sections
                or now.extension != before.extension
            ),
            candidates=(
                session.suggested is not self.suggested
                or session.spread is not self.spread
                or now.automatic != before.automatic
            ),
            view=new.view != old.view or new.plane != old.plane,
            tool=new != old,
            layers=any(getattr(new, name) != getattr(old, name) for name in layers),
            objects=noted or new.selected != old.selected or session.guesses is not self.guesses,
            notice=session.notice is not self.notice,
            work=session.work is not self.work,
            labels=labels,
            lineage=now.lineage != before.lineage or now.mother != before.mother,
        )
