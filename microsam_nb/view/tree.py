"""A lineage as lines: time to the right, a row for every track, mothers in the middle of their daughters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..core import Lineage

#: How far a line reaches beyond the middles of its first and last frame: a track of one frame is seen too.
REACH = 0.4
#: So many rows beside a line still mean it.
_BESIDE = 0.6

#: Points of lines: x in frames and y in rows from above, each (lines, points), NaN where a line is interrupted. The
#: last point of a line is none of these: bqplot puts a label there, also one without text.
Lines = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Branch:
    """A track: its ``row`` from above, its ``runs`` of frames (first, last) without gap, its mother or 0."""

    track: int
    row: float
    runs: tuple[tuple[int, int], ...]
    mother: int = 0

    @property
    def first(self) -> int:
        return self.runs[0][0]

    @property
    def last(self) -> int:
        return self.runs[-1][1]


def branches(
    lineage: Lineage, frames: Mapping[int, tuple[int, ...]], only: Collection[int] | None = None
) -> tuple[Branch, ...]:
    """Return all tracks, or ``only`` some, each family in rows of its own; the earliest first.

    ``frames``: those in which a track is, in order. The mothers of ``only`` must be among them.
    """
    mothers = lineage.parents

    def by_time(tracks: Iterable[int]) -> list[int]:
        return sorted((one for one in tracks if only is None or one in only), key=lambda one: (frames[one][0], one))

    # Not by recursion: a lineage of a thousand generations must not fill the stack.
    order: list[int] = []
    waiting = by_time(lineage.roots)[::-1]
    while waiting:
        order.append(waiting.pop())
        waiting += by_time(lineage.daughters[order[-1]])[::-1]
    rows: dict[int, float] = {}
    leaf = 0
    for track in order:
        if not by_time(lineage.daughters[track]):
            rows[track] = float(leaf)
            leaf += 1
    for track in reversed(order):
        if track not in rows:
            below = [rows[one] for one in by_time(lineage.daughters[track])]
            rows[track] = (below[0] + below[-1]) / 2
    return tuple(Branch(one, rows[one], runs(frames[one]), mothers.get(one, 0)) for one in order)


def family(lineage: Lineage, picked: Iterable[int]) -> frozenset[int]:
    """Return all relatives of tracks: everything that descends from their first mothers."""
    mothers, found = lineage.parents, set()
    for track in picked:
        while track in mothers:
            track = mothers[track]
        if track in lineage and track not in found:
            found |= {track, *lineage.descendants(track)}
    return frozenset(found)


def runs(frames: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return the runs (first, last) without gap of numbers in order."""
    if not frames:
        return ()
    if frames[-1] - frames[0] + 1 == len(frames):
        return ((frames[0], frames[-1]),)  # most are
    breaks = [i for i, (a, b) in enumerate(pairwise(frames), 1) if b != a + 1]
    return tuple((frames[a], frames[b - 1]) for a, b in pairwise([0, *breaks, len(frames)]))


def strokes(shown: Sequence[Branch]) -> Lines:
    """Return a line for every track, interrupted where the track has a gap."""
    return _lines([_joined(one.runs, one.row, REACH) for one in shown])


def gaps(shown: Sequence[Branch]) -> Lines:
    """Return a line for every track, all of which have gaps, only where the gaps are."""
    between = [[(a[1], b[0]) for a, b in pairwise(one.runs)] for one in shown]
    return _lines([_joined(some, one.row, -REACH) for one, some in zip(shown, between, strict=True)])


def elbows(shown: Sequence[Branch]) -> Lines:
    """Return one line, from the end of every mother to the beginnings of her daughters; none without daughters."""
    known = {one.track: one for one in shown}
    points: list[tuple[float, float]] = []
    for one in shown:
        if (mother := known.get(one.mother)) is not None:
            begin = one.first - REACH
            points += [(mother.last + REACH, mother.row), (begin, mother.row), (begin, one.row), (np.nan, np.nan)]
    return _lines([points] if points else [])


def between(known: Sequence[Branch], first: float, last: float) -> list[Branch]:
    """Return the branches of some rows, and the mothers of others whose daughters lie there or beyond.

    A mother's line ends at those of her daughters: it crosses the rows between them.
    """
    rows = {one.track: one.row for one in known}
    low, high = dict(rows), dict(rows)
    for one in known:
        if one.mother in rows:
            low[one.mother], high[one.mother] = min(low[one.mother], one.row), max(high[one.mother], one.row)
    seen = {one.track for one in known if low[one.track] <= last and high[one.track] >= first}
    return [one for one in known if one.track in seen or one.mother in seen]


def track_at(shown: Sequence[Branch], frame: float, row: float) -> int:
    """Return the track at a place, 0 for none; gaps count as well."""
    near = [
        (abs(one.row - row), one.track)
        for one in shown
        if abs(one.row - row) <= _BESIDE and one.first - 0.5 <= frame <= one.last + 0.5
    ]
    return min(near, default=(0.0, 0))[1]


def _joined(parts: Iterable[tuple[int, int]], row: float, reach: float) -> list[tuple[float, float]]:
    """Return the points of horizontal lines, with NaN behind each of them."""
    return [point for a, b in parts for point in ((a - reach, row), (b + reach, row), (np.nan, np.nan))]


def _lines(lines: Sequence[Sequence[tuple[float, float]]]) -> Lines:
    """Return lines of points (x, y), each with NaN behind it, as two arrays; the shorter ones stay where they end."""
    out = np.zeros((2, len(lines), max((len(one) - 1 for one in lines), default=0)))
    for place, one in enumerate(lines):
        points = np.array(one[:-1], np.float64).T
        out[:, place, : points.shape[1]] = points
        out[:, place, points.shape[1] :] = points[:, -1:]
    return out[0], out[1]
