"""Finding all objects, and choosing among what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ...core import Box, Candidate, LabelError, Mask, Note, ObjectInfo, Polygon, PromptError, rasterise
from ...core.prompts import Vertices
from ..requests import Setting
from ..state import Automatic, Notice, Spread, State, Tool
from ..wording import be, counted
from .base import Action
from .prompting import inside
from .tracking import accepted_by

if TYPE_CHECKING:
    from ..session import Session

#: A candidate of which less than this share is free is covered by committed objects: it is no object of its own.
_FREE = 0.5


@dataclass(frozen=True, slots=True)
class FindAll(Action):
    """Find all objects of the present plane; what is found comes as candidates.

    ``mode``: "amg", "ais", "apg", or "auto" for what suits the model. ``options``: settings other than the model's
    own. ``final`` False: what is found is only shown, since somebody is still moving a slider. ``volume``: find them in
    all planes, and join what belongs together.
    """

    mode: str = "auto"
    options: tuple[Setting, ...] = ()
    final: bool = True
    volume: bool = False
    journaled: ClassVar[bool] = False
    step: ClassVar[bool] = False

    @classmethod
    def again(cls, state: State, model: str = "") -> Self:
        """Find them the way the last ones were found; another ``model`` has settings of its own."""
        known = state.automatic
        if known is None or model not in ("", known.model):
            return cls()
        return cls(known.mode, known.options)

    def apply(self, session: Session) -> None:
        volume = self.volume and session.shape[0] > 1
        if volume and session.movie:
            raise PromptError("Objects of a movie are linked, not joined.", "Use Link all in the panel Tracks.")
        plane = session.state.browsing.plane
        session.seek(plane, self.mode, self.options, final=self.final, volume=volume)
        if self.final:
            session.notice = Notice(f"Looking for all objects{' of all planes' if volume else ''} ...")


@dataclass(frozen=True, slots=True)
class FitAll(Action):
    """Find the settings that give the committed objects of the present plane best, then all objects with those.

    Raises LabelError without any object in the plane.
    """

    mode: str = "auto"
    options: tuple[Setting, ...] = ()
    journaled: ClassVar[bool] = False
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        plane = session.state.browsing.plane
        if not session.labels.volume[plane].any():
            raise LabelError("There is no object to fit the settings to.", "Commit a few objects of the image first.")
        session.fit(plane, self.mode, self.options)
        session.notice = Notice("Fitting the settings to your objects ...")


@dataclass(frozen=True, slots=True)
class Suggested(Action):
    """All objects that were found for ``ticket``, and how: candidates in place of those that are there.

    What lies mostly on committed objects is left out. Ignored when no longer awaited.
    """

    ticket: int
    candidates: tuple[Candidate, ...]
    automatic: Automatic
    about: str = ""
    gist: ClassVar[str] = "finding all objects"

    def apply(self, session: Session) -> bool:
        if not session.found(self.ticket):
            return False
        session.work = None
        state = session.state
        new = _possible(self.candidates, session)
        free = tuple(one for one in new if _free(one.mask, session) >= _FREE)
        wanted = _not_rejected(free, state.rejected)
        browsing = state.browsing
        idle = not (state.prompts or state.proposals)
        if wanted and idle and not state.candidates:
            # What comes next is a choice among them.
            browsing = replace(browsing, tool=Tool.CHOOSE)
        session.edit(replace(state, candidates=wanted, automatic=self.automatic, browsing=browsing), asks=False)
        choosing = browsing.tool is Tool.CHOOSE
        text = _told(wanted, len(new) - len(free), len(free) - len(wanted), self.about, choosing=choosing)
        session.notice = Notice(text, error=not wanted)
        return True


@dataclass(frozen=True, slots=True)
class Sketched(Action):
    """What settings that are still being changed would give: shown, and never kept."""

    ticket: int
    candidates: tuple[Candidate, ...]
    journaled: ClassVar[bool] = False
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        free = tuple(one for one in _possible(self.candidates, session) if _free(one.mask, session) >= _FREE)
        wanted = _not_rejected(free, session.state.rejected)
        if not session.sketch(self.ticket, wanted):
            return False
        session.work = None
        session.notice = Notice(f"{counted(len(wanted), 'object')} with these settings.")
        return True


@dataclass(frozen=True, slots=True)
class Surveyed(Action):
    """What an automatic segmentation had to choose from: predicted scores in 0..1, and areas in pixels."""

    ticket: int
    mode: str
    scores: tuple[float, ...]
    areas: tuple[int, ...]
    journaled: ClassVar[bool] = False
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> bool:
        spread = Spread(self.mode, np.array(self.scores, np.float32), np.array(self.areas, np.int64))
        return session.survey(self.ticket, spread)


@dataclass(frozen=True, slots=True)
class AcceptCandidates(Action):
    """Keep candidates as objects: by their ``places`` in the list, those ``inside`` a closed line, or else all.

    Committed objects are never changed, and of candidates that overlap the first one gets the pixels. A candidate
    that is mostly covered by others stays one. Of a movie, those that are chosen one by one while the daughters of a
    track are being marked become such. Raises PromptError when none can be kept.
    """

    places: tuple[int, ...] = ()
    inside: Vertices = ()
    plane: int = 0
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        state = session.state
        chosen = _chosen(session, self.places, self.inside, self.plane)
        masks = [state.candidates[i].mask for i in chosen]
        where = Box.around(mask.box for mask in masks)
        after = session.labels.volume[where.slices].copy()
        label, kept, notes = state.next_id, set(), []
        for place, mask in zip(chosen, masks, strict=True):
            part = after[mask.box.within(where)]
            free = mask.bitmap & (part == 0)
            if np.count_nonzero(free) < max(1.0, _FREE * mask.area):
                continue
            part[free] = label
            score = round(float(state.candidates[place].score), 4)
            notes.append(Note(label, session.infos.get(label), ObjectInfo(score=score)))
            kept.add(place)
            label += 1
        if not kept:
            raise PromptError(
                "What was chosen is covered by committed objects.", "Delete or undo those first, or reject it."
            )
        session.write(session.labels.change(where, after), *notes)
        rest = tuple(one for i, one in enumerate(state.candidates) if i not in kept)
        single = bool(self.places or self.inside)
        related, told = accepted_by(session, range(state.next_id, label), single=single)
        names = counted(len(kept), "candidate")
        session.edit(replace(related, candidates=rest, next_id=label), what=f"accepting {names}")
        left = len(chosen) - len(kept)
        what = f"{counted(len(kept), 'object')} are" if len(kept) > 1 else f"Object {label - 1} is"
        stay = "stays a candidate" if left == 1 else "stay candidates"
        covered = f" {left} that others cover {stay}." if left else ""
        session.notice = Notice(f"{what} accepted.{told}{covered} Ctrl-Z takes it back.")


@dataclass(frozen=True, slots=True)
class RejectCandidates(Action):
    """Take candidates away: by their ``places``, those ``inside`` a closed line, or else all.

    Single ones are not suggested again, whatever the settings; after all were rejected everything may come again.
    Raises PromptError without any.
    """

    places: tuple[int, ...] = ()
    inside: Vertices = ()
    plane: int = 0

    def apply(self, session: Session) -> None:
        state = session.state
        gone = set(_chosen(session, self.places, self.inside, self.plane))
        rest = tuple(one for i, one in enumerate(state.candidates) if i not in gone)
        single = bool(self.places or self.inside)
        masks = tuple(one.mask for i, one in enumerate(state.candidates) if i in gone)
        names = counted(len(gone), "candidate")
        rejected = (*state.rejected, *masks) if single else ()
        session.edit(replace(state, candidates=rest, rejected=rejected), what=f"rejecting {names}")
        session.notice = Notice(f"{names} {be(len(gone))} rejected, {len(rest)} {be(len(rest))} left.")


def _chosen(session: Session, places: Sequence[int], inside: Vertices, plane: int) -> list[int]:
    """Return the places of the candidates that are meant. Raises PromptError when there are none."""
    candidates = session.state.candidates
    if session.sketching:
        raise PromptError("The candidates are still changing.", "Wait a moment, then choose again.")
    if not candidates:
        raise PromptError("There are no candidates.", "Find all objects first, with U.")
    if inside:
        area = rasterise(Polygon(plane, inside), session.shape)
        meant = [i for i, one in enumerate(candidates) if _share(one.mask, area) >= 0.5]
        if not meant:
            raise PromptError("There is no candidate inside.", "Draw around the middle of one or several.")
        return meant
    meant = [i for i in dict.fromkeys(places) if 0 <= i < len(candidates)]
    if places and not meant:
        raise PromptError(f"There is no candidate {places[0]}.", f"There are {len(candidates)}.")
    return meant or list(range(len(candidates)))


def _share(mask: Mask, area: Mask) -> float:
    """Return the share of a mask that lies in another."""
    return float(np.count_nonzero(area.dense_in(mask.box) & mask.bitmap)) / mask.area


def _possible(candidates: Sequence[Candidate], session: Session) -> list[Candidate]:
    """Return the candidates that have pixels, all of them in the image."""
    return [one for one in candidates if one.mask.area and inside(one.mask, session)]


def _free(mask: Mask, session: Session) -> float:
    """Return the share of a mask that no object has."""
    there = session.labels.volume[mask.box.slices]
    return float(np.count_nonzero(mask.bitmap & (there == 0))) / mask.area


def _not_rejected(found: tuple[Candidate, ...], rejected: tuple[Mask, ...]) -> tuple[Candidate, ...]:
    """Return the candidates that have no IoU above one half with anything that was rejected."""
    if not rejected:
        return found
    boxes = np.array([(*mask.box.start, *mask.box.stop) for mask in rejected])
    out = []
    for one in found:
        start, stop = np.array(one.mask.box.start), np.array(one.mask.box.stop)
        near = ((boxes[:, :3] < stop) & (boxes[:, 3:] > start)).all(1)
        if not any(one.mask.iou(rejected[i]) > 0.5 for i in np.flatnonzero(near)):
            out.append(one)
    return tuple(out)


def _told(found: tuple[Candidate, ...], covered: int, rejected: int, about: str, *, choosing: bool) -> str:
    known = f" {covered} on committed objects {be(covered)} left out." if covered else ""
    known += f" {rejected} that you have rejected {be(rejected)} left out." if rejected else ""
    said = f"{about} " if about else ""
    if not found:
        hint = "Lower the thresholds or the least size, or choose another method in the panel Automatic."
        return f"{said}No {'further ' if known else ''}objects are found.{known} {hint}"
    widths = [np.sqrt(4 / np.pi * one.mask.area / one.mask.bitmap.shape[0]) for one in found]
    what = f"{counted(len(found), 'object')} {be(len(found))} found, typically {float(np.median(widths)):.0f} px wide."
    tool = "Click" if choosing else "Take the choose tool (A), then click"
    how = f"{tool} on one to keep it, right-click to reject it, or draw around several; Shift-A keeps all."
    return f"{said}{what}{known} {how}"
