"""One contrast stretch for the screen and for the network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ImageError, SettingsError

#: Percentiles are read from at most this many pixels, taken at a regular stride that meets all channels.
_SAMPLE = 1_000_000
#: Values stretched at a time.
_PART = 1 << 20


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
        """Return the intensities shown as black and white; NaN, infinities and masked pixels are left out."""
        real = _real(pixels)
        values = real.reshape(-1)[:: _step(real.shape)].astype(np.float64)
        values = values[np.isfinite(values)]
        if values.size == 0:
            return 0.0, 1.0
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = np.percentile(values, [self.low, self.high])
        if not high > low:
            # A sparse image (few bright pixels on a flat ground) must not turn black.
            whole = real[np.isfinite(real)]
            low, high = (whole.min(), whole.max()) if whole.size else (0.0, 1.0)
        return float(low), float(high)

    def stretch(self, pixels: NDArray[np.generic], window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
        """Map intensities of any real dtype, also lazy ones, to uint8 of the same shape.

        ``window`` are the intensities of black and white, by default those of ``pixels``: pass that of a plane to
        stretch a part of it. A constant image becomes 0. NaN and masked pixels become 0, +inf 255 and -inf 0. Raises
        ImageError for anything but real numbers.
        """
        plain = pixels if isinstance(pixels, np.ndarray) else np.asarray(pixels)
        low, high = self.window(plain) if window is None else window
        out = np.zeros(plain.shape, np.uint8)
        if high <= low:
            return out
        # A few rows at a time: the floats of a whole plane would take many times its own memory.
        rows = max(1, _PART // max(1, math.prod(plain.shape[1:])))
        given, made = (plain, out) if plain.ndim else (plain.reshape(1), out.reshape(1))
        for start in range(0, len(given), rows):
            _scale(given[start : start + rows], low, high, made[start : start + rows])
        return out


def _scale(pixels: NDArray[np.generic], low: float, high: float, out: NDArray[np.uint8]) -> None:
    """Write the stretched pixels to ``out``. Every pixel by itself: a part becomes what it is in the whole."""
    real = _real(pixels)
    # Wider types may hold a small range on a large offset, which float32 would round away.
    kind = np.float32 if pixels.dtype.itemsize <= 2 else np.float64
    with np.errstate(over="ignore", invalid="ignore"):
        values: NDArray[np.floating[Any]] = real.astype(kind)
        if math.isfinite(high - low):
            values -= low
            values *= 255.0 / (high - low)
        else:  # a window wider than the largest float
            values = (values / 2 - low / 2) * (255.0 / (high / 2 - low / 2))
    if real.dtype.kind == "f":
        values = np.nan_to_num(values, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    np.rint(values, out=values)
    np.clip(values, 0, 255, out=values)
    out[...] = values


def _step(shape: tuple[int, ...]) -> int:
    """Return the stride of the sample; sharing no factor with the last two axes it meets every channel."""
    step = max(1, math.prod(shape) // _SAMPLE)
    while math.gcd(step, math.prod(shape[-2:])) > 1:
        step += 1
    return step


def _real(pixels: Any) -> NDArray[np.generic]:
    """Return the pixels as a plain array of real numbers, with NaN where they are masked."""
    if isinstance(pixels, np.ma.MaskedArray):
        whole = pixels.dtype.kind in "bui" and pixels.dtype.itemsize > 2
        kind = np.float64 if whole or pixels.dtype.itemsize > 4 else np.float32
        return np.ma.filled(pixels.astype(kind), np.nan) if np.ma.is_masked(pixels) else np.asarray(pixels.data)
    out = np.asarray(pixels)
    if out.dtype.kind not in "buif":
        raise ImageError(
            f"Pixels of type {out.dtype} have no contrast.", "Convert them to a real number type such as uint8."
        )
    return out
