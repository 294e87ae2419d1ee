"""The objects of a movie, and how those of two frames lie to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from ...core import LabelError
from ...core.labels import as_labels
from ...core.tracks import middles, shared


@dataclass(frozen=True, slots=True)
class Pairs:
    """Objects of two frames that are near each other: rows, pixels from middle to middle, common pixels."""

    early: NDArray[np.int64]
    late: NDArray[np.int64]
    far: NDArray[np.float64]
    common: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Objects:
    """All objects of ``labels`` (frames, h, w), one row each: frame, number there, middle in pixels, area.

    Rows are in the order of frames, then of numbers; ``first`` (frames + 1,) has the first row of every frame.
    """

    labels: NDArray[np.uint32]
    frame: NDArray[np.int64]
    number: NDArray[np.int64]
    middle: NDArray[np.float64]
    area: NDArray[np.float64]
    first: NDArray[np.int64]
    _common: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = field(
        default_factory=dict, repr=False
    )

    @classmethod
    def of(cls, labels: NDArray[np.uint32]) -> Objects:
        """List the objects of labels (frames, h, w), at least one frame."""
        numbers, sizes, places = zip(*map(middles, labels), strict=True)
        counts = [len(some) for some in numbers]
        frame = np.repeat(np.arange(len(labels)), counts)
        first = np.cumsum([0, *counts], dtype=np.int64)
        area = np.concatenate(sizes).astype(np.float64)
        return cls(labels, frame, np.concatenate(numbers), np.concatenate(places), area, first)

    @property
    def diameter(self) -> float:
        """Diameter in pixels of a disc as large as the typical object; 1 without objects."""
        return float(np.sqrt(np.median(self.area) * 4 / np.pi)) if len(self.area) else 1.0

    def rows(self, frame: int) -> NDArray[np.int64]:
        """The rows of one frame."""
        return np.arange(self.first[frame], self.first[frame + 1])

    def common(self, first: int, second: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return the rows of objects of two frames that overlap, and by how many pixels; kept, as all steps ask."""
        if (first, second) not in self._common:
            a, b, counts = shared(self.labels[first], self.labels[second])
            self._common[first, second] = self._row(first, a), self._row(second, b), counts.astype(np.float64)
        return self._common[first, second]

    def pairs(self, early: NDArray[np.int64], late: NDArray[np.int64], reach: float) -> Pairs:
        """Return which rows of one frame are within ``reach`` pixels of which of another, or overlap with them."""
        if not (len(early) and len(late)):
            return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
        size = len(self.area)
        near = cKDTree(self.middle[early]).sparse_distance_matrix(
            cKDTree(self.middle[late]), reach, output_type="coo_matrix"
        )
        a, b, common = self.common(int(self.frame[early[0]]), int(self.frame[late[0]]))
        own = np.isin(a, early) & np.isin(b, late)
        lapped = a[own] * size + b[own]
        codes = np.unique(np.concatenate([early[near.row] * size + late[near.col], lapped]))
        rows, columns = codes // size, codes % size
        both = np.zeros(len(codes))
        both[np.searchsorted(codes, lapped)] = common[own]
        return Pairs(rows, columns, np.hypot(*(self.middle[rows] - self.middle[columns]).T), both)

    def iou(self, pairs: Pairs) -> NDArray[np.float64]:
        """Return the common pixels of every two objects as a share of those of both."""
        return pairs.common / (self.area[pairs.early] + self.area[pairs.late] - pairs.common)

    def _row(self, frame: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        start, stop = self.first[frame : frame + 2]
        return np.searchsorted(self.number[start:stop], numbers) + start


def together(frames: Sequence[ArrayLike] | NDArray[np.integer]) -> NDArray[np.uint32]:
    """Return the labels of all frames as (frames, h, w). Raises LabelError for what is no labels, or of many sizes."""
    if isinstance(frames, np.ndarray) and frames.ndim == 3 and len(frames):
        return as_labels(frames)
    planes = [as_labels(np.asarray(frame)) for frame in frames]
    shapes = {plane.shape for plane in planes}
    if not planes or len(shapes) > 1 or len(planes[0]) != 1:
        raise LabelError(
            f"Frames of shapes {sorted(shapes)} are no movie.", "Give labels (frames, y, x), all of one size."
        )
    return np.concatenate(planes)
