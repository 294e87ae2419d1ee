"""Numbers of objects on a raster: from the committed labels, and from masks that may overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..core import Box, Mask
from .palette import COLOURS
from .raster import Raster


def label_ids(
    plane: NDArray[np.uint32], raster: Raster, hidden: int = 0, start: tuple[int, int] | None = None
) -> NDArray[np.uint32]:
    """Return the labels of a plane (y, x) at the pixels of a raster, uint32 (h, w); 0 outside and for ``hidden``.

    Only the pixels that are returned are read. ``plane`` is a part that begins at ``start`` (y, x), or all of it.
    """
    out = np.zeros((raster.height, raster.width), np.uint32)
    y, x = start or (0, 0)
    rows, down = _places(raster.top, raster.bottom, raster.step, y, y + plane.shape[0], clip=start is None)
    columns, across = _places(raster.left, raster.right, raster.step, x, x + plane.shape[1], clip=start is None)
    if not rows.size or not columns.size:
        return out
    if raster.step > 1:
        out[down, across] = plane[np.ix_(rows - y, columns - x)]
    else:
        few = plane[rows[0] - y : rows[-1] + 1 - y, columns[0] - x : columns[-1] + 1 - x]
        times = round(1 / raster.step)
        if times > 1:  # repeating is faster than looking up
            few = few.repeat(times, 1).repeat(times, 0)
        top, left = raster.top + down.start - rows[0] * times, raster.left + across.start - columns[0] * times
        out[down, across] = few[top : top + rows.size, left : left + columns.size]
    if hidden:
        out[out == hidden] = 0
    return out


def keep_narrow(
    out: NDArray[np.uint32],
    plane: NDArray[np.uint32],
    raster: Raster,
    narrow: Iterable[tuple[int, Box]],
    hidden: int = 0,
) -> None:
    """Give objects that fall between the pixels of a coarse raster one pixel of ``out``, where nothing else is.

    ``narrow``: their numbers and boxes in the plane (y, x), of which ``out`` shows the part ``raster``.
    """
    step = int(raster.step)
    for label, box in narrow:
        (_, y0, x0), (_, y1, x1) = box.start, box.stop
        if label == hidden:
            continue
        rows, columns = (_middles(a, b, step, n) for a, b, n in ((y0, y1, plane.shape[0]), (x0, x1, plane.shape[1])))
        if rows.size and columns.size and (plane[np.ix_(rows, columns)] == label).any():
            continue
        pixels = np.argwhere(plane[y0:y1, x0:x1] == label)
        if not len(pixels):
            continue
        row, column = (pixels[len(pixels) // 2] + (y0, x0)) // step - (raster.top, raster.left)
        if 0 <= row < raster.height and 0 <= column < raster.width and not out[row, column]:
            out[row, column] = label


def _middles(start: int, stop: int, step: int, end: int) -> NDArray[np.int64]:
    """Return the image pixels in [start, stop) that a raster of ``step`` shows, of a plane of ``end`` pixels."""
    places = np.minimum(np.arange(start // step, -(-stop // step)) * step + step // 2, end - 1)
    return places[(places >= start) & (places < stop)]


def mask_numbers(masks: Sequence[Mask]) -> list[int]:
    """Return a number for each mask; its colour stays when masks before it go away."""
    places = [(11 * mask.start[1] + 5 * mask.start[2]) % COLOURS for mask in masks]
    return [1 + place + COLOURS * order for order, place in enumerate(places)]


def mask_ids(masks: Sequence[Mask], plane: int, raster: Raster) -> NDArray[np.uint32]:
    """Return which mask covers each pixel of a raster by its number, uint32 (h, w); the last one lies on top.

    Masks too small for the raster keep one pixel.
    """
    out = np.zeros((raster.height, raster.width), np.uint32)
    for number, mask in zip(mask_numbers(masks), masks, strict=True):
        index = plane - mask.start[0]
        if not 0 <= index < mask.bitmap.shape[0] or raster.around(mask.box) is None:
            continue
        _, y, x = mask.start
        bitmap = mask.bitmap[index]
        rows, down = _places(raster.top, raster.bottom, raster.step, y, y + bitmap.shape[0])
        columns, across = _places(raster.left, raster.right, raster.step, x, x + bitmap.shape[1])
        inside = bitmap[np.ix_(rows - y, columns - x)]
        if inside.any():
            out[down, across][inside] = number
        elif raster.step > 1 and bitmap.any():
            first = np.argwhere(bitmap)[0] + (y, x)
            row, column = (first // raster.step).astype(int) - (raster.top, raster.left)
            if 0 <= row < raster.height and 0 <= column < raster.width:
                out[row, column] = number
    return out


def _places(
    first: int, last: int, step: float, start: int, stop: int, *, clip: bool = False
) -> tuple[NDArray[np.int64], slice]:
    """Return the image pixels within [start, stop) that raster pixels first..last show, and which ones have one.

    A raster pixel of several image pixels shows the one in its middle; with ``clip``, at the end the last one.
    """
    grid = np.arange(first, last, dtype=np.int64)
    if step > 1:
        width = int(step)
        places = grid * width + width // 2
        if clip:
            places = np.where(grid * width < stop, np.minimum(places, stop - 1), places)
    else:
        places = grid // round(1 / step)
    low, high = np.searchsorted(places, [start, stop])
    return places[low:high], slice(int(low), int(high))
