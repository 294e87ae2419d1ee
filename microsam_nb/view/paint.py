"""Pictures as the browser gets them."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from .palette import RIM

#: Pictures of up to this many pixels travel without loss; JPEG's blocks would pass for noise of the data.
LOSSLESS = 2**20

#: Opacity of the dark rim around lines, of 255.
SHADE = 150


@dataclass(frozen=True, slots=True)
class Patch:
    """An encoded picture and where it belongs: row and column of its corner, height and width, in pixels.

    One without ``data`` is clear.
    """

    row: int
    column: int
    height: int
    width: int
    data: bytes


def encode_image(pixels: NDArray[np.uint8], row: int = 0, column: int = 0, *, lossless: bool | None = None) -> Patch:
    """Encode uint8 (y, x) or (y, x, 3) as PNG or as JPEG of quality 90; left open, a million pixels are lossless."""
    height, width = pixels.shape[:2]
    if pixels.dtype != np.uint8:
        raise TypeError(f"Pictures are uint8, not {pixels.dtype}; stretch their contrast first.")
    if not height or not width:
        return Patch(row, column, height, width, b"")
    picture = Picture.fromarray(np.ascontiguousarray(pixels))
    out = io.BytesIO()
    if height * width <= LOSSLESS if lossless is None else lossless:
        picture.save(out, "PNG", compress_level=1)
    else:
        picture.save(out, "JPEG", quality=90, subsampling=0)
    return Patch(row, column, height, width, out.getvalue())


def encode_overlay(pixels: NDArray[np.uint8], row: int = 0, column: int = 0) -> Patch:
    """Encode RGBA uint8 (y, x, 4) as PNG; where all of it is clear the patch is a clear one."""
    height, width = pixels.shape[:2]
    out = io.BytesIO()
    if pixels[..., 3].any():
        Picture.fromarray(pixels).save(out, "PNG", compress_level=1)
    return Patch(row, column, height, width, out.getvalue())


def encode_entries(crop: NDArray[np.uint8], table: NDArray[np.uint8], row: int = 0, column: int = 0) -> Patch:
    """Encode palette entries (y, x) as a palette PNG with exact colours: 0 is clear, the rim half dark.

    ``table``: RGB colours, uint8 (256, 3). Without any entry but 0 the patch is a clear one.
    """
    height, width = crop.shape
    most = int(crop.max(initial=0))
    if not most:
        return Patch(row, column, height, width, b"")
    indexed = Picture.frombytes("P", (width, height), np.ascontiguousarray(crop).tobytes())
    indexed.putpalette(table[: most + 1].tobytes())
    # What is opaque at the end of the table need not be said.
    opacity = bytes([0]) + (bytes([255] * (RIM - 1) + [SHADE]) if most == RIM else b"")
    out = io.BytesIO()
    indexed.save(out, "PNG", compress_level=1, transparency=opacity)
    return Patch(row, column, height, width, out.getvalue())
