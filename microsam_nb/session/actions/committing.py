"""Making proposals objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core import Box, Mask, Note, ObjectInfo, Overlap, PromptError
from ...core.raster import union
from ...core.sections import replaced
from ..state import Notice
from ..wording import listed
from .base import Action
from .prompting import OBJECT
from .tracking import committed_to

if TYPE_CHECKING:
    from ..session import Session

#: The origin of proposals that were painted.
HAND = "hand"


@dataclass(frozen=True, slots=True)
class Commit(Action):
    """Keep the proposals as objects, each with a number of its own; the object that is improved keeps its number.

    ``overlap`` says what happens to committed objects that they meet, None: what the user has chosen.
    """

    overlap: Overlap | None = None
    lasting: ClassVar[bool] = True

    def __post_init__(self) -> None:
        # A plain string must mean the same now and when the journal is replayed.
        object.__setattr__(self, "overlap", None if self.overlap is None else Overlap(self.overlap))

    def apply(self, session: Session) -> None:
        state = session.state
        if state.unanswered and session.awaiting is None and session.failure:
            raise PromptError(
                f"The model failed on these prompts: {session.failure}", "Undo the last prompt, or add another one."
            )
        if state.unanswered:
            how = "Wait for the mask" if session.awaiting is not None else "Press S for the mask"
            raise PromptError("The model has not answered yet.", f"{how}, then commit it.")
        if not state.proposals:
            raise PromptError("There is nothing to commit.", "Click on an object first.")
        overlap = self.overlap or state.browsing.overlap
        known = ObjectInfo()
        if state.target in session.labels:
            known = session.infos.get(state.target, known)
            session.write(session.labels.erase(state.target))
        taken: list[Mask] = []
        made: list[int] = []
        refused: PromptError | None = None
        lost = ""
        label = state.next_id
        for one in state.proposals:
            number = state.target if state.target and not made else label
            try:
                # Objects that are committed together never replace each other.
                free = minus(one.mask, taken)
                if session.movie and overlap is Overlap.KEEP:
                    free, told = _of_its_own(session, free)
                    lost += told
                session.write(session.labels.paint(free, number, overlap))
            except PromptError as error:
                refused = error
                continue
            # By hand there is no score, and an object that was only taken up keeps its own.
            score = {HAND: None, OBJECT: known.score}.get(one.origin, round(float(one.score), 4))
            session.write(Note(number, session.infos.get(number), replace(known, score=score)))
            known = ObjectInfo()
            taken.append(free)
            made.append(number)
            label += number == label
        if refused is not None and not made:
            raise refused
        new = [one for one in made if one != state.target]
        what = f"committing {listed(made, session.noun.lower())}"
        session.edit(committed_to(state, new).emptied(next_id=label), what=what)
        daughters = f" Daughter of track {state.mother}." if state.mother and new else ""
        one_plane = session.shape[0] > 1 and state.extension is None and not state.target and len(state.proposals) == 1
        hint = f" It is in this {session.word} only: Shift-S before C goes on from there." if one_plane else ""
        session.notice = Notice(_say(session.noun, made, len(state.proposals)) + daughters + lost + hint)


def _of_its_own(session: Session, mask: Mask) -> tuple[Mask, str]:
    """Return what of a track is mostly free, frame by frame, and a sentence about the rest.

    What is left of it where another track has the cell already are crumbs. Raises PromptError when that is all.
    """
    there = session.labels.volume[mask.box.slices]
    taken, others = [], set()
    for level, own in enumerate(mask.bitmap):
        known = there[level][own]
        if 2 * np.count_nonzero(known) > len(known):
            taken.append(mask.start[0] + level)
            ids, counts = np.unique(known[known > 0], return_counts=True)
            others.add(int(ids[counts.argmax()]))
    if not taken:
        return mask, ""
    whose = listed(sorted(others), "track", len(others))
    left = replaced(mask, taken)
    if not left.area:
        raise PromptError(
            f"This cell is {whose} already.", "Pick that to change it, or choose to replace existing objects."
        )
    frames = f"frame {taken[0]}" if len(taken) == 1 else f"{len(taken)} frames from {taken[0]} to {taken[-1]}"
    return left, f" In {frames} the cell is {whose} already: left out."


def minus(mask: Mask, others: list[Mask]) -> Mask:
    """Return what of a mask none of the others has. Raises PromptError when nothing is left."""
    around = mask.box
    near = [o for o in others if all(a < d and c < b for a, b, c, d in _spans(around, o.box))]
    if not near:
        return mask
    whole = union([mask, *near])
    left = mask.dense_in(whole.box)
    for one in near:
        left &= ~one.dense_in(whole.box)
    if not left.any():
        raise PromptError("Two of the objects are the same.", "Remove one of their prompts.")
    return Mask.crop(left, whole.start)


def _spans(one: Box, other: Box) -> Iterator[tuple[int, int, int, int]]:
    return zip(one.start, one.stop, other.start, other.stop, strict=True)


def _say(noun: str, made: list[int], asked: int) -> str:
    if asked == 1:
        return f"{noun} {made[0]} is committed."
    names = f"{noun}s {made[0]} to {made[-1]} are" if len(made) > 1 else f"{noun} {made[0]} is"
    missing = asked - len(made)
    lost = f" {missing} had no free pixel and {'was' if missing == 1 else 'were'} left out." if missing else ""
    return f"{names} committed.{lost}"
