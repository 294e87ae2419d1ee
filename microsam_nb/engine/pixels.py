"""A plane as the network sees it: an array or, where that would be too large, something read window by window.

The network scales every window to its frame, so that a large window need not be read pixel by pixel: it is thinned to
every second, fourth, ... row and column, or to what a pyramid has of it.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..core import Image
from ..core.image import is_large
from .tiling import Window

#: In a large plane, clicks alone are looked for in windows up to this side, in pixels.
_FARTHEST = 4096
#: Windows of a large plane are thinned to at most this side, or twice the model's frame if that is more.
_READ = 1024
#: Blocks that would be thinned to less than this side are not kept.
_THIN = 256
#: Bytes of stretched blocks that one large plane keeps: what the windows around a few clicks share.
_KEPT = 48 << 20

#: A block: the step, and its first row and column in thinned pixels.
_Place = tuple[int, int, int]


class Pixels(Protocol):
    """A stretched plane, uint8 (y, x) or (y, x, 3); ``[y0:y1:step, x0:x1:step]`` gives a part as an array."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def nbytes(self) -> int:
        """Memory in use."""
        ...

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.uint8]: ...


class LargePlane:
    """A plane of an image that is read and stretched in blocks, when a part of it is asked for; the latest are kept.

    Safe to share between threads.
    """

    def __init__(self, image: Image, index: int, kept: int = _KEPT) -> None:
        self._image, self._index, self._most = image, index, kept
        self._sides = image.block
        self._blocks: OrderedDict[_Place, NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, ...]:
        return self._image.shown_shape

    @property
    def nbytes(self) -> int:
        """Memory in use."""
        with self._lock:
            return sum(block.nbytes for block in self._blocks.values())

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.uint8]:
        """Return a part, uint8 (y, x) or (y, x, 3); steps must be at least 1 and the same in y and x."""
        (y0, y1, step), (x0, x1, _) = (one.indices(side) for one, side in zip(key, self.shape, strict=False))
        # Far thinned windows are larger than any that clicks share, and blocks of a sensible size too many.
        if y0 % step or x0 % step or step * _THIN > min(self._sides):
            return self._image.shown_region(self._index, y0, x0, y1, x1, step)
        tall, wide = (-(-side // step) for side in self._sides)
        # From here on in thinned pixels.
        top, left, bottom, right = y0 // step, x0 // step, -(-y1 // step), -(-x1 // step)
        wanted = [
            (step, row * tall, column * wide)
            for row in range(top // tall, -(-bottom // tall))
            for column in range(left // wide, -(-right // wide))
        ]
        out = np.empty((bottom - top, right - left, *self.shape[2:]), np.uint8)
        for (_, y, x), block in self._blocks_at(wanted, tall, wide).items():
            (r0, r1), (c0, c1) = (max(top, y), min(bottom, y + tall)), (max(left, x), min(right, x + wide))
            out[r0 - top : r1 - top, c0 - left : c1 - left] = block[r0 - y : r1 - y, c0 - x : c1 - x]
        return out

    def _blocks_at(self, wanted: Sequence[_Place], tall: int, wide: int) -> dict[_Place, NDArray[np.uint8]]:
        with self._lock:
            found = {one: self._blocks[one] for one in wanted if one in self._blocks}
        missing = [one for one in wanted if one not in found]
        ys, xs = [y for _, y, _ in missing], [x for _, _, x in missing]
        if missing and 2 * len(missing) >= (max(ys) - min(ys) + tall) // tall * ((max(xs) - min(xs) + wide) // wide):
            # One reading of them all is much quicker than one for each.
            whole = self._read(missing[0][0], min(ys), min(xs), max(ys) + tall, max(xs) + wide)
            for one in missing:
                y, x = one[1] - min(ys), one[2] - min(xs)
                found[one] = whole[y : y + tall, x : x + wide].copy()
        else:
            for step, y, x in missing:
                found[step, y, x] = self._read(step, y, x, y + tall, x + wide)
        with self._lock:
            for one in wanted:
                self._blocks[one] = found[one]
                self._blocks.move_to_end(one)
            used = sum(block.nbytes for block in self._blocks.values())
            while used > self._most and self._blocks:
                used -= self._blocks.popitem(last=False)[1].nbytes
        return found

    def _read(self, step: int, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint8]:
        """Read a part given in thinned pixels, as far as it lies in the plane."""
        height, width = self.shape[:2]
        stops = min(height, bottom * step), min(width, right * step)
        return self._image.shown_region(self._index, top * step, left * step, *stops, step)


def farthest(shape: tuple[int, ...]) -> int:
    """Return the side of the largest window in which a click alone is looked for, in a plane shown as ``shape``."""
    return _FARTHEST if is_large(shape) else max(shape[:2])


def thinned(window: Window, shape: tuple[int, ...], frame: int) -> tuple[Window, int]:
    """Return a window of a plane shown as ``shape`` and the step at which to read it for a model of ``frame`` pixels.

    The step is a power of two, 1 but in large planes; the window is grown to begin and end at multiples of it.
    """
    most = max(_READ, 2 * frame)
    step = 1 if not is_large(shape) else 2 ** max(0, math.ceil(math.log2(max(window.shape) / most)))
    stops = (min(side, -(-stop // step) * step) for side, stop in zip(shape, (window.y1, window.x1), strict=False))
    return Window(window.y0 // step * step, window.x0 // step * step, *stops), step
