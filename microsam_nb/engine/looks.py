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
import torch
from torch import Tensor

from ..core import BoxPrompt, Mask, Point
from .embedding import Embedding
from .encode import encode_window
from .models import Model
from .pixels import thinned
from .prompting import Gathered
from .tiling import Window

#: Side of a window around an object of known size, in sizes of the object.
MARGIN = 2.3
#: The smallest window tried around a click of unknown scale, in pixels, and the step to the next larger one.
_FIRST, _STEP = 40.0, 1.7
#: How large a window may be beside the last one.
_DISTINCT = 0.75
#: What a sharp outline counts beside the predicted IoU; chosen on the validation split, as are the other numbers here.
_SHARP = 0.5
#: What part of a window an object may fill, as shares of its side.
_FAIR = (0.08, 0.85)


@dataclass(frozen=True, slots=True)
class Look:
    """The ``embedding`` of a ``window`` of a plane."""

    window: Window
    embedding: Embedding

    def move(self, asked: Gathered) -> Gathered:
        """Return prompts of the plane as prompts of the window; clicks outside it are left out."""
        return asked.within(self.window)

    def back(self, mask: Mask, plane: int) -> Mask:
        """Return a mask of the window as a mask of the plane with index ``plane``."""
        _, y, x = mask.start
        return Mask((plane, y + self.window.y0, x + self.window.x0), mask.bitmap)


def look(model: Model, embedding: Embedding, windows: Sequence[Window]) -> list[Look]:
    """Encode windows of the plane of ``embedding``, which must hold its pixels; earlier looks are remembered.

    Large windows of a large plane are thinned, and grow a little for that.
    """
    pixels = embedding.pixels
    assert pixels is not None
    found = []
    for wanted in windows:
        window = thinned(wanted, pixels.shape, model.frame)[0]
        known = embedding.looks.get(window)
        if window == Window(0, 0, *embedding.original_size) and embedding.features.numel():
            known = embedding
        elif known is None:
            known = encode_window(model, pixels, window)
            embedding.remember(window, known)
        found.append(Look(window, known))
    return found


def around(shape: tuple[int, int], box: BoxPrompt, least: float) -> Window:
    """Return the window in which a box has the size nano sees best; at least ``least`` pixels wide."""
    side = max(box.y1 - box.y0, box.x1 - box.x0) * MARGIN
    return window_at(shape, ((box.y0 + box.y1) / 2, (box.x0 + box.x1) / 2), max(side, least))


def ladder(shape: tuple[int, int], points: Sequence[Point], largest: int | None = None) -> list[Window]:
    """Return windows of growing size around clicks; all hold every positive click.

    The last one is the whole plane or, where that is longer, ``largest`` pixels wide.
    """
    inside = np.array([(p.y, p.x) for p in points if p.positive] or [(p.y, p.x) for p in points])
    low, high = inside.min(0), inside.max(0)
    middle = (low + high) / 2
    side = max(_FIRST, float((high - low).max()) * 1.5)
    end = max(shape) if largest is None else min(max(shape), max(largest, side))
    windows: list[Window] = []
    while side < end:
        window = window_at(shape, (float(middle[0]), float(middle[1])), side)
        side *= _STEP
        if window not in windows:
            windows.append(window)
    last = window_at(shape, (float(middle[0]), float(middle[1])), end)
    # One that is almost the last shows nothing more.
    return [*(one for one in windows if max(one.shape) <= _DISTINCT * max(last.shape)), last]


def window_at(shape: tuple[int, int], middle: tuple[float, float], side: float) -> Window:
    """Return a square of about ``side`` pixels around ``middle`` (y, x), moved and cut to lie within the plane."""
    spans = []
    for length, centre in zip(shape, middle, strict=True):
        size = min(length, max(1, math.ceil(side)))
        start = min(max(0, round(centre - size / 2)), length - size)
        spans.append((start, start + size))
    (y0, y1), (x0, x1) = spans
    return Window(y0, x0, y1, x1)


def plausible(own: Look, plane: tuple[int, int], frame: int, logits: Tensor) -> float:
    """Return what, beside its predicted IoU, speaks for a mask found in one of several windows of a plane.

    Its outline should be sharp (half the stability score of segment-anything, in 0..1); it should fill a fair part
    of the window, and not be cut by a border of the window that is none of the plane (minus 10 each). logits (h, w).
    """
    inside = logits > 0
    if not bool(inside.any()):
        return -math.inf
    worth = _SHARP * float((logits > 1).sum()) / float((logits > -1).sum())
    window, cell = own.window, frame / logits.shape[0]
    starts, stops = (window.y0, window.x0), (window.y1, window.x1)
    longest = 0.0
    for axis in range(2):
        hits = torch.nonzero(inside.any(1 - axis)).flatten()
        first, last = int(hits[0]), int(hits[-1])
        cells = own.embedding.input_size[axis] / cell
        cut = (first == 0 and starts[axis] > 0) or (last + 1 >= cells and stops[axis] < plane[axis])
        worth -= 10.0 * cut
        longest = max(longest, (last + 1 - first) * cell / max(own.embedding.input_size))
    low, high = _FAIR
    return worth - 10.0 * (not low < longest < high)
