"""Changing committed objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ...core import Box, LabelError, Lineage, Mask, Note, ObjectInfo, Overlap, PromptError, Scribble
from ...core.editing import split, touching
from ...core.labels import as_labels
from ...core.prompts import Vertices
from ...core.raster import rasterise
from ..kinship import merged
from ..packing import pack, unpack
from ..state import Notice
from ..wording import be, counted, listed
from .base import Action
from .restoring import Described

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class Merge(Action):
    """Make objects parts of the first one. Raises LabelError for less than two objects, or one that is not there."""

    labels: tuple[int, ...]
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        kept, *others = dict.fromkeys(int(n) for n in self.labels) or (0,)
        if not others:
            raise LabelError("Two objects are needed for a merge.", "Pick two objects or more.")
        for label in (kept, *others):
            session.labels.box(label)
        apart = not touching([session.labels.mask(label) for label in (kept, *others)])
        for label in others:
            session.write(session.labels.renumber(label, kept))
        old = session.infos.get(kept)
        session.write(Note(kept, old, replace(old or ObjectInfo(), score=None)))
        state = session.state
        if state.lineage is not None:
            state = replace(state, lineage=merged(state.lineage, kept, others))
        noun = session.noun
        session.edit(state, what=f"merging {listed((kept, *others), noun.lower())}")
        warning = " They do not all touch: Ctrl-Z takes it back." if apart else ""
        session.notice = Notice(f"{listed(others, noun)} {be(len(others))} now part of {noun.lower()} {kept}.{warning}")


@dataclass(frozen=True, slots=True)
class Split(Action):
    """Cut objects along a line of (y, x) vertices: the picked ones, or all that the line cuts through.

    The largest part keeps the number, the others get new ones. In a movie they are cut in this frame only: cells move.
    Raises PromptError when the line cuts through none.
    """

    points: Vertices
    plane: int = 0
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        state, labels = session.state, session.labels
        line = rasterise(Scribble(self.plane, self.points, 0.0), session.shape)
        under = labels.volume[line.box.slices][line.bitmap]
        crossed = [int(n) for n in np.unique(under) if n and (not session.selected or n in session.selected)]
        label, cut = state.next_id, []
        for number in crossed:
            mask = own_mask(session, number, self.plane if session.movie else None)
            _, *rest = split(mask, self.points, self.plane, session.shape)
            if not rest:
                continue
            cut.append(number)
            info = replace(session.infos.get(number, ObjectInfo()), score=None)
            for part in rest:
                session.write(labels.paint(part, label, Overlap.REPLACE))
                session.write(Note(label, None, replace(info, name="")))
                label += 1
            session.write(Note(number, session.infos.get(number), info))
        if not cut:
            raise PromptError("The line cuts through no object.", "Draw it from one side of an object to the other.")
        new = label - state.next_id
        session.edit(replace(state, next_id=label), what=f"cutting {listed(cut, session.noun.lower())}")
        session.notice = Notice(f"{listed(cut, session.noun)} {be(len(cut))} cut; {new} new.")


@dataclass(frozen=True, slots=True)
class Delete(Action):
    """Remove objects. Raises LabelError without any, or for one that is not there."""

    labels: tuple[int, ...]
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        gone = tuple(dict.fromkeys(int(n) for n in self.labels))
        if not gone:
            raise LabelError("There is no object here.", "Click on the object, or pick it first.")
        for label in gone:
            session.write(session.labels.erase(label))
        noun = session.noun
        names = f"{noun} {gone[0]}" if len(gone) == 1 else counted(len(gone), noun.lower())
        session.edit(session.state, what=f"deleting {names[0].lower()}{names[1:]}")
        back = "it" if len(gone) == 1 else "them"
        session.notice = Notice(f"{names} {be(len(gone))} deleted; undo brings {back} back.")


@dataclass(frozen=True, slots=True)
class DeleteIn(Action):
    """Remove what an object has in one plane; the rest of it stays. Raises LabelError where it has nothing there."""

    label: int
    plane: int
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        label, plane = int(self.label), int(self.plane)
        noun, word = session.noun, session.word
        if not label:
            raise LabelError(f"No {noun.lower()} is picked.", "Click on one with the pick tool first.")
        remove(session, own_mask(session, label, plane))
        session.edit(session.state, what=f"deleting {noun.lower()} {label} in {word} {plane}")
        session.notice = Notice(f"{noun} {label} is deleted in {word} {plane}; undo brings it back.")


@dataclass(frozen=True, slots=True)
class Describe(Action):
    """Give an object a name or a class label; None leaves it. Raises LabelError when there is no such object."""

    label: int
    name: str | None = None
    category: str | None = None

    def apply(self, session: Session) -> bool:
        session.labels.box(self.label)
        old = session.infos.get(self.label)
        new = old or ObjectInfo()
        if self.name is not None:
            new = replace(new, name=self.name.strip()[:200])
        if self.category is not None:
            new = replace(new, category=self.category.strip()[:200], probability=None)
        if new == (old or ObjectInfo()):
            return False
        session.write(Note(int(self.label), old, new))
        what = "name" if self.category is None else "class" if self.name is None else "name and class"
        whose = f"{session.noun.lower()} {self.label}"
        session.edit(session.state, what=f"changing the {what} of {whose}")
        session.notice = Notice(f"The {what} of {whose} {'are' if 'and' in what else 'is'} kept.")
        return True


@dataclass(frozen=True, slots=True)
class LoadLabels(Action):
    """Put labels from elsewhere in the place of all objects; one step. Make it with ``LoadLabels.of(array)``."""

    data: str
    shape: tuple[int, int, int]
    source: str = ""
    infos: tuple[Described, ...] = ()
    lasting: ClassVar[bool] = True

    @classmethod
    def of(cls, array: NDArray[np.generic], source: str = "", infos: Mapping[int, ObjectInfo] | None = None) -> Self:
        """Take an array (h, w) or (planes, h, w) of whole numbers, 0 = background, and what is said of its objects.

        Raises LabelError.
        """
        volume = as_labels(array)
        planes, height, width = volume.shape
        said = tuple(Described(label, info) for label, info in sorted((infos or {}).items()))
        return cls(pack(volume), (planes, height, width), source, said)

    def apply(self, session: Session) -> None:
        if tuple(self.shape) != session.shape:
            raise LabelError(
                f"The labels have shape {tuple(self.shape)}, the image {session.shape}.",
                "Give labels made for this image, (y, x) or (plane, y, x).",
            )
        state, after = session.state, unpack(self.data, self.shape)
        whole = Box((0, 0, 0), session.shape)
        old = dict(session.infos)
        session.write(session.labels.change(whole, after))
        # A number that is there again means another object.
        session.write(*(Note(label, info, None) for label, info in old.items() if label in session.infos))
        session.write(*(Note(one.label, None, one.info) for one in self.infos if one.label in session.labels))
        free = max(state.next_id, session.labels.free_id)
        relatives = {} if state.lineage is None else {"lineage": Lineage({}), "mother": 0}
        count = session.labels.count()
        there = counted(count, session.noun.lower())
        session.edit(state.emptied(next_id=free, **relatives), what=f"loading {there}", loaded=self.data)
        where = f" from {self.source}" if self.source else ""
        session.notice = Notice(f"{there} {be(count)} loaded{where}.")


def own_mask(session: Session, label: int, plane: int | None) -> Mask:
    """Return an object, or what it has in one plane. Raises LabelError where that is nothing."""
    where = session.labels.box(label)
    if plane is None:
        return session.labels.mask(label)
    (p0, y0, x0), (p1, y1, x1) = where.start, where.stop
    found = Mask((0, 0, 0), np.zeros((0, 0, 0), bool))
    if p0 <= plane < p1:
        flat = Box((plane, y0, x0), (plane + 1, y1, x1))
        found = Mask.crop(session.labels.volume[flat.slices] == label, flat.start)
    if not found.area:
        word = session.word
        raise LabelError(f"{session.noun} {label} is not in {word} {plane}.", f"Go to a {word} where it is.")
    return found


def remove(session: Session, own: Mask) -> None:
    """Write that nobody has the pixels of a mask."""
    before = session.labels.volume[own.box.slices]
    session.write(session.labels.change(own.box, np.where(own.bitmap, np.uint32(0), before)))
