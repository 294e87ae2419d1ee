"""A half-open box in (plane, y, x)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels from ``start`` (inside) to ``stop`` (outside), both (plane, y, x)."""

    start: Triple
    stop: Triple

    def __post_init__(self) -> None:
        if any(b < a for a, b in zip(self.start, self.stop, strict=True)):
            raise ValueError(f"Box stops at {self.stop} before it starts at {self.start}; swap them.")

    @property
    def shape(self) -> Triple:
        """Planes, height and width."""
        (p0, y0, x0), (p1, y1, x1) = self.start, self.stop
        return p1 - p0, y1 - y0, x1 - x0

    @property
    def empty(self) -> bool:
        return 0 in self.shape

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of this box in a (plane, y, x) array."""
        (p0, y0, x0), (p1, y1, x1) = self.start, self.stop
        return slice(p0, p1), slice(y0, y1), slice(x0, x1)

    def union(self, other: Box) -> Box:
        """Return the smallest box around both; an empty box adds nothing."""
        if self.empty:
            return other
        if other.empty:
            return self
        start = tuple(min(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = tuple(max(a, b) for a, b in zip(self.stop, other.stop, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]

    @classmethod
    def around(cls, boxes: Iterable[Box]) -> Box:
        """Return the smallest box around several, one at least."""
        return reduce(cls.union, boxes)

    def meets(self, other: Box) -> bool:
        """Whether both have pixels in common."""
        ends = zip(self.start, self.stop, other.start, other.stop, strict=True)
        return all(a < d and c < b for a, b, c, d in ends)

    def within(self, where: Box) -> tuple[slice, slice, slice]:
        """Return the index of this box in an array that holds the box ``where``, of which it is a part."""
        p, y, x = where.start
        return self.moved((-p, -y, -x)).slices

    def moved(self, by: Triple) -> Box:
        """Return the same box, shifted by (plane, y, x)."""
        start = tuple(a + b for a, b in zip(self.start, by, strict=True))
        stop = tuple(a + b for a, b in zip(self.stop, by, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]
