"""What the engine answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ...core import Candidate, Point, Scribble
from ..planes import by_plane
from ..requests import Embed
from ..state import Notice, Work
from ..volumes import answered
from ..wording import be, counted
from .base import Action

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class Predicted(Action):
    """The model's answer to the prompts of ``ticket``, one per object, with an empty mask where it found nothing.

    ``model``: the name of the model, which a project keeps. Ignored when no longer awaited.
    """

    ticket: int
    found: tuple[Candidate, ...]
    model: str = ""
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        state, volume = session.state, session.shape[0] > 1
        if volume and state.extending and not session.lenient:
            return False
        if not session.settle(self.ticket):
            return False
        full = tuple(one for one in self.found if one.mask.area)
        asked = state.prompts
        if volume:
            plane = _plane_of(full, session)
            session.amend(answered(state, plane, self.found))
            asked = by_plane(asked).get(plane, ())
            session.go_on()
        else:
            # Of a batch most is known: what a journal repeats line by line need not lie in memory again and again.
            known = {one.mask.start: one for one in state.proposals}
            same = tuple(old if (old := known.get(one.mask.start)) == one else one for one in full)
            session.amend(replace(state, proposals=same, answered=True))
        if not full:
            negative = all(isinstance(p, Point | Scribble) and not p.positive for p in asked)
            why = "All prompts are negative." if negative else "Nothing was found here."
            session.notice = Notice(f"{why} Add a positive point on the object, or draw a box around it.", True)
        elif len(self.found) > 1:
            session.notice = Notice(f"{len(full)} of {len(self.found)} objects {be(len(full))} found. C keeps all.")
        else:
            session.notice = Notice(f"Object of {counted(full[0].mask.area, 'pixel')}, score {full[0].score:.2f}.")
        return True


def _plane_of(found: tuple[Candidate, ...], session: Session) -> int:
    """Return the plane that an answer is about: the one that was asked about, where that is known."""
    state = session.state
    if found and (session.lenient or not state.stale):
        return found[0].mask.start[0]
    return state.stale[-1] if state.stale else state.browsing.plane


@dataclass(frozen=True, slots=True)
class Glimpsed(Action):
    """What the model has found for ``ticket`` so far, one per object: shown until its answer, and never kept."""

    ticket: int
    found: tuple[Candidate, ...]
    journaled: ClassVar[bool] = False
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        found = tuple(one for one in self.found if one.mask.area)
        state = session.state
        if session.shape[0] > 1:
            if not state.stale:
                return False
            # What the object is in other planes is shown with it.
            found = answered(state, state.stale[-1], self.found).proposals
        return session.glimpse(self.ticket, found)


@dataclass(frozen=True)
class Failed(Action):
    """Work that went wrong; the sentence says what to do. Without ticket it concerns no prompt."""

    what: str
    ticket: int | None = None
    journaled: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        if self.ticket is not None and session.missed(self.ticket):
            session.notice = Notice(self.what, error=True)
            session.work = None
            return True
        if self.ticket is not None and not session.settle(self.ticket):
            return False
        session.notice = Notice(self.what, error=True)
        session.failure = self.what
        session.work = None
        return True


@dataclass(frozen=True)
class Embedded(Action):
    """A plane is ready for prompts."""

    plane: int
    seconds: float
    model: str
    journaled: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        session.work = None
        count, session.returned = session.returned, 0
        complaint = session.notice.error and session.notice.text != session.recovered
        if session.state.candidates or session.seeking or session.acted or complaint:
            # What there is to do has been said.
            return
        noun = session.noun.lower()
        kept = f" {counted(count, noun)} from before {be(count)} back." if count else ""
        extension = session.state.extension
        if extension is not None and extension.stopped:
            goes_on = "C keeps it as it is, Shift-S goes on." if session.state.proposals else "S asks the model again."
            what = f"An object that was stopped is not committed yet: {goes_on}"
        elif session.state.prompts:
            what = "An object is not committed yet: C keeps it, Shift-C clears it."
        else:
            what = "Click on an object; right-click beside it to take parts away."
        ready = f"Ready: model {self.model}, prepared in {self.seconds:.1f} s.{kept} {what}"
        # That a project was damaged must not pass with the first notice.
        session.notice = Notice(f"{session.recovered} {ready}".strip())


@dataclass(frozen=True)
class Working(Action):
    """How far work in the background has come; ``work`` None: it has ended.

    With ``ticket`` it is what was asked about the object in hand, and ignored when that is no longer awaited.
    """

    work: Work | None
    ticket: int | None = None
    journaled: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        if self.ticket is not None and not session.awaits(self.ticket):
            return False
        session.work = self.work
        return True


@dataclass(frozen=True)
class ModelLoaded(Action):
    """From now on another model answers."""

    name: str
    device: str
    journaled: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        session.model, session.device = self.name, self.device
        session.work = None
        session.notice = Notice(f"The model {self.name} is ready on {self.device}.")
        session.want(Embed(session.state.browsing.plane))
