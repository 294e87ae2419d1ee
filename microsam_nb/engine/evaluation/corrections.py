"""Simulated corrections: after every answer one click on what is missed, and one on what is too much."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...core import Box, Mask, Point
from .protocol import together

#: How far beyond an object its surroundings reach, in pixels.
_AROUND = 3


def corrections(truth: Mask, found: Mask, shape: tuple[int, int], random: np.random.Generator) -> list[Point]:
    """Return a positive and a negative click that correct a mask of an image of ``shape`` (y, x), as in micro-sam.

    The positive one lies on a random pixel that was missed, of the object where none was; the negative one on a random
    pixel that is too much, else beside the object in its bounding box grown by 3 pixels, else anywhere outside of it.
    An object that fills the image gets no negative click.
    """
    around, (inside, answer) = together(truth, found)
    missed, extra = inside & ~answer, answer & ~inside
    points = [_anywhere(missed if missed.any() else inside & answer, around, True, random)]
    if extra.any():
        return [*points, _anywhere(extra, around, False, random)]
    (plane, y0, x0), (_, y1, x1) = truth.box.start, truth.box.stop
    beside = Box(
        (plane, max(0, y0 - _AROUND), max(0, x0 - _AROUND)),
        (plane + 1, min(shape[0], y1 + _AROUND), min(shape[1], x1 + _AROUND)),
    )
    for where in (beside, Box((plane, 0, 0), (plane + 1, *shape))):
        free = ~truth.dense_in(where)
        if free.any():
            return [*points, _anywhere(free, where, False, random)]
    return points


def _anywhere(region: NDArray[np.bool_], where: Box, positive: bool, random: np.random.Generator) -> Point:
    """Return a click on the middle of a random pixel of a region (1, h, w) at ``where``."""
    places = np.flatnonzero(region)
    _, y, x = np.unravel_index(int(places[random.integers(len(places))]), region.shape)
    plane, top, left = where.start
    return Point(plane, top + float(y) + 0.5, left + float(x) + 0.5, positive)
