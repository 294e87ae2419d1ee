"""Numbers about the objects of one plane by which an unusual one stands out: size, shape, contacts, brightness.

All objects of a plane are measured together; only the convex hull of each is looked at by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from .brightness import Floats, Whole, brightness
from .tracks import areas, renumbered

#: Smaller sections, as a share of the largest, are an end that tapers off.
_TAPER = 0.25


@dataclass(frozen=True, slots=True)
class Traits:
    """Objects and their traits by name, each (n), nan where there is none; ``partner``: see ``contact``, 0 for none.

    ``plane``: where the object is largest.
    """

    numbers: Whole
    plane: Whole
    partner: Whole
    values: dict[str, Floats]


def traits(labels: NDArray[np.uint32], image: NDArray[np.generic] | None = None, *, apart: bool = False) -> Traits:
    """Measure the objects of labels (planes, h, w), by the intensities of an ``image`` of that shape too.

    ``apart``: every plane has objects of its own; else what an object has in several is averaged by its pixels.

    area: pixels. solid: share of the convex hull. rough: outline against that of the bounding box, 0 for a smooth one.
    oval: area against that of the ellipse with the same moments. long: ratio of the axes. side: longest straight side,
    or mouth of a bay, in diameters. holes: enclosed background against the area. crumbs: share outside the largest
    part. border: share of the outline at the border of the image. contact: outline shared with the neighbour that
    shares most, in diameters of the smaller; joined: how solid both are together, less how solid the object is;
    around: share of the outline that others touch. Those of an image: see ``brightness``. Of several planes also jump:
    the largest change of area from one to the next, as a logarithm; blunt: how large the object ends, of its largest
    section, 0 at the first and last plane.
    """
    found = [_in_plane(own, None if image is None else image[plane], plane) for plane, own in enumerate(labels)]
    names = dict.fromkeys(name for one in found for name in one.values)
    numbers, place, partner = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("numbers", "plane", "partner")
    )
    columns = {name: np.concatenate([one.values[name] for one in found if name in one.values]) for name in names}
    sections = Traits(numbers, place, partner, columns)
    return sections if apart or len(labels) == 1 or not len(numbers) else _together(sections, len(labels))


def _together(sections: Traits, planes: int) -> Traits:
    """Return the traits of objects of several planes."""
    numbers, own = np.unique(sections.numbers, return_inverse=True)
    area = sections.values["area"]
    # The last one of each is the largest.
    order = np.lexsort((area, own))
    largest = order[np.append(np.flatnonzero(np.diff(own[order])), len(order) - 1)] if len(order) else order
    values: dict[str, Floats] = {"area": np.bincount(own, area, len(numbers)).astype(np.float64)}
    for name, column in sections.values.items():
        if name != "area":
            there = np.isfinite(column)
            weight = np.bincount(own[there], area[there], len(numbers))
            total = np.bincount(own[there], (column * area)[there], len(numbers))
            values[name] = np.where(weight > 0, total / np.maximum(weight, 1), np.nan)
    values |= _through_planes(own, sections.plane, area, area[largest], planes)
    return Traits(numbers, sections.plane[largest], sections.partner[largest], values)


def _through_planes(own: Whole, plane: Whole, area: Floats, largest: Floats, planes: int) -> dict[str, Floats]:
    """Return how abruptly objects change from plane to plane, and end: of each section object, plane and area."""
    order = np.lexsort((plane, own))
    own, plane, area = own[order], plane[order], area[order] / largest[own[order]]
    jump, blunt = np.zeros(len(largest)), np.zeros(len(largest))
    first = np.append(True, (np.diff(own) != 0) | (np.diff(plane) != 1))
    last = np.append(first[1:], True)
    np.maximum.at(blunt, own[first & (plane > 0)], area[first & (plane > 0)])
    np.maximum.at(blunt, own[last & (plane < planes - 1)], area[last & (plane < planes - 1)])
    later = np.flatnonzero(~first)
    # Where they taper off sections are small, and their ratios large.
    later = later[np.minimum(area[later], area[later - 1]) > _TAPER]
    np.maximum.at(jump, own[later], np.abs(np.log(area[later] / area[later - 1])))
    return {"jump": jump, "blunt": blunt}


def _in_plane(labels: NDArray[np.uint32], pixels: NDArray[np.generic] | None, plane: int) -> Traits:
    numbers, sizes = areas(labels)
    count = len(numbers)
    if not count:
        return Traits(numbers, numbers, numbers, {})
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
    if pixels is not None:
        values |= brightness(dense, pixels, rim, cracks, partner + 1)
    beside = np.where(partner >= 0, numbers[partner], 0)
    return Traits(numbers, np.full(count, plane), beside, values)


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
