"""Prompts in several planes. Planes with prompts other than stops are fixed: there the object is what was answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..core import Prompt, PromptError, Stop
from .grouping import group
from .state import State


def by_plane(prompts: Iterable[Prompt]) -> dict[int, tuple[Prompt, ...]]:
    """Return the prompts of each plane, without stops."""
    out: dict[int, tuple[Prompt, ...]] = {}
    for one in prompts:
        if not isinstance(one, Stop):
            out[int(one.plane)] = (*out.get(int(one.plane), ()), one)
    return out


def fixed_planes(prompts: Iterable[Prompt]) -> tuple[int, ...]:
    """Return the planes that have prompts other than stops, in order."""
    return tuple(sorted(by_plane(prompts)))


def stop_planes(prompts: Iterable[Prompt]) -> tuple[int, ...]:
    """Return the planes of the stops, in order."""
    return tuple(sorted(int(one.plane) for one in prompts if isinstance(one, Stop)))


def limits(prompts: Iterable[Prompt]) -> tuple[float, float]:
    """Return the planes, both outside, between which an object lies."""
    fixed = fixed_planes(prompts)
    low, high = float("-inf"), float("inf")
    for plane in stop_planes(prompts) if fixed else ():
        low, high = (plane, high) if plane < fixed[0] else (low, plane)
    return low, high


def in_hand(state: State, plane: int) -> tuple[tuple[Prompt, ...], ...]:
    """Return the prompts of a plane, those of each object."""
    own = by_plane(state.prompts).get(plane, ())
    # What is done while an object is taken up is meant for that one.
    return (own,) if state.target else group(own, batched=state.browsing.batched)


def check_objects(prompts: tuple[Prompt, ...], *, batched: bool, word: str = "plane") -> None:
    """Raise PromptError when prompts in several planes, called ``word``, mean several objects."""
    planes = by_plane(prompts)
    if len(planes) < 2:
        return
    groups = [tuple(p for own in planes.values() for p in own)] if batched else list(planes.values())
    if any(len(group(own, batched=batched)) > 1 for own in groups):
        raise PromptError(
            f"The prompts of several objects lie in several {word}s.",
            f"Commit or clear them first, then mark one object at a time; or leave their prompts in one {word}.",
        )


def with_stop(prompts: tuple[Prompt, ...], stop: Stop, word: str = "plane") -> tuple[Prompt, ...]:
    """Return prompts with a stop, in the place of one on the same side. Raises PromptError."""
    fixed = fixed_planes(prompts)
    if not fixed:
        raise PromptError(
            f"No {word} has prompts of an object that could end.", f"Click on the object in a {word} first."
        )
    side = _side(stop.plane, fixed)
    if not side and stop.plane in fixed:
        raise PromptError(
            f"The object has prompts in {word} {stop.plane}.", f"Remove those first, or stop it in another {word}."
        )
    if not side:
        raise PromptError(
            f"The object has prompts before and after {word} {stop.plane}.",
            f"Stop it before {word} {fixed[0]} or after {word} {fixed[-1]}, or remove the prompts on one side first.",
        )
    others = (one for one in prompts if not (isinstance(one, Stop) and _side(one.plane, fixed) == side))
    return (*others, stop)


def with_valid_stops(old: Iterable[Prompt], new: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
    """Return prompts without the stops that no longer end the object on the side where they did."""
    old = tuple(old)
    before, after = fixed_planes(old), fixed_planes(new)

    def holds(one: Prompt) -> bool:
        if not isinstance(one, Stop):
            return True
        side = _side(one.plane, after)
        return side != 0 and (one not in old or side == _side(one.plane, before))

    return tuple(one for one in new if holds(one))


def _side(plane: int, fixed: Sequence[int]) -> int:
    """Return -1 below all fixed planes, 1 above them, else 0."""
    if not fixed:
        return 0
    return (plane > fixed[-1]) - (plane < fixed[0])
