"""Targets of the instance decoder: foreground and two normalised distances per object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import find_boundaries


def distance_targets(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return float32 (3, y, x): foreground, distance to the object's centre, inverted distance to its boundary.

    Both distances are divided by their maximum per object and are 1 in the background (Archit et al., 2025).
    The centre is the centroid, or the deepest pixel where the centroid lies outside the object.
    """
    _, dense = np.unique(labels, return_inverse=True)
    flat = dense.reshape(labels.shape).astype(np.int64)
    if not (labels == 0).any():
        flat = flat + 1
    out = np.ones((3, *labels.shape), np.float32)
    out[0] = flat > 0
    count = int(flat.max())
    if count == 0:
        return out
    inside = flat > 0
    border = find_boundaries(flat, mode="inner")
    # One pixel of padding makes the image edge a boundary, as for an object that the image cuts.
    depth = ndimage.distance_transform_edt(np.pad(inside & ~border, 1))[1:-1, 1:-1]
    ids = np.arange(1, count + 1)
    deepest = np.maximum(ndimage.maximum(depth, flat, ids), 1.0)
    centres = np.asarray(ndimage.center_of_mass(inside, flat, ids)).reshape(-1, 2)
    rows, cols = np.rint(centres).astype(int).T
    lost = flat[rows, cols] != ids
    if lost.any():
        centres[lost] = np.asarray(ndimage.maximum_position(depth, flat, ids[lost])).reshape(-1, 2)
    yy, xx = np.nonzero(inside)
    own = flat[inside] - 1
    reach = np.hypot(yy - centres[own, 0], xx - centres[own, 1])
    furthest = np.maximum(ndimage.maximum(reach, own + 1, ids), 1.0)
    out[1][inside] = reach / furthest[own]
    out[2][inside] = 1.0 - depth[inside] / deepest[own]
    return out
