"""How often each intensity occurs in a plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import Contrast, Image
from ..core.pixels import sample_blocks

_BINS = 128


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Pixels of one channel: ``counts`` int64 (n,) between ``edges`` float64 (n + 1,)."""

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]

    def range(self, contrast: Contrast) -> tuple[float, float]:
        """Return the intensities between which all but the darkest and the brightest pixels lie."""
        shares = np.concatenate([[0], np.cumsum(self.counts)]) / max(1, int(self.counts.sum()))
        low, high = np.interp([contrast.low / 100, contrast.high / 100], shares, self.edges)
        return (float(low), float(high)) if high > low else (float(self.edges[0]), float(self.edges[-1]))


def histograms(image: Image, plane: int) -> list[Histogram]:
    """Return the histogram of every channel, one for a grey image, of a regular sample of about a million pixels.

    Of large or lazy planes only that sample is read. NaN, infinities and masked pixels do not count.
    """
    _, height, width = image.shape
    blocks = [image.region(plane, *where) for where in sample_blocks(height, width)]
    count = max(1, image.channels)
    return [_histogram([_values(block[..., c] if image.channels else block) for block in blocks]) for c in range(count)]


def _values(block: NDArray[np.generic]) -> NDArray[np.generic]:
    values = block.compressed() if isinstance(block, np.ma.MaskedArray) else block.reshape(-1)
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def _histogram(parts: list[NDArray[np.generic]]) -> Histogram:
    values = np.concatenate(parts).astype(np.float64)
    low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
    if not high > low:
        high = low + 1.0
    whole = all(one.dtype.kind in "bui" for one in parts)
    if whole and high - low < _BINS * 4:
        # Whole numbers in bins of unequal shares would look like a comb.
        width = max(1, int(np.ceil((high - low + 1) / _BINS)))
        bins = int(np.ceil((high - low + 1) / width))
        edges = low - 0.5 + width * np.arange(bins + 1, dtype=np.float64)
    else:
        with np.errstate(over="ignore"):
            edges = np.linspace(low, high, _BINS + 1)
    counts = np.histogram(values, edges)[0].astype(np.int64) if values.size else np.zeros(len(edges) - 1, np.int64)
    return Histogram(counts, edges)
