"""Segmentations compared object by object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix

#: IoU thresholds of the mean segmentation accuracy.
THRESHOLDS = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))


def overlaps(truth: NDArray[np.integer], found: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the IoU (objects of ``truth``, objects of ``found``) of two label arrays of one shape; 0 is background."""
    if truth.shape != found.shape:
        raise ValueError(f"Labels of shapes {truth.shape} and {found.shape} cannot be compared.")
    a, b = (np.unique(one, return_inverse=True) for one in (truth, found))
    pairs = coo_matrix(
        (np.ones(truth.size), (a[1].reshape(-1), b[1].reshape(-1))), shape=(len(a[0]), len(b[0]))
    ).toarray()
    either = pairs.sum(1, keepdims=True) + pairs.sum(0, keepdims=True) - pairs
    return np.asarray((pairs / either)[a[0] != 0][:, b[0] != 0])


def accuracies(truth: NDArray[np.integer], found: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return TP / (TP + FP + FN) at each of ``THRESHOLDS``; 1 when both are empty.

    Objects are matched one to one so that as many pairs as possible reach the threshold, then by IoU
    (as in the DSB 2018 challenge, Caicedo et al., Nature Methods 2019).
    """
    iou = overlaps(truth, found)
    count = sum(iou.shape)
    out = []
    for threshold in THRESHOLDS:
        hits = 0
        if iou.size:
            rows, columns = linear_sum_assignment(-((iou >= threshold) + iou / (2 * min(iou.shape))))
            hits = int((iou[rows, columns] >= threshold).sum())
        out.append(hits / (count - hits) if count else 1.0)
    return np.array(out)


def mean_segmentation_accuracy(truth: NDArray[np.integer], found: NDArray[np.integer]) -> float:
    """Return the mean of ``accuracies`` (mSA), in 0..1."""
    return float(accuracies(truth, found).mean())
