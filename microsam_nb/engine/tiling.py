"""Planes cut into overlapping tiles, as micro-sam cuts them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..core import SettingsError


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open rectangle of a plane, from (y0, x0) to (y1, x1) in pixels."""

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


@dataclass(frozen=True, slots=True)
class Tile:
    """Tile ``index`` of a plane: the network sees ``outer``, which is ``inner`` grown by the halo."""

    index: int
    inner: Window
    outer: Window


@dataclass(frozen=True, slots=True)
class Tiling:
    """``tile`` (height, width) of the inner tiles and ``halo`` (height, width) around them, in pixels.

    Tiles are counted row by row; those at the lower and right border may be smaller.
    """

    tile: tuple[int, int]
    halo: tuple[int, int]

    def __post_init__(self) -> None:
        if min(self.tile) < 1 or min(self.halo) < 0:
            raise SettingsError(
                f"Tiles of {self.tile} px with a halo of {self.halo} px are not possible.",
                "Choose tiles of at least 1 px and a halo of at least 0 px.",
            )

    def grid(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return how many tiles lie below and beside each other in a plane of ``shape`` (height, width)."""
        rows, columns = (math.ceil(side / step) for side, step in zip(shape, self.tile, strict=True))
        return rows, columns

    def tile_at(self, shape: tuple[int, int], index: int) -> Tile:
        """Return tile ``index`` of a plane of ``shape`` (height, width)."""
        (height, width), (th, tw), (hy, hx) = shape, self.tile, self.halo
        row, column = divmod(index, self.grid(shape)[1])
        inner = Window(row * th, column * tw, min(height, (row + 1) * th), min(width, (column + 1) * tw))
        outer = Window(
            max(0, inner.y0 - hy), max(0, inner.x0 - hx), min(height, inner.y1 + hy), min(width, inner.x1 + hx)
        )
        return Tile(index, inner, outer)

    def tile_of(self, shape: tuple[int, int], y: float, x: float) -> int:
        """Return the tile whose inner window holds the pixel at (y, x), the nearest one for places outside."""
        rows, columns = self.grid(shape)
        row, column = min(max(int(y // self.tile[0]), 0), rows - 1), min(max(int(x // self.tile[1]), 0), columns - 1)
        return row * columns + column

    def tiles(self, shape: tuple[int, int]) -> Iterator[Tile]:
        """Yield every tile of a plane of ``shape`` (height, width), row by row."""
        rows, columns = self.grid(shape)
        return (self.tile_at(shape, index) for index in range(rows * columns))
