"""Low-resolution mask logits to masks of a plane, computed only where the object is."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..core import Mask
from .embedding import Embedding

#: Pixels of the plane computed at a time.
_PART = 1 << 20


def enlarge(logits: Tensor, embedding: Embedding, frame: int, above: float = 0.0) -> tuple[Tensor, int, int] | None:
    """Return logits in the plane's pixels where they may be above a value, with the first row and column, or None.

    As ``upsample``, with the numbers: float (rows, columns).
    """
    parts = _parts(logits, embedding, frame, above)
    if parts is None:
        return None
    down, right = parts
    return _enlarged(logits, down, right), down.start, right.start


def above(values: Tensor, threshold: float) -> NDArray[np.bool_]:
    """Return where numbers are above a threshold. On a processor numpy compares many times faster than torch."""
    if values.device.type == "cpu":
        found: NDArray[np.bool_] = values.numpy() > threshold
        return found
    return np.asarray((values > threshold).cpu().numpy(), bool)


def upsample(logits: Tensor, embedding: Embedding, frame: int, plane: int) -> Mask:
    """Scale low-resolution logits (h, w) to the plane and threshold at 0, only where the object is.

    Gives the pixels of segment-anything's way (bilinear to the frame, crop, bilinear to the plane's size).
    """
    parts = _parts(logits, embedding, frame, 0.0)
    if parts is None:
        return Mask((plane, 0, 0), np.zeros((0, 0, 0), bool))
    down, right = parts
    if (right.stop - right.start) * (down.stop - down.start) <= _PART:
        return Mask.crop(above(_enlarged(logits, down, right), 0.0), (plane, down.start, right.start))
    x = down(logits, 0)
    # A few rows at a time, which depend on nothing but themselves: as numbers a large object takes far more memory.
    step = max(1, _PART // (right.stop - right.start))
    found = [above(right(some, 1), 0.0) for some in x.split(step)]
    return Mask.crop(np.concatenate(found), (plane, down.start, right.start))


def _parts(logits: Tensor, embedding: Embedding, frame: int, above: float) -> tuple[_Enlargement, _Enlargement] | None:
    """Return how rows and columns are enlarged where logits are above a value, None where they are nowhere."""
    rows, cols = (_reach((logits > above).any(1 - axis)) for axis in range(2))
    if rows is None or cols is None:
        return None
    down, right = (
        _Enlargement(logits.shape[axis], frame, embedding.input_size[axis], embedding.original_size[axis], span)
        for axis, span in enumerate((rows, cols))
    )
    return down, right


def _enlarged(logits: Tensor, down: _Enlargement, right: _Enlargement) -> Tensor:
    """Enlarge both axes, at once as far as the frame: torch has a kernel for that, but not for parts of a scaling."""
    if not (down.times and right.times):
        return right(down(logits, 0), 1)
    x = logits[down.needed[0] : down.needed[1], right.needed[0] : right.needed[1]]
    times = float(down.times), float(right.times)
    x = F.interpolate(x[None, None], scale_factor=times, mode="bilinear", align_corners=False)[0, 0]
    return right.finish(down.finish(x, 0), 1)


def _reach(flags: Tensor) -> tuple[int, int] | None:
    hits = torch.nonzero(flags)
    return (int(hits[0]), int(hits[-1])) if len(hits) else None


class _Enlargement:
    """Both scalings of one axis, low resolution to frame to plane, of what old pixels ``span`` (both ends) become.

    They are made of the old pixels ``needed``. ``times``: how far the first scaling enlarges, 0 if not a whole number.
    """

    def __init__(self, low: int, frame: int, scaled: int, full: int, span: tuple[int, int]) -> None:
        self._low, self._full = _Stretch(low, frame), _Stretch(scaled, full)
        # Linear interpolation reaches one source pixel beyond the object on each side.
        self.start, self.stop = self._full.covered(*self._low.covered(span[0] - 1, span[1] + 1))
        self._middle = self._full.needed(self.start, self.stop)
        self.needed = self._low.needed(*self._middle)
        self.times = 0 if frame % low else frame // low

    def __call__(self, x: Tensor, axis: int) -> Tensor:
        """Return new pixels [start, stop) of an axis."""
        first, end = self.needed
        x = self._low.sample(x.narrow(axis, first, end - first), axis, first, *self._middle)
        return self._full.sample(x, axis, self._middle[0], self.start, self.stop)

    def finish(self, x: Tensor, axis: int) -> Tensor:
        """Return new pixels [start, stop) of an axis of which the ``needed`` ones were enlarged to the frame."""
        x = x.narrow(axis, self._middle[0] - self.needed[0] * self.times, self._middle[1] - self._middle[0])
        return self._full.sample(x, axis, self._middle[0], self.start, self.stop)


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
