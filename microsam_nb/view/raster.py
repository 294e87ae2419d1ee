"""Which part of a plane is kept in the browser, and at which resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..core import Box
from .viewport import Viewport

#: A plane of at most this many pixels along each side is kept as a whole, pixel by pixel.
WHOLE = 2048
#: Pixels that a part of a larger plane may have; more only where the screen has more.
BUDGET = 3_000_000
#: Screen pixels per raster pixel beyond which a finer raster is made, and below which a coarser one.
_COARSE, _FINE = 1.1, 0.45
#: Screen pixels per pixel of an overview beyond which the part that is visible is shown in detail.
DETAIL = 1.25


@dataclass(frozen=True, slots=True)
class Raster:
    """A rectangle of a grid over a plane, in pixels of the grid: its corner, height and width.

    ``step`` image pixels, a power of two, make one pixel of the grid; below 1 an image pixel is many of them.
    """

    step: float
    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def area(self) -> int:
        return self.height * self.width

    def common(self, other: Raster) -> Raster | None:
        """Return what two rectangles of one grid have in common, if anything."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        height, width = min(self.bottom, other.bottom) - top, min(self.right, other.right) - left
        if other.step != self.step or height <= 0 or width <= 0:
            return None
        return Raster(self.step, top, left, height, width)

    def without(self, held: Raster) -> list[Raster]:
        """Return rectangles that make up what ``held`` does not have: above, below, left and right of it."""
        inner = self.common(held)
        if inner is None:
            return [self]
        bands = [
            Raster(self.step, self.top, self.left, inner.top - self.top, self.width),
            Raster(self.step, inner.bottom, self.left, self.bottom - inner.bottom, self.width),
            Raster(self.step, inner.top, self.left, inner.height, inner.left - self.left),
            Raster(self.step, inner.top, inner.right, inner.height, self.right - inner.right),
        ]
        return [one for one in bands if one.area]

    def around(self, box: Box, margin: int = 0) -> Raster | None:
        """Return the part that a box of the plane touches, ``margin`` pixels of the grid more on each side."""
        (_, y0, x0), (_, y1, x1) = box.start, box.stop
        if box.empty:
            return None
        top, left = math.floor(y0 / self.step) - margin, math.floor(x0 / self.step) - margin
        bottom, right = math.ceil(y1 / self.step) + margin, math.ceil(x1 / self.step) + margin
        return self.common(Raster(self.step, top, left, bottom - top, right - left))

    def grown(self, margin: int) -> Raster:
        """Return the same with ``margin`` pixels more on each side."""
        return Raster(
            self.step, self.top - margin, self.left - margin, self.height + 2 * margin, self.width + 2 * margin
        )

    def covers(self, view: Viewport) -> bool:
        """Whether all that is visible of the plane lies inside."""
        seen = _seen(self.step, view)
        return seen is None or self.common(seen) == seen


def whole(step: float, shape: tuple[int, int]) -> Raster:
    """Return the raster of all of a plane of ``shape`` (h, w)."""
    return Raster(step, 0, 0, math.ceil(shape[0] / step), math.ceil(shape[1] / step))


def overview(shape: tuple[int, int]) -> Raster:
    """Return the raster of a whole plane with at most WHOLE pixels along each side."""
    return whole(2 ** max(0, math.ceil(math.log2(max(shape) / WHOLE))), shape)


def plan(view: Viewport, held: Raster | None, *, least: float = 1.0) -> Raster:
    """Return the raster to keep for a view: ``held``, where that will do, else a new one with some margin.

    ``least`` is the smallest step; with 1, planes up to WHOLE are kept as a whole whatever the zoom.
    """
    full = overview(view.shape)
    if least == full.step == 1:
        return full
    step = max(least, 2.0 ** math.floor(math.log2(1 / view.zoom)))
    if held is not None and held.covers(view):
        scale = held.step * view.zoom
        if scale >= _FINE and (scale <= _COARSE or held.step == least):
            return held
    seen = _seen(step, view)
    full = whole(step, view.shape)
    if seen is None or full.area <= BUDGET:
        return full if full.area <= BUDGET else Raster(step, 0, 0, 1, 1)
    # The margin on each side is at most half of what is visible; panning within it costs nothing.
    budget = max(BUDGET, 2 * seen.area)
    margin = min(0.5, (math.sqrt(budget / seen.area) - 1) / 2)
    more = replace(
        seen,
        top=seen.top - int(margin * seen.height),
        left=seen.left - int(margin * seen.width),
        height=seen.height + 2 * int(margin * seen.height),
        width=seen.width + 2 * int(margin * seen.width),
    )
    inner = more.common(full)
    assert inner is not None
    return inner


def _seen(step: float, view: Viewport) -> Raster | None:
    """Return the pixels of a grid that are visible, if any are."""
    y0, x0, y1, x1 = view.visible
    if y1 <= y0 or x1 <= x0:
        return None
    top, left = math.floor(y0 / step), math.floor(x0 / step)
    return Raster(step, top, left, math.ceil(y1 / step) - top, math.ceil(x1 / step) - left)
