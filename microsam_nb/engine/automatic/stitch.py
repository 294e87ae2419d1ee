"""3D objects from the objects of single planes: overlaps make a graph, multicut cuts it.

Merging as in Archit et al., "Segment Anything for Microscopy" (Nature Methods 2025), with an overlap that does not
depend on the direction of the planes. The multicut solver is the Kernighan-Lin of Keuper et al., "Efficient
decomposition of image and mesh graphs by lifted multicuts" (ICCV 2015), for each part of the graph that holds together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ...core import LabelError, ModelError, Settings, option
from .gaps import close_gaps, numbered_plane, plane_overlaps, same_shape

_LARGEST = 2**32 - 1
#: Gains that differ by less are the same but for rounding.
_EQUAL = 1e-6
#: What is kept of two objects of neighbouring planes that overlap: their numbers counted from 0 in the volume, and
#: in pixels the overlap, both sizes, and how much of each faces background in the other's plane.
_EDGE = ("earlier", "later", "both", "size", "later size", "background", "later background")


@dataclass(frozen=True)
class StitchSettings(Settings):
    """How the objects of single planes become 3D objects."""

    beta: float = option(0.5, "Higher values join less.", low=0.01, high=0.99)
    background: float = option(
        1.0,
        "How much an object's pixels that face background in the neighbouring plane speak against joining; at 1 as "
        "much as pixels that face another object.",
        low=0.0,
        high=1.0,
    )
    gap_closing: int = option(0, "Fills gaps of up to twice as many planes.", low=0, high=10, unit="planes")
    min_extent: int = option(1, "Objects of fewer planes are left out.", low=1, high=100, unit="planes")


def stitch(
    planes: Sequence[ArrayLike] | NDArray[np.integer], settings: StitchSettings = StitchSettings()
) -> NDArray[np.uint32]:
    """Return the 3D objects, uint32 (z, y, x) numbered from 1, of label planes (y, x) numbered from 1 in each plane.

    Raises LabelError for labels that are no whole numbers from 0 or planes of different shapes, and ModelError
    without a multicut solver.
    """
    stitching = Stitching()
    source: Iterable[ArrayLike] = close_gaps(planes, settings.gap_closing) if settings.gap_closing else planes
    volume: NDArray[np.uint32] | None = None
    for z, labels in enumerate(source):
        unique = stitching.add(labels)
        if volume is None:
            volume = np.zeros((len(planes), *unique.shape), np.uint32)
        volume[z] = unique
    if volume is None:
        empty = planes.shape if isinstance(planes, np.ndarray) and planes.ndim == 3 else (0, 0, 0)
        return np.zeros(empty, np.uint32)
    table = stitching.solve(settings)
    for plane in volume:
        plane[...] = table[plane]
    return volume


class Stitching:
    """Planes of labels taken in one after the other; keeps one plane, and of the others only sizes and overlaps."""

    def __init__(self) -> None:
        self._before: tuple[NDArray[np.uint32], NDArray[np.int64]] | None = None
        self._counts: list[int] = []
        self._edges = [np.zeros((0, len(_EDGE)), np.int64)]

    def add(self, labels: ArrayLike) -> NDArray[np.uint32]:
        """Take the next plane (y, x), numbered from 1 for itself, and return it with numbers unique in the volume.

        The numbers go on from plane to plane without holes, in the order of the plane's own. Raises LabelError as
        ``stitch`` does, and takes nothing then.
        """
        plane, sizes = numbered_plane(labels)
        count, offset = len(sizes) - 1, sum(self._counts)
        if offset + count > _LARGEST:
            raise LabelError(f"There are more than {_LARGEST} objects in the planes.", "Stitch fewer planes at once.")
        if self._before is not None:
            same_shape(self._before[0].shape, plane.shape)
            self._edges.append(_edges(*self._before, plane, sizes, offset))
        self._before = plane, sizes
        self._counts.append(count)
        return np.where(plane > 0, plane + np.uint32(offset), np.uint32(0))

    def solve(self, settings: StitchSettings = StitchSettings()) -> NDArray[np.uint32]:
        """Return ``table`` with ``table[unique number] = number of the 3D object``, for the planes taken so far.

        3D objects are numbered 1, 2, ... by their first appearance; background and objects left out are 0.
        ``gap_closing`` is not used: give the planes of ``close_gaps`` to ``add``. May be called any number of times.
        Raises ModelError without a multicut solver.
        """
        planes = np.repeat(np.arange(len(self._counts)), self._counts)
        edges = np.concatenate(self._edges)
        objects = _joined(planes, edges[:, :2], _weights(edges, settings))
        _, first, which = np.unique(objects, return_index=True, return_inverse=True)
        last = np.zeros_like(first)
        np.maximum.at(last, which, np.arange(len(planes)))
        kept = np.flatnonzero(planes[last] - planes[first] + 1 >= settings.min_extent)
        numbers = np.zeros(len(first), np.uint32)
        numbers[kept[np.argsort(first[kept])]] = np.arange(1, len(kept) + 1)
        return np.concatenate([np.zeros(1, np.uint32), numbers[which]])


def _edges(
    before: NDArray[np.uint32],
    sizes_before: NDArray[np.int64],
    after: NDArray[np.uint32],
    sizes_after: NDArray[np.int64],
    offset: int,
) -> NDArray[np.int64]:
    """Return the overlaps of two planes, one row of ``_EDGE`` each; ``offset`` objects lie before the later plane."""
    pairs, counts = plane_overlaps(before, after)
    a, b = pairs.T
    # Objects without background on the other side have no such pair: they keep 0.
    free_before, free_after = np.zeros_like(sizes_before), np.zeros_like(sizes_after)
    free_before[a[b == 0]] = counts[b == 0]
    free_after[b[a == 0]] = counts[a == 0]
    real = (a > 0) & (b > 0)
    a, b, both = a[real], b[real], counts[real]
    start = offset - (len(sizes_before) - 1)
    columns = [a - 1 + start, b - 1 + offset, both, sizes_before[a], sizes_after[b], free_before[a], free_after[b]]
    return np.stack(columns, 1)


def _weights(edges: NDArray[np.int64], settings: StitchSettings) -> NDArray[np.float64]:
    """Return the gain of joining each pair: positive where the overlap speaks for it.

    At beta 0.5 as in micro-sam, positive for a share over 0.2684; beta adds its prior.
    """
    both, size, later_size, free, later_free = edges[:, 2:].T.astype(np.float64)
    ignored = 1 - settings.background
    share = _share(both, size - ignored * free, later_size - ignored * later_free)
    p = 0.998 * share + 0.001
    return np.asarray(1 + np.log(p / (1 - p)) + math.log((1 - settings.beta) / settings.beta))


def _share(
    both: NDArray[np.float64], size: NDArray[np.float64], later_size: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the overlap in 0..1 of two objects; the same when they change places."""
    # The best of mean, largest and smallest of both shares, Dice, IoU on the ground truth of the training volumes:
    # the largest glues neighbours together, the others tear objects where they taper or branch.
    return (both / size + both / later_size) / 2


def _joined(planes: NDArray[np.int64], uv: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a 3D object's number for each node; ``planes`` are the nodes' planes, ascending."""
    attractive = weights > 0
    parts = _connected(len(planes), uv[attractive])
    ends = parts[uv]
    inside = ends[:, 0] == ends[:, 1]
    # Parts that hold together and where no edge objects are objects; the solver sees the others only.
    doubtful = np.zeros(len(planes), bool)
    doubtful[ends[inside & ~attractive, 0]] = True
    asked = inside & doubtful[ends[:, 0]]
    if not asked.any():
        return parts
    nodes, uv_asked = np.unique(uv[asked], return_inverse=True)
    uv_asked = uv_asked.reshape(-1, 2)
    kept = _kept_both_ways(planes[nodes], uv_asked, weights[asked])
    settled = uv[attractive & inside & ~asked]
    return _connected(len(planes), np.concatenate([settled, nodes[uv_asked[kept]]]))


def _kept_both_ways(
    planes: NDArray[np.int64], uv: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which edges join, the same for a reversed stack.

    The solver is a heuristic whose answer depends on the order of nodes and edges: it is asked in both directions, and
    the better answer is taken for each part.
    """
    count = len(planes)
    order = np.argsort(-planes, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(count)
    reversed_uv = place[uv[:, ::-1]]
    rows = np.lexsort(reversed_uv.T[::-1])
    forward, backward = _solve(count, uv, weights), _solve(count, reversed_uv[rows], weights[rows])[place]
    one, other = (clusters[uv[:, 0]] == clusters[uv[:, 1]] for clusters in (forward, backward))
    parts = _connected(count, uv[one | other])[uv[:, 0]]
    lead = (np.bincount(parts, weights * one) - np.bincount(parts, weights * other))[parts]
    # Different answers that are equally good: what both join is the one choice without a direction.
    either = (one | other) & (one | (lead < -_EQUAL)) & (other | (lead > _EQUAL))
    return np.asarray(either)


def _connected(count: int, uv: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of its connected part for each node."""
    graph = coo_array((np.ones(len(uv), bool), (uv[:, 0], uv[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _solve(count: int, uv: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Solve multicut for nodes 0 to ``count`` - 1 and return each node's cluster; positive weights attract."""
    ends = np.ascontiguousarray(uv, np.uint64)
    try:
        # Two libraries go by the name nifty: only the graph library has this module.
        multicut = import_module("nifty.graph.opt.multicut")
        graph = import_module("nifty.graph").undirectedGraph(count)
    except (ImportError, SyntaxError):
        return _solve_bioimage(count, ends, weights)
    graph.insertEdges(ends)
    objective = multicut.multicutObjective(graph, weights)
    inner = objective.kernighanLinFactory(warmStartGreedy=True)
    solver = objective.multicutDecomposerFactory(submodelFactory=inner, fallthroughFactory=inner, numberOfThreads=1)
    return np.asarray(solver.create(objective).optimize(), np.int64)


def _solve_bioimage(count: int, ends: NDArray[np.uint64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    try:
        graphs = import_module("bioimage_cpp.graph")
        multicut = import_module("bioimage_cpp.graph.multicut")
    except ImportError as error:
        raise ModelError(
            "Stitching needs a multicut solver, and none is installed.", "pip install bioimage-cpp"
        ) from error
    graph = graphs.UndirectedGraph(count)
    graph.insert_edges(ends)
    solver = multicut.MulticutDecomposer(multicut.KernighanLinMulticut(), number_of_threads=1)
    return np.asarray(solver.optimize(multicut.MulticutObjective(graph, weights)), np.int64)
