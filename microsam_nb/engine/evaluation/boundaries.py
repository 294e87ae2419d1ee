"""How far the outlines of two segmentations lie apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: Outlines that lie so far apart are the same, as a share of the image's diagonal (Csurka et al., BMVC 2013).
TOLERANCE = 0.0075


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Outline pixels of a truth and of what was found, how many lie near the other outline, and the sums of distances.

    Distances are in pixels, or in units of the spacing that was given; ``sum`` is over the pixels of both outlines that
    have one, of which there are ``measured``.
    """

    truth: int
    found: int
    truth_near: int
    found_near: int
    measured: int
    sum: float

    @property
    def f1(self) -> float:
        """Boundary F1 (Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013)."""
        if not (self.truth and self.found):
            return float(self.truth == self.found)
        precision, recall = self.found_near / self.found, self.truth_near / self.truth
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    @property
    def distance(self) -> float:
        """Average symmetric distance of the outlines (Heimann et al., IEEE TMI 2009); NaN where only one has any."""
        if not self.measured:
            return 0.0 if self.truth == self.found else math.nan
        return self.sum / self.measured


def boundaries(
    truth: NDArray[np.integer],
    found: NDArray[np.integer],
    *,
    tolerance: float | None = None,
    spacing: Sequence[float] | None = None,
) -> Boundaries:
    """Compare the outlines of labels of one shape, (y, x) or (planes, y, x), between objects that touch too.

    ``tolerance``: how far apart outlines may lie, by default ``TOLERANCE`` of the diagonal of a plane, a pixel at
    least. ``spacing``: size of a pixel along each axis.
    """
    sizes = (1.0,) * truth.ndim if spacing is None else tuple(spacing)
    if tolerance is None:
        sides = [n * s for n, s in zip(truth.shape[-2:], sizes[-2:], strict=True)]
        tolerance = max(TOLERANCE * math.hypot(*sides), *sizes[-2:])
    a, b = outlines(truth), outlines(found)
    if not (a.any() and b.any()):
        return Boundaries(int(a.sum()), int(b.sum()), 0, 0, 0, 0.0)
    to_found = ndimage.distance_transform_edt(~b, sizes)[a]
    to_truth = ndimage.distance_transform_edt(~a, sizes)[b]
    return Boundaries(
        len(to_found), len(to_truth), int((to_found <= tolerance).sum()), int((to_truth <= tolerance).sum()),
        len(to_found) + len(to_truth), float(to_found.sum() + to_truth.sum()),
    )  # fmt: skip


def outlines(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return the pixels of objects that have a neighbour along an axis in something else, bool; the edge is none."""
    edge = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        one = np.moveaxis(labels, axis, 0)
        differ = one[1:] != one[:-1]
        side = np.moveaxis(edge, axis, 0)
        side[1:] |= differ
        side[:-1] |= differ
    return edge & (labels != 0)
