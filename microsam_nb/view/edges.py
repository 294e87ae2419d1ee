"""Outlines as pixels: where a number differs from its neighbour's. Exact, and as fast for one object as for 1000."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .palette import MARK, RIM, entries


@dataclass(frozen=True, slots=True)
class Pen:
    """How outlines are drawn, in raster pixels: their width, the dark ``rim`` around, the length of ``dashes``.

    Dashes and picked objects, ``mark`` wide, always have a rim.
    """

    width: int = 2
    rim: int = 0
    dashes: int = 0
    mark: int = 3

    @property
    def reach(self) -> int:
        """How far beyond a change outlines may change."""
        return max(self.width, self.mark) + max(1, self.rim)


def edge_entries(
    ids: NDArray[np.uint32], pen: Pen, marked: Collection[int] = (), corner: tuple[int, int] = (0, 0)
) -> NDArray[np.uint8]:
    """Return the palette entry of every pixel of the outlines in ``ids`` (h, w), 0 elsewhere.

    Outlines run along the inside of objects. Objects in ``marked`` get a broad white one. ``corner``
    (row, column) places the dashes, so that parts of an outline drawn one after the other fit.
    """
    out = np.zeros(ids.shape, np.uint8)
    across, down = ids[:, 1:] != ids[:, :-1], ids[1:] != ids[:-1]
    if not (across.any() or down.any()):
        return out
    objects = ids > 0
    line = _near(across, down, pen.width) & objects
    out[line] = entries(ids[line])
    if pen.dashes:
        rows, columns = (
            (np.arange(n) + start) // pen.dashes % 2 == 1 for n, start in zip(ids.shape, corner, strict=True)
        )
        out[line & (rows[:, None] ^ columns)] = RIM
    elif pen.rim:
        out[_near(across, down, pen.rim) & ~objects] = RIM
    if marked:
        picked = np.isin(ids, np.fromiter(marked, np.uint32))
        if picked.any():
            across, down = picked[:, 1:] != picked[:, :-1], picked[1:] != picked[:-1]
            # Two picked neighbours keep a line between them.
            out[_near(across, down, max(1, pen.rim)) & ~picked] = RIM
            out[_near(across, down, pen.mark) & picked] = MARK
            out[line & picked & (out != MARK)] = MARK
    return out


def _near(across: NDArray[np.bool_], down: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return the pixels within ``width`` of an edge: ``across`` (h, w - 1) between columns, ``down`` between rows."""
    out = np.zeros((across.shape[0], down.shape[1]), bool)
    rows, columns = out.shape
    for k in range(min(width, columns - 1)):
        # The k-th pixel to the left and to the right of each edge.
        out[:, : columns - 1 - k] |= across[:, k:]
        out[:, 1 + k :] |= across[:, : columns - 1 - k]
    for k in range(min(width, rows - 1)):
        out[: rows - 1 - k] |= down[k:]
        out[1 + k :] |= down[: rows - 1 - k]
    return out
