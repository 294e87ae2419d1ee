"""Colours of objects: told apart by people with any colour vision, neighbours in number never alike."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

#: Okabe and Ito's eight hues (2008) without black, and a light blue in place of grey.
_BASE = np.array(
    [
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
        (136, 204, 238),
    ],
    np.float64,
)
#: Each round through the hues is lighter or darker than the one before.
_SHADES = (0.0, 0.35, -0.3, 0.55, -0.15, 0.2)

#: The object being worked on, and the borders of prompts.
PROPOSAL = (255, 255, 0)
POSITIVE = (0, 230, 64)
NEGATIVE = (255, 48, 48)


@cache
def palette() -> NDArray[np.uint8]:
    """Return 256 RGB colours, uint8 (256, 3); entry 0 is black and stands for the background."""
    out = np.zeros((256, 3), np.uint8)
    for index in range(1, 256):
        base = _BASE[(index - 1) % len(_BASE)]
        shade = _SHADES[(index - 1) // len(_BASE) % len(_SHADES)]
        target = 255.0 if shade > 0 else 0.0
        out[index] = np.rint(base + (target - base) * abs(shade))
    out.flags.writeable = False
    return out


def entries(labels: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return the palette entry of every pixel: 0 for background, ids 256, 511, ... begin again at 1."""
    return np.where(labels == 0, 0, (labels - np.uint32(1)) % np.uint32(255) + np.uint32(1)).astype(np.uint8)


def colour_of(label: int) -> tuple[int, int, int]:
    """Return the RGB colour of an object."""
    red, green, blue = (int(v) for v in palette()[(label - 1) % 255 + 1])
    return red, green, blue
