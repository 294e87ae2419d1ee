"""Pixels for spots: files of tracks often hold a middle and a radius, or an outline, where labels are wanted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ...core import FileError
from ...core.box import Triple
from ...core.labels import as_labels
from ...core.tracks import areas, middles, renumbered

#: Pixels of a movie beyond which the size that its spots suggest is taken for a wrong unit.
_MOST = 2**32
#: Two places in pixels that differ by no more are the same, written with other digits.
_SAME = 0.01


@dataclass(frozen=True, slots=True)
class Disc:
    """One object of one frame: its number there, middle and radius in pixels (pixel i covers i to i + 1).

    ``outline`` (n, 2), as (y, x), has its true shape, where the file knows it.
    """

    frame: int
    number: int
    y: float
    x: float
    radius: float
    outline: NDArray[np.float64] | None = None


def draw(discs: Sequence[Disc], shape: Triple | None) -> NDArray[np.uint32]:
    """Return labels (frames, h, w) with every object as its outline, or a disc.

    Where discs overlap the nearer middle wins a pixel, where outlines do the smaller object. Without ``shape`` the
    movie ends with the last frame and the outermost pixel. Raises FileError for objects outside of it, or hidden.
    """
    shape = _size(discs) if shape is None else shape
    labels = np.zeros(shape, np.uint32)
    for frame, some in _by_frame(discs, shape).items():
        nearest = np.full(shape[1:], np.inf)
        for one in some:
            _draw(one, labels[frame], nearest)
        lost = {one.number for one in some} - set(areas(labels[frame])[0].tolist())
        if lost:
            raise FileError(
                f"Object {min(lost)} of frame {frame} has no pixel that is not another's.",
                "Give the labels of the movie, or a smaller radius.",
            )
    return labels


def pick(discs: Sequence[Disc], labels: NDArray[np.integer]) -> NDArray[np.uint32]:
    """Return ``labels`` (frames, h, w), whose numbers may differ per frame, with the numbers of the spots on them.

    A spot in the middle of an object is on that, wherever its pixels are. One beside all objects gets the nearest
    within two radii; objects without spot are left out. Raises FileError for spots without object, and for two on one.
    """
    given = as_labels(labels)
    out = np.zeros_like(given)
    height, width = given.shape[1:]
    for frame, some in _by_frame(discs, (len(given), height, width)).items():
        taken: dict[int, int] = {}
        ids, _, places = middles(given[frame])
        tree = cKDTree(places)
        for one in some:
            own = [int(ids[n]) for n in tree.query_ball_point((one.y, one.x), _SAME)]
            # Rings around one middle are told apart by their numbers.
            found = own[0] if len(own) == 1 else one.number if one.number in own else _under(one, given[frame])
            if not found or found in taken:
                raise FileError(
                    f"Track {one.number} has no object of its own at y {one.y:.1f}, x {one.x:.1f} of frame {frame}.",
                    "Give the labels of these tracks, or none to draw discs.",
                )
            taken[found] = one.number
        out[frame] = renumbered(given[frame], taken)
    return out


def _by_frame(discs: Iterable[Disc], shape: Triple) -> Mapping[int, list[Disc]]:
    found: dict[int, list[Disc]] = defaultdict(list)
    for one in discs:
        if not (0 <= one.frame < shape[0] and 0 <= one.y < shape[1] and 0 <= one.x < shape[2]):
            raise FileError(
                f"A spot at y {one.y:.1f}, x {one.x:.1f} of frame {one.frame} lies outside of {shape}.",
                "Give the shape (frames, height, width) of the movie, and coordinates in pixels.",
            )
        found[one.frame].append(one)
    return found


def _size(discs: Sequence[Disc]) -> Triple:
    frames = max((one.frame for one in discs), default=-1) + 1
    ends = [_reach(one) for one in discs]
    shape = (frames, max([0, *(y for y, _ in ends)]), max([0, *(x for _, x in ends)]))
    if math.prod(shape) > _MOST:
        raise FileError(
            f"These spots would fill a movie of {shape} pixels.", "Check that they are in pixels, or give its shape."
        )
    return shape


def _reach(one: Disc) -> tuple[int, int]:
    if one.outline is not None:
        y, x = np.ceil(one.outline.max(axis=0) - 0.5).astype(int).tolist()  # half a pixel more holds no centre
        return max(y, int(one.y) + 1), max(x, int(one.x) + 1)
    return math.ceil(max(one.y + one.radius, int(one.y) + 1)), math.ceil(max(one.x + one.radius, int(one.x) + 1))


def _window(one: Disc, shape: tuple[int, ...]) -> tuple[slice, slice]:
    low, high = np.array([one.y, one.x]) - one.radius, np.array([one.y, one.x]) + one.radius
    if one.outline is not None:
        low, high = np.minimum(low, one.outline.min(axis=0)), np.maximum(high, one.outline.max(axis=0))
    low, high = np.clip(np.floor(low), 0, shape).astype(int), np.clip(np.ceil(high) + 1, 0, shape).astype(int)
    return slice(low[0], high[0]), slice(low[1], high[1])


def _far(one: Disc, window: tuple[slice, slice]) -> NDArray[np.float64]:
    """Return the squared distance of every pixel's centre from the middle, in radii."""
    rows, columns = (np.arange(part.start, part.stop) + 0.5 for part in window)
    away: NDArray[np.float64] = (rows[:, None] - one.y) ** 2 + (columns - one.x) ** 2
    return away / max(one.radius, 0.5) ** 2


def _draw(one: Disc, plane: NDArray[np.uint32], nearest: NDArray[np.float64]) -> None:
    window = _window(one, plane.shape)
    far = _far(one, window)
    if one.outline is None:
        inside = far <= 1
        inside[int(one.y) - window[0].start, int(one.x) - window[1].start] = True
    else:
        inside = _filled(one.outline, window)
        far = np.full(far.shape, -1 / max(one.radius, 0.5))  # nearer than any disc, the smaller the more
    inside &= far < nearest[window]
    plane[window][inside] = one.number
    nearest[window][inside] = far[inside]


def _filled(outline: NDArray[np.float64], window: tuple[slice, slice]) -> NDArray[np.bool_]:
    """Return the pixels whose centre has an odd number of edges to its left."""
    rows, width = np.arange(window[0].start, window[0].stop) + 0.5, window[1].stop - window[1].start
    (y0, x0), (y1, x1) = outline.T, np.roll(outline, -1, axis=0).T
    row, edge = np.nonzero((y0 <= rows[:, None]) != (y1 <= rows[:, None]))
    crossing = x0[edge] + (rows[row] - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    turns = np.zeros((len(rows), width + 1), np.int64)
    np.add.at(turns, (row, np.clip(np.ceil(crossing - 0.5) - window[1].start, 0, width).astype(int)), 1)
    filled: NDArray[np.bool_] = np.cumsum(turns, axis=1)[:, :width] % 2 == 1
    return filled


def _under(one: Disc, plane: NDArray[np.uint32]) -> int:
    own = int(plane[int(one.y), int(one.x)])
    if own:
        return own
    window = _window(replace(one, radius=2 * one.radius), plane.shape)
    far = np.where(plane[window] > 0, _far(one, window), np.inf)
    place = np.unravel_index(int(far.argmin()), far.shape)
    return int(plane[window][place]) if far[place] <= 4 else 0
