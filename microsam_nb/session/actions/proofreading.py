"""Correcting which pixels are one object: taken apart, removed together, numbered anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core import Box, LabelError, Lineage, Note, ObjectInfo, Overlap, Polygon, PromptError
from ...core.parting import part
from ...core.prompts import Vertices
from ...core.raster import rasterise
from ..state import Notice
from ..wording import be, counted
from .base import Action
from .objects import own_mask, remove
from .painting import by_hand

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class SplitAt(Action):
    """Take an object apart at its waists: one part for each (y, x) point, or as many as it has waists for.

    The largest part keeps the number, the others get new ones. In a movie this frame only. Raises PromptError when
    there is no waist, or for points beside the object.
    """

    label: int
    points: Vertices = ()
    plane: int = 0
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        state, label = session.state, int(self.label)
        mask = own_mask(session, label, self.plane if session.movie else None)
        _, *rest = part(mask, self.points, self.plane)
        noun = session.noun
        if not rest:
            raise PromptError(
                f"{noun} {label} has no waist to be cut at.", "Click once on each of its parts, or draw a line."
            )
        info = replace(session.infos.get(label, ObjectInfo()), score=None)
        for number, one in enumerate(rest, start=state.next_id):
            session.write(session.labels.paint(one, number, Overlap.REPLACE))
            session.write(Note(number, None, replace(info, name="")))
        by_hand(session, label)
        session.edit(replace(state, next_id=state.next_id + len(rest)), what=f"cutting {noun.lower()} {label}")
        session.notice = Notice(f"{noun} {label} is cut into {len(rest) + 1}; {len(rest)} new.")


@dataclass(frozen=True, slots=True)
class DeleteInside(Action):
    """Remove the objects of which more than half of what they have in this plane lies inside a closed line.

    Of a volume they go whole, of a movie in this frame only. Raises PromptError when there are none.
    """

    points: Vertices
    plane: int = 0
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        area = rasterise(Polygon(self.plane, self.points), session.shape)
        under = session.labels.volume[area.box.slices][area.bitmap]
        gone = []
        for label, count in zip(*np.unique(under, return_counts=True), strict=True):
            if label and 2 * count > own_mask(session, int(label), self.plane).area:
                gone.append(int(label))
        if not gone:
            raise PromptError(
                f"There is no {session.noun.lower()} inside.", "Draw around the larger part of one or several."
            )
        for label in gone:
            remove(session, own_mask(session, label, self.plane if session.movie else None))
        names = counted(len(gone), session.noun.lower())
        session.edit(session.state, what=f"deleting {names}")
        where = f" in frame {self.plane}" if session.movie else ""
        session.notice = Notice(f"{names} {be(len(gone))} deleted{where}. Ctrl-Z takes it back.")


@dataclass(frozen=True, slots=True)
class Relabel(Action):
    """Number the objects from 1 in the order of their numbers, without gaps; what is said of them and their kin follow.

    Nothing is picked then: a number means another object. Raises LabelError when there is nothing to do.
    """

    lasting: ClassVar[bool] = True
    gist: ClassVar[str] = "numbering anew"

    def apply(self, session: Session) -> None:
        state, old = session.state, sorted(session.labels)
        names = {label: number for number, label in enumerate(old, start=1)}
        if all(label == number for label, number in names.items()):
            raise LabelError("The numbers have no gaps.", "There is nothing to do.")
        where = Box.around(session.labels.box(label) for label in old)
        before = session.labels.volume[where.slices]
        ranks = np.searchsorted(np.array(old, np.uint32), before).astype(np.uint32) + 1
        infos = {names[label]: info for label, info in session.infos.items() if label in names}
        session.write(session.labels.change(where, np.where(before > 0, ranks, np.uint32(0))))
        for label in sorted({*infos, *session.infos}):
            if infos.get(label) != session.infos.get(label):
                session.write(Note(label, session.infos.get(label), infos.get(label)))
        lineage = state.lineage
        if lineage is not None:
            lineage = Lineage({names[one]: tuple(names[d] for d in some) for one, some in lineage.daughters.items()})
        browsing = replace(state.browsing, selected=())
        target, mother = names.get(state.target, 0), names.get(state.mother, 0)
        session.edit(
            replace(state, next_id=len(old) + 1, lineage=lineage, browsing=browsing, target=target, mother=mother)
        )
        there = counted(len(old), session.noun.lower())
        session.notice = Notice(f"The {there} {be(len(old))} numbered from 1.")
