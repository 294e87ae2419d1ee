"""The committed objects: one integer per pixel, every change reversible."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .box import Box, Triple
from .errors import LabelError, PromptError
from .mask import Mask

#: The largest number of an object.
LARGEST = 2**32 - 1
#: Numbers up to this, or few beside the pixels there are, are counted in a table; larger ones by sorting.
_TABLE = 4096
#: Writes of more objects, or into more pixels, than this look where each object lies.
_MANY, _WIDE = 8, 2**20
#: Pixels that are counted at once.
_PART = 2**22


class Overlap(StrEnum):
    """What happens where a new object meets committed ones.

    KEEP leaves them as they are, REPLACE takes the pixels that both cover, WHOLE removes the others whole.
    """

    KEEP = "keep existing"
    REPLACE = "replace"
    WHOLE = "whole object"


@dataclass(frozen=True, slots=True)
class Delta:
    """A reversible write within the box ``where``: which pixels change, and their numbers before and after.

    Packed, as a session keeps thousands: ``changed`` deflated bits, ``before`` and ``after`` uint32 of the changed
    pixels in order, one number when all are alike, else deflated.
    """

    where: Box
    changed: bytes
    before: bytes
    after: bytes

    @classmethod
    def between(cls, where: Box, before: NDArray[np.uint32], after: NDArray[np.uint32]) -> Delta:
        changed = before != after
        return cls(
            where,
            zlib.compress(np.packbits(changed).tobytes(), 1),
            _pack(before[changed]),
            _pack(after[changed]),
        )

    def reverse(self) -> Delta:
        """Return the write that undoes this one."""
        return Delta(self.where, self.changed, self.after, self.before)

    @property
    def empty(self) -> bool:
        """Whether no pixel changes."""
        return not self.after

    @property
    def nbytes(self) -> int:
        return len(self.changed) + len(self.before) + len(self.after)

    def numbers(self, *, before: bool) -> list[int]:
        """Return the objects that lose pixels (``before``) or win some."""
        found = np.frombuffer(_inflate(self.before if before else self.after), np.uint32)
        return [label for label, _ in _counted(found, len(found))]

    def pixels(self) -> NDArray[np.bool_]:
        """Return which pixels of ``where`` change, bool."""
        shape = self.where.shape
        count = shape[0] * shape[1] * shape[2]
        bits = np.frombuffer(zlib.decompress(self.changed), np.uint8)
        return np.unpackbits(bits, count=count).view(bool).reshape(shape)


@dataclass(slots=True)
class _Entry:
    """What is known of an object without looking: its pixels, and a box that holds them (``exact`` or larger)."""

    area: int
    box: Box
    exact: bool


class Labels:
    """Instance labels, uint32 (planes, h, w), 0 = background. Objects do not overlap.

    The one mutable array of the project; only a session writes it. What a write and a question cost depends on the
    size of the object, not of the volume.
    """

    def __init__(self, shape: Triple) -> None:
        # Zeroed memory takes no room until it is written to: planes may be huge.
        self._volume = np.zeros(shape, np.uint32)
        self._known: dict[int, _Entry] = {}
        #: How often each plane was written to: who has looked at one knows whether it is still the same.
        self.writes: NDArray[np.int64] = np.zeros(shape[0], np.int64)

    @property
    def shape(self) -> Triple:
        planes, height, width = self._volume.shape
        return planes, height, width

    @property
    def volume(self) -> NDArray[np.uint32]:
        """A read-only view of all labels."""
        view = self._volume.view()
        view.flags.writeable = False
        return view

    @classmethod
    def of(cls, array: NDArray[np.generic]) -> Labels:
        """Make labels of an array (h, w) or (planes, h, w) of whole numbers, 0 = background; it is copied.

        Raises LabelError for other shapes, types, and numbers outside 0 to 2**32 - 1.
        """
        return cls.taking(as_labels(array).copy())

    @classmethod
    def taking(cls, volume: NDArray[np.uint32]) -> Labels:
        """Make labels of an array (planes, h, w) that nobody else writes to from now on; it is not copied."""
        out = cls((len(volume), 0, 0))
        out._volume = volume
        out._known = _find(volume)
        return out

    def __contains__(self, label: object) -> bool:
        return label in self._known

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of all objects, in the order in which they came."""
        return iter(tuple(self._known))

    def count(self) -> int:
        """Number of objects."""
        return len(self._known)

    def covered(self) -> int:
        """Number of pixels of all objects."""
        return sum(entry.area for entry in self._known.values())

    def area(self, label: int) -> int:
        """Return the pixels of an object, 0 if there is none."""
        entry = self._known.get(label)
        return entry.area if entry else 0

    def box(self, label: int) -> Box:
        """Return the bounding box of an object. Raises LabelError when there is none."""
        entry = self._known.get(label)
        if entry is None:
            raise LabelError(f"There is no object {label}.", "Use the number of a committed object.")
        if not entry.exact:
            entry.box = Mask.crop(self._volume[entry.box.slices] == label, entry.box.start).box
            entry.exact = True
        return entry.box

    def mask(self, label: int) -> Mask:
        """Return the pixels of object ``label``. Raises LabelError when there is none."""
        where = self.box(label)
        return Mask(where.start, self._volume[where.slices] == label)

    def narrow(self, where: Box, side: float) -> list[tuple[int, Box]]:
        """Return the objects that may be narrower than ``side`` pixels and lie in ``where``, with boxes that hold them.

        Nothing is read: it costs a look at the index.
        """
        found = []
        (p0, y0, x0), (p1, y1, x1) = where.start, where.stop
        for label, entry in tuple(self._known.items()):
            (a, b, c), (d, e, f) = entry.box.start, entry.box.stop
            if (e - b < side or f - c < side) and a < p1 and d > p0 and b < y1 and e > y0 and c < x1 and f > x0:
                found.append((label, entry.box))
        return found

    def at(self, plane: int, y: float, x: float) -> int:
        """Return the object at a position, 0 for none, also outside the image."""
        planes, height, width = self.shape
        inside = 0 <= plane < planes and 0 <= y < height and 0 <= x < width
        return int(self._volume[plane, int(y), int(x)]) if inside else 0

    def paint(self, mask: Mask, label: int, overlap: Overlap = Overlap.KEEP) -> Delta:
        """Return the write that adds ``mask`` as object ``label``; ``apply`` carries it out.

        Raises LabelError for a number that no object can have, PromptError when nothing of the mask is free.
        """
        if not 1 <= label <= LARGEST:
            raise LabelError(f"An object cannot have the number {label}.", f"Use a number from 1 to {LARGEST}.")
        where = mask.box
        before = self._volume[where.slices]
        if min(where.start) < 0 or before.shape != mask.bitmap.shape:
            raise PromptError("The object reaches beyond the image.", "Use a mask made for this image.")
        overlap = Overlap(overlap)
        free = mask.bitmap & (before == 0) if overlap is Overlap.KEEP else mask.bitmap
        if not free.any():
            raise PromptError(
                "Every pixel of this object already belongs to committed objects.",
                "Undo or delete the object below, or choose to replace existing objects.",
            )
        gone = [int(n) for n in np.unique(before[free]) if n not in (0, label)] if overlap is Overlap.WHOLE else []
        if gone:
            for other in gone:
                where = where.union(self.box(other))
            before = self._volume[where.slices]
        after = before.copy()
        if gone:
            after[np.isin(before, gone)] = 0
        inner = tuple(slice(a - b, a - b + n) for a, b, n in zip(mask.start, where.start, free.shape, strict=True))
        after[inner][free] = label
        return Delta.between(where, before, after)

    def erase(self, label: int) -> Delta:
        """Return the write that takes object ``label`` away. Raises LabelError when there is none."""
        return self.renumber(label, 0)

    def renumber(self, label: int, other: int) -> Delta:
        """Return the write that makes object ``label`` a part of ``other``. Raises LabelError when there is none."""
        where = self.box(label)
        before = self._volume[where.slices]
        return Delta.between(where, before, np.where(before == label, np.uint32(other), before))

    def change(self, where: Box, after: NDArray[np.uint32]) -> Delta:
        """Return the write that puts ``after`` (planes, h, w) into the box ``where``."""
        return Delta.between(where, self._volume[where.slices], after)

    def apply(self, delta: Delta) -> None:
        """Carry out a write. Raises ValueError when the labels are not in the state it starts from."""
        crop, changed = self._volume[delta.where.slices], delta.pixels()
        count = int(np.count_nonzero(changed))
        before, after = _unpack(delta.before, count), _unpack(delta.after, count)
        if not np.array_equal(crop[changed], np.broadcast_to(before, count)):
            raise ValueError("The labels changed since this write was made; replay the journal to repair them.")
        crop[changed] = after
        self.writes[delta.where.start[0] : delta.where.stop[0]] += 1
        for label, lost in _counted(before, count):
            entry = self._known.get(label)
            if entry is None:
                continue
            entry.area, entry.exact = entry.area - lost, False
            if entry.area <= 0:
                del self._known[label]
        found = _counted(after, count)
        # Of many objects written together each gets its own box, or every later look would search all of it.
        many = len(found) > _MANY or crop.size > _WIDE
        places = _find(np.ascontiguousarray(crop)) if found and many else {}
        for label, won in found:
            place = places.get(label)
            where = delta.where if place is None else place.box.moved(delta.where.start)
            entry = self._known.get(label)
            if entry is None:
                self._known[label] = _Entry(won, where, place is not None)
            else:
                entry.area, entry.box, entry.exact = entry.area + won, entry.box.union(where), False

    @property
    def free_id(self) -> int:
        """The smallest number above those of all objects. Raises LabelError when there is none left."""
        largest = max(self._known, default=0)
        if largest == LARGEST:
            raise LabelError(f"An object has the largest number, {LARGEST}.", "Renumber the objects from 1.")
        return largest + 1


def as_labels(array: NDArray[np.generic]) -> NDArray[np.uint32]:
    """Return an array (h, w) or (planes, h, w) of whole numbers as labels, uint32 (planes, h, w); a copy if need be.

    Raises LabelError for other shapes, types, and numbers outside 0 to 2**32 - 1.
    """
    found = np.asarray(array)
    if found.ndim not in (2, 3):
        raise LabelError(f"Labels of shape {found.shape} are not possible.", "Give (y, x) or (plane, y, x).")
    if found.dtype.kind not in "bui":
        raise LabelError(
            f"Labels of type {found.dtype} are not possible.", "Convert them to whole numbers such as uint32."
        )
    if found.size and not (found.min() >= 0 and found.max() <= LARGEST):
        raise LabelError(
            f"The labels go from {found.min()} to {found.max()}.", f"Use whole numbers from 0 to {LARGEST}."
        )
    return np.ascontiguousarray(found if found.ndim == 3 else found[None], np.uint32)


def _pack(values: NDArray[np.uint32]) -> bytes:
    if not len(values):
        return b""
    # The deflated form of different numbers is always longer than one number.
    plain = values[:1] if (values == values[0]).all() else None
    return zlib.compress(values.tobytes(), 1) if plain is None else plain.tobytes()


def _unpack(data: bytes, count: int) -> NDArray[np.uint32]:
    """Return the numbers, one where all are alike."""
    found = np.frombuffer(_inflate(data), np.uint32)
    if len(found) not in (min(1, count), count):
        raise ValueError(f"the write holds {len(found)} numbers for {count} pixels")
    return found


def _inflate(data: bytes) -> bytes:
    return data if len(data) <= 4 else zlib.decompress(data)


def _counted(values: NDArray[np.uint32], count: int) -> list[tuple[int, int]]:
    """Return every object among the numbers and its pixels."""
    if len(values) == 1:
        return [(int(values[0]), count)] if values[0] and count else []
    largest = int(values.max(initial=0))
    if largest > max(_TABLE, 2 * len(values)):
        ids, counts = np.unique(values, return_counts=True)
        return [(int(n), int(c)) for n, c in zip(ids, counts, strict=True) if n]
    table = _table(values, largest)
    return [(int(n), int(table[n])) for n in np.flatnonzero(table) if n]


def _table(values: NDArray[np.uint32], largest: int) -> NDArray[np.int64]:
    """Return how often each number up to ``largest`` occurs; in parts, as counting makes a wide copy."""
    flat = values.reshape(-1)
    out = np.zeros(largest + 1, np.int64)
    step = max(_PART, largest)
    for first in range(0, len(flat), step):
        out += np.bincount(flat[first : first + step], minlength=largest + 1)
    return out


def _find(volume: NDArray[np.uint32]) -> dict[int, _Entry]:
    """Return what is known of every object of a volume."""
    largest = int(volume.max(initial=0))
    names: NDArray[np.uint32] | None = None
    dense = volume
    if largest > max(_TABLE, volume.size // 4):
        names, flat = np.unique(volume, return_inverse=True)
        dense = flat.reshape(volume.shape).astype(np.uint32)
        if names[0]:  # no background: number 1 must not become 0
            names, dense = np.concatenate([[np.uint32(0)], names]), dense + np.uint32(1)
        largest = len(names) - 1
    areas = _table(dense, largest)
    out: dict[int, _Entry] = {}
    for number, place in enumerate(ndimage.find_objects(dense.view(np.int32), largest), start=1):
        if place is None:
            continue
        start, stop = tuple(s.start for s in place), tuple(s.stop for s in place)
        label = number if names is None else int(names[number])
        out[label] = _Entry(int(areas[number]), Box(start, stop), True)
    return out
