"""Stopping what runs: first what was asked about the object in hand, then what runs in the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..requests import StopQuestion, StopWork
from ..state import Notice
from ..volumes import stopped
from .base import Action

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True)
class Cancel(Action):
    """Stop what was asked about the object in hand; where nothing was, what runs in the background.

    Planes are prepared on while a question is stopped: a second Cancel stops that.
    """

    journaled: ClassVar[bool] = False

    def prepared(self, session: Session) -> Action:
        return StopCarrying() if _carried(session) else self

    def apply(self, session: Session) -> None:
        if session.awaiting is not None:
            _stop_question(session)
            return
        session.leave_search()
        session.work = None
        session.want(StopWork())
        session.notice = Notice("Stopped.")


@dataclass(frozen=True)
class StopCarrying(Action):
    """Stop carrying the object in hand through the planes: it is what was found so far, until somebody goes on.

    Other than ``Cancel`` it is in the journal, so that it does not begin anew when the project is opened.
    """

    step: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        if not _carried(session) and not session.lenient:
            return False
        _stop_question(session)
        return True


def _carried(session: Session) -> bool:
    extension = session.state.extension
    return session.awaiting is not None and extension is not None and not (extension.done or extension.stopped)


def _stop_question(session: Session) -> None:
    ticket = session.awaiting
    if ticket is not None:
        session.settle(ticket)
    session.want(StopQuestion(ticket))
    session.work = None
    before = session.state
    session.amend(after := stopped(before))
    what = "S asks the model again."
    if after.extension is not None and after.extension.stopped and not after.stale:
        what = "The object ends where it was stopped; Shift-S goes on."
        if after.extension.planes:
            what = "Planes that were not computed again are as they were; S goes on."
    session.notice = Notice(f"Stopped. {what}")
