"""Which suspicious object is looked at next: the worst one that nobody has looked at yet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core import Box, Image
from ..core.suspects import Suspect
from ..session import Session, own_mask

#: Objects that are less likely to be wrong look like the others. With planted errors in one object of ten these are
#: a quarter of all objects, and hold five of six errors or more (tests/benchmarks/suspects.py).
LEAST = 0.1
#: Bytes of intensities beyond which objects are judged by their shapes alone.
_MOST = 2**29


class Review:
    """The objects of a session in the order in which they are looked at; only for the screen's thread.

    What was looked at stays so when the objects are judged anew, and also when it has changed since.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ranked: tuple[Suspect, ...] = ()
        self._trail: list[Suspect] = []
        #: Where objects lay when they were looked at: after a renumbering their numbers mean others.
        self._seen: dict[int, Box] = {}
        #: What was found of every object, and its box and pixels then.
        self._judged: dict[int, tuple[Suspect, Box, int]] = {}
        self._at = -1
        #: The usual size of objects in pixels, when they were judged.
        self.usual = 1

    @property
    def now(self) -> Suspect | None:
        """The object that is looked at."""
        return self._trail[self._at] if self._at >= 0 else None

    @property
    def place(self) -> tuple[int, int]:
        """The place of the object that is looked at, counted from 1 (0 for none), and how many there are."""
        return self._at + 1, len(self._trail) + len(self.rest())

    def take(self, ranked: Sequence[Suspect]) -> None:
        """Take a new order of all objects, the most suspicious first."""
        self._ranked = tuple(one for one in ranked if one.suspicion >= LEAST)
        there = {row.label: row for row in self._session.rows()}
        sizes = [max(row.box.shape[1:]) for row in there.values()]
        self.usual = int(np.median(sizes)) if sizes else 1
        self._judged = {
            one.label: (one, there[one.label].box, there[one.label].area) for one in ranked if one.label in there
        }

    def rest(self) -> list[Suspect]:
        """Return what is still to be looked at: neither gone, nor checked, nor looked at."""
        return [one for one in self._ranked if self._open(one.label)]

    def next(self) -> Suspect | None:
        """Go on to the next object, one looked at before where somebody went back; None: there is no more."""
        for at in range(self._at + 1, len(self._trail)):
            if self._trail[at].label in self._session.labels:
                self._at = at
                return self._trail[at]
        rest = self.rest()
        if not rest:
            return None
        self._trail.append(rest[0])
        label = rest[0].label
        self._seen[label] = self._session.box(label)
        self._at = len(self._trail) - 1
        return rest[0]

    def judged(self, label: int) -> Suspect | None:
        """Return what was found of an object, None where it was not there yet, or had another number."""
        found = self._judged.get(label)
        if found is None or label not in self._session.labels or not self._session.box(label).meets(found[1]):
            return None
        return found[0]

    def changed(self, label: int) -> bool:
        """Whether an object that is still there has changed since it was judged."""
        _, box, area = self._judged.get(label, (None, None, 0))
        return box is not None and (self._session.box(label), self._session.labels.area(label)) != (box, area)

    def previous(self) -> Suspect | None:
        """Go back to the object before, of those that are still there; None: there is none."""
        for at in range(self._at - 1, -1, -1):
            if self._trail[at].label in self._session.labels:
                self._at = at
                return self._trail[at]
        return None

    def _open(self, label: int) -> bool:
        if label not in self._session.labels:
            return False
        info = self._session.infos.get(label)
        if info is not None and info.checked:
            return False
        seen = self._seen.get(label)
        return seen is None or not self._session.box(label).meets(seen)


def place_of(session: Session, label: int, plane: int) -> Box:
    """Return the box of what an object has in a plane, or, where that is nothing, in the middle one of its planes."""
    planes = session.frames(label)
    return own_mask(session, label, plane if plane in planes else planes[len(planes) // 2]).box


def with_surroundings(where: Box, least: int, shape: tuple[int, int, int]) -> Box:
    """Return a box as large as ``least`` pixels or larger, about the same middle: a crumb says nothing by itself."""
    (p0, *low), (p1, *high) = where.start, where.stop
    for axis, size in enumerate(shape[1:]):
        more = max(0, least - (high[axis] - low[axis]))
        low[axis] = max(0, low[axis] - more // 2)
        high[axis] = min(size, high[axis] + (more + 1) // 2)
    return Box((p0, low[0], low[1]), (p1, high[0], high[1]))


def intensities(image: Image) -> NDArray[np.generic] | None:
    """Return what objects are judged by, (planes, h, w), channels averaged; None for an image that is too large."""
    planes, height, width = image.shape
    if planes * height * width * 4 > _MOST:
        return None
    found = []
    for index in range(planes):
        pixels = np.ma.filled(image.plane(index), 0)
        found.append(pixels.mean(axis=-1, dtype=np.float32) if pixels.ndim > 2 else pixels)
    return np.stack(found)
