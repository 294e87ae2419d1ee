"""A binary object, cropped to its bounding box."""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .box import Box, Triple


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """``bitmap``, bool (planes, h, w) and read-only, placed with its first corner at ``start`` (plane, y, x)."""

    start: Triple
    bitmap: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.bitmap.dtype != np.bool_ or self.bitmap.ndim != 3:
            raise ValueError(
                f"A mask needs a bool bitmap (planes, h, w), not {self.bitmap.dtype} {self.bitmap.shape}; "
                "use Mask.crop(array) to make one."
            )
        # Numbers of numpy would not pass the journal.
        object.__setattr__(self, "start", tuple(int(n) for n in self.start))
        own = self.bitmap.copy()
        own.flags.writeable = False
        object.__setattr__(self, "bitmap", own)

    @classmethod
    def crop(cls, array: NDArray[np.generic], start: Triple = (0, 0, 0)) -> Mask:
        """Make a mask of the true pixels of a (h, w) or (planes, h, w) array that lies at ``start``."""
        full = np.asarray(array, dtype=bool)
        if full.ndim == 2:
            full = full[None]
        if not full.any():
            return cls(start, np.zeros((0, 0, 0), bool))
        inner = []
        for axis in range(3):
            flags = full.any(axis=tuple(a for a in range(3) if a != axis))
            hits = np.flatnonzero(flags)
            inner.append(slice(int(hits[0]), int(hits[-1]) + 1))
        place = tuple(a + s.start for a, s in zip(start, inner, strict=True))
        return cls(place, full[tuple(inner)])  # type: ignore[arg-type]

    @property
    def box(self) -> Box:
        stop = tuple(a + n for a, n in zip(self.start, self.bitmap.shape, strict=True))
        return Box(self.start, stop)

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.bitmap))

    def dense(self, shape: Triple) -> NDArray[np.bool_]:
        """Return the mask as a (planes, h, w) array of the given shape."""
        out = np.zeros(shape, bool)
        out[self.box.slices] = self.bitmap
        return out

    def dense_in(self, where: Box) -> NDArray[np.bool_]:
        """Return the part of the mask inside a box, as an array of the box's shape."""
        out = np.zeros(where.shape, bool)
        ours, theirs = [], []
        for a, n, start, stop in zip(self.start, self.bitmap.shape, where.start, where.stop, strict=True):
            low, high = max(a, start), min(a + n, stop)
            if high <= low:
                return out
            ours.append(slice(low - a, high - a))
            theirs.append(slice(low - start, high - start))
        out[tuple(theirs)] = self.bitmap[tuple(ours)]
        return out

    def shared(self, other: Mask) -> int:
        """Return how many pixels both masks have."""
        ours, theirs = [], []
        sides = zip(self.start, self.bitmap.shape, other.start, other.bitmap.shape, strict=True)
        for own, count, start, length in sides:
            low, high = max(own, start), min(own + count, start + length)
            if high <= low:
                return 0
            ours.append(slice(low - own, high - own))
            theirs.append(slice(low - start, high - start))
        return int(np.count_nonzero(self.bitmap[tuple(ours)] & other.bitmap[tuple(theirs)]))

    def iou(self, other: Mask) -> float:
        """Return the intersection over union with another mask, 0 where both are empty."""
        both = self.shared(other)
        return both / (self.area + other.area - both) if both else 0.0

    def holds(self, plane: int, y: float, x: float) -> bool:
        """Whether the pixel at a position is one of the mask."""
        place = tuple(math.floor(v) - a for v, a in zip((plane, y, x), self.start, strict=True))
        inside = all(0 <= v < n for v, n in zip(place, self.bitmap.shape, strict=True))
        return inside and bool(self.bitmap[place])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return self.start == other.start and np.array_equal(self.bitmap, other.bitmap)

    def __hash__(self) -> int:
        return hash((self.start, self.bitmap.shape, self.bitmap.tobytes()))

    def to_json(self) -> dict[str, Any]:
        """Return a compact form of plain values: packed bits, deflated, base64."""
        packed = zlib.compress(np.packbits(self.bitmap).tobytes(), 6)
        return {
            "start": list(self.start),
            "shape": list(self.bitmap.shape),
            "bits": base64.b64encode(packed).decode("ascii"),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Mask:
        """Read what ``to_json`` returned. Raises ValueError, KeyError or TypeError for anything else."""
        planes, height, width = (int(n) for n in data["shape"])
        count = planes * height * width
        try:
            bits = np.frombuffer(zlib.decompress(base64.b64decode(data["bits"])), np.uint8)
        except zlib.error as error:
            raise ValueError(f"the bits of the mask are damaged ({error})") from error
        if min(planes, height, width) < 0 or bits.size != -(-count // 8):
            raise ValueError(f"the mask has {bits.size} bytes for {count} pixels")
        bitmap = np.unpackbits(bits, count=count).reshape(planes, height, width).astype(bool)
        p, y, x = (int(n) for n in data["start"])
        return cls((p, y, x), bitmap)
