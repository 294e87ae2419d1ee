"""What is different between two label images, object by object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .box import Box
from .errors import LabelError
from .labels import Labels
from .tracks import shared


class Kind(StrEnum):
    """What became of objects. CHANGED: one has other pixels, or several have exchanged larger parts."""

    NEW = "new"
    GONE = "gone"
    CHANGED = "changed"
    SPLIT = "split"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Difference:
    """Objects ``before`` that became objects ``after``, by their numbers; ``box`` holds all of them.

    ``iou`` in [0, 1]: of all their pixels before with all after.
    """

    kind: Kind
    before: tuple[int, ...]
    after: tuple[int, ...]
    iou: float
    box: Box


def compare(before: NDArray[np.generic], after: NDArray[np.generic]) -> list[Difference]:
    """Return how two label images (h, w) or (planes, h, w) differ, in the order of the numbers, new objects last.

    An object became another when they share more than half of the smaller one; numbers do not matter, and what has
    only another number is not different. Raises LabelError for labels of other shapes or types.
    """
    if before.shape != after.shape:
        raise LabelError(
            f"The labels have the shapes {before.shape} and {after.shape}.", "Compare labels of one image."
        )
    old, new = Labels.of(before), Labels.of(after)
    common: dict[tuple[int, int], int] = defaultdict(int)
    for first, second in zip(old.volume, new.volume, strict=True):
        for a, b, count in zip(*(one.tolist() for one in shared(first, second)), strict=True):
            common[a, b] += count
    pairs = [(a, b) for (a, b), n in common.items() if 2 * n > min(old.area(a), new.area(b))]
    found = []
    for some, others in _groups(old, new, pairs):
        both = sum(common.get((a, b), 0) for a in some for b in others)
        whole = sum(old.area(a) for a in some) + sum(new.area(b) for b in others) - both
        kind = _kind(len(some), len(others))
        if len(some) == len(others) == 1 and both == whole:
            continue
        around = Box.around([*(old.box(a) for a in some), *(new.box(b) for b in others)])
        found.append(Difference(kind, tuple(sorted(some)), tuple(sorted(others)), both / whole, around))
    return sorted(found, key=lambda one: (not one.before, one.before or one.after))


def _kind(before: int, after: int) -> Kind:
    if not before or not after:
        return Kind.GONE if before else Kind.NEW
    if before == 1 and after > 1:
        return Kind.SPLIT
    return Kind.MERGED if after == 1 and before > 1 else Kind.CHANGED


def _groups(
    old: Iterable[int], new: Iterable[int], pairs: Iterable[tuple[int, int]]
) -> Iterable[tuple[set[int], set[int]]]:
    """Yield objects that pairs connect, directly or through others: those before and those after."""
    later, earlier = defaultdict(list), defaultdict(list)
    for a, b in pairs:
        later[a].append(b)
        earlier[b].append(a)
    reached: set[int] = set()
    for first in old:
        if first in reached:
            continue
        some, others, open_ = {first}, set(), [first]
        while open_:
            for b in later[open_.pop()]:
                if b not in others:
                    others.add(b)
                    open_ += [a for a in earlier[b] if a not in some]
                    some.update(earlier[b])
        reached |= some
        yield some, others
    for b in new:
        if b not in earlier:
            yield set(), {b}
