"""Gaps along the planes of a volume: objects that a plane or a few of them missed.

Gap closing as in Archit et al., "Segment Anything for Microscopy" (Nature Methods 2025).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ...core import LabelError


def close_gaps(planes: Iterable[ArrayLike], gap: int) -> Iterator[NDArray[np.uint32]]:
    """Yield the label planes, uint32 (y, x) numbered from 1 in each, with gaps of up to 2 * ``gap`` planes filled.

    The foreground is closed along the planes (``gap`` dilations, then as many erosions). A connected part of it
    becomes an object of its plane, or an addition to the one object it touches; where it touches several, they stay as
    they are. The first and last ``gap`` planes stay as they are. At most 2 * ``gap`` + 1 planes are held.
    Raises LabelError as ``numbered_plane`` does, and for planes of different shapes.
    """
    reach = 2 * gap
    held: deque[tuple[NDArray[np.uint32], NDArray[np.bool_]]] = deque()
    since: NDArray[np.uint8] | None = None
    count = 0
    for plane in planes:
        labels, _ = numbered_plane(plane)
        if since is None:
            # A gap that begins before the first plane has no other side: it counts as too long from the start.
            since = np.full(labels.shape, reach + 1, np.uint8)
        same_shape(since.shape, labels.shape)
        foreground = labels > 0
        _fill(held, foreground, since)
        since += since <= reach
        since[foreground] = 0
        held.append((labels, foreground.copy()))
        count += 1
        if len(held) > reach:
            yield _closed(*held.popleft(), inside=count - reach - 1 >= gap)
    first = count - len(held)
    for z, (labels, foreground) in enumerate(held, first):
        yield _closed(labels, foreground, inside=gap <= z < count - gap)


def _fill(
    held: deque[tuple[NDArray[np.uint32], NDArray[np.bool_]]], foreground: NDArray[np.bool_], since: NDArray[np.uint8]
) -> None:
    """Mark the gaps that end at this plane in the planes held; ``since`` counts the planes without foreground."""
    ends = np.flatnonzero(foreground & (since > 0) & (since <= len(held)))
    lengths = since.ravel()[ends]
    for back in range(1, int(lengths.max(initial=0)) + 1):
        held[-back][1].ravel()[ends[lengths >= back]] = True


def _closed(labels: NDArray[np.uint32], foreground: NDArray[np.bool_], *, inside: bool) -> NDArray[np.uint32]:
    """Give the parts of a closed foreground to the objects of their plane."""
    if not inside or np.array_equal(foreground, labels > 0):
        return labels
    parts, count = ndimage.label(foreground, structure=np.ones((3, 3)))
    touching, _ = plane_overlaps(np.asarray(parts, np.uint32), labels)
    touching = touching[(touching > 0).all(1)]
    touched = np.bincount(touching[:, 0], minlength=count + 1)
    number = np.zeros(count + 1, np.uint32)
    number[touching[:, 0]] = touching[:, 1]
    new = np.flatnonzero(touched == 0)[1:]
    number[new] = int(labels.max()) + np.arange(1, len(new) + 1)
    closed = number[parts]
    if (touched > 1).any():
        np.copyto(closed, labels, where=(touched > 1)[parts])
    return closed


def numbered_plane(plane: ArrayLike) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the labels of a plane numbered 1, 2, ... in the order of their numbers, and all sizes from 0 on in pixels.

    Raises LabelError unless the plane is (y, x) of whole numbers from 0.
    """
    labels = np.asarray(plane)
    if labels.ndim != 2:
        raise LabelError(f"A plane of labels has shape {labels.shape}.", "Give planes of shape (y, x).")
    if not np.issubdtype(labels.dtype, np.integer):
        raise LabelError(
            f"A plane of labels is of type {labels.dtype}.", "Give whole numbers, one for each object; 0 is background."
        )
    flat = labels.ravel()
    # Pixels of one object lie in runs: sorting runs instead of pixels is several times faster, here and below.
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, flat.size), bool), flat[1:] != flat[:-1]]))
    lengths = np.diff(starts, append=flat.size)
    present, numbers = np.unique(flat[starts], return_inverse=True)
    if len(present) and present[0] < 0:
        raise LabelError(f"A plane of labels holds {present[0]}.", "Give numbers from 0; 0 is background.")
    if len(present) and present[0] > 0:
        numbers = numbers + 1
    sizes = np.bincount(numbers, lengths, minlength=1).astype(np.int64)
    return np.repeat(numbers.astype(np.uint32), lengths).reshape(labels.shape), sizes


def plane_overlaps(
    first: NDArray[np.uint32], second: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of numbers (n, 2) that share pixels of two planes, sorted, and how many pixels each shares."""
    a, b = first.ravel(), second.ravel()
    changes = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, a.size), bool), changes]))
    base = int(b.max(initial=0)) + 1
    keys = a[starts].astype(np.uint64) * np.uint64(base) + b[starts]
    unique, which = np.unique(keys, return_inverse=True)
    counts = np.bincount(which, np.diff(starts, append=a.size), minlength=len(unique)).astype(np.int64)
    return np.stack([unique // base, unique % base], 1).astype(np.int64), counts


def same_shape(expected: tuple[int, ...], found: tuple[int, ...]) -> None:
    """Raise LabelError unless two planes have one shape."""
    if expected != found:
        raise LabelError(
            f"A plane of labels has shape {found}, the planes before it {expected}.", "Give planes of one shape."
        )
