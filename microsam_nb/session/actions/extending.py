"""Carrying the object in hand through the planes of a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...core import Candidate, PromptError, Section
from ...core.sections import planes_of
from ..planes import fixed_planes
from ..requests import Setting
from ..state import Notice, State
from ..volumes import begun, extended
from ..wording import counted, listed
from .base import Action

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class ExtendObject(Action):
    """Segment the object in hand through all planes, beginning with those that have prompts.

    ``options``: settings other than the model's own. Raises PromptError without an object, and in an image of one
    plane.
    """

    options: tuple[Setting, ...] = ()

    def apply(self, session: Session) -> None:
        state, how = session.state, "follow" if session.movie else "segment"
        if session.shape[0] == 1:
            raise PromptError(f"The image has one {session.word} only.", "S segments the object in it.")
        if not state.prompts and not state.proposals:
            raise PromptError(f"There is no object to {how} through the {session.word}s.", "Click on one first.")
        after = begun(state, self.options)
        if after.extension is None:
            raise PromptError(
                f"Nothing is found in the {session.word}s with prompts.",
                "Add a positive point on the object in one of them.",
            )
        session.edit(after, asks=False, what=f"{how}ing the object through the {session.word}s")
        session.go_on()
        session.notice = Notice(f"{how.capitalize()}ing the object through the {session.word}s ...")


@dataclass(frozen=True, slots=True)
class Extended(Action):
    """What was found for ``ticket`` in further planes since the last answer; with ``final`` there is no more.

    Each section takes the place of what the object was in its plane, except in planes with prompts. ``model``: the
    name of the model, which a project keeps. Ignored when no longer awaited.
    """

    ticket: int
    sections: tuple[Section, ...]
    final: bool
    model: str = ""
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        state = session.state
        if not (state.extending or session.lenient):
            return False
        if not (session.settle(self.ticket) if self.final else session.awaits(self.ticket)):
            return False
        after = extended(state, self.sections, final=self.final)
        session.amend(after)
        if self.final:
            session.notice = _told(after, session)
        return True


def _told(state: State, session: Session) -> Notice:
    proposals = state.proposals
    if not proposals:
        return Notice("Nothing was found. Add a positive point on the object, or draw a box around it.", True)
    planes = sorted({plane for one in proposals for plane in planes_of(one.mask)})
    noun = session.noun
    what = counted(len(proposals), noun.lower()) if len(proposals) > 1 else noun
    what, word = f"{what} of {_voxels(proposals):,} {'pixels' if session.movie else 'voxels'}", session.word
    if set(planes) <= set(fixed_planes(state.prompts)):
        return Notice(
            f"{what}, only in {listed(planes, word, len(planes))}: nothing of it is found beyond. Add a "
            f"prompt in another {word} where it is, then press Shift-S again."
        )
    least = min(state.sections, key=lambda one: one.agreement, default=None)
    weakest = f"; least agreement {least.agreement:.2f} in {word} {least.plane}" if least is not None else ""
    return Notice(f"{what} in {word}s {planes[0]} to {planes[-1]}{weakest}.")


def _voxels(found: Sequence[Candidate]) -> int:
    return sum(one.mask.area for one in found)
