"""Where an object that was carried from plane to plane may have gone wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

#: An agreement with the plane before below this is doubtful; the lowest of an object is up to the second one.
LOW, _LOWEST = 0.7, 0.9
#: So many times larger or smaller than in the plane beside is a jump, where it is not a matter of a few pixels.
_JUMP, _FEW = 2.0, 30


@dataclass(frozen=True, slots=True)
class Doubt:
    """A plane to look at, and why."""

    plane: int
    reason: str


def doubts(agreements: Mapping[int, float], areas: Mapping[int, int]) -> list[Doubt]:
    """Return the doubtful planes of one object, the worst first.

    ``agreements``: of planes, the IoU with the plane that they were carried from; ``areas``: their pixels. Planes
    with prompts belong into ``areas`` only: the user has seen to them.
    """
    found = {}
    least = min(agreements.values(), default=1.0)
    for plane, value in sorted(agreements.items(), key=lambda one: one[1]):
        if value < LOW or (value == least and value < _LOWEST):
            found[plane] = Doubt(plane, f"agreement {value:.2f}")
    there = sorted(plane for plane, area in areas.items() if area)
    jumps = []
    for plane, after in pairwise(there):
        small, large = sorted((plane, after), key=lambda one: areas[one])
        # At its ends an object tapers off.
        if after != plane + 1 or small in (there[0], there[-1]) or areas[large] < _FEW:
            continue
        times = areas[large] / areas[small]
        # The plane that was carried, not the one that the user has drawn.
        doubtful = after if after in agreements else plane
        if times >= _JUMP and doubtful in agreements and doubtful not in found:
            jumps.append((times, Doubt(doubtful, f"area jumps {times:.1f} times")))
    jumps.sort(key=lambda one: -one[0])
    return [*found.values(), *(doubt for _, doubt in jumps)]
