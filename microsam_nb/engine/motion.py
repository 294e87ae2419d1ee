"""Where an object of one frame lies in the next: found in the image, near to where it is expected."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from skimage.feature import match_template

from ..core import Image, Mask

#: Surroundings that belong to what is looked for, as a share of the object's diameter, and at least so many pixels.
_AROUND, _LEAST = 0.25, 2
#: How much correlation a place at the end of the reach must have more than one that is expected.
_PENALTY = 0.3


def seen_shift(
    image: Image, mask: Mask, frame: int, expected: tuple[float, float], reach: float
) -> tuple[float, float]:
    """Return how far (y, x) an object has moved from the frame of ``mask`` to another ``frame``, in pixels.

    Its surroundings are looked for by normalised cross-correlation (Lewis, Vision Interface 1995), ``reach`` diameters
    around the ``expected`` shift, farther away less readily. Without contrast the expected shift is returned.
    """
    diameter = math.sqrt(mask.area * 4 / math.pi)
    around, far = max(_LEAST, round(_AROUND * diameter)), max(1, round(reach * diameter))
    before, top, left = mask.start
    height, width = mask.bitmap.shape[1:]
    y0, x0 = max(0, top - around), max(0, left - around)
    y1, x1 = min(image.shape[1], top + height + around), min(image.shape[2], left + width + around)
    template = _grey(image, before, (y0, x0, y1, x1))
    # Where the corner of the template is looked for.
    dy, dx = round(expected[0]), round(expected[1])
    a, b = max(0, y0 + dy - far), max(0, x0 + dx - far)
    c, d = min(image.shape[1], y1 + dy + far), min(image.shape[2], x1 + dx + far)
    if c - a < y1 - y0 or d - b < x1 - x0 or template.std() == 0:
        return expected
    found = match_template(_grey(image, frame, (a, b, c, d)), template)
    ys = np.arange(found.shape[0])[:, None] + a - y0 - expected[0]
    xs = np.arange(found.shape[1])[None] + b - x0 - expected[1]
    scored = found - _PENALTY * (ys**2 + xs**2) / far**2
    if not np.isfinite(scored).all():
        return expected
    y, x = np.unravel_index(int(scored.argmax()), scored.shape)
    return float(y + a - y0), float(x + b - x0)


def _grey(image: Image, frame: int, where: tuple[int, int, int, int]) -> NDArray[np.float64]:
    pixels = np.ma.filled(image.region(frame, *where), 0).astype(np.float64)
    pixels = pixels.mean(2) if pixels.ndim == 3 else pixels
    return np.nan_to_num(pixels, posinf=0.0, neginf=0.0)
