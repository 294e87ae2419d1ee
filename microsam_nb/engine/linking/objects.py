"""The objects of a movie, and how those of two frames overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core import LabelError
from ...core.labels import as_labels
from ...core.tracks import middles


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

    @classmethod
    def of(cls, labels: NDArray[np.uint32]) -> Objects:
        """List the objects of labels (frames, h, w)."""
        rows = [(t, number, area, *yx) for t, plane in enumerate(labels) for number, area, yx in middles(plane)]
        table = np.array(rows, np.float64).reshape(-1, 5)
        frame = table[:, 0].astype(np.int64)
        first = np.searchsorted(frame, np.arange(len(labels) + 1)).astype(np.int64)
        return cls(labels, frame, table[:, 1].astype(np.int64), table[:, 3:], table[:, 2], first)

    @property
    def diameter(self) -> float:
        """Diameter in pixels of a disc as large as the typical object; 1 without objects."""
        return float(np.sqrt(np.median(self.area) * 4 / np.pi)) if len(self.area) else 1.0

    def rows(self, frame: int) -> slice:
        """The rows of one frame."""
        return slice(int(self.first[frame]), int(self.first[frame + 1]))

    def common(self, first: int, second: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return the rows of objects of two frames that overlap, and by how many pixels."""
        a, b = self.labels[first], self.labels[second]
        both = (a > 0) & (b > 0)
        rows = [
            np.searchsorted(self.number[self.rows(t)], plane[both]) + self.first[t]
            for t, plane in ((first, a), (second, b))
        ]
        pairs, counts = np.unique(rows[0] * len(self.area) + rows[1], return_counts=True)
        return pairs // len(self.area), pairs % len(self.area), counts.astype(np.float64)


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
