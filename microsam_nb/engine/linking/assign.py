"""Linear assignment of the objects of every frame to those of the next (Jaqaman et al., Nature Methods 2008).

One cost for every two objects that lie near each other or overlap, solved by scipy as a sparse matrix: with all pairs,
as packages for linking have them, ten thousand objects would need a hundred million costs per frame.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from .objects import Objects
from .settings import LinkSettings

#: What it costs that an object is not linked; a link costs at most that.
ALONE = 1.0
#: scipy takes explicit zeros of a sparse matrix for missing.
_TINY = 1e-6

#: Rows of the earlier and of the later object.
Link = tuple[int, int]


def link_frames(objects: Objects, settings: LinkSettings) -> Iterator[list[Link]]:
    """Yield the links of every frame to the next one."""
    reach = reach_of(objects, settings)
    for frame in range(len(objects.first) - 2):
        pairs = objects.pairs(objects.rows(frame), objects.rows(frame + 1), reach)
        cost = likeness(pairs.far / reach, objects.iou(pairs), settings.overlap)
        yield assigned(pairs.early, pairs.late, cost)


def reach_of(objects: Objects, settings: LinkSettings) -> float:
    """Return how far a cell moves at most from frame to frame, in pixels."""
    return settings.distance_px or settings.distance * objects.diameter


def likeness(far: NDArray[np.float64], iou: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Return what it costs, from 0 to 1, to take two objects for one cell, ``far`` as a share of what it may move."""
    return (1 - weight) * np.minimum(far, 1.0) ** 2 + weight * (1 - iou)


def assigned(early: NDArray[np.int64], late: NDArray[np.int64], cost: NDArray[np.float64]) -> list[Link]:
    """Return the links, of those with a ``cost``, that together cost least, with what stays alone; one per object."""
    if not len(cost):
        return []
    (sources, rows), (targets, columns) = (np.unique(some, return_inverse=True) for some in (early, late))
    m, n = len(sources), len(targets)
    alone = np.full(m + n, ALONE)
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
    found = zip(*min_weight_full_bipartite_matching(matrix), strict=True)
    return [(int(sources[i]), int(targets[j])) for i, j in found if i < m and j < n]
