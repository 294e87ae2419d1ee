"""What the engine answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ...core import Candidate, Mask, Point, Scribble
from ..state import Notice
from .base import Action

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class Predicted(Action):
    """The model's mask for the prompts of ``ticket``; ignored when no longer awaited."""

    ticket: int
    mask: Mask
    score: float
    origin: str

    def apply(self, session: Session) -> bool:
        if not session.settle(self.ticket):
            return False
        found = Candidate(self.mask, self.score, self.origin) if self.mask.area else None
        session.amend(replace(session.state, proposal=found, answered=True))
        if found is None:
            negative = all(isinstance(p, Point | Scribble) and not p.positive for p in session.state.prompts)
            why = "All prompts are negative." if negative else "Nothing was found here."
            session.notice = Notice(f"{why} Add a positive point on the object, or draw a box around it.", True)
        else:
            session.notice = Notice(f"Object of {found.mask.area} pixels, score {found.score:.2f}.")
        return True


@dataclass(frozen=True)
class Failed(Action):
    """Work that went wrong; the sentence says what to do. Without ticket it concerns no prompt."""

    what: str
    ticket: int | None = None
    journaled: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        if self.ticket is not None and not session.settle(self.ticket):
            return False
        session.notice = Notice(self.what, error=True)
        session.failure = self.what
        return True


@dataclass(frozen=True)
class Embedded(Action):
    """A plane is ready for prompts."""

    plane: int
    seconds: float
    model: str
    journaled: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        count = session.labels.count()
        kept = (
            f" {count} object{'s' if count > 1 else ''} from before {'are' if count > 1 else 'is'} back."
            if count
            else ""
        )
        if session.state.prompts:
            what = "An object is not committed yet: C keeps it, Shift-C clears it."
        else:
            what = "Click on an object; right-click beside it to take parts away."
        session.notice = Notice(f"Ready: model {self.model}, image encoded in {self.seconds:.2f} s.{kept} {what}")
