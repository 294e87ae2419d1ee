"""Which of many overlapping masks are kept, and how they become labels: all on crops, never on whole planes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import Mask
from .proposals import boxes_of


def suppress_boxes(boxes: NDArray[Any], scores: NDArray[Any], threshold: float) -> NDArray[np.int64]:
    """Return the places of the boxes that are kept, best score first: greedy non-maximum suppression.

    ``boxes`` (n, 4) half-open (y0, x0, y1, x1). A box goes when its IoU with a better one that is kept is greater
    than ``threshold``. Of equal scores the first is better.
    """
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    y0, x0, y1, x1 = corners[order].T
    areas = (y1 - y0) * (x1 - x0)
    alive = np.ones(len(order), bool)
    for i in range(len(order)):
        if not alive[i]:
            continue
        rest = np.flatnonzero(alive[i + 1 :]) + i + 1
        high = np.minimum(y1[i], y1[rest]) - np.maximum(y0[i], y0[rest])
        wide = np.minimum(x1[i], x1[rest]) - np.maximum(x0[i], x0[rest])
        shared = np.maximum(high, 0) * np.maximum(wide, 0)
        alive[rest[shared > threshold * (areas[i] + areas[rest] - shared)]] = False
    return order[alive]


def suppress_masks(
    masks: Sequence[Mask], scores: NDArray[Any], threshold: float, *, over_smaller: bool = False
) -> NDArray[np.int64]:
    """Return the places of the masks that are kept, best score first: greedy, by overlap of pixels instead of boxes.

    All lie in one plane. The overlap is the IoU, or with ``over_smaller`` the intersection over the smaller area; a
    mask goes when it is greater than ``threshold``. Pixels are compared only where boxes could overlap so much.
    """
    boxes = boxes_of(masks)
    areas = np.array([mask.area for mask in masks], np.int64)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    y0, x0, y1, x1 = boxes[order].T
    size = areas[order]
    alive = size > 0
    for i in range(len(order)):
        if not alive[i]:
            continue
        rest = np.flatnonzero(alive[i + 1 :]) + i + 1
        high = np.minimum(y1[i], y1[rest]) - np.maximum(y0[i], y0[rest])
        wide = np.minimum(x1[i], x1[rest]) - np.maximum(x0[i], x0[rest])
        # No two masks share more than their boxes do, nor more than the smaller one has.
        most = np.minimum(np.maximum(high, 0) * np.maximum(wide, 0), np.minimum(size[i], size[rest]))
        whole = np.minimum(size[i], size[rest]) if over_smaller else size[i] + size[rest] - most
        for j in rest[(most > 0) & (most > threshold * whole)]:
            shared = masks[order[i]].shared(masks[order[j]])
            union = min(size[i], size[j]) if over_smaller else size[i] + size[j] - shared
            alive[j] = not shared > threshold * union
    return order[alive]


def painted(masks: Sequence[Mask], shape: tuple[int, int], *, larger_first: bool = True) -> NDArray[np.uint32]:
    """Paint masks of one plane of ``shape`` (height, width) into labels uint32 counted from 1, none over another.

    A pixel of several masks goes to the largest, or with ``larger_first`` False to the smallest. Masks of which
    nothing is left get no number.
    """
    areas = np.array([mask.area for mask in masks], np.int64)
    # Painted over by whoever comes later.
    order = np.argsort(areas if larger_first else -areas, kind="stable")
    labels = np.zeros(shape, np.uint32)
    for i in order[areas[order] > 0]:
        _, y, x = masks[i].start
        bitmap = masks[i].bitmap[0]
        labels[y : y + bitmap.shape[0], x : x + bitmap.shape[1]][bitmap] = i + 1
    left = np.unique(labels)
    table = np.zeros(len(masks) + 1, np.uint32)
    left = left[left > 0]
    table[left] = np.arange(1, len(left) + 1)
    out: NDArray[np.uint32] = table[labels]
    return out
