"""Walking back and forth in the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..state import Notice
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
            session.notice = Notice("There is nothing to undo.")
            return False
        session.step_back()
        session.notice = Notice("Undone.")
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
        session.step_forward()
        session.notice = Notice("Redone.")
        return True
