"""Numbers about the objects of one plane by which an unusual one stands out: size, shape, contacts, brightness.

All objects of a plane are measured together; only the convex hull of each is looked at by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .brightness import Floats, Whole, brightness
from .shapes import contacts, crumbs, ellipses, find_corners, find_cracks, holes, hull
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
    cracks = find_cracks(dense)
    outline = np.bincount(cracks[:, 0], minlength=count + 1)[1:].astype(np.float64)
    edge = np.concatenate([dense[0], dense[-1], dense[:, 0], dense[:, -1]])
    cut = np.bincount(edge, minlength=count + 1)[1:].astype(np.float64)
    frame = [2 * (a.stop - a.start + b.stop - b.start) for a, b in ndimage.find_objects(dense, count)]
    rim = np.zeros(dense.shape, bool)
    rim.reshape(-1)[cracks[:, 2]] = True
    long, short = ellipses(dense, area)
    corners = find_corners(dense, rim, count)
    hulls = [hull(points, dense.shape) for points in corners]
    solid = np.minimum(1.0, area / np.array([size for size, _ in hulls]))
    contact, partner = contacts(cracks, area)
    both = np.full(count, np.nan)
    for i in np.flatnonzero(partner >= 0):
        both[i] = hull(np.concatenate([corners[i], corners[partner[i]]]), dense.shape)[0]
    values = {
        "area": area,
        "solid": solid,
        "rough": (outline + cut) / np.array(frame) - 1,
        "oval": area / np.maximum(4 * np.pi * long * short, 1.0),
        "long": long / short,
        "side": np.array([length for _, length in hulls]) / (2 * np.sqrt(area / np.pi)),
        "holes": holes(dense, count) / area,
        "crumbs": crumbs(dense, area, count),
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
