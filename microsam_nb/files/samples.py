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
