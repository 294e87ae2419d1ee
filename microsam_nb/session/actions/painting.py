"""Drawing by hand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...core import Box, Candidate, LabelError, Mask, MaskPrompt, Note, ObjectInfo, Overlap, PromptError
from ...core.editing import gap_at, without_holes
from ...core.prompts import Vertices
from ...core.raster import stroke, union
from ...core.sections import planes_of, section_at
from ..state import Notice, State
from ..volumes import painted
from ..wording import be, counted, listed
from .base import Action
from .committing import HAND, minus

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class Paint(Action):
    """A stroke of the brush through (y, x) vertices, ``width`` pixels thick.

    It adds to the one picked object where there is one and nothing is being worked on, else to the proposal, which
    it begins if need be. Raises PromptError for a stroke outside the image, or over committed objects only.
    """

    points: Vertices
    width: float
    plane: int = 0
    lasting: ClassVar[bool] = True
    gist: ClassVar[str] = "painting"

    def apply(self, session: Session) -> None:
        met = stroke(self.points, self.width, self.plane, session.shape)
        state = _settled(session)
        if not state.proposals and not state.prompts and len(session.selected) == 1:
            label = session.selected[0]
            _add(session, label, met, state.browsing.overlap, "Paint beside it, or choose to replace existing objects.")
            session.notice = Notice(f"Object {label} has {counted(session.labels.area(label), 'pixel')}.")
            return
        found = list(state.proposals)
        place = _meant(found, met)
        if place is None:
            found.append(Candidate(met, 1.0, HAND))
        else:
            found[place] = Candidate(union([found[place].mask, met]), found[place].score, HAND)
        session.edit(_proposed(session, found, (self.plane,)))
        session.notice = Notice("C keeps what is painted as an object.")


@dataclass(frozen=True, slots=True)
class Erase(Action):
    """A stroke of the eraser through (y, x) vertices, ``width`` pixels thick.

    It takes from the proposals where there are some, else from the picked objects, else from all objects. Raises
    PromptError when there is nothing under it.
    """

    points: Vertices
    width: float
    plane: int = 0
    lasting: ClassVar[bool] = True
    gist: ClassVar[str] = "erasing"

    def apply(self, session: Session) -> None:
        met = stroke(self.points, self.width, self.plane, session.shape)
        state = _settled(session)
        if state.proposals:
            found = []
            for one in state.proposals:
                try:
                    left = minus(one.mask, [met])
                except PromptError:
                    continue  # all of it is gone
                found.append(one if left.area == one.mask.area else Candidate(left, one.score, HAND))
            if found == list(state.proposals):
                raise PromptError("The eraser met nothing of the proposal.", "Rub over the yellow area.")
            session.edit(_proposed(session, found, (self.plane,)))
            return
        before = session.labels.volume[met.box.slices]
        picked = session.selected
        meant = np.isin(before, picked) if picked else before != 0
        hit = met.bitmap & meant
        if not hit.any():
            what = "the picked objects" if picked else "any object"
            raise PromptError(f"The eraser met nothing of {what}.", "Rub over an object, or pick another one.")
        touched = [int(n) for n in np.unique(before[hit])]
        session.write(session.labels.change(met.box, np.where(hit, np.uint32(0), before)))
        for label in touched:
            if label in session.labels:
                by_hand(session, label)
        session.edit(state)
        session.notice = Notice(f"Erased from {listed(touched, 'object')}.")


@dataclass(frozen=True, slots=True)
class Fill(Action):
    """Fill what is enclosed: of an object or proposal at (y, x) all holes, else the gap around (y, x).

    A gap goes to the proposal, else to the one picked object, else to the object that it borders most. Raises
    PromptError where there is nothing to fill.
    """

    y: float
    x: float
    plane: int = 0
    lasting: ClassVar[bool] = True
    gist: ClassVar[str] = "filling"

    def apply(self, session: Session) -> None:
        planes, height, width = session.shape
        if not (0 <= self.plane < planes and 0 <= self.y < height and 0 <= self.x < width):
            raise PromptError("This place lies outside the image.", "Click into a hole or on an object.")
        state = _settled(session)
        for place, one in enumerate(state.proposals):
            if one.mask.holds(self.plane, self.y, self.x):
                _fill_proposal(session, state, place, without_holes(one.mask))
                return
        label = session.labels.at(self.plane, self.y, self.x)
        if label:
            own = session.labels.mask(label)
            _fill_object(session, label, without_holes(own), own)
            return

        def blocked(box: Box) -> NDArray[np.bool_]:
            out: NDArray[np.bool_] = session.labels.volume[box.slices] != 0
            for one in state.proposals:
                out |= one.mask.dense_in(box)
            return out

        gap = gap_at(blocked, self.plane, int(self.y), int(self.x), session.shape)
        if state.proposals:
            place = _meant(list(state.proposals), gap) or 0
            _fill_proposal(session, state, place, union([state.proposals[place].mask, gap]))
            return
        label = session.selected[0] if len(session.selected) == 1 else _neighbour(session, gap)
        _fill_object(session, label, gap, None)


def _settled(session: Session) -> State:
    """Return the state. Raises PromptError while prompts have no answer: a stroke would take their place."""
    state = session.state
    if state.unanswered:
        raise PromptError("The model has not answered yet.", "Wait for the mask, or ask for it with S, then paint.")
    return state


def _fill_proposal(session: Session, state: State, place: int, filled: Mask) -> None:
    old = state.proposals[place]
    if filled.area == old.mask.area:
        raise PromptError("The proposal has no hole.", "Click into a gap that it encloses.")
    found = list(state.proposals)
    found[place] = Candidate(filled, old.score, HAND)
    planes = [p for p in planes_of(filled) if section_at(filled, p).area != section_at(old.mask, p).area]
    session.edit(_proposed(session, found, planes))
    gained = filled.area - old.mask.area
    session.notice = Notice(f"{counted(gained, 'pixel')} {be(gained)} filled.")


def _fill_object(session: Session, label: int, filled: Mask, own: Mask | None) -> None:
    if own is not None and filled.area == own.area:
        raise PromptError(f"Object {label} has no hole.", "Click into a gap that objects enclose.")
    before = session.labels.area(label)
    # Other objects in the hole stay.
    _add(session, label, filled, Overlap.KEEP, "Delete what fills its holes first, or merge it with the object.")
    gained = session.labels.area(label) - before
    session.notice = Notice(f"{counted(gained, 'pixel')} {be(gained)} filled into object {label}.")


def _add(session: Session, label: int, mask: Mask, overlap: Overlap, remedy: str) -> None:
    """Add pixels to an object by hand. Raises PromptError with the remedy when it gets none."""
    there = session.labels.volume[mask.box.slices]
    if not (mask.bitmap & ((there == 0) if overlap is Overlap.KEEP else (there != label))).any():
        raise PromptError(f"There is nothing here that object {label} could get.", remedy)
    session.write(session.labels.paint(mask, label, overlap))
    by_hand(session, label)
    session.edit(session.state)


def _neighbour(session: Session, gap: Mask) -> int:
    """Return the object that the gap borders most."""
    (plane, y0, x0), (_, y1, x1) = gap.box.start, gap.box.stop
    _, height, width = session.shape
    a, c, b, d = max(0, y0 - 1), max(0, x0 - 1), min(height, y1 + 1), min(width, x1 + 1)
    around = session.labels.volume[plane, a:b, c:d]
    inside = gap.dense_in(Box((plane, a, c), (plane + 1, b, d)))[0]
    rim = np.zeros_like(inside)
    for axis in (0, 1):
        for step in (-1, 1):
            rim |= np.roll(inside, step, axis)
    beside = around[rim & ~inside & (around != 0)]
    if not beside.size:
        raise LabelError("This gap borders no object.", "Draw around it with the brush.")
    ids, counts = np.unique(beside, return_counts=True)
    return int(ids[np.argmax(counts)])


def _meant(found: list[Candidate], met: Mask) -> int | None:
    """Return the proposal that a stroke adds to: the one that it touches most, else the newest."""
    if not found:
        return None
    shared = [int((one.mask.dense_in(met.box) & met.bitmap).sum()) for one in found]
    return len(found) - 1 if max(shared) == 0 else shared.index(max(shared))


def _proposed(session: Session, found: list[Candidate], planes: Collection[int]) -> State:
    """Return the state with proposals changed by hand in some planes: there they are the prompts, and the answer."""
    state = session.state
    if session.shape[0] > 1:
        return painted(state, found, planes)
    prompts = tuple(MaskPrompt(one.mask) for one in found)
    target = state.target if found else 0
    return replace(state, proposals=tuple(found), prompts=prompts, answered=True, target=target)


def by_hand(session: Session, label: int) -> None:
    """Note that an object is no longer what the model said: its score does not count."""
    old = session.infos.get(label)
    new = replace(old or ObjectInfo(), score=None)
    if new != old:
        session.write(Note(label, old, new))
