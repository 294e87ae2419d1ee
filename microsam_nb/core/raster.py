"""Drawn shapes to pixels.

A pixel belongs to a shape when its centre (i + 0.5) lies inside; so shapes that share an edge neither overlap nor
leave a gap. A shape too thin to hold any centre becomes the pixels that its outline runs through.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .box import Triple
from .errors import PromptError
from .mask import Mask
from .prompts import Ellipse, MaskPrompt, Polygon, Scribble, Vertices

Shape = Ellipse | Polygon | Scribble | MaskPrompt
Lines = NDArray[np.float64]  # (n, 2) vertices as (y, x)

_CORNERS = 64  # of the outline of a thin ellipse


def rasterise(shape: Shape, image: Triple) -> Mask:
    """Return the pixels of a shape inside an image of shape ``image`` (planes, h, w).

    A scribble becomes the pixels that its line runs through and those whose centre is within half its width of it.
    Raises PromptError when no pixel of the image is covered.
    """
    shape.check(image)
    if isinstance(shape, MaskPrompt):
        return shape.mask
    size = image[1:]
    if isinstance(shape, Ellipse):
        mask = _ellipse(shape, size)
    elif isinstance(shape, Polygon):
        mask = _polygon(shape.points, size)
        if not mask.area:
            mask = _outline(shape.points, size)
    else:
        mask = _scribble(shape, size)
    if not mask.area:
        raise PromptError(f"The {type(shape).__name__.lower()} covers no pixel of the image.", "Draw it on the object.")
    _, y, x = mask.start
    return Mask((shape.plane, y, x), mask.bitmap)


def stroke(points: Vertices, width: float, plane: int, image: Triple) -> Mask:
    """Return the pixels of a plane that a round brush, ``width`` pixels thick, meets on its way through ``points``.

    The way itself may lie outside the image. Raises PromptError when no pixel is met.
    """
    line = Scribble(plane, points, width)
    mask = _scribble(line, image[1:]) if 0 <= plane < image[0] else union([])
    if not mask.area:
        raise PromptError("The brush met no pixel of the image.", "Draw inside the image.")
    _, y, x = mask.start
    return Mask((plane, y, x), mask.bitmap)


def _ellipse(shape: Ellipse, size: tuple[int, int]) -> Mask:
    y, x = (shape.y0 + shape.y1) / 2, (shape.x0 + shape.x1) / 2
    ry, rx = (shape.y1 - shape.y0) / 2, (shape.x1 - shape.x0) / 2
    (top, bottom), (left, right) = _span(shape.y0, shape.y1, size[0]), _span(shape.x0, shape.x1, size[1])
    rows = ((np.arange(top, bottom) + 0.5 - y) / ry) ** 2
    columns = ((np.arange(left, right) + 0.5 - x) / rx) ** 2
    mask = Mask.crop(rows[:, None] + columns <= 1, (0, top, left))
    if mask.area:
        return mask
    angles = np.linspace(0, 2 * math.pi, _CORNERS)
    return _outline(tuple((y + ry * math.sin(a), x + rx * math.cos(a)) for a in angles), size)


def _polygon(points: Vertices, size: tuple[int, int]) -> Mask:
    """Fill by winding number: count the edges that pass left of a pixel's centre, downwards less upwards."""
    corners = np.array(points)
    (top, bottom), (left, right) = (
        _span(corners[:, axis].min(), corners[:, axis].max(), size[axis]) for axis in (0, 1)
    )
    turns = np.zeros((bottom - top, right - left + 1), np.int16)
    for (y0, x0), (y1, x1) in zip(points, (*points[1:], points[0]), strict=True):
        sign = 1
        if y1 < y0:  # the same arithmetic either way: shapes on both sides of an edge get the same crossing
            y0, x0, y1, x1, sign = y1, x1, y0, x0, -1
        first, last = max(_centre(y0), top), min(_centre(y1), bottom)  # rows whose centre lies in [y0, y1)
        if last <= first:
            continue
        rows = np.arange(first, last)
        crossing = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
        columns = np.clip(np.ceil(crossing - 0.5), left, right).astype(np.int64)
        np.add.at(turns, (rows - top, columns - left), sign)
    inside = np.cumsum(turns[:, :-1], axis=1, dtype=np.int16) != 0
    return Mask.crop(inside, (0, top, left))


def _scribble(shape: Scribble, size: tuple[int, int]) -> Mask:
    thick = _pixels(_crossed(shape.points, size))
    radius = shape.width / 2
    corners = np.array(shape.points)
    low, high = corners.min(axis=0) - radius, corners.max(axis=0) + radius
    (top, bottom), (left, right) = _span(low[0], high[0], size[0]), _span(low[1], high[1], size[1])
    near = np.zeros((bottom - top, right - left), bool)
    ends = list(pairwise(shape.points)) or [(shape.points[0], shape.points[0])]
    for (y0, x0), (y1, x1) in ends:
        a, b = _span(min(y0, y1) - radius, max(y0, y1) + radius, size[0])
        c, d = _span(min(x0, x1) - radius, max(x0, x1) + radius, size[1])
        dy, dx = np.arange(a, b)[:, None] + 0.5 - y0, np.arange(c, d) + 0.5 - x0
        length = (y1 - y0) ** 2 + (x1 - x0) ** 2
        along = np.clip((dy * (y1 - y0) + dx * (x1 - x0)) / length, 0, 1) if length else np.zeros(())
        distance = (dy - along * (y1 - y0)) ** 2 + (dx - along * (x1 - x0)) ** 2
        near[a - top : b - top, c - left : d - left] |= distance <= radius**2
    return union([thick, Mask.crop(near, (0, top, left))])


def union(masks: list[Mask]) -> Mask:
    """Return the pixels that any of the masks has; without masks, or with empty ones only, an empty one."""
    full = [mask for mask in masks if mask.area]
    if not full:
        return Mask((0, 0, 0), np.zeros((0, 0, 0), bool))
    around = full[0].box
    for mask in full[1:]:
        around = around.union(mask.box)
    out = np.zeros(around.shape, bool)
    for mask in full:
        place = tuple(
            slice(a - b, a - b + n) for a, b, n in zip(mask.start, around.start, mask.bitmap.shape, strict=True)
        )
        out[place] |= mask.bitmap
    return Mask(around.start, out)


def _outline(points: Vertices, size: tuple[int, int]) -> Mask:
    """Return the pixels that a closed line runs through."""
    corners = np.array(points)
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    # A side exactly between two pixels belongs to the inner one.
    inner = middle + (corners - middle) * (1 - 1e-9)
    closed = [(float(y), float(x)) for y, x in (*inner, inner[0])]
    return _pixels(_crossed(closed, size))


def _crossed(points: Vertices | list[tuple[float, float]], size: tuple[int, int]) -> NDArray[np.int64]:
    """Return the pixels (n, 2) as (y, x) of an image of ``size`` that a line through ``points`` runs through."""
    found = []
    for pair in pairwise(points) if len(points) > 1 else [(points[0], points[0])]:
        (y0, x0), (y1, x1) = sorted(pair)  # the same pixels in either direction
        part = clip_line(y0, x0, y1, x1, size)
        if part is None:
            continue
        # Between two crossings of the grid the line stays in one pixel.
        cuts = [np.array(part)]
        for a, b in ((y0, y1), (x0, x1)):
            if a != b:
                ends = sorted((a + (b - a) * part[0], a + (b - a) * part[1]))
                cuts.append((np.arange(math.ceil(ends[0]), math.floor(ends[1]) + 1) - a) / (b - a))
        steps = np.unique(np.clip(np.concatenate(cuts), *part))
        middle = (steps[:-1] + steps[1:]) / 2 if len(steps) > 1 else steps
        found.append(np.stack([y0 + middle * (y1 - y0), x0 + middle * (x1 - x0)], axis=1))
    if not found:
        return np.zeros((0, 2), np.int64)
    pixels = np.floor(np.concatenate(found)).astype(np.int64)
    inside: NDArray[np.bool_] = ((pixels >= 0) & (pixels < size)).all(axis=1)
    return np.asarray(pixels[inside])


def clip_line(y0: float, x0: float, y1: float, x1: float, size: tuple[int, int]) -> tuple[float, float] | None:
    """Return from where to where, in [0, 1] of its length, a line lies within a plane of ``size``, if it does."""
    first, last = 0.0, 1.0
    for a, b, n in ((y0, y1, size[0]), (x0, x1, size[1])):
        if a == b:
            if not 0 <= a <= n:
                return None
            continue
        near, far = sorted((-a / (b - a), (n - a) / (b - a)))
        first, last = max(first, near), min(last, far)
    return (first, last) if first <= last else None


def _pixels(pixels: NDArray[np.int64]) -> Mask:
    if not len(pixels):
        return Mask((0, 0, 0), np.zeros((0, 0, 0), bool))
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    out = np.zeros(high - low + 1, bool)
    out[tuple((pixels - low).T)] = True
    return Mask((0, int(low[0]), int(low[1])), out[None])


def _centre(value: float) -> int:
    """Return the first pixel whose centre is not before ``value``."""
    return math.ceil(value - 0.5)


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """Return the half-open range of pixels, within ``size``, that [low, high] touches."""
    start = min(max(math.floor(low), 0), size)
    return start, max(start, min(math.ceil(high), size))
