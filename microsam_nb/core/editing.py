"""Objects edited by hand: cut, filled, joined. Pure functions on masks and crops of labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .box import Triple
from .errors import PromptError
from .mask import Mask
from .prompts import Scribble, Vertices
from .raster import rasterise

#: The first window in which a gap is looked for, in pixels; it doubles up to the largest.
_FIRST, _LARGEST = 256, 4096


def split(mask: Mask, line: Vertices, plane: int, image: Triple) -> list[Mask]:
    """Cut a mask along a line of (y, x) vertices in ``plane`` of an image of shape ``image``; largest part first.

    Pixels under the line go to the nearest part. In other planes parts follow from the nearest one. Returns the mask
    alone when the line does not cut it through. Raises PromptError for a line outside the image.
    """
    cut = rasterise(Scribble(plane, line), image)
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
    if len(pieces) < 2:
        return [mask]
    # What the line did not cut, islands of the object elsewhere, stays with the largest piece.
    kept = np.where(np.isin(parts, pieces[1:]), parts, np.where(np.isin(parts, [0]), 0, pieces[0]))
    indices = ndimage.distance_transform_edt(kept == 0, return_distances=False, return_indices=True)
    nearest: NDArray[np.int32] = kept[tuple(indices)]
    # Every plane is cut where the drawn one is: the border between two parts goes straight through the volume.
    whole = np.where(mask.bitmap, nearest[None], 0)
    found = [Mask.crop(whole == number, mask.start) for number in pieces]
    return sorted(found, key=lambda part: -part.area)


def _cut(islands: NDArray[np.int32], parts: NDArray[np.int32]) -> list[int]:
    """Return the parts into which islands were cut, the largest first; none where every island is whole."""
    found: list[int] = []
    for island in range(1, int(islands.max(initial=0)) + 1):
        pieces = np.unique(parts[(islands == island) & (parts > 0)])
        if len(pieces) > 1:
            found += [int(n) for n in pieces]
    areas = np.bincount(parts.reshape(-1), minlength=2)
    return sorted(found, key=lambda n: -int(areas[n]))


def without_holes(mask: Mask) -> Mask:
    """Return a mask with the background that it encloses filled, plane by plane."""
    filled = [ndimage.binary_fill_holes(own) for own in mask.bitmap]
    return Mask(mask.start, np.stack(filled)) if filled else mask


def gap_at(blocked: NDArray[np.bool_], y: int, x: int) -> Mask:
    """Return the free pixels around (y, x) that ``blocked`` (h, w) encloses, as a mask of plane 0.

    Raises PromptError when the gap reaches the border of the plane or is larger than 4096 pixels.
    """
    height, width = blocked.shape
    side = _FIRST
    while True:
        a, b = max(0, y - side // 2), min(height, y + side // 2)
        c, d = max(0, x - side // 2), min(width, x + side // 2)
        parts, _ = ndimage.label(~blocked[a:b, c:d])
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
            return Mask.crop(found, (0, a, c))
        if side >= _LARGEST:
            raise PromptError("This gap is too large to fill.", "Close it first, or draw the object with the brush.")
        side *= 2


_EIGHT = np.ones((3, 3), bool)
