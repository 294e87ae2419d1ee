"""True labels in which errors are planted: objects merged, split, cut off, or with a ragged outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

KINDS = ("merged", "split", "missing", "ragged")
#: Smaller objects, in pixels, are left alone; neighbours at most so far apart are merged.
LEAST, NEAR = 30, 3
AROUND = {2: np.ones((3, 3), bool), 3: np.ones((3, 3, 3), bool)}


@dataclass
class Planted:
    """Labels (h, w) or (planes, h, w) with errors, and which objects are wrong in which way."""

    labels: np.ndarray
    wrong: dict[int, str]


def plant(truth, seed, share=0.1):
    """Plant errors of all kinds in turn: one for every ``1 / share`` objects, at least one."""
    chance = np.random.default_rng(seed)
    labels = truth.astype(np.uint32)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    alive = np.flatnonzero(sizes)
    todo = max(1, round(share * len(alive)))
    free, touched, wrong = int(labels.max()) + 1, set(), {}
    candidates = [int(n) for n in chance.permutation(alive) if sizes[n] >= LEAST]
    boxes = ndimage.find_objects(labels.astype(np.int32))
    kinds = list(np.roll(KINDS, int(chance.integers(len(KINDS)))))
    while todo and kinds:
        kind = kinds.pop(0)
        for number in candidates:
            if number in touched:
                continue
            names = _spoil(labels, kind, number, boxes, sizes, touched, free, chance)
            if names:
                touched.update(names)
                wrong.update((n, kind) for n in names if n in (number, free))
                free, todo = free + 1, todo - 1
                kinds.append(kind)
                break
    return Planted(labels, wrong)


def _spoil(labels, kind, number, boxes, sizes, touched, free, chance):
    """Plant one error into an object; return the objects that are not as they were, none where it is not possible."""
    where = _wider(boxes[number - 1])
    crop = labels[where]
    own = crop == number
    if kind == "merged":
        other = _neighbour(crop, number, touched, sizes)
        if not other:
            return ()
        pairs = zip(boxes[number - 1], boxes[other - 1], strict=True)
        crop = labels[_wider([slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in pairs])]
        crop[_joined(crop, number, other)] = number
        return number, other
    made = {"split": _halves, "missing": _cut, "ragged": _ragged}[kind](own, chance)
    if made is None:
        return ()
    if kind == "split":
        crop[made] = free
        return number, free
    crop[own & ~made] = 0
    crop[made & (crop == 0)] = number
    return (number,)


def _wider(box):
    return tuple(slice(max(0, s.start - 6), s.stop + 6) for s in box)


def _neighbour(crop, number, touched, sizes):
    """The untouched object that shares most with the surroundings of one, 0 for none."""
    near = ndimage.distance_transform_edt(crop != number) <= NEAR
    counts = np.bincount(crop[near & (crop != number)], minlength=1)
    counts[0] = 0
    for other in np.argsort(-counts):
        if counts[other] == 0:
            return 0
        if int(other) not in touched and sizes[other] >= LEAST:
            return int(other)
    return 0


def _joined(crop, number, other):
    """Both objects, and the gap between them."""
    both = (crop == number) | (crop == other)
    outer = ndimage.distance_transform_edt(~both) <= 2
    closed = ndimage.distance_transform_edt(outer) > 2
    return both | (closed & (crop == 0))


def _halves(own, chance):
    """One side of a wavy line across an object, a quarter of it or more."""
    for _ in range(8):
        side, along = _side(own, chance, chance.uniform(0.3, 0.7))
        side = side + 0.06 * np.sqrt(own.sum()) * np.sin(
            along / max(2.0, 0.25 * np.sqrt(own.sum())) + chance.uniform(0, 6)
        )
        half = own & (side > 0)
        if min(half.sum(), own.sum() - half.sum()) >= max(10, own.sum() / 5) and _one(half) and _one(own & ~half):
            return half
    return None


def _cut(own, chance):
    """What is left of an object when a quarter to a half is gone: straight, or as a round bite."""
    for _ in range(8):
        lost = chance.uniform(0.25, 0.5)
        if chance.random() < 0.5:
            side, _ = _side(own, chance, lost)
        else:
            rim = own & (ndimage.distance_transform_edt(own) <= 1)
            spot = np.argwhere(rim)[chance.integers(rim.sum())]
            far = np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(own.shape), spot, strict=True)))
            side = far - np.quantile(far[own], lost)
        left = _largest(own & (side > 0))
        if left.sum() >= 15 and left.sum() <= 0.8 * own.sum():
            return left
    return None


def _ragged(own, chance):
    """An object whose outline is shifted in and out, by up to a third of its depth."""
    depth = ndimage.distance_transform_edt(own)
    signed = depth - ndimage.distance_transform_edt(~own)
    grain = max(1.0, 0.12 * np.sqrt(own.sum() if own.ndim == 2 else own.sum() / np.ptp(own.nonzero()[0]).clip(1)))
    sigma = (0.5, grain, grain) if own.ndim == 3 else grain
    noise = ndimage.gaussian_filter(chance.normal(size=own.shape), sigma)
    noise *= max(1.2, 0.3 * depth.max()) / (noise.std() or 1)
    made = _largest(signed + noise > 0)
    changed = (made ^ own).sum() / own.sum()
    return made if 0.1 < changed < 0.8 and (made & own).sum() > own.sum() / 2 else None


def _side(own, chance, share):
    """Signed distance from a line (plane) across an object that has ``share`` of it behind, and the way along it."""
    direction = chance.normal(size=own.ndim)
    direction /= np.linalg.norm(direction)
    grid = np.indices(own.shape)
    across = sum(d * g for d, g in zip(direction, grid, strict=True))
    other = chance.normal(size=own.ndim)
    other -= (other @ direction) * direction
    other /= np.linalg.norm(other)
    along = sum(d * g for d, g in zip(other, grid, strict=True))
    return across - np.quantile(across[own], share), along


def _one(own):
    return ndimage.label(own, AROUND[own.ndim])[1] == 1


def _largest(own):
    parts, count = ndimage.label(own, AROUND[own.ndim])
    return own if count < 2 else parts == 1 + np.argmax(np.bincount(parts[parts > 0])[1:])
