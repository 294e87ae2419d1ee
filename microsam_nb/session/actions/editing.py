"""Walking back and forth in the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..state import Notice
from ..wording import counted
from .base import Action

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class Undo(Action):
    """Take the last step back."""

    lasting: ClassVar[bool] = True
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        if not session.can_undo:
            session.notice = Notice(_nothing_left(session))
            return False
        session.notice = Notice(_told("Undone", session.step_back()))
        return True


@dataclass(frozen=True, slots=True)
class Redo(Action):
    """Take the step that was undone last again."""

    lasting: ClassVar[bool] = True
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        if not session.can_redo:
            session.notice = Notice("There is nothing to redo.")
            return False
        session.notice = Notice(_told("Redone", session.step_forward()))
        return True


@dataclass(frozen=True, slots=True)
class Settle(Action):
    """Make what there is the beginning, as what an image is opened with: undo stops here."""

    lasting: ClassVar[bool] = True
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        session.settle_history()


def _told(done: str, what: str) -> str:
    return f"{done}: {what}." if what else f"{done}."


def _nothing_left(session: Session) -> str:
    if session.forgetful:
        return "Nothing left to undo: what was done before takes too much memory to be kept."
    count = session.labels.count()
    if not count:
        return "There is nothing to undo."
    there = counted(count, session.noun.lower())
    return f"Nothing left to undo: the {there} that the image was opened with {'stays' if count == 1 else 'stay'}."
