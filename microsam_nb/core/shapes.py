"""Shapes of the objects 1 to n of a plane (h, w), all measured together: ``dense`` has their numbers, 0 background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from .brightness import Floats, Whole


def find_cracks(dense: Whole) -> Whole:
    """Return every side of a pixel between two objects, or an object and background: (n, 3) own, other, own's place."""
    place = np.arange(dense.size).reshape(dense.shape)
    found = []
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b, p, q = (one[mine] for one, mine in ((dense, first), (dense, second), (place, first), (place, second)))
        differ = a != b
        a, b, p, q = a[differ], b[differ], p[differ], q[differ]
        found += [np.stack([a, b, p], 1)[a > 0], np.stack([b, a, q], 1)[b > 0]]
    return np.concatenate(found)


def ellipses(dense: Whole, area: Floats) -> tuple[Floats, Floats]:
    """Return half of the half axes of the ellipses with the second moments of objects."""
    rows, columns = dense.nonzero()
    own = dense[rows, columns] - 1
    y, x = (np.bincount(own, one) / area for one in (rows, columns))
    dy, dx = rows - y[own], columns - x[own]
    yy, xx, yx = (np.bincount(own, one) / area for one in (dy * dy, dx * dx, dy * dx))
    # A pixel is a square, not a point.
    yy, xx = yy + 1 / 12, xx + 1 / 12
    long = (yy + xx) / 2 + np.hypot((yy - xx) / 2, yx)
    return np.sqrt(long), np.sqrt(np.maximum(yy + xx - long, 0))


def find_corners(dense: Whole, rim: NDArray[np.bool_], count: int) -> list[Whole]:
    """Return of every object the corners (n, 2) of the first and last pixel of each row."""
    rows, columns = (rim & (dense > 0)).nonzero()
    # Objects that fill the plane have no crack at its border.
    for line in (np.s_[0], np.s_[-1]):
        at = dense[line].nonzero()[0]
        rows, columns = np.append(rows, np.full(len(at), range(dense.shape[0])[line])), np.append(columns, at)
        at = dense[:, line].nonzero()[0]
        rows, columns = np.append(rows, at), np.append(columns, np.full(len(at), range(dense.shape[1])[line]))
    own = dense[rows, columns]
    order = np.lexsort((columns, rows, own))
    own, rows, columns = own[order], rows[order], columns[order]
    key = own * dense.shape[0] + rows
    first = np.flatnonzero(np.diff(key, prepend=-1))
    last = np.append(first[1:], len(key)) - 1
    below = np.array([1, 0])
    left = np.stack([rows[first], columns[first]], 1)
    right = np.stack([rows[last], columns[last] + 1], 1)
    points = np.stack([left, left + below, right, right + below], 1).reshape(-1, 2)
    return np.split(points, 4 * np.searchsorted(own[first], np.arange(2, count + 1)))


def hull(points: Whole, size: tuple[int, ...]) -> tuple[float, float]:
    """Return the area of the convex hull of corners, and the longest of its sides that is not the image's border."""
    try:
        hull = ConvexHull(points)
    except QhullError:
        return 1.0, 0.0
    ends = points[hull.simplices]
    outer = ((ends == 0) | (ends == size)) & (ends[:, :1] == ends[:, 1:])
    lengths = np.hypot(*(ends[:, 0] - ends[:, 1]).T)
    return float(hull.volume), float(lengths[~outer.any((1, 2))].max(initial=0))


def contacts(cracks: Whole, area: Floats) -> tuple[Floats, Whole]:
    """Return the longest contact of every object, in diameters of the smaller one, and with which; -1 for none."""
    count = len(area)
    contact, partner = np.zeros(count), np.full(count, -1)
    met = cracks[cracks[:, 1] > 0]
    keys, lengths = np.unique((met[:, 0] - 1) * count + met[:, 1] - 1, return_counts=True)
    own, other = keys // max(1, count), keys % max(1, count)
    share = lengths / (2 * np.sqrt(np.minimum(area[own], area[other]) / np.pi))
    order = np.argsort(share, kind="stable")
    contact[own[order]], partner[own[order]] = share[order], other[order]
    return contact, partner


def holes(dense: Whole, count: int) -> Floats:
    """Return the background that each object alone encloses, in pixels."""
    parts, number = ndimage.label(dense == 0)
    out = np.zeros(count)
    if not number:
        return out
    around = np.full(number + 1, -1)
    several = np.zeros(number + 1, bool)
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        several[edge] = True
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        for hole, own in ((parts[first], dense[second]), (parts[second], dense[first])):
            beside = (hole > 0) & (own > 0)
            hole, own = hole[beside], own[beside]
            around[hole] = np.where(around[hole] < 0, own, around[hole])
            several[hole[around[hole] != own]] = True
    sizes = np.bincount(parts.reshape(-1), minlength=number + 1)
    alone = np.flatnonzero(~several & (around > 0))
    np.add.at(out, around[alone] - 1, sizes[alone])
    return out


def crumbs(dense: Whole, area: Floats, count: int) -> Floats:
    """Return the share of pixels of each object that lie outside its largest part."""
    from skimage.measure import label

    parts = label(dense, connectivity=2)
    sizes = np.bincount(parts.reshape(-1))
    first = np.unique(parts, return_index=True)[1]
    own = dense.reshape(-1)[first]
    largest = np.zeros(count + 1)
    np.maximum.at(largest, own, sizes[np.flatnonzero(sizes)])
    return 1 - largest[1:] / area
