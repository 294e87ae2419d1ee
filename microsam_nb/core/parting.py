"""Objects taken apart at their waists: by one point in each part, or by themselves."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .errors import PromptError
from .mask import Mask
from .prompts import Vertices
from .reshaping import depth

#: A waist is less deep than both sides by so many pixels, or by this share of the deepest place.
_LEAST, _SHARE = 0.75, 0.1
#: A part of fewer pixels, or less than a fiftieth of its object, is none.
_CRUMB = 10
_AROUND = np.ones((3, 3, 3), bool)


def part(mask: Mask, points: Vertices, plane: int) -> list[Mask]:
    """Take a mask apart by a watershed on the depth of its pixels; largest part first.

    One part for each (y, x) point in ``plane``; points with no waist between them share by what is nearest, in all
    planes alike. With less than two points, as many parts as there are waists for: the mask alone when there is none.
    Raises PromptError for points beside the mask, or two on one pixel.
    """
    places = _places(mask, points, plane) if len(points) > 1 else []
    hills, tops = _hills(mask.bitmap)
    seeds, groups = (_seeds(mask.bitmap, hills, tops, places)) if places else (tops, [])
    parts = _whole(mask.bitmap, _flooded(hills, seeds, mask.bitmap))
    for number, some in enumerate(groups, start=1):
        if len(some) > 1:
            _share_out(parts, number, [places[i] for i in some], [number, *(len(places) + 1 + i for i in some[1:])])
    if not places:
        sizes = np.bincount(parts[mask.bitmap])
        crumbs = np.flatnonzero(sizes < max(_CRUMB, mask.area / 50))
        parts = parts if len(crumbs) == len(sizes) else _whole(mask.bitmap, np.where(np.isin(parts, crumbs), 0, parts))
    numbers = np.unique(parts[mask.bitmap])
    if len(numbers) < 2:
        return [mask]
    found = [Mask.crop(parts == number, mask.start) for number in numbers]
    return sorted(found, key=lambda one: -one.area)


def _hills(inside: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return the depth of pixels with lesser hills levelled, and the hill tops that are left, numbered from 1."""
    from skimage.morphology import local_maxima, reconstruction

    height = depth(np.pad(inside, ((0, 0), (1, 1), (1, 1))))[:, 1:-1, 1:-1]
    levelled = max(_LEAST, _SHARE * float(height.max()))
    hills: NDArray[np.float64] = reconstruction(np.maximum(height - levelled, 0), height, footprint=_AROUND)
    # The filter does not take arrays that are thinner than three.
    room = np.pad(hills, 1, constant_values=-1)
    tops = local_maxima(room, connectivity=3)[1:-1, 1:-1, 1:-1] & (hills > 0)
    return hills, ndimage.label(tops, _AROUND)[0]


def _seeds(
    inside: NDArray[np.bool_],
    hills: NDArray[np.float64],
    tops: NDArray[np.int32],
    places: Sequence[tuple[int, int, int]],
) -> tuple[NDArray[np.int32], list[list[int]]]:
    """Return where the parts begin, numbered from 1, and which of the places each part holds: those of one hill."""
    basins = _flooded(hills, tops, inside)
    together: dict[int, list[int]] = defaultdict(list)
    for i, place in enumerate(places):
        # What is too shallow for a top of its own is reached by no flood.
        together[int(basins[place]) or -1 - i].append(i)
    seeds = np.zeros(inside.shape, np.int32)
    for number, (basin, some) in enumerate(together.items(), start=1):
        seeds[tops == basin] = number
        for i in some:
            seeds[places[i]] = number
    return seeds, list(together.values())


def _flooded(hills: NDArray[np.float64], seeds: NDArray[np.int32], inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    from skimage.segmentation import watershed

    found: NDArray[np.int32] = watershed(-hills, seeds, connectivity=3, mask=inside)
    return found


def _whole(inside: NDArray[np.bool_], parts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return parts in which pixels of no part belong to the nearest one."""
    if parts[inside].all() or not parts.any():
        return parts
    place = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
    nearest: NDArray[np.int32] = parts[tuple(place)]
    return np.where(inside, nearest, 0)


def _share_out(
    parts: NDArray[np.int32], number: int, places: Sequence[tuple[int, int, int]], names: Sequence[int]
) -> None:
    """Give each pixel of a part to the nearest of some places in it, measured in the plane."""
    rows, columns = np.indices(parts.shape[1:])
    far = np.stack([(rows - y) ** 2 + (columns - x) ** 2 for _, y, x in places])
    nearest = np.array(names, np.int32)[far.argmin(0)]
    own = parts == number
    parts[own] = np.broadcast_to(nearest, parts.shape)[own]


def _places(mask: Mask, points: Vertices, plane: int) -> list[tuple[int, int, int]]:
    """Return the pixels of the mask's own bitmap under points."""
    found = []
    for y, x in points:
        if not (math.isfinite(y) and math.isfinite(x)) or not mask.holds(plane, y, x):
            raise PromptError(f"The point (y {y:.1f}, x {x:.1f}) is not on the object.", "Click on each of its parts.")
        p0, y0, x0 = mask.start
        found.append((plane - p0, math.floor(y) - y0, math.floor(x) - x0))
    if len(set(found)) < len(found):
        raise PromptError("Two points lie on the same pixel.", "Click once on each part.")
    return found
