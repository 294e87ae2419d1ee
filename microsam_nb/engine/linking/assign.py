"""Linear assignment of the objects of a movie (Jaqaman et al., Nature Methods 2008).

First from frame to frame: one cost for every two objects that lie near each other or overlap, solved by scipy as a
sparse matrix, since laptrack would ask Python for the cost of all pairs. Then laptrack (Fukai and Kawaguchi,
Bioinformatics 2023) joins what is left: ends to later beginnings over gaps, and beginnings to mothers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from .objects import Objects
from .settings import LinkSettings

#: What it costs that an object is not linked; a link costs at most that.
_ALONE = 1.0
#: scipy takes explicit zeros of a sparse matrix for missing.
_TINY = 1e-6

#: What speaks against a division: daughters of different size, a sister as large as the mother was (above this share
#: of her), a daughter that is soon gone. Measured on drawn movies with faults and on c2c12.
_UNLIKE, _UNCHANGED, _SHORT = 0.5, 1.0, 0.5
_SMALLER = 0.7
_STAYS = 4

#: Rows of the earlier and of the later object.
Link = tuple[int, int]


def link_frames(objects: Objects, settings: LinkSettings) -> Iterator[list[Link]]:
    """Yield the links of every frame to the next one."""
    reach = reach_of(objects, settings)
    for frame in range(len(objects.first) - 2):
        early, late = objects.rows(frame), objects.rows(frame + 1)
        earlier, later, cost = _costs(objects, frame, reach, settings.overlap)
        found = _assigned(
            earlier - early.start, later - late.start, cost, early.stop - early.start, late.stop - late.start
        )
        yield [(early.start + i, late.start + j) for i, j in found]


def reach_of(objects: Objects, settings: LinkSettings) -> float:
    """Return how far a cell moves at most from frame to frame, in pixels."""
    return settings.distance_px or settings.distance * objects.diameter


def link_rest(objects: Objects, links: list[Link], settings: LinkSettings) -> list[Link]:
    """Return links over gaps and of mothers to daughters, given all links from frame to frame."""
    if not (settings.gap or settings.division) or len(objects.area) == 0:
        return []
    from laptrack import LapTrack

    frames = range(len(objects.first) - 1)
    nodes = [(int(frame), int(row - objects.first[frame])) for row, frame in enumerate(objects.frame)]
    costs = _Costs(objects, links, settings)
    options: dict[str, Any] = {
        "cutoff": 0.0,  # there is nothing left to link from frame to frame
        "gap_closing_metric": costs.gap, "gap_closing_cutoff": _ALONE if settings.gap else False,
        "gap_closing_max_frame_count": settings.gap + 1,  # it counts steps
        "splitting_metric": costs.division, "splitting_cutoff": _ALONE if settings.division else False,
        "segment_start_cost": _ALONE, "segment_end_cost": _ALONE,
        "no_splitting_cost": _ALONE, "no_merging_cost": _ALONE,
    }  # fmt: skip
    # The only coordinate of an object is its row.
    rows = [np.arange(objects.first[t], objects.first[t + 1], dtype=np.float64)[:, None] for t in frames]
    graph = LapTrack(**options).predict(rows, connected_edges=[(nodes[a], nodes[b]) for a, b in links])
    known = set(links)
    found = [tuple(int(objects.first[t] + i) for t, i in edge) for edge in graph.edges]
    return [(a, b) for a, b in found if (a, b) not in known]


def _costs(
    objects: Objects, frame: int, reach: float, weight: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows of objects of a frame and the next that may be the same, and what it costs to link them."""
    early, late = objects.rows(frame), objects.rows(frame + 1)
    if early.start == early.stop or late.start == late.stop:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    size = len(objects.area)
    near = cKDTree(objects.middle[early]).sparse_distance_matrix(
        cKDTree(objects.middle[late]), reach, output_type="coo_matrix"
    )
    a, b, common = objects.common(frame, frame + 1)
    codes = np.unique(np.concatenate([(near.row + early.start) * size + near.col + late.start, a * size + b]))
    rows, columns = codes // size, codes % size
    shared = np.zeros(len(codes))
    shared[np.searchsorted(codes, a * size + b)] = common
    iou = shared / (objects.area[rows] + objects.area[columns] - shared)
    far = np.hypot(*(objects.middle[rows] - objects.middle[columns]).T) / reach
    return rows, columns, (1 - weight) * np.minimum(far, 1.0) ** 2 + weight * (1 - iou)


def _assigned(
    rows: NDArray[np.int64], columns: NDArray[np.int64], cost: NDArray[np.float64], m: int, n: int
) -> list[Link]:
    """Return the links (row of m, column of n) that together cost least, with what stays alone."""
    if not len(cost):
        return []
    alone = np.full(m + n, _ALONE)
    # The lower right half lets those that stay alone pair up at no cost.
    matrix = coo_array(
        (
            np.concatenate([cost, alone, np.zeros(len(cost))]) + _TINY,
            (
                np.concatenate([rows, np.arange(m + n), m + columns]),
                np.concatenate([columns, n + np.arange(m), np.arange(n), n + rows]),
            ),
        ),
        shape=(m + n, n + m),
    ).tocsr()
    return [
        (int(i), int(j)) for i, j in zip(*min_weight_full_bipartite_matching(matrix), strict=True) if i < m and j < n
    ]


class _Costs:
    """What a gap or a division costs, asked by laptrack with the rows of two objects; infinite where impossible."""

    def __init__(self, objects: Objects, links: list[Link], settings: LinkSettings) -> None:
        self._settings = settings
        self._reach = reach_of(objects, settings)
        self._apart = settings.division_distance * objects.diameter
        self._place = objects.middle.tolist()
        self._area = objects.area.tolist()
        self._frame = objects.frame.tolist()
        self._next: dict[int, int] = dict(links)
        self._last = len(objects.labels) - 1
        self._objects = objects
        self._common: dict[tuple[int, int], dict[Link, float]] = {}

    def gap(self, end: Any, start: Any) -> float:
        """Cells wander: in k frames they get the root of k times as far as in one."""
        a, b = int(end[0]), int(start[0])
        steps = self._frame[b] - self._frame[a]
        far = math.dist(self._place[a], self._place[b]) / (self._reach * math.sqrt(steps))
        common = self._overlap(a, b)
        if far >= 1 and not common:
            return math.inf
        iou = common / (self._area[a] + self._area[b] - common)
        weight = self._settings.overlap
        return (1 - weight) * min(far, 1.0) ** 2 + weight * (1 - iou)

    def division(self, start: Any, before: Any) -> float:
        """A daughter beside the one that the mother was linked to; both are small, alike, and stay for a while.

        What speaks against it adds up: without that every false object and every cell that comes in beside another
        would be a daughter.
        """
        b, a = int(start[0]), int(before[0])
        sister = self._next.get(a)
        far = math.dist(self._place[a], self._place[b]) / self._apart
        if sister is None or far >= 1:
            return math.inf
        weight, daughter, other = self._settings.overlap, self._area[b], self._area[sister]
        inside = self._overlap(a, b) / daughter
        unlike = abs(daughter - other) / (daughter + other)
        unchanged = min(1.0, max(0.0, other / self._area[a] - _SMALLER))
        against = _UNLIKE * unlike + _UNCHANGED * unchanged + _SHORT * self._short(b)
        return self._settings.division_cost * ((1 - weight) * far**2 + weight * (1 - inside) + against)

    def _short(self, row: int) -> float:
        """Return 1 for an object that is gone in the next frame, 0 for one that stays for ``_STAYS``, or to the end."""
        stays = 1
        while stays < _STAYS and row in self._next:
            row, stays = self._next[row], stays + 1
        return 0.0 if self._frame[row] == self._last else (_STAYS - stays) / (_STAYS - 1)

    def _overlap(self, a: int, b: int) -> float:
        key = self._frame[a], self._frame[b]
        if key not in self._common:
            rows, columns, counts = self._objects.common(*key)
            self._common[key] = dict(
                zip(zip(rows.tolist(), columns.tolist(), strict=True), counts.tolist(), strict=True)
            )
        return self._common[key].get((a, b), 0.0)
