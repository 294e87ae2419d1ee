"""Which ways an object goes: through all planes, or around those that were changed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ...core import Mask, Section
from ...core.sections import planes_of, section_at, slices_of
from .case import Case
from .inward import Inward
from .outward import Outward
from .walk import Walk


def walks_of(case: Case, changed: Sequence[int]) -> list[Walk]:
    """Return the ways that an object is carried; where planes were ``changed``, only in their neighbourhood."""
    if not changed:
        known_at = case.seeds or slices_of(case.current)
        order = sorted(known_at)
        walks: list[Walk] = [Outward(case, known_at[order[0]], -1)] if case.settings.backward else []
        walks.append(Outward(case, known_at[order[-1]], 1))
        walks += [Inward(case, known_at[a], known_at[b]) for a, b in pairwise(order) if b - a > 1]
        return [walk for walk in walks if not walk.done]
    low, high = case.bounds
    inner = [plane for plane in changed if low < plane < high]
    walks = [walk for plane in inner for walk in _mending(case, plane, set(inner))]
    return [walk for walk in walks if not walk.done]


def faded(case: Case, changed: Sequence[int]) -> list[Section]:
    """Return what is gone of an object at its other end, where a user has just said that it ends at one.

    It ends there where it is as pale as at the stop: beyond the first pale plane it may be another object.
    """
    (low, high), current = case.bounds, case.current
    if case.contrast <= case.settings.contrast or not {low, high} & set(changed):
        return []
    first = low in changed
    own = sorted(case.seeds) or list(planes_of(current))
    # From where it is known to its other end.
    rest = [p for p in planes_of(current) if low < p < high and (p > own[-1] if first else p < own[0])]
    rest.sort(reverse=not first)
    pale = next((i for i, p in enumerate(rest) if case.fades(section_at(current, p))), len(rest))
    return [case.gone(plane) for plane in rest[pale:]]


def _mending(case: Case, plane: int, changed: set[int]) -> list[Walk]:
    """Return how the neighbourhood of a ``plane`` is computed again, one of those that were ``changed``."""
    current = case.current
    there = {*planes_of(current), *case.seeds}
    below = max((p for p in there if p < plane), default=None)
    above = min((p for p in there if p > plane), default=None)

    def at(p: int) -> Mask:
        return case.seeds.get(p) or section_at(current, p)

    if plane not in case.seeds:
        if below is not None and above is not None:
            return [Inward(case, at(below), at(above))]
        if below is not None:
            return [Outward(case, at(below), 1)]
        return [Outward(case, at(above), -1)] if above is not None and case.settings.backward else []
    walks: list[Walk] = []
    for near, step in ((below, -1), (above, 1)):
        if near is None and step < 0 and not case.settings.backward:
            continue
        next_seed = min((p for p in case.seeds if step * (p - plane) > 0), key=lambda p: abs(p - plane), default=None)
        if next_seed in changed:
            # Two walks would cross each other: both planes are new, and what lies between comes from both.
            if step > 0:
                walks.append(Inward(case, case.seeds[plane], case.seeds[next_seed]))
            continue
        if near is None:
            walks.append(Outward(case, case.seeds[plane], step))
        elif abs(near - plane) > 1:
            lower, upper = sorted((case.seeds[plane], at(near)), key=lambda one: one.start[0])
            walks.append(Inward(case, lower, upper))
        else:
            walks.append(Outward(case, case.seeds[plane], step, current))
    return walks
