"""Outlines of what is true and of what was found, on a crop: how good a segmentation is, at a glance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from .edges import Pen, edge_entries
from .paint import encode_image

#: Colours of outlines; people with any colour vision tell them apart.
TRUE, FOUND = (255, 210, 0), (0, 190, 255)
#: Pixels along the longer side that a picture has at least, so that lines are thin beside small objects.
_SIDE = 480
_PEN = Pen(width=2)
#: Share of the brightness around the lines that is kept, so that they stand out from bright images.
_DIMMED = 0.85


def compared(image: NDArray[np.uint8], truth: NDArray[np.int32], found: NDArray[np.int32]) -> bytes:
    """Return a JPEG of a crop, uint8 (y, x) or (y, x, 3), with the outlines of two label images, int32 (y, x).

    What was found lies on top: where the outline of the truth is seen, something is missed or another shape.
    """
    scale = max(1, -(-_SIDE // max(truth.shape)))
    size = truth.shape[1] * scale, truth.shape[0] * scale
    picture = Picture.fromarray(image).convert("RGB").resize(size, Picture.Resampling.BICUBIC)
    pixels = np.asarray(picture, np.float32) * _DIMMED
    for labels, colour in ((truth, TRUE), (found, FOUND)):
        large = labels.repeat(scale, 0).repeat(scale, 1).astype(np.uint32)
        pixels[edge_entries(large, _PEN) > 0] = colour
    return encode_image(pixels.astype(np.uint8), lossless=False).data
