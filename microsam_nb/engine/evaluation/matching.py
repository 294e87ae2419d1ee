"""Segmentations compared object by object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix

from ...core import LabelError
from ...core.labels import as_labels
from ...core.tracks import areas, shared

#: IoU thresholds of the mean segmentation accuracy: the very numbers of micro-sam's implementation, so that an IoU of
#: exactly 0.6, which misses the third, counts alike in both.
THRESHOLDS = tuple(float(one) for one in np.arange(0.5, 1.0, 0.05))


@dataclass(frozen=True, slots=True, eq=False)
class Contingency:
    """Which objects of two label arrays share how many pixels.

    ``truth`` and ``found``: their numbers, int64 (n,) and (m,), in order; ``truth_areas`` and ``found_areas`` in
    pixels; ``common`` float (n, m), the pixels that both have.
    """

    truth: NDArray[np.int64]
    found: NDArray[np.int64]
    truth_areas: NDArray[np.int64]
    found_areas: NDArray[np.int64]
    common: NDArray[np.float64]

    @classmethod
    def of(cls, truth: NDArray[np.integer], found: NDArray[np.integer]) -> Contingency:
        """Count the pixels of two label arrays (y, x) or (planes, y, x) of one shape; 0 is background.

        Raises LabelError for arrays of different shapes, and for what is no labels.
        """
        if np.shape(truth) != np.shape(found):
            raise LabelError(
                f"Labels of shapes {np.shape(truth)} and {np.shape(found)} cannot be compared.",
                "Give labels of the same image.",
            )
        a, b = as_labels(truth), as_labels(found)
        (ids, sizes), (own_ids, own_sizes), (first, second, joint) = areas(a), areas(b), shared(a, b)
        places = (np.searchsorted(ids, first), np.searchsorted(own_ids, second))
        common = coo_matrix((joint.astype(np.float64), places), shape=(len(ids), len(own_ids))).toarray()
        return cls(ids, own_ids, sizes, own_sizes, common)

    @property
    def iou(self) -> NDArray[np.float64]:
        """IoU float (n, m) of every object of the one with every object of the other."""
        either = self.truth_areas[:, None] + self.found_areas[None, :] - self.common
        return self.common / np.maximum(either, 1)


def overlaps(truth: NDArray[np.integer], found: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the IoU (objects of ``truth``, objects of ``found``) of two label arrays of one shape; 0 is background.

    Raises LabelError as ``Contingency.of`` does.
    """
    return Contingency.of(truth, found).iou


def match(iou: NDArray[np.float64], threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns (k,) of an IoU matrix that belong together.

    Objects are matched one to one so that as many pairs as possible reach the threshold, then by IoU (as in the DSB
    2018 challenge, Caicedo et al., Nature Methods 2019). Pairs below the threshold are left out.
    """
    if not (iou >= threshold).any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, columns = linear_sum_assignment(-((iou >= threshold) + iou / (2 * min(iou.shape))))
    good = iou[rows, columns] >= threshold
    return rows[good], columns[good]


def hits(iou: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many objects are matched at each of ``THRESHOLDS``, int64 (10,)."""
    return np.array([len(match(iou, threshold)[0]) for threshold in THRESHOLDS])


def accuracies(truth: NDArray[np.integer], found: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return TP / (TP + FP + FN) at each of ``THRESHOLDS``; 1 when both are empty. Objects are matched by ``match``."""
    iou = overlaps(truth, found)
    matched = hits(iou)
    count = sum(iou.shape)
    return matched / (count - matched) if count else np.ones(len(THRESHOLDS))


def mean_segmentation_accuracy(truth: NDArray[np.integer], found: NDArray[np.integer]) -> float:
    """Return the mean of ``accuracies`` (mSA), in 0..1."""
    return float(accuracies(truth, found).mean())
