"""Bundled sample images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def tissue() -> NDArray[np.uint8]:
    """Return a stained tissue section, uint8 (256, 320, 3): a crop of an image that scikit-image ships.

    Colon gland among connective tissue, immunohistochemistry with haematoxylin counterstain: nuclei are blue.
    Released to the public domain (CC0) by the Human Protein Atlas's authors, see scikit-image's data README.
    """
    from skimage.data import immunohistochemistry

    return np.ascontiguousarray(immunohistochemistry()[256:512, 150:470])
