"""Objects edited by hand: cut, filled, joined. Pure functions on masks and crops of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .box import Box, Triple
from .errors import PromptError
from .mask import Mask
from .prompts import Scribble, Vertices
from .raster import rasterise

#: The first window in which a gap is looked for, in pixels; it doubles up to the largest.
_FIRST, _LARGEST = 256, 4096
#: Width of the line that cuts, in pixels.
_BLADE = 1.42
_EIGHT = np.ones((3, 3), bool)


#: A part of fewer pixels, and less than a fiftieth of its object, is none.
_CRUMB = 10


def touching(masks: Sequence[Mask]) -> bool:
    """Whether masks hang together, each by a side or a corner of a pixel with the others."""
    reached, open_ = {0}, [0]
    while open_:
        one = masks[open_.pop()]
        near = [i for i in range(len(masks)) if i not in reached and _touch(one, masks[i])]
        reached.update(near)
        open_ += near
    return len(reached) == len(masks)


def _touch(one: Mask, other: Mask) -> bool:
    """Whether a pixel of one mask is, or lies beside, a pixel of the other."""
    start = [max(a, b) - 1 for a, b in zip(one.start, other.start, strict=True)]
    stop = [min(a, b) + 1 for a, b in zip(one.box.stop, other.box.stop, strict=True)]
    if any(b <= a for a, b in zip(start, stop, strict=True)):
        return False
    (p0, y0, x0), (p1, y1, x1) = start, stop
    both = Box((p0, y0, x0), (p1, y1, x1))
    near = ndimage.binary_dilation(one.dense_in(both), np.ones((3, 3, 3), bool))
    return bool((near & other.dense_in(both)).any())


def split(mask: Mask, line: Vertices, plane: int, image: Triple) -> list[Mask]:
    """Cut a mask along a line of (y, x) vertices in ``plane`` of an image of shape ``image``; largest part first.

    Pixels under the line, and crumbs beside it, go to the nearest part. In other planes parts follow from the nearest
    one. Returns the mask alone when the line does not cut it through. Raises PromptError for a line outside the image.
    """
    # So wide that the objects' pixels, which may touch by their corners, do not meet through a diagonal line.
    cut = rasterise(Scribble(plane, line, _BLADE), image)
    level = plane - mask.start[0]
    if not 0 <= level < mask.bitmap.shape[0]:
        return [mask]
    own = mask.bitmap[level]
    (_, y0, x0), (_, y1, x1) = mask.box.start, mask.box.stop
    blade = np.zeros(own.shape, bool)
    (_, top, left), (_, bottom, right) = cut.box.start, cut.box.stop
    a, b, c, d = max(top, y0), min(bottom, y1), max(left, x0), min(right, x1)
    if b <= a or d <= c:
        return [mask]
    blade[a - y0 : b - y0, c - x0 : d - x0] = cut.bitmap[0, a - top : b - top, c - left : d - left]
    islands, _ = ndimage.label(own, _EIGHT)
    parts, _ = ndimage.label(own & ~blade, _EIGHT)
    pieces = _cut(islands, parts)
    # A line along the border chips off a few pixels: they are no object.
    crumbs = [n for n in pieces if (size := int((parts == n).sum())) < _CRUMB and size < own.sum() / 50]
    parts[np.isin(parts, crumbs)] = 0
    pieces = [n for n in pieces if n not in crumbs]
    if len(pieces) < 2:
        return [mask]
    # What the line did not cut, islands of the object elsewhere, stays with the largest piece.
    kept = np.where(np.isin(parts, pieces[1:]), parts, np.where(parts == 0, 0, pieces[0]))
    indices = ndimage.distance_transform_edt(kept == 0, return_distances=False, return_indices=True)
    nearest: NDArray[np.int32] = kept[tuple(indices)]
    # Every plane is cut where the drawn one is: the border between two parts goes straight through the volume.
    whole = np.where(mask.bitmap, nearest[None], 0)
    found = [Mask.crop(whole == number, mask.start) for number in pieces]
    return sorted(found, key=lambda part: -part.area)


def _cut(islands: NDArray[np.int32], parts: NDArray[np.int32]) -> list[int]:
    """Return the parts into which islands were cut, the largest first; none where every island is whole."""
    numbers, first, areas = np.unique(parts, return_index=True, return_counts=True)
    homes = islands.reshape(-1)[first]
    pieces = np.bincount(homes[numbers > 0], minlength=2)
    cut = [(-int(area), int(n)) for n, home, area in zip(numbers, homes, areas, strict=True) if n and pieces[home] > 1]
    return [n for _, n in sorted(cut)]


def without_holes(mask: Mask) -> Mask:
    """Return a mask with the background that it encloses filled, plane by plane."""
    filled = [ndimage.binary_fill_holes(own) for own in mask.bitmap]
    return Mask(mask.start, np.stack(filled)) if filled else mask


def gap_at(blocked: Callable[[Box], NDArray[np.bool_]], plane: int, y: int, x: int, image: Triple) -> Mask:
    """Return the free pixels around (y, x) that others enclose in a plane of an image of shape ``image``.

    ``blocked`` returns which pixels of a box are not free, (planes, h, w): only what is near is asked for. Raises
    PromptError when the gap reaches the border of the plane or is wider than 4096 pixels.
    """
    _, height, width = image
    side = _FIRST
    while True:
        a, b = max(0, y - side // 2), min(height, y + side // 2)
        c, d = max(0, x - side // 2), min(width, x + side // 2)
        parts, _ = ndimage.label(~blocked(Box((plane, a, c), (plane + 1, b, d)))[0])
        if not parts[y - a, x - c]:
            raise PromptError("There is no gap at this place.", "Click into a hole that objects enclose.")
        found = parts == parts[y - a, x - c]
        edges = (
            (found[0].any(), a == 0),
            (found[-1].any(), b == height),
            (found[:, 0].any(), c == 0),
            (found[:, -1].any(), d == width),
        )
        if any(reached and outer for reached, outer in edges):
            raise PromptError("This place is not enclosed.", "Click into a hole of an object, or close the gap first.")
        if not any(reached for reached, _ in edges):
            return Mask.crop(found, (plane, a, c))
        if side >= _LARGEST:
            raise PromptError("This gap is too large to fill.", "Close it first, or draw the object with the brush.")
        side *= 2
