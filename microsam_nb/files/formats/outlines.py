"""Pixels to outlines that run along their edges: what lies within one is exactly the object again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

#: Corners (n, 2) as (y, x) of a closed line; the last is joined to the first.
Ring = NDArray[np.float64]
#: An outline, clockwise as seen on screen, then the holes in it, which run the other way round.
Part = tuple[Ring, ...]

#: Which of the four pixels around a corner belong to the object (1 upper left, 2 upper right, 4 lower left, 8 lower
#: right), and whether the line goes on to the right, and downwards. Between opposite ones two lines meet.
_TURNS = (
    (1, False, False), (2, True, False), (4, False, True), (8, True, True),
    (14, False, False), (13, True, False), (11, False, True), (7, True, True),
    (9, False, False), (9, True, True), (6, True, False), (6, False, True),
)  # fmt: skip
_MEETING = (6, 9)
_INNER = 7  # the first corner of a hole, seen from above


def trace(labels: NDArray[np.integer] | NDArray[np.bool_], corner: tuple[int, int] = (0, 0)) -> dict[int, list[Part]]:
    """Return the outlines of every object of a plane (y, x), whose first pixel lies at ``corner``, by its number.

    Pixels that only touch at a corner are parts of their own: every part is a simple polygon.
    """
    from skimage.measure import label

    if not labels.any():
        return {}
    pieces = label(labels.view(np.uint8) if labels.dtype == np.bool_ else labels, connectivity=1)
    numbers = np.zeros(int(pieces.max()) + 1, labels.dtype)
    numbers[pieces] = labels
    outer: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for piece, ring, hole in _rings(np.pad(pieces, 1)):
        if hole:
            holes.setdefault(piece, []).append(ring + corner)
        else:
            outer[piece] = ring + corner
    out: dict[int, list[Part]] = {}
    for piece in sorted(outer):
        out.setdefault(int(numbers[piece]), []).append((outer[piece], *holes.get(piece, ())))
    return out


def area(parts: Sequence[Part]) -> int:
    """Return the number of pixels within outlines that ``trace`` made."""
    return round(sum(_turn(ring) for part in parts for ring in part))


def _rings(pieces: NDArray[np.integer]) -> Iterator[tuple[int, Ring, bool]]:
    """Yield the number of a piece, a line around it or around a hole in it, and whether it is a hole."""
    kind, piece, y, x, right, down = _corners(pieces)
    height, width = pieces.shape
    # Along a row of corners of one piece every second stretch is a line, and so it is along a column.
    place = (piece * height + y) * width + x
    beside, above = _partners(place * 2 + right), _partners(((piece * width + x) * height + y) * 2 + down)
    places = np.stack([y, x], axis=1).astype(np.float64)
    meeting = np.isin(kind, _MEETING)
    pinched = bool(meeting.any())
    kinds, owners = kind.tolist(), piece.tolist()
    seen = bytearray(len(kinds))
    for start in np.lexsort((-down, place)).tolist():
        if seen[start]:
            continue
        line: list[int] = []
        here = start
        while not seen[here]:
            there = beside[here]
            seen[here] = seen[there] = 1
            line += (here, there)
            here = above[there]
        hole = kinds[start] == _INNER
        if hole:
            line.reverse()
        ring = places[line]
        if pinched and meeting[line].any():
            for one in _simple(ring):
                yield owners[start], one, _turn(one) < 0
        else:
            yield owners[start], ring, hole


def _corners(pieces: NDArray[np.integer]) -> tuple[NDArray[np.int64], ...]:
    """Return for every corner of every line its kind, piece, place (y, x) and where the line goes on: right, down."""
    around = pieces[:-1, :-1], pieces[:-1, 1:], pieces[1:, :-1], pieces[1:, 1:]
    y, x = ((around[0] != around[1]) | (around[0] != around[2]) | (around[0] != around[3])).nonzero()
    near = [one[y, x].astype(np.int64) for one in around]
    found = []
    for i, own in enumerate(near):
        new = own > 0
        for other in near[:i]:
            new &= other != own
        kinds = sum((one == own).astype(np.int64) << bit for bit, one in enumerate(near))
        for kind, right, down in _TURNS:
            here = np.flatnonzero(new & (kinds == kind))
            same = [np.full(len(here), value, np.int64) for value in (kind, right, down)]
            found.append((same[0], own[here], y[here], x[here], same[1], same[2]))
    return tuple(np.concatenate(one) for one in zip(*found, strict=True))


def _partners(order: NDArray[np.int64]) -> list[int]:
    """Return for every corner the other end of its line; neighbours in ``order`` are the two ends."""
    sorted_ = np.argsort(order)
    out = np.empty(len(order), np.int64)
    out[sorted_[::2]], out[sorted_[1::2]] = sorted_[1::2], sorted_[::2]
    return out.tolist()


def _simple(ring: Ring) -> Iterator[Ring]:
    """Cut a line that meets itself at corners into lines that do not."""
    way: list[tuple[float, float]] = []
    at: dict[tuple[float, float], int] = {}
    for y, x in ring.tolist():
        if (y, x) in at:
            first = at[y, x]
            yield np.array(way[first:])
            for gone in way[first:]:
                del at[gone]
            del way[first:]
        at[y, x] = len(way)
        way.append((y, x))
    yield np.array(way)


def _turn(ring: Ring) -> float:
    """Return the signed area of a line, positive when it runs clockwise as seen on screen."""
    y, x = ring.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
