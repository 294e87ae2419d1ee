"""Cells that are one object for some frames and two again afterwards are no division."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import numpy as np

from .objects import Objects

#: Share of a cell's pixels that lie in the object which it is merged into.
_INSIDE = 0.5


def through_merged(objects: Objects, links: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Return the links of neighbouring frames, and those of cells that were part of another object for up to ``gap``.

    The object in between keeps the number of one cell, the other has a gap; each goes on as what lies nearer to it.
    """
    after, before = dict(links), {b: a for a, b in links}
    gone, new = _merging(objects, after, before)
    extra: dict[int, int] = {}
    for merged, lost in gone.items():
        if merged not in before:
            continue
        last, ends = merged, list(lost)
        for _ in range(gap):
            follower = after.get(last)
            if follower is None or not ends:
                break
            # Of cells that were merged one after the other each takes what is left.
            waiting = new.get(last, [])
            while ends and waiting:
                end, begins = min(product(ends, waiting), key=lambda pair: _squared(objects, *pair))
                ends.remove(end)
                waiting.remove(begins)
                first = before[merged]
                straight = _squared(objects, first, follower) + _squared(objects, end, begins)
                crossed = _squared(objects, first, begins) + _squared(objects, end, follower)
                if crossed < straight:
                    extra[end], after[last] = follower, begins
                    follower = begins
                else:
                    extra[end] = begins
            last = follower
    return [*after.items(), *extra.items()]


def _merging(
    objects: Objects, after: dict[int, int], before: dict[int, int]
) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Return by object which cells that end lie in it in the next frame, and which that begin lay in it."""
    gone: dict[int, list[int]] = defaultdict(list)
    new: dict[int, list[int]] = defaultdict(list)
    for frame in range(len(objects.labels) - 1):
        ending = [row for row in objects.rows(frame).tolist() if row not in after]
        beginning = [row for row in objects.rows(frame + 1).tolist() if row not in before]
        if not (ending or beginning):
            continue
        a, b, common = objects.common(frame, frame + 1)
        for i in np.flatnonzero(np.isin(a, ending) & (common > _INSIDE * objects.area[a])).tolist():
            gone[int(b[i])].append(int(a[i]))
        for i in np.flatnonzero(np.isin(b, beginning) & (common > _INSIDE * objects.area[b])).tolist():
            new[int(a[i])].append(int(b[i]))
    return gone, new


def _squared(objects: Objects, a: int, b: int) -> float:
    return float(((objects.middle[a] - objects.middle[b]) ** 2).sum())
