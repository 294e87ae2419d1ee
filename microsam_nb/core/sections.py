"""Objects of several planes, taken apart into planes and put together again, and compared from plane to plane."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from .box import Box, Triple
from .mask import Mask


@dataclass(frozen=True, slots=True)
class Section:
    """One object in one plane, as it was found by carrying it there.

    ``place``: number of the object among those in hand. ``mask`` lies in ``plane``, with area 0 where the object is
    not. ``agreement``: IoU with the mask that it was carried from; ``score``: IoU that the model predicts, both 0..1.
    """

    place: int
    plane: int
    mask: Mask
    agreement: float
    score: float

    def __post_init__(self) -> None:
        # Numbers of numpy would not pass the journal.
        for name in ("place", "plane"):
            object.__setattr__(self, name, int(getattr(self, name)))
        for name in ("agreement", "score"):
            value = float(getattr(self, name))
            if not 0 <= value <= 1:
                raise ValueError(f"The {name} of a section lies in [0, 1], not {value}; clip it.")
            object.__setattr__(self, name, value)
        if self.place < 0:
            raise ValueError(f"There is no object {self.place}; count the objects in hand from 0.")
        if self.mask.area and (self.mask.start[0] != self.plane or self.mask.bitmap.shape[0] != 1):
            raise ValueError(f"The mask of a section lies in its plane, {self.plane}; use section_at(mask, plane).")


def planes_of(mask: Mask) -> tuple[int, ...]:
    """Return the planes in which a mask has pixels."""
    return tuple(mask.start[0] + int(i) for i in np.flatnonzero(mask.bitmap.any(axis=(1, 2))))


def section_at(mask: Mask, plane: int) -> Mask:
    """Return what of a mask lies in one plane; of area 0 where that is nothing."""
    level = plane - mask.start[0]
    inside = 0 <= level < mask.bitmap.shape[0]
    return Mask.crop(mask.bitmap[level : level + 1] if inside else np.zeros((1, 1, 1), bool), (plane, *mask.start[1:]))


def replaced(mask: Mask | None, planes: Collection[int], parts: Sequence[Mask] = ()) -> Mask:
    """Return a mask without what it has in ``planes``, and with ``parts``. Nothing is copied more than once."""
    parts = [one for one in parts if one.area]
    own = () if mask is None else planes_of(mask)
    left = [plane for plane in own if plane not in planes]
    if mask is not None and left and len(left) == len(own) and not parts:
        return mask
    if not left and len(parts) == 1:
        return parts[0]
    where = Box((0, 0, 0), (0, 0, 0))
    if mask is not None and left:
        (_, y0, x0), (_, y1, x1) = mask.box.start, mask.box.stop
        where = Box((left[0], y0, x0), (left[-1] + 1, y1, x1))
    for part in parts:
        where = where.union(part.box)
    if mask is not None and left:
        out = mask.dense_in(where)
        out[[plane - where.start[0] for plane in own if plane in planes and 0 <= plane - where.start[0] < len(out)]] = 0
    else:
        out = np.zeros(where.shape, bool)
    for part in parts:
        a, b, c = where.start
        (p0, y0, x0), (p1, y1, x1) = part.box.start, part.box.stop
        out[p0 - a : p1 - a, y0 - b : y1 - b, x0 - c : x1 - c] |= part.bitmap
    return Mask.crop(out, where.start)


def kept(mask: Mask, planes: Collection[int]) -> Mask:
    """Return what a mask has in ``planes``."""
    return replaced(mask, [plane for plane in planes_of(mask) if plane not in planes])


def slices_of(mask: Mask) -> dict[int, Mask]:
    """Return what of a mask lies in each of its planes."""
    return {plane: section_at(mask, plane) for plane in planes_of(mask)}


def middle(mask: Mask) -> tuple[float, float]:
    """Return the middle (y, x) of a mask of one plane, which is not empty, counted in pixels."""
    ys, xs = np.nonzero(mask.bitmap[0])
    return mask.start[1] + float(ys.mean()), mask.start[2] + float(xs.mean())


def overlap(one: Mask, other: Mask) -> float:
    """Return the IoU of two masks of one plane each, 0 where one is empty; the planes need not be the same."""
    if not (one.area and other.area):
        return 0.0
    other = Mask((one.start[0], *other.start[1:]), other.bitmap)
    shared = int(np.count_nonzero(other.dense_in(one.box) & one.bitmap))
    return shared / (one.area + other.area - shared)


def moved_to(mask: Mask, plane: int, shape: Triple | None = None, shift: tuple[float, float] | None = None) -> Mask:
    """Return a mask of one plane in another plane, moved there by ``shift`` (y, x) and cut to an image of ``shape``."""
    dy, dx = shift or (0.0, 0.0)
    _, y, x = mask.start
    moved = Mask((plane, y + round(dy), x + round(dx)), mask.bitmap)
    return moved if shape is None or shift is None else within(moved, shape)


def within(mask: Mask, shape: Triple) -> Mask:
    """Return the part of a mask of one plane that lies in an image of ``shape``."""
    plane = mask.start[0]
    where = Box((plane, 0, 0), (plane + 1, *shape[1:]))
    (_, y0, x0), (_, y1, x1) = mask.box.start, mask.box.stop
    if y0 >= 0 and x0 >= 0 and y1 <= shape[1] and x1 <= shape[2]:
        return mask
    return Mask.crop(mask.dense_in(where), where.start)
