"""From intensities to a picture: every channel has a window of intensities and a colour, and the colours add up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import Contrast

#: Colours of channels, in order: pairs and triples of the first ones can be told apart by everybody.
COLOURS = ("#ff00ff", "#00ff00", "#00ffff", "#ffff00", "#ff8000", "#0080ff", "#ff0000", "#ffffff")

_STRETCH = Contrast().stretch


@dataclass(frozen=True, slots=True)
class Stain:
    """How one channel is shown: which one, the intensities of black and white, and the RGB colour of white."""

    channel: int
    low: float
    high: float
    colour: tuple[int, int, int] = (255, 255, 255)


def compose(pixels: NDArray[np.generic], stains: Sequence[Stain]) -> NDArray[np.uint8]:
    """Return a picture of pixels (y, x) or (y, x, c) of any real dtype: uint8 (y, x) where it is grey, or (y, x, 3).

    A single white stain is grey; several add up, and what is brighter than white stays white. None at all is black.
    """
    stacked = pixels if pixels.ndim == 3 else pixels[..., None]
    if not stains:
        return np.zeros(pixels.shape[:2], np.uint8)
    if len(stains) == 1 and set(stains[0].colour) == {255}:
        return _STRETCH(stacked[..., stains[0].channel], (stains[0].low, stains[0].high))
    out = np.zeros((*pixels.shape[:2], 3), np.uint8)
    for stain in stains:
        values = _STRETCH(stacked[..., stain.channel], (stain.low, stain.high))
        for component, full in enumerate(stain.colour):
            if not full:
                continue
            more = values if full == 255 else np.rint(np.arange(256) * (full / 255)).astype(np.uint8)[values]
            _add(out[..., component], more)
    return out


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Return the RGB of "#rrggbb". Raises ValueError with the remedy for anything else."""
    try:
        if len(colour) != 7 or colour[0] != "#":
            raise ValueError(colour)
        return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
    except ValueError:
        raise ValueError(f"{colour!r} is no colour; give it as '#rrggbb', for example '#ff00ff'.") from None


def within(low: float | None, high: float | None, own: tuple[float, float]) -> tuple[float, float]:
    """Return a window of intensities, with ``own`` where the user chose none or no number."""
    low = own[0] if low is None or not math.isfinite(low) else float(low)
    return low, own[1] if high is None or not math.isfinite(high) else float(high)


def _add(total: NDArray[np.uint8], more: NDArray[np.uint8]) -> None:
    """Add in place, up to 255."""
    room = np.uint8(255) - total
    np.add(total, np.minimum(more, room), out=total)
