"""Movies drawn for linking: cells that move, touch, divide, come and go, and labels with the usual faults."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microsam_nb.core import Lineage, Tracks

SIZE, MARGIN = 256, 24


@dataclass
class Cell:
    track: int
    y: float
    x: float
    radius: float
    angle: float
    heading: float
    age: int = 0


def draw(speed, count, seed, frames=24, radius=8.0, doubling=30):
    """True tracks: ``speed`` in diameters per frame, ``count`` cells at first, dividing every ``doubling``."""
    chance = np.random.default_rng(seed)
    whole = SIZE + 2 * MARGIN
    cells = [_cell(n + 1, chance, whole, radius) for n in range(count)]
    daughters, labels = {}, np.zeros((frames, whole, whole), np.uint32)
    free = count + 1
    for frame in range(frames):
        _apart(cells)
        for cell in cells:
            _paint(labels[frame], cell)
        after = []
        for cell in cells:
            cell.heading += chance.normal(0, 0.7)
            step = speed * 2 * radius * chance.gamma(4, 0.25)
            cell.y, cell.x = cell.y + step * np.sin(cell.heading), cell.x + step * np.cos(cell.heading)
            cell.angle += chance.normal(0, 0.15)
            cell.age += 1
            cell.radius = radius * min(1.0, 0.75 + 0.03 * cell.age)
            if cell.age > 6 and chance.random() < 1 / doubling:
                pair = []
                for side in (-1, 1):
                    away = side * 0.9 * radius
                    y, x = cell.y + away * np.sin(cell.angle), cell.x + away * np.cos(cell.angle)
                    pair.append(Cell(free, y, x, 0.75 * radius, cell.angle + np.pi / 2, chance.uniform(0, 7)))
                    free += 1
                daughters[cell.track] = tuple(one.track for one in pair)
                after += pair
            else:
                after.append(cell)
        cells = after
    return _seen(labels[:, MARGIN:-MARGIN, MARGIN:-MARGIN], daughters)


def spoilt(tracks, seed, missing=0.02, merged=0.02, false=0.02):
    """Labels (frames, h, w), numbered at random, in which objects are missing, merged, or no cells."""
    chance = np.random.default_rng(seed)
    out = np.zeros_like(tracks.labels)
    for frame, plane in enumerate(tracks.labels):
        own = plane.copy()
        ids = np.unique(own[own > 0])
        for one in ids:
            if chance.random() < missing:
                own[own == one] = 0
            elif chance.random() < merged:
                around = np.zeros_like(own, bool)
                ys, xs = np.nonzero(own == one)
                if len(ys):
                    around[max(0, ys.min() - 2) : ys.max() + 3, max(0, xs.min() - 2) : xs.max() + 3] = True
                    others = [n for n in np.unique(own[around]) if n not in (0, one)]
                    if others:
                        own[own == one] = others[0]
        for _ in range(chance.poisson(false * len(ids))):
            blob = Cell(int(own.max()) + 1, *chance.uniform(0, SIZE, 2), chance.uniform(2, 7), 0, 0)
            _paint(own, blob)
        out[frame] = own
    return renumbered(out, seed)


def renumbered(labels, seed=0):
    """Labels whose objects have other numbers in every frame."""
    chance = np.random.default_rng(seed)
    out = np.zeros_like(labels)
    for frame, plane in enumerate(labels):
        ids = np.unique(plane[plane > 0])
        names = np.concatenate([[0], chance.permutation(len(ids)) + 1])
        out[frame] = names[np.searchsorted(ids, plane) + 1] * (plane > 0) if len(ids) else 0
    return out


def _cell(track, chance, whole, radius):
    y, x = chance.uniform(radius, whole - radius, 2)
    return Cell(track, y, x, radius, chance.uniform(0, 3), chance.uniform(0, 7), int(chance.integers(0, 12)))


def _apart(cells):
    """Push apart what overlaps."""
    for _ in range(8):
        for i, a in enumerate(cells):
            for b in cells[i + 1 :]:
                dy, dx = b.y - a.y, b.x - a.x
                far, least = float(np.hypot(dy, dx)) + 1e-9, 0.95 * (a.radius + b.radius)
                if far < least:
                    push = (least - far) / 2 / far
                    a.y, a.x, b.y, b.x = a.y - dy * push, a.x - dx * push, b.y + dy * push, b.x + dx * push


def _paint(plane, cell):
    reach = int(1.3 * cell.radius) + 2
    y0, x0 = max(0, int(cell.y) - reach), max(0, int(cell.x) - reach)
    part = plane[y0 : max(0, int(cell.y) + reach + 1), x0 : max(0, int(cell.x) + reach + 1)]
    y, x = np.ogrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]]
    along = (y - cell.y) * np.sin(cell.angle) + (x - cell.x) * np.cos(cell.angle)
    across = (y - cell.y) * np.cos(cell.angle) - (x - cell.x) * np.sin(cell.angle)
    part[((along / 1.25) ** 2 + (across * 1.25) ** 2 < cell.radius**2) & (part == 0)] = cell.track


def _seen(labels, daughters):
    """Tracks of what is in the picture; a part smaller than 12 pixels is not."""
    out = labels.copy()
    for plane in out:
        ids, counts = np.unique(plane, return_counts=True)
        plane[np.isin(plane, ids[counts < 12])] = 0
    seen = {int(n) for n in np.unique(out[out > 0])}
    last = {n: max(t for t, p in enumerate(out) if (p == n).any()) for n in seen}
    first = {n: min(t for t, p in enumerate(out) if (p == n).any()) for n in seen}
    family = {
        mother: tuple(d for d in some if d in seen and first[d] == last[mother] + 1)
        for mother, some in daughters.items()
        if mother in seen
    }
    return Tracks(out, Lineage({mother: some for mother, some in family.items() if len(some) > 1}))
