"""Pixels and outlines as the browser gets them."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from skimage.measure import approximate_polygon, find_contours

from ..core import Box, Mask
from .palette import entries, palette

#: Largest side of a picture kept in the browser; larger planes are shown at a fraction of their size.
LARGEST = 4096
#: Pictures of up to this many pixels travel without loss; JPEG's blocks would pass for noise of the data.
LOSSLESS = 2**20


@dataclass(frozen=True, slots=True)
class Patch:
    """An encoded picture and where it belongs: row and column of its corner, height and width, in pixels."""

    row: int
    column: int
    height: int
    width: int
    data: bytes


def shrinkage(shape: tuple[int, int]) -> int:
    """Return by which whole number a plane is divided for the browser."""
    return max(1, -(-max(shape) // LARGEST))


def encode_image(pixels: NDArray[np.uint8], shrink: int = 1) -> Patch:
    """Encode uint8 (y, x) or (y, x, 3): up to a million pixels without loss as PNG, else as JPEG of quality 90."""
    picture = Picture.fromarray(np.ascontiguousarray(pixels))
    if shrink > 1:
        picture = picture.reduce(shrink)
    out = io.BytesIO()
    if picture.width * picture.height <= LOSSLESS:
        picture.save(out, "PNG", compress_level=1)
    else:
        picture.save(out, "JPEG", quality=90, subsampling=0)
    return Patch(0, 0, picture.height, picture.width, out.getvalue())


def label_patch(plane: NDArray[np.uint32], where: Box, shrink: int = 1) -> Patch:
    """Encode the part ``where`` of a label plane (y, x) as a palette PNG with exact colours, background clear."""
    (_, y0, x0), (_, y1, x1) = where.start, where.stop
    y0, x0 = y0 // shrink * shrink, x0 // shrink * shrink
    crop = entries(plane[y0:y1:shrink, x0:x1:shrink])
    return _patch(y0 // shrink, x0 // shrink, crop, palette())


def mask_patch(mask: Mask, colour: tuple[int, int, int], shrink: int = 1) -> Patch:
    """Encode a mask of one plane as a palette PNG of one colour."""
    _, y0, x0 = mask.start
    bitmap = mask.bitmap[0]
    # Reduced pixels sit on the plane's own grid, like those of the labels.
    top, left = -y0 % shrink, -x0 % shrink
    if bitmap[top::shrink, left::shrink].size == 0:
        top = left = 0
    crop = bitmap[top::shrink, left::shrink].astype(np.uint8)
    table = np.zeros((2, 3), np.uint8)
    table[1] = colour
    return _patch((y0 + top) // shrink, (x0 + left) // shrink, crop, table)


def outline(mask: Mask) -> list[NDArray[np.float32]]:
    """Return the closed contours of a mask of one plane as float32 (n, 2) of image (y, x), simplified to 0.3 pixels."""
    if not mask.area:
        return []
    _, top, left = mask.start
    # Contours run between pixel centres; a ring of background closes those at the edge of the crop.
    rings = find_contours(np.pad(mask.bitmap[0], 1).astype(np.float32), 0.5)
    corner = np.array([top - 0.5, left - 0.5])
    return [(approximate_polygon(r, 0.3) + corner).astype(np.float32) for r in rings]


def _patch(row: int, column: int, crop: NDArray[np.uint8], table: NDArray[np.uint8]) -> Patch:
    height, width = crop.shape
    indexed = Picture.frombytes("P", (width, height), np.ascontiguousarray(crop).tobytes())
    indexed.putpalette(table.tobytes())
    out = io.BytesIO()
    indexed.save(out, "PNG", compress_level=1, transparency=0)
    return Patch(row, column, height, width, out.getvalue())
