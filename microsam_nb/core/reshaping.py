"""Outlines of objects changed: smoothed, grown, shrunk, crumbs dropped. Every plane for itself; pure functions.

What lies beyond the border of the image is taken to be like the border: an object that the border cuts is not rounded
off there.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .box import Box, Triple
from .mask import Mask

#: Planes lie so far apart that the nearest pixel is always one of the same plane.
_APART = 1e6
_EIGHT = np.ones((3, 3), bool)
_AROUND = np.ones((3, 3, 3), bool)
#: The neighbours of a pixel in its own plane.
_FLAT = np.stack([~_EIGHT, _EIGHT, ~_EIGHT])


def depth(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how far each pixel is from the nearest one of its plane that is not ``inside`` (planes, h, w), in pixels.

    Measured from centre to centre, 0 outside; a million and more where there is no such pixel.
    """
    # Without any pixel outside there is no distance: an empty plane in front makes sure of one.
    padded = np.concatenate([np.zeros((1, *inside.shape[1:]), bool), inside])
    found: NDArray[np.float64] = ndimage.distance_transform_edt(padded, sampling=(_APART, 1, 1))[1:]
    return found


def smoothed(mask: Mask, radius: float, image: Triple) -> tuple[Mask, int]:
    """Open and then close a mask with a disc; return it, and how many planes were too thin for that and stay.

    A plane is too thin where nothing would be left of the object, or more parts than it has.
    """
    where, dense, inner = _beyond(mask, math.ceil(radius) + 1, image)
    opened = _widened(depth(dense) > radius, radius)
    pairs = enumerate(zip(dense[inner], opened[inner], strict=True))
    thin = [level for level, (old, new) in pairs if not _whole(old, new)]
    opened[thin] = dense[thin]
    closed = depth(_widened(opened, radius)) > radius
    return Mask.crop(closed[inner], where.start), len(thin)


def shrunk(mask: Mask, pixels: float, image: Triple) -> Mask:
    """Return a mask without the pixels that are up to ``pixels`` from its outside; of area 0 where none are left."""
    where, dense, inner = _beyond(mask, math.ceil(pixels) + 1, image)
    return Mask.crop((depth(dense) > pixels)[inner], where.start)


def grown(masks: Mapping[int, Mask], pixels: float, blocked: NDArray[np.bool_], where: Box) -> dict[int, Mask]:
    """Grow objects together by ``pixels``; where they meet, each pixel goes to the nearest.

    ``blocked``: which pixels of the box ``where`` (planes, h, w) none can have; what lies behind these is not reached.
    """
    numbers = np.zeros(where.shape, np.int64)
    for label, mask in masks.items():
        numbers[mask.box.within(where)][mask.bitmap] = label
    # As in ``depth``: the plane in front makes sure of a pixel that is nearest.
    front = np.zeros((1, *where.shape[1:]), np.int64)
    free = np.concatenate([front, np.where(numbers == 0, 1, 0)])
    far, place = ndimage.distance_transform_edt(free, sampling=(_APART, 1, 1), return_indices=True)
    nearest = np.concatenate([front, numbers])[tuple(place)][1:]
    nearest[(far[1:] > pixels) | (blocked & (numbers == 0))] = 0
    out = {}
    for label, mask in masks.items():
        near = _around(mask.box, math.ceil(pixels), where)
        wide = nearest[near.within(where)] == label
        out[label] = Mask.crop(attached(wide, mask.dense_in(near)), near.start)
    return out


def attached(wide: NDArray[np.bool_], own: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the parts of ``wide`` (planes, h, w) that have a pixel of ``own`` in the same plane."""
    parts, _ = ndimage.label(wide, _FLAT)
    kept = np.unique(parts[own & wide])
    found: NDArray[np.bool_] = np.isin(parts, kept[kept > 0])
    return found


def largest_part(mask: Mask) -> tuple[Mask, int]:
    """Return the largest of the parts of a mask that do not touch, corners and planes counted, and how many others."""
    parts, count = ndimage.label(mask.bitmap, _AROUND)
    if count < 2:
        return mask, 0
    return Mask.crop(parts == 1 + int(np.argmax(np.bincount(parts[parts > 0])[1:])), mask.start), count - 1


def around(masks: Collection[Mask], margin: int, image: Triple) -> Box:
    """Return the box around masks that leaves ``margin`` pixels in the plane, as far as the image reaches."""
    return _around(Box.around(mask.box for mask in masks), margin, Box((0, 0, 0), image))


def _around(box: Box, margin: int, limits: Box) -> Box:
    (p0, y0, x0), (p1, y1, x1) = box.start, box.stop
    (_, top, left), (_, bottom, right) = limits.start, limits.stop
    start = (p0, max(top, y0 - margin), max(left, x0 - margin))
    return Box(start, (p1, min(bottom, y1 + margin), min(right, x1 + margin)))


def _beyond(mask: Mask, margin: int, image: Triple) -> tuple[Box, NDArray[np.bool_], tuple[slice, ...]]:
    """Return a box around a mask, the mask there with ``margin`` pixels beyond the image, and the box's place in it."""
    where = around([mask], margin, image)
    beyond = [(0, 0)]
    for start, stop, size in zip(where.start[1:], where.stop[1:], image[1:], strict=True):
        beyond.append((margin if start == 0 else 0, margin if stop == size else 0))
    inner = tuple(slice(before, before + n) for (before, _), n in zip(beyond, where.shape, strict=True))
    return where, np.pad(mask.dense_in(where), beyond, mode="edge"), inner


def _widened(inside: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    return depth(~inside) <= radius


def _whole(section: NDArray[np.bool_], opened: NDArray[np.bool_]) -> bool:
    """Whether something is left of a section (h, w), and none of its parts was taken apart."""
    homes, count = ndimage.label(section, _EIGHT)
    parts, left = ndimage.label(opened, _EIGHT)
    if not left:
        return bool(count == 0)
    _, first = np.unique(parts, return_index=True)
    found = homes.reshape(-1)[first][-left:]
    return bool(len(np.unique(found)) == left)
