"""How an object stands out from its surroundings, as a memory of what it looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core import Image, Mask

#: Below this many standard deviations of the pixels a difference in brightness says nothing about an object.
_CLEAR = 1.0
#: Surroundings reach so far, as a share of the object's diameter, and at least so many pixels.
_REACH, _LEAST = 0.25, 3


@dataclass(frozen=True, slots=True)
class Appearance:
    """``difference``: mean intensity inside minus that around it; ``spread``: standard deviation of either."""

    difference: float
    spread: float

    @property
    def clear(self) -> bool:
        """Whether the object is brighter or darker than its surroundings beyond doubt."""
        return abs(self.difference) > _CLEAR * self.spread

    def share(self, reference: Appearance) -> float:
        """Return the difference as a share of another; negative where bright became dark."""
        return self.difference / reference.difference


def appearance(image: Image, mask: Mask) -> Appearance:
    """Return how a mask of one plane stands out in the image's own intensities; of colours the mean counts."""
    plane, top, left = mask.start
    height, width = mask.bitmap.shape[1:]
    reach = max(_LEAST, round(_REACH * float(np.sqrt(mask.area * 4 / np.pi))))
    y0, x0 = max(0, top - reach), max(0, left - reach)
    y1, x1 = min(image.shape[1], top + height + reach), min(image.shape[2], left + width + reach)
    pixels = np.ma.filled(image.region(plane, y0, x0, y1, x1), 0).astype(np.float64)
    if pixels.ndim == 3:
        pixels = pixels.mean(2)
    inside = np.zeros(pixels.shape, bool)
    inside[top - y0 : top - y0 + height, left - x0 : left - x0 + width] = mask.bitmap[0]
    # The rim itself is blurred.
    near = ndimage.binary_dilation(inside)
    around = ndimage.binary_dilation(near, iterations=max(1, reach - 1)) & ~near
    ours, theirs = _finite(pixels[inside]), _finite(pixels[around])
    if not (len(ours) and len(theirs)):
        return Appearance(0.0, 1.0)
    spread = float(np.sqrt((ours.var() + theirs.var()) / 2))
    return Appearance(float(ours.mean() - theirs.mean()), spread)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]
