"""Outlines to pixels, those whose centre lies inside."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...core import Mask, Polygon, PromptError, rasterise
from ...core.box import Triple
from ...core.raster import union
from .outlines import Ring


def fill(parts: Sequence[Sequence[Ring]], plane: int, shape: Triple) -> Mask:
    """Return the pixels of a plane of an image of ``shape`` (planes, h, w) that lie in any of the parts.

    Of the rings of one part, (n, 2) corners (y, x), those within another are holes. A shape too thin to hold the centre
    of a pixel becomes those that its lines run through. Empty where nothing lies in the image. Raises ValueError for
    coordinates that are no numbers.
    """
    found = [_filled([np.asarray(ring, np.float64) for ring in part], plane, shape) for part in parts if part]
    whole = found[0] if len(found) == 1 else union(found)
    if not whole.area and parts and 0 <= plane < shape[0]:
        found = []
        for part in parts:
            with contextlib.suppress(PromptError):
                found.append(rasterise(Polygon(plane, tuple((float(y), float(x)) for y, x in part[0])), shape))
        whole = union(found)
    return whole


def _filled(rings: list[Ring], plane: int, shape: Triple) -> Mask:
    """Fill what has an odd number of lines to its left."""
    ends = np.concatenate(rings)
    if not np.isfinite(ends).all():
        raise ValueError("a coordinate is no number")
    low = np.clip(np.floor(ends.min(axis=0)), 0, shape[1:]).astype(np.int64)
    high = np.clip(np.ceil(ends.max(axis=0)), 0, shape[1:]).astype(np.int64)
    size = high - low
    if not 0 <= plane < shape[0] or not size.all():
        return Mask((0, 0, 0), np.zeros((0, 0, 0), bool))
    first = np.concatenate([ring - low for ring in rings])
    second = np.concatenate([np.roll(ring, -1, axis=0) - low for ring in rings])
    upwards = first[:, 0] > second[:, 0]
    # The same arithmetic either way: shapes on both sides of a line leave no gap between them.
    first[upwards], second[upwards] = second[upwards], first[upwards]
    start, stop = (np.clip(np.ceil(one[:, 0] - 0.5), 0, size[0]).astype(np.int64) for one in (first, second))
    count = stop - start
    line = np.repeat(np.arange(len(count)), count)
    row = np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count) + start[line]
    (y0, x0), (y1, x1) = first[line].T, second[line].T
    crossing = x0 + (row + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
    column = np.clip(np.ceil(crossing - 0.5), 0, size[1]).astype(np.int64)
    turns = np.bincount(row * (size[1] + 1) + column, minlength=size[0] * (size[1] + 1))
    inside: NDArray[np.bool_] = np.cumsum(turns.reshape(size[0], -1), axis=1)[:, :-1] % 2 == 1
    return Mask.crop(inside, (plane, int(low[0]), int(low[1])))
