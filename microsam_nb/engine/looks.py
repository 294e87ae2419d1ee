"""Closer looks: windows of a plane, scaled so that the object has the size a small network sees best.

Segmenting an object again in a window around it is the zoom-in of interactive segmentation (Sofiiuk et al.,
"Reviving Iterative Training with Mask Guidance", ICIP 2022). nano is trained for it, and quick enough to encode
windows at every click.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core import BoxPrompt, Candidate, Mask, Point, Prompt
from .embedding import Embedding
from .encode import encode
from .models import Model
from .tiling import Window

#: Side of a window around an object of known size, in sizes of the object.
MARGIN = 2.3
#: The smallest window tried around a click of unknown scale, in pixels, and the step to the next larger one.
_FIRST, _STEP = 40.0, 1.7


@dataclass(frozen=True, slots=True)
class Look:
    """The ``embedding`` of a ``window`` of a plane."""

    window: Window
    embedding: Embedding

    def move(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """Return prompts of the plane as prompts of the window; clicks outside it are left out."""
        top, left = self.window.y0, self.window.x0
        height, width = self.window.shape
        moved: list[Prompt] = []
        for p in prompts:
            if isinstance(p, Point):
                y, x = p.y - top, p.x - left
                if 0 <= y < height and 0 <= x < width:
                    moved.append(Point(0, y, x, p.positive))
            else:
                moved.append(BoxPrompt(0, p.y0 - top, p.x0 - left, p.y1 - top, p.x1 - left))
        return moved

    def back(self, mask: Mask, plane: int) -> Mask:
        """Return a mask of the window as a mask of the plane with index ``plane``."""
        _, y, x = mask.start
        return Mask((plane, y + self.window.y0, x + self.window.x0), mask.bitmap)


def look(model: Model, embedding: Embedding, windows: Sequence[Window]) -> list[Look]:
    """Encode windows of the plane of ``embedding``, which must hold its pixels; earlier looks are remembered."""
    pixels = embedding.pixels
    assert pixels is not None
    found = []
    for window in windows:
        known = embedding.looks.get(window)
        if known is None:
            known = encode(model, pixels[window.slices])
            embedding.remember(window, known)
        found.append(Look(window, known))
    return found


def around(shape: tuple[int, int], box: BoxPrompt, least: float) -> Window:
    """Return the window in which a box has the size nano sees best; at least ``least`` pixels wide."""
    side = max(box.y1 - box.y0, box.x1 - box.x0) * MARGIN
    return window_at(shape, ((box.y0 + box.y1) / 2, (box.x0 + box.x1) / 2), max(side, least))


def ladder(shape: tuple[int, int], points: Sequence[Point]) -> list[Window]:
    """Return windows of growing size around clicks, the last one the whole plane; all hold every positive click."""
    inside = np.array([(p.y, p.x) for p in points if p.positive] or [(p.y, p.x) for p in points])
    low, high = inside.min(0), inside.max(0)
    middle = (low + high) / 2
    side = max(_FIRST, float((high - low).max()) * 1.5)
    windows: list[Window] = []
    while side < max(shape):
        window = window_at(shape, (float(middle[0]), float(middle[1])), side)
        side *= _STEP
        if window not in windows:
            windows.append(window)
    return [*windows, Window(0, 0, *shape)]


def window_at(shape: tuple[int, int], middle: tuple[float, float], side: float) -> Window:
    """Return a square of about ``side`` pixels around ``middle`` (y, x), moved and cut to lie within the plane."""
    spans = []
    for length, centre in zip(shape, middle, strict=True):
        size = min(length, max(1, math.ceil(side)))
        start = min(max(0, round(centre - size / 2)), length - size)
        spans.append((start, start + size))
    (y0, y1), (x0, x1) = spans
    return Window(y0, x0, y1, x1)


def choose(found: Sequence[Candidate]) -> Candidate:
    """Return the best of the answers to one question in several windows."""
    return max(found, key=lambda one: one.score if one.mask.area else -1.0)
