"""Numbers about the objects of one plane by which an unusual one stands out: size, shape, contacts, brightness.

All objects of a plane are measured together; only the convex hull of each is looked at by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from .brightness import Floats, Whole, brightness
from .tracks import areas, renumbered

#: A neighbour that has a smaller share of the outline is none to be joined with.
_SHORT = 0.08


@dataclass(frozen=True, slots=True)
class Traits:
    """Objects and their traits by name, each (n), nan where there is none.

    ``plane``: where the object is largest; ``partner``: the neighbour of ``contact``, ``other`` that of ``seam``, 0 for
    none.
    """

    numbers: Whole
    plane: Whole
    partner: Whole
    other: Whole
    values: dict[str, Floats]


@dataclass(frozen=True, slots=True)
class _Borders:
    """What objects share with each neighbour, 0 the background: sides of pixels, and the sum of levels there.

    ``row``: place of the object among all; levels as in ``brightness``.
    """

    row: Whole
    other: Whole
    length: Whole
    level: Floats


def traits(labels: NDArray[np.uint32], image: NDArray[np.generic] | None = None, *, apart: bool = False) -> Traits:
    """Measure the objects of labels (planes, h, w), by the intensities of an ``image`` of that shape too.

    ``apart``: every plane has objects of its own; else what an object has in several is averaged by its pixels.

    area: pixels. solid: share of the convex hull. rough: outline against that of the bounding box, 0 for a smooth one.
    oval: area against that of the ellipse with the same moments. long: ratio of the axes. side: longest straight side,
    or mouth of a bay, in diameters. holes: enclosed background against the area. crumbs: share outside the largest
    part. border: share of the outline at the border of the image. contact: outline shared with the neighbour that
    shares most, in diameters of the smaller; joined: how solid both are together, less how solid the object is;
    around: share of the outline that others touch. Those of an image: see ``brightness``; seam: the lowest level along
    the border to a neighbour.
    """
    found = [_in_plane(own, None if image is None else image[plane], plane) for plane, own in enumerate(labels)]
    names = dict.fromkeys(name for one, _ in found for name in one.values)
    numbers, place, partner = (
        np.concatenate([getattr(one, name) for one, _ in found]) for name in ("numbers", "plane", "partner")
    )
    columns = {name: np.concatenate([one.values[name] for one, _ in found if name in one.values]) for name in names}
    sections = Traits(numbers, place, partner, np.zeros_like(partner), columns)
    if not len(numbers):
        return sections
    together = sections if apart or len(labels) == 1 else _together(sections)
    if image is None:
        return together
    rows = np.arange(len(numbers)) if together is sections else np.searchsorted(together.numbers, numbers)
    first = np.cumsum([0, *(len(one.numbers) for one, _ in found)])
    row = np.concatenate([rows[borders.row + begin] for (_, borders), begin in zip(found, first, strict=False)])
    other, length, level = (
        np.concatenate([getattr(borders, name) for _, borders in found]) for name in ("other", "length", "level")
    )
    beside, seam = _seams(_Borders(row, other, length, level), len(together.numbers))
    return replace(together, other=beside, values={**together.values, "seam": seam})


def _seams(borders: _Borders, count: int) -> tuple[Whole, Floats]:
    """Return of each object the neighbour to which the border has the lowest level, 0 for none, and that level."""
    whole = np.bincount(borders.row, borders.length, count)
    pairs, own = np.unique(np.stack([borders.row, borders.other], 1), axis=0, return_inverse=True)
    length = np.bincount(own.reshape(-1), borders.length, len(pairs))
    level = np.bincount(own.reshape(-1), borders.level, len(pairs)) / length
    row, other = pairs.T
    long = (other > 0) & (length >= _SHORT * whole[row])
    row, other, level = row[long], other[long], level[long]
    order = np.argsort(-level, kind="stable")
    beside, seam = np.zeros(count, np.int64), np.full(count, np.nan)
    beside[row[order]], seam[row[order]] = other[order], level[order]
    return beside, seam


def _together(sections: Traits) -> Traits:
    """Return the traits of objects of several planes."""
    numbers, own = np.unique(sections.numbers, return_inverse=True)
    area = sections.values["area"]
    largest, closest = (_best(own, column) for column in (area, sections.values["contact"]))
    values: dict[str, Floats] = {"area": np.bincount(own, area, len(numbers)).astype(np.float64)}
    for name, column in sections.values.items():
        if name != "area":
            there = np.isfinite(column)
            weight = np.bincount(own[there], area[there], len(numbers))
            total = np.bincount(own[there], (column * area)[there], len(numbers))
            values[name] = np.where(weight > 0, total / np.maximum(weight, 1), np.nan)
    return Traits(numbers, sections.plane[largest], sections.partner[closest], np.zeros_like(numbers), values)


def _best(own: Whole, column: Floats) -> Whole:
    """Return of each object the place of its section with the largest number."""
    order = np.lexsort((column, own))
    found: Whole = order[np.append(np.flatnonzero(np.diff(own[order])), len(order) - 1)]
    return found


def _in_plane(labels: NDArray[np.uint32], pixels: NDArray[np.generic] | None, plane: int) -> tuple[Traits, _Borders]:
    numbers, sizes = areas(labels)
    count = len(numbers)
    if not count:
        nothing = _Borders(numbers, numbers, numbers, numbers.astype(np.float64))
        return Traits(numbers, numbers, numbers, numbers, {}), nothing
    dense = renumbered(labels, {int(n): i for i, n in enumerate(numbers, start=1)}).astype(np.int64)
    area = sizes.astype(np.float64)
    cracks = _cracks(dense)
    outline = np.bincount(cracks[:, 0], minlength=count + 1)[1:].astype(np.float64)
    edge = np.concatenate([dense[0], dense[-1], dense[:, 0], dense[:, -1]])
    cut = np.bincount(edge, minlength=count + 1)[1:].astype(np.float64)
    frame = [2 * (a.stop - a.start + b.stop - b.start) for a, b in ndimage.find_objects(dense, count)]
    rim = np.zeros(dense.shape, bool)
    rim.reshape(-1)[cracks[:, 2]] = True
    long, short = _ellipses(dense, area)
    corners = _corners(dense, rim, count)
    hulls = [_hull(points, dense.shape) for points in corners]
    solid = np.minimum(1.0, area / np.array([hull for hull, _ in hulls]))
    contact, partner = _contacts(cracks, area)
    both = np.full(count, np.nan)
    for i in np.flatnonzero(partner >= 0):
        both[i] = _hull(np.concatenate([corners[i], corners[partner[i]]]), dense.shape)[0]
    values = {
        "area": area,
        "solid": solid,
        "rough": (outline + cut) / np.array(frame) - 1,
        "oval": area / np.maximum(4 * np.pi * long * short, 1.0),
        "long": long / short,
        "side": np.array([length for _, length in hulls]) / (2 * np.sqrt(area / np.pi)),
        "holes": _holes(dense, count) / area,
        "crumbs": _crumbs(dense, area, count),
        "border": cut / (outline + cut),
        "contact": contact,
        "joined": np.minimum(1.0, (area + area[partner]) / both) - solid,
        "around": np.bincount(cracks[:, 0], cracks[:, 1] > 0, count + 1)[1:] / np.maximum(1, outline),
    }
    level = np.full(len(cracks), np.nan)
    if pixels is not None:
        bright, level = brightness(dense, pixels, rim, cracks)
        values |= bright
    beside = np.where(partner >= 0, numbers[partner], 0)
    found = Traits(numbers, np.full(count, plane), beside, np.zeros(count, np.int64), values)
    return found, _borders(cracks, level, numbers)


def _borders(cracks: Whole, level: Floats, numbers: Whole) -> _Borders:
    known = np.isfinite(level)
    keys, own = np.unique(cracks[known, 0] * (len(numbers) + 1) + cracks[known, 1], return_inverse=True)
    row, other = np.divmod(keys, len(numbers) + 1)
    length = np.bincount(own, minlength=len(keys))
    total = np.bincount(own, level[known], len(keys)).astype(np.float64)
    return _Borders(row - 1, np.append(0, numbers)[other], length, total)


def _cracks(dense: Whole) -> Whole:
    """Return every side of a pixel between two objects, or an object and background: (n, 3) own, other, own's place."""
    place = np.arange(dense.size).reshape(dense.shape)
    found = []
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b, p, q = (one[mine] for one, mine in ((dense, first), (dense, second), (place, first), (place, second)))
        differ = a != b
        a, b, p, q = a[differ], b[differ], p[differ], q[differ]
        found += [np.stack([a, b, p], 1)[a > 0], np.stack([b, a, q], 1)[b > 0]]
    return np.concatenate(found)


def _ellipses(dense: Whole, area: Floats) -> tuple[Floats, Floats]:
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


def _corners(dense: Whole, rim: NDArray[np.bool_], count: int) -> list[Whole]:
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


def _hull(points: Whole, size: tuple[int, ...]) -> tuple[float, float]:
    """Return the area of the convex hull of corners, and the longest of its sides that is not the image's border."""
    try:
        hull = ConvexHull(points)
    except QhullError:
        return 1.0, 0.0
    ends = points[hull.simplices]
    outer = ((ends == 0) | (ends == size)) & (ends[:, :1] == ends[:, 1:])
    lengths = np.hypot(*(ends[:, 0] - ends[:, 1]).T)
    return float(hull.volume), float(lengths[~outer.any((1, 2))].max(initial=0))


def _contacts(cracks: Whole, area: Floats) -> tuple[Floats, Whole]:
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


def _holes(dense: Whole, count: int) -> Floats:
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


def _crumbs(dense: Whole, area: Floats, count: int) -> Floats:
    """Return the share of pixels of each object that lie outside its largest part."""
    from skimage.measure import label

    parts = label(dense, connectivity=2)
    sizes = np.bincount(parts.reshape(-1))
    first = np.unique(parts, return_index=True)[1]
    own = dense.reshape(-1)[first]
    largest = np.zeros(count + 1)
    np.maximum.at(largest, own, sizes[np.flatnonzero(sizes)])
    return 1 - largest[1:] / area
