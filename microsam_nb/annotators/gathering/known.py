"""What is known of an image of which only some objects are labelled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: Width of what is known around an object, as a share of its diameter, and its bounds in pixels.
_RIM, _LEAST, _MOST = 0.25, 2, 32


def known_around(labels: NDArray[np.integer], part: tuple[slice, slice]) -> NDArray[np.bool_]:
    """Return which pixels of a part of labels (y, x) are known where somebody labelled some of the objects: bool.

    These are the objects, and a rim of a quarter of the diameter around each: about as much background as object. Who
    labels an object sees where it ends; a wider rim would call neighbours background that are not labelled yet.
    """
    # What lies beside the part has a rim in it.
    wide = tuple(slice(max(0, one.start - _MOST), one.stop + _MOST) for one in part)
    inner = tuple(slice(one.start - own.start, one.stop - own.start) for one, own in zip(part, wide, strict=True))
    around = labels[wide]
    ids, dense = np.unique(around, return_inverse=True)
    dense = dense.reshape(around.shape)
    if not ids.any():
        return np.zeros(around[inner].shape, bool)
    widths = np.clip(_RIM * np.sqrt(4 / np.pi * np.bincount(dense.ravel())), _LEAST, _MOST)
    away, nearest = ndimage.distance_transform_edt(around == 0, return_indices=True)
    found: NDArray[np.bool_] = away <= widths[dense[tuple(nearest)]]
    return np.ascontiguousarray(found[inner])
