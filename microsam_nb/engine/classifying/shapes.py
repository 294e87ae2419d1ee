"""Size, shape and brightness of the objects of a part of a plane, all measured together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...core.shapes import ellipses, find_corners, find_cracks, hull

#: As scikit-image defines them; pixels count as squares.
SHAPE = ("area", "axis_major_length", "axis_minor_length", "eccentricity", "solidity")
BRIGHT = ("intensity_mean", "intensity_std", "intensity_min", "intensity_max")


def shape_names(channels: int) -> tuple[str, ...]:
    """Return the names of the columns of ``measure`` for an image of so many channels, 0 for one without an axis."""
    ends = [f"_{channel}" for channel in range(channels)] or [""]
    return (*SHAPE, *(f"{name}{end}" for end in ends for name in BRIGHT))


def measure(dense: NDArray[np.int64], pixels: NDArray[np.generic], count: int) -> NDArray[np.float64]:
    """Return the shapes and intensities of objects 1 to ``count`` of (h, w), (count, features).

    ``pixels`` (h, w) or (h, w, c); intensities that are masked or not finite do not count. Where an object has none,
    its brightness is nan, as everything is of a number without pixels.
    """
    area = np.bincount(dense.reshape(-1), minlength=count + 1)[1:].astype(np.float64)
    # No object touches the border of a padded part.
    padded = np.pad(dense, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        long, short = ellipses(padded, area)
        eccentricity = np.sqrt(np.maximum(0.0, 1 - (short / long) ** 2))
    columns = [area, 4 * long, 4 * short, eccentricity, _solidity(padded, area)]
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    for channel in range(planes.shape[2]):
        columns += _brightness(dense, planes[..., channel], count)
    out = np.stack(columns, 1)
    out[area == 0] = np.nan
    return out


def _solidity(padded: NDArray[np.int64], area: NDArray[np.float64]) -> NDArray[np.float64]:
    rim = np.zeros(padded.shape, bool)
    rim.reshape(-1)[find_cracks(padded)[:, 2]] = True
    corners = find_corners(padded, rim, len(area))
    hulls = np.array([hull(points, padded.shape)[0] if len(points) else np.nan for points in corners])
    solid: NDArray[np.float64] = np.minimum(1.0, area / hulls)
    return solid


def _brightness(dense: NDArray[np.int64], pixels: NDArray[np.generic], count: int) -> list[NDArray[np.float64]]:
    values = np.ma.filled(pixels.astype(np.float64), np.nan)
    known = np.isfinite(values) & (dense > 0)
    own, inside = dense[known], values[known]
    with np.errstate(invalid="ignore", divide="ignore"):
        number = np.bincount(own, minlength=count + 1)[1:].astype(np.float64)
        mean = np.bincount(own, inside, count + 1)[1:] / number
        spread = np.bincount(own, (inside - np.append(0, mean)[own]) ** 2, count + 1)[1:] / number
    index = np.arange(1, count + 1)
    low, high = (np.full(count, np.nan) for _ in range(2))
    there = number > 0
    if there.any():
        low[there] = ndimage.minimum(inside, own, index[there])
        high[there] = ndimage.maximum(inside, own, index[there])
    return [mean, np.sqrt(spread), low, high]
