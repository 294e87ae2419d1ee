"""Bundled sample images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def tissue() -> NDArray[np.uint8]:
    """Return a stained tissue section, uint8 (256, 320, 3): a crop of an image that scikit-image ships.

    Colon gland among connective tissue: FHL2 in brown (DAB), nuclei in blue (haematoxylin). Acquired at the Center for
    Microscopy and Molecular Imaging (CMMI); scikit-image gives it with "No known copyright restrictions".
    """
    from skimage.data import immunohistochemistry

    return np.ascontiguousarray(immunohistochemistry()[256:512, 150:470])


def nuclei() -> NDArray[np.uint8]:
    """Return a drawn volume of 26 nuclei, uint8 (z, y, x) = (24, 160, 160), for voxels of 2 x 0.5 x 0.5 um.

    Textured ellipsoids, blurred along z most, with noise: the same every time.
    """
    from scipy import ndimage

    random = np.random.default_rng(7)
    shape, voxel = (24, 160, 160), np.array((2.0, 0.5, 0.5))
    volume = np.zeros(shape)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) * voxel
    middles: list[NDArray[np.float64]] = []
    while len(middles) < 26:
        middle = random.uniform((8, 7, 7), (40, 73, 73))
        if all(np.linalg.norm(middle - other) > 12.5 for other in middles):
            middles.append(middle)
    for middle in middles:
        turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
        away = ((grid - middle) @ turn) / random.uniform(4.5, 6.5, 3)
        volume[(away**2).sum(-1) < 1] = random.uniform(0.6, 1.0)
    texture = ndimage.gaussian_filter(random.normal(size=shape), (0.5, 2, 2))
    volume *= 1 + 0.25 * texture / texture.std()
    volume = ndimage.gaussian_filter(volume, (0.8, 1.2, 1.2))
    noisy: NDArray[np.float64] = 25 + 170 * volume + random.normal(0, 6, shape)
    return noisy.clip(0, 255).astype(np.uint8)
