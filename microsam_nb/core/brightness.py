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


def brightness(
    dense: Whole, image: NDArray[np.generic], rim: NDArray[np.bool_], cracks: Whole
) -> tuple[dict[str, Floats], Floats]:
    """Measure the objects 1 to n of a plane (h, w) by its intensities; of each trait (n), nan where there is none.

    Returned too: the level of each crack, from 0, as bright as the inside, to 1, as the outline on the whole.
    ``rim``: pixels beside another object or background; ``cracks``: the sides of pixels there, (n, 3) as own number,
    other number and place of the own pixel.

    contrast: inside less surroundings, in standard deviations of the plane. dark_inside: share that is more like the
    background; bright_outside: share of the surroundings that is more like the object. weak_edge: gradient along the
    fifth of the outline where it is lowest, and inner_edge where it is highest inside, as logarithms of the ratio to
    the mean along the outline. open: share of the outline at a level below 0.25; wall: share of the inside above 0.75.
    """
    pixels = _finite(image)
    light = ndimage.gaussian_filter(pixels, 1.0)
    deep = np.where(ndimage.distance_transform_edt(~rim) > _DEEP, dense, 0)
    count = int(dense.max(initial=0))
    found = _inside_and_around(dense, light, count, float(pixels.std()) or 1.0)
    own, _, where = cracks.T
    slope = ndimage.gaussian_gradient_magnitude(pixels, 1.0)
    # Where nothing changes the logarithm still is a number.
    slope += 1e-6 * (float(slope.max(initial=0)) or 1.0)
    steep = slope.reshape(-1)[where]
    edge = _mean(steep, own, count)
    found["weak_edge"] = np.log(_quantile(steep, own, count, 0.2) / edge)
    found["inner_edge"] = np.log(_quantile(slope[deep > 0], deep[deep > 0], count, 0.9) / edge)
    on, inner = light.reshape(-1)[where], light[deep > 0]
    within = _mean(light, deep, count)
    outline = _mean(on, own, count)
    on, inner = _between(on, own, within, outline), _between(inner, deep[deep > 0], within, outline)
    found["open"] = _share(on, on < 0.25, own, count)
    found["wall"] = _share(inner, inner > 0.75, deep[deep > 0], count)
    return found, np.clip(on, -1, 2)


def _inside_and_around(dense: Whole, light: Floats, count: int, spread: float) -> dict[str, Floats]:
    """Compare objects with their surroundings, and with the background of the plane."""
    ground = dense == 0
    ring, far = np.zeros_like(dense), ground
    if ground.any():
        distance, place = ndimage.distance_transform_edt(ground, return_indices=True)
        ring = np.where(ground & (distance <= _RING), dense[tuple(place)], 0)
        far = ground & (distance > _RING)
        far = far if far.any() else ground
    level = np.full(count, np.median(light[far]) if far.any() else np.nan)
    mean = _mean(light, dense, count)
    alike = _between(light, np.maximum(dense, ring), level, mean)
    return {
        "contrast": np.abs(mean - _mean(light, ring, count)) / spread,
        "dark_inside": _share(alike, alike < 0.5, dense, count),
        "bright_outside": _share(alike, alike > 0.5, ring, count),
    }


def _between(values: Floats, own: Whole, low: Floats, high: Floats) -> Floats:
    """Return where each value is between two levels of its object: 0 at ``low``, 1 at ``high``, nan for background."""
    low, high = np.append(np.nan, low), np.append(np.nan, high)
    with np.errstate(invalid="ignore", divide="ignore"):
        out: Floats = (values - low[own]) / (high - low)[own]
    return out


def _finite(image: NDArray[np.generic]) -> Floats:
    """Return intensities without those that are missing: these are like the middle one."""
    if image.dtype.kind in "bui" and not isinstance(image, np.ma.MaskedArray):
        return image.astype(np.float64)
    pixels = np.ma.filled(np.ma.asarray(image).astype(np.float64), np.nan)
    there = np.isfinite(pixels)
    return np.where(there, pixels, np.median(pixels[there]) if there.any() else 0.0)


def _share(values: Floats, chosen: NDArray[np.bool_], own: Whole, count: int) -> Floats:
    """Return the share of each object's finite values that are ``chosen``, nan without any."""
    return _mean(np.where(np.isfinite(values), chosen, np.nan), own, count)


def _mean(values: Floats, own: Whole, count: int) -> Floats:
    """Return the mean of each object's finite values, nan without any."""
    there = np.isfinite(values)
    number = np.bincount(own[there], minlength=count + 1)[1:]
    total = np.bincount(own[there], values[there], count + 1)[1:]
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _quantile(values: Floats, own: Whole, count: int, share: float) -> Floats:
    """Return a quantile of each object's values, nan without any."""
    order = np.lexsort((values, own))
    number = np.bincount(own, minlength=count + 1)
    first = np.cumsum(number) - number
    at = np.minimum(first + (share * number).astype(np.int64), max(0, len(values) - 1))[1:]
    found = values[order][at] if len(values) else np.zeros(count)
    return np.where(number[1:] > 0, found, np.nan)
