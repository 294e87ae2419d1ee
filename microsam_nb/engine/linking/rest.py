"""What is left when neighbouring frames are linked: ends to later beginnings over gaps, and beginnings to mothers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .assign import ALONE, Link, assigned, likeness, reach_of
from .objects import Objects
from .settings import LinkSettings

#: What speaks against a division: daughters of different size, a sister as large as the mother was (above this share
#: of her), a daughter that is soon gone. Measured on drawn movies with faults and on c2c12.
_UNLIKE, _UNCHANGED, _SHORT = 0.5, 1.0, 0.5
_SMALLER = 0.7
_STAYS = 4

#: Rows of earlier and later objects, and what their link costs.
Costs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def costs_of_rest(objects: Objects, links: Sequence[Link], settings: LinkSettings) -> Iterator[Costs]:
    """Yield what links over gaps, and of mothers to daughters, cost, given all links from frame to frame.

    The row of a mother is that of her object above the number of all objects, as she has a link already.
    """
    count = len(objects.area)
    after, before = np.full(count, -1), np.full(count, -1)
    early, late = np.array(links, np.int64).reshape(-1, 2).T
    after[early], before[late] = late, early
    if settings.gap:
        yield from _gaps(objects, after, before, settings)
    if settings.division:
        for a, b, cost in _divisions(objects, after, before, settings):
            yield a + count, b, cost


def link_rest(objects: Objects, costs: Sequence[Costs]) -> list[Link]:
    """Return the links of ``costs_of_rest`` that together cost least.

    All are chosen at once, as gaps and mothers compete for the same beginnings (Jaqaman et al., Nature Methods 2008).
    """
    if not costs:
        return []
    a, b, cost = (np.concatenate(some) for some in zip(*costs, strict=True))
    possible, count = cost <= ALONE, len(objects.area)
    return [(i % count, j) for i, j in assigned(a[possible], b[possible], cost[possible])]


def _gaps(
    objects: Objects, after: NDArray[np.int64], before: NDArray[np.int64], settings: LinkSettings
) -> Iterator[Costs]:
    """Cells wander: in k frames they get the root of k times as far as in one."""
    reach = reach_of(objects, settings)
    frames = [objects.rows(frame) for frame in range(len(objects.first) - 1)]
    ends, begins = ([rows[some[rows] < 0] for rows in frames] for some in (after, before))
    for frame, ending in enumerate(ends):
        for steps, beginning in enumerate(begins[frame + 1 : frame + settings.gap + 2], start=1):
            far = reach * np.sqrt(steps)
            pairs = objects.pairs(ending, beginning, far)
            yield pairs.early, pairs.late, likeness(pairs.far / far, objects.iou(pairs), settings.overlap)


def _divisions(
    objects: Objects, after: NDArray[np.int64], before: NDArray[np.int64], settings: LinkSettings
) -> Iterator[Costs]:
    """A daughter beside the one that the mother was linked to; both are small, alike, and stay for a while.

    What speaks against it adds up: without that every false object and every cell that comes in beside another would
    be a daughter.
    """
    apart, weight = settings.division_distance * objects.diameter, settings.overlap
    for frame in range(len(objects.first) - 2):
        mothers, daughters = objects.rows(frame), objects.rows(frame + 1)
        pairs = objects.pairs(mothers[after[mothers] >= 0], daughters[before[daughters] < 0], apart)
        near = pairs.far < apart
        a, b, far, inside = pairs.early[near], pairs.late[near], pairs.far[near] / apart, pairs.common[near]
        sister = after[a]
        areas, daughter, other = objects.area, objects.area[b], objects.area[sister]
        unlike = abs(daughter - other) / (daughter + other)
        unchanged = np.clip(other / areas[a] - _SMALLER, 0.0, 1.0)
        against = _UNLIKE * unlike + _UNCHANGED * unchanged + _SHORT * _short(objects, after, b)
        yield a, b, settings.division_cost * ((1 - weight) * far**2 + weight * (1 - inside / daughter) + against)


def _short(objects: Objects, after: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 for an object that is gone in the next frame, 0 for one that stays for ``_STAYS``, or to the end."""
    last, stays = rows.copy(), np.ones(len(rows))
    for _ in range(_STAYS - 1):
        goes_on = after[last] >= 0
        last, stays = np.where(goes_on, after[last], last), stays + goes_on
    to_the_end = objects.frame[last] == len(objects.labels) - 1
    return np.where(to_the_end, 0.0, (_STAYS - stays) / (_STAYS - 1))
