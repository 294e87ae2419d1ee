"""One contrast stretch for the screen and for the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import SettingsError

#: Percentiles are read from at most this many pixels, taken at a regular stride.
_SAMPLE = 1_000_000


@dataclass(frozen=True, slots=True)
class Contrast:
    """Percentiles of the intensity that become black and white, in percent.

    All channels of a colour image share one window, so that colours keep their hue.
    """

    low: float = 0.2
    high: float = 99.8

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise SettingsError(
                f"The contrast percentiles {self.low} and {self.high} are not in order.",
                "Choose 0 <= low < high <= 100.",
            )

    def window(self, pixels: NDArray[np.generic]) -> tuple[float, float]:
        """Return the intensities shown as black and white; NaN and infinities are left out."""
        flat = np.asarray(pixels).reshape(-1)
        flat = flat[:: max(1, flat.size // _SAMPLE)]
        values = flat.astype(np.float64)
        values = values[np.isfinite(values)]
        if values.size == 0:
            return 0.0, 1.0
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = np.percentile(values, [self.low, self.high])
        if not high > low:
            # A sparse image (few bright pixels on a flat ground) must not turn black.
            whole = np.asarray(pixels)
            whole = whole[np.isfinite(whole)]
            low, high = whole.min(), whole.max()
        return float(low), float(high)

    def stretch(self, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Map intensities of any dtype to uint8 of the same shape.

        A constant image becomes 0. NaN becomes 0, +inf 255 and -inf 0.
        """
        low, high = self.window(pixels)
        if high <= low:
            return np.zeros(np.shape(pixels), np.uint8)
        # Wider types may hold a small range on a large offset, which float32 would round away.
        kind = np.float32 if np.asarray(pixels).dtype.itemsize <= 2 else np.float64
        with np.errstate(over="ignore", invalid="ignore"):
            values: NDArray[np.floating[Any]] = np.asarray(pixels).astype(kind)
            values = (values - low) * (255.0 / (high - low))
        values = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
        out: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        return out
