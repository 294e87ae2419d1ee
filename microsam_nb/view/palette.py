"""Colours of objects: told apart by people with any colour vision, neighbours in number never alike."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

#: Blue, green and lime come first: they stand out from brown, pink and purple stains as from grey. None is so dark
#: that its outline is lost on a black ground. Neighbours differ in lightness, or between blue and yellow, which
#: nearly everybody sees. Yellow itself is left to the proposal.
_BASE = np.array(
    [
        (0, 190, 255),
        (0, 195, 105),
        (180, 240, 60),
        (70, 115, 255),
        (255, 155, 215),
        (255, 105, 25),
        (130, 245, 220),
        (175, 90, 255),
    ],
    np.float64,
)
#: Each round through the hues is lighter or darker than the one before.
_SHADES = (0.0, 0.3, -0.3, 0.5, -0.15, 0.15)

#: Colours of objects in the palette; two entries after them draw lines.
COLOURS = 253
#: Entries of the palette: the line around picked objects, and the dark rim that sets lines off from a bright image.
MARK, RIM = 254, 255

#: The object being worked on, and the borders of prompts.
PROPOSAL = (255, 255, 0)
POSITIVE = (0, 230, 64)
NEGATIVE = (255, 48, 48)


@cache
def palette() -> NDArray[np.uint8]:
    """Return 256 RGB colours, uint8 (256, 3); entry 0 is black and stands for the background."""
    out = np.zeros((256, 3), np.uint8)
    for index in range(1, COLOURS + 1):
        base = _BASE[(index - 1) % len(_BASE)]
        shade = _SHADES[(index - 1) // len(_BASE) % len(_SHADES)]
        target = 255.0 if shade > 0 else 0.0
        out[index] = np.rint(base + (target - base) * abs(shade))
    out[MARK] = 255
    out.flags.writeable = False
    return out


@cache
def single(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return a palette in which all objects have one colour, uint8 (256, 3)."""
    out = palette().copy()
    out[1 : COLOURS + 1] = colour
    out.flags.writeable = False
    return out


@cache
def listed(colours: tuple[tuple[int, int, int], ...]) -> NDArray[np.uint8]:
    """Return a palette whose first entries have some colours, the last of which all others have, uint8 (256, 3)."""
    out = palette().copy()
    out[1 : COLOURS + 1] = colours[-1]
    out[1 : len(colours) + 1] = colours
    out.flags.writeable = False
    return out


def entries(labels: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return the palette entry of every pixel: 0 for background, ids 254, 507, ... begin again at 1."""
    if labels.size and labels.max() <= COLOURS:
        return labels.astype(np.uint8)
    return np.where(labels == 0, 0, (labels - np.uint32(1)) % np.uint32(COLOURS) + np.uint32(1)).astype(np.uint8)


def colour_of(label: int) -> tuple[int, int, int]:
    """Return the RGB colour of an object."""
    red, green, blue = (int(v) for v in palette()[(label - 1) % COLOURS + 1])
    return red, green, blue
