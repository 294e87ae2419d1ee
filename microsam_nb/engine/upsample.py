"""Low-resolution mask logits to masks of a plane, computed only where the object is."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..core import Mask
from .embedding import Embedding


def upsample(logits: Tensor, embedding: Embedding, frame: int, plane: int) -> Mask:
    """Scale low-resolution logits (h, w) to the plane and threshold at 0, only where the object is.

    Gives the pixels of segment-anything's way (bilinear to the frame, crop, bilinear to the plane's size).
    """
    rows, cols = (_reach((logits > 0).any(1 - axis)) for axis in range(2))
    if rows is None or cols is None:
        return Mask((plane, 0, 0), np.zeros((0, 0, 0), bool))
    x = logits
    start = []
    for axis, (first, last) in enumerate((rows, cols)):
        low = _Stretch(logits.shape[axis], frame)
        full = _Stretch(embedding.input_size[axis], embedding.original_size[axis])
        # Linear interpolation reaches one source pixel beyond the object on each side.
        out0, out1 = full.covered(*low.covered(first - 1, last + 1))
        mid0, mid1 = full.needed(out0, out1)
        low0, low1 = low.needed(mid0, mid1)
        x = x.narrow(axis, low0, low1 - low0)
        x = low.sample(x, axis, low0, mid0, mid1)
        x = full.sample(x, axis, mid0, out0, out1)
        start.append(out0)
    return Mask.crop((x > 0).cpu().numpy(), (plane, start[0], start[1]))


def _reach(flags: Tensor) -> tuple[int, int] | None:
    hits = torch.nonzero(flags)
    return (int(hits[0]), int(hits[-1])) if len(hits) else None


class _Stretch:
    """Bilinear scaling of one axis from ``old`` to ``new`` pixels (``align_corners=False``), a part at a time."""

    def __init__(self, old: int, new: int) -> None:
        self.old, self.new, self.step = old, new, old / new

    def covered(self, first: int, last: int) -> tuple[int, int]:
        """Return the half-open range of new pixels that old pixels ``first`` to ``last`` may influence."""
        start = math.floor((first - 0.5) / self.step) - 1
        stop = math.ceil((last + 1.5) / self.step) + 1
        return max(0, min(start, self.new - 1)), max(1, min(stop, self.new))

    def needed(self, start: int, stop: int) -> tuple[int, int]:
        """Return the half-open range of old pixels that new pixels [start, stop) are made of."""
        first = math.floor((start + 0.5) * self.step - 0.5)
        last = math.floor(max(0.0, (stop - 0.5) * self.step - 0.5)) + 1
        return max(0, min(first, self.old - 1)), max(1, min(last + 1, self.old))

    def sample(self, x: Tensor, axis: int, origin: int, start: int, stop: int) -> Tensor:
        """Return new pixels [start, stop) from ``x``, which holds old pixels from ``origin`` on."""
        if self.old == self.new:
            return x.narrow(axis, start - origin, stop - start)
        where = (torch.arange(start, stop, device=x.device, dtype=torch.float64) + 0.5) * self.step - 0.5
        where = where.clamp(0, self.old - 1)
        low = where.floor().long()
        high = (low + 1).clamp(max=self.old - 1)
        weight = (where - low).to(x.dtype)
        weight = weight.reshape((-1, 1) if axis == 0 else (1, -1))
        lower = x.index_select(axis, low - origin)
        return lower + (x.index_select(axis, high - origin) - lower) * weight
