"""Arrays of pixels that may lie elsewhere: reading a part of a plane, smaller copies of it, a sample of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

#: A rectangle of a plane, half-open: y0, x0, y1, x1.
Rectangle = tuple[int, int, int, int]

#: A sample of a plane has at most this many blocks along a side when the plane is square, of this side each.
_BLOCKS, _BLOCK = 12, 80
#: Blocks begin at multiples of this, so that each lies in one chunk of any common size.
_GRID = 256
#: Blocks that are read at a time are at least this wide and at most this, in pixels of the plane.
_READ, _MOST = 1024, 4096


class PixelArray(Protocol):
    """What holds pixels: a numpy array, or anything that is read by indexing (dask, zarr, h5py, np.memmap)."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The whole image once more, y and x divided by the whole number ``shrink``; the other axes are the same."""

    shrink: int
    pixels: PixelArray


def raw_bytes(pixels: NDArray[np.generic]) -> bytes:
    """Return all that makes up an image, for hashing: its pixels, 0 where they are masked, and which ones are."""
    found = np.ascontiguousarray(np.ma.filled(pixels, 0)).tobytes()
    return found + np.packbits(np.ma.getmaskarray(pixels)).tobytes() if np.ma.is_masked(pixels) else found


def plain(value: Any) -> NDArray[np.generic]:
    """Return ``value`` as a numpy array; a masked one stays so, as what it hides must not count in the contrast."""
    if isinstance(value, np.ma.MaskedArray):
        return value
    # Only dask's own way keeps the mask; np.asarray drops it. Pages and series of tifffile have a third way.
    for way in ("compute", "asarray"):
        if callable(getattr(value, way, None)):
            value = getattr(value, way)()
            break
    return value if isinstance(value, np.ma.MaskedArray) else np.asarray(value)


def levels_of(pixels: Any, axes: str) -> tuple[Level, ...]:
    """Return the smaller copies of ``pixels`` that its ``levels`` list, the largest first.

    Left out are those with other planes or channels, and those where one pixel is no whole number of pixels, the
    same in y and x; a last row or column may be missing.
    """
    shape = tuple(pixels.shape)
    found: dict[int, Level] = {}
    listed = getattr(pixels, "levels", ())
    for one in listed if isinstance(listed, (tuple, list)) else ():
        small = tuple(getattr(one, "shape", ()))
        if len(small) != len(shape) or getattr(one, "dtype", None) != pixels.dtype or 0 in small:
            continue
        sides = {name: (full, part) for name, full, part in zip(axes, shape, small, strict=True)}
        # A long side tells the factor best: 5 pixels become 3 or 2.
        full, part = max(sides["y"], sides["x"])
        shrink = round(full / part)
        fits = all(
            part in (full // shrink, -(-full // shrink)) if name in "yx" else part == full
            for name, (full, part) in sides.items()
        )
        if shrink > 1 and fits:
            found.setdefault(shrink, Level(shrink, one))
    return tuple(found[shrink] for shrink in sorted(found))


def read_part(
    pixels: PixelArray, axes: str, index: int, where: Rectangle, step: int = 1, channels: int | None = None
) -> NDArray[np.generic]:
    """Return every ``step``-th pixel of a part of plane ``index``, (y, x) or (y, x, c); nothing else is read.

    ``channels`` leaves out all but the first ones.
    """
    y0, x0, y1, x1 = where
    key: list[Any] = [index] if axes[0] in "zt" else []
    key += [slice(y0, y1, step if step > 1 else None), slice(x0, x1, step if step > 1 else None)]
    if axes.endswith("c"):
        key.append(slice(channels))
    return plain(pixels[tuple(key)])


def read_level(
    level: Level, axes: str, index: int, where: Rectangle, step: int, channels: int | None = None
) -> NDArray[np.generic]:
    """Return what ``read_part`` does of the full plane, from a smaller copy with ``shrink`` up to ``step``."""
    ends = level.pixels.shape[axes.index("y")], level.pixels.shape[axes.index("x")]
    # The copy may lack the last row or column: then the one before stands for it.
    places = [
        np.minimum(np.arange(start, stop, step) // level.shrink, end - 1)
        for start, stop, end in zip(where[:2], where[2:], ends, strict=True)
    ]
    rows, columns = places
    inside = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    stride = step // level.shrink if step % level.shrink == 0 else 1
    part = read_part(level.pixels, axes, index, inside, stride, channels)
    rows, columns = (rows - rows[0]) // stride, (columns - columns[0]) // stride
    sizes = zip((rows, columns), part.shape[:2], strict=True)
    # Each place is asked for once: then nothing is left to pick.
    return part if all(len(found) == size == found[-1] + 1 for found, size in sizes) else part[rows][:, columns]


def sample_blocks(height: int, width: int, finer: int = 1) -> Iterator[Rectangle]:
    """Yield what stands for a plane: all of it up to 960 x 960 pixels, else blocks of 80 x 80 on a regular grid.

    About 144 of them; ``finer`` times as many along each side, and as much smaller. Depends on nothing but the
    numbers given.
    """
    if height * width <= (_BLOCKS * _BLOCK) ** 2:
        yield 0, 0, height, width
        return
    total, side = (_BLOCKS * finer) ** 2, max(1, _BLOCK // finer)
    rows = min(max(1, round(math.sqrt(total * height / width))), total)
    columns = max(1, total // rows)
    for y in _starts(height, rows, side):
        for x in _starts(width, columns, side):
            yield y, x, min(height, y + side), min(width, x + side)


def _starts(length: int, count: int, side: int) -> list[int]:
    """Return where blocks of ``side`` pixels begin, in the middles of ``count`` equal parts, in one chunk each."""
    found = set()
    for i in range(count):
        start = max(0, int((i + 0.5) * length / count) - side // 2)
        grid = start // _GRID * _GRID
        found.add(min(start, grid + _GRID - min(side, _GRID)))
    return sorted(found)


def block_side(pixels: Any, axes: str) -> tuple[int, int]:
    """Return height and width of the blocks to read a plane in: about 1024 pixels, in whole chunks where they fit."""
    chunks = getattr(pixels, "chunks", None)
    sides = []
    for name in "yx":
        chunk: Any = chunks[axes.index(name)] if isinstance(chunks, tuple) and len(chunks) == len(axes) else 1
        if isinstance(chunk, tuple):  # dask lists every chunk
            chunk = chunk[0] if chunk else 1
        size = int(chunk) if isinstance(chunk, (int, np.integer)) and chunk > 0 else 1
        sides.append(min(_MOST, -(-_READ // size) * size))
    return sides[0], sides[1]
