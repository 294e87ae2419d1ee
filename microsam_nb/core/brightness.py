"""How bright objects are inside, along their outlines and around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

#: Pixels of background so near to an object are its surroundings.
_RING = 3.0
#: Pixels so deep inside an object are not of its outline.
_DEEP = 2.0


def brightness(dense: Whole, image: NDArray[np.generic], rim: NDArray[np.bool_], cracks: Whole) -> dict[str, Floats]:
    """Measure the objects 1 to n of a plane (h, w) by its intensities; of each trait (n), nan where there is none.

    ``rim``: pixels beside another object or background; ``cracks``: the sides of pixels there, (n, 3) as own number,
    other number and place of the own pixel.

    contrast: inside less surroundings, in standard deviations of the plane. weak_edge: gradient along the fifth of the
    outline where it is lowest, and inner_edge where it is highest inside, as logarithms of the ratio to the mean along
    the outline. dark_inside: share that is more like the background; bright_outside: share of the surroundings that is
    more like the object.
    """
    pixels = _finite(image)
    count = int(dense.max(initial=0))
    slope = ndimage.gaussian_gradient_magnitude(pixels, 1.0)
    # Where nothing changes the logarithm still is a number.
    slope += 1e-6 * (float(slope.max(initial=0)) or 1.0)
    light = ndimage.gaussian_filter(pixels, 1.0)
    ground = dense == 0
    ring, far = np.zeros_like(dense), ground
    if ground.any():
        distance, place = ndimage.distance_transform_edt(ground, return_indices=True)
        ring = np.where(ground & (distance <= _RING), dense[tuple(place)], 0)
        far = ground & (distance > _RING)
        far = far if far.any() else ground
    level = float(np.median(light[far])) if far.any() else np.nan
    mean = _mean(light, dense, count)
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = (light - level) / np.append(np.nan, mean - level)[np.maximum(dense, ring)]
    own, _, where = cracks.T
    values = slope.reshape(-1)[where]
    edge = _mean(values, own, count)
    deep = np.where(ndimage.distance_transform_edt(~rim) > _DEEP, dense, 0)
    clear = np.isfinite(alike)
    return {
        "contrast": np.abs(mean - _mean(light, ring, count)) / (float(pixels.std()) or 1.0),
        "weak_edge": np.log(_quantile(values, own, count, 0.2) / edge),
        "inner_edge": np.log(_quantile(slope[deep > 0], deep[deep > 0], count, 0.9) / edge),
        "dark_inside": _mean((alike < 0.5).astype(float), np.where(clear, dense, 0), count),
        "bright_outside": _mean((alike > 0.5).astype(float), np.where(clear, ring, 0), count),
    }


def _finite(image: NDArray[np.generic]) -> Floats:
    """Return intensities without those that are missing: these are like the middle one."""
    pixels = np.ma.filled(np.ma.asarray(image).astype(np.float64), np.nan)
    there = np.isfinite(pixels)
    return np.where(there, pixels, np.median(pixels[there]) if there.any() else 0.0)


def _mean(values: Floats, own: Whole, count: int) -> Floats:
    """Return the mean of each object, nan without any value."""
    flat = own.reshape(-1)
    number = np.bincount(flat, minlength=count + 1)[1:]
    total = np.bincount(flat, values.reshape(-1), count + 1)[1:]
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _quantile(values: Floats, own: Whole, count: int, share: float) -> Floats:
    """Return a quantile of each object's values, nan without any."""
    order = np.lexsort((values, own))
    number = np.bincount(own, minlength=count + 1)
    first = np.cumsum(number) - number
    at = np.minimum(first + (share * number).astype(np.int64), max(0, len(values) - 1))[1:]
    found = values[order][at] if len(values) else np.zeros(count)
    return np.where(number[1:] > 0, found, np.nan)
