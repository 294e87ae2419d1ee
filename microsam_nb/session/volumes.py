"""What prompts, answers and strokes in several planes make of the object in hand; pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ..core import Candidate, Mask, MaskPrompt, Prompt, Section, Stop
from ..core.sections import kept, planes_of, replaced, section_at
from .planes import by_plane, fixed_planes, limits, stop_planes, with_valid_stops
from .requests import Setting
from .state import Agreement, Extension, State

#: The origin of a proposal that was carried through planes.
EXTENDED = "extended"


def reprompted(state: State, prompts: tuple[Prompt, ...]) -> State:
    """Return the state with other prompts: planes in which they differ wait for an answer.

    Where no prompts are left the slice goes, or is computed again from its neighbours if the object is extended.
    """
    before, after = by_plane(state.prompts), by_plane(prompts)
    if not after and not (state.extension is not None and state.extension.taken):
        return state.emptied()
    prompts = with_valid_stops(state.prompts, prompts)
    changed = [plane for plane in {**before, **after} if before.get(plane) != after.get(plane)]
    asked = [plane for plane in changed if plane in after]
    stale = (*(plane for plane in state.stale if plane in after and plane not in asked), *asked)
    proposals, extension = state.proposals, state.extension
    if extension is None:
        proposals = _without(proposals, [plane for plane in changed if plane not in after])
    else:
        # Where a stop was the object may go on now.
        low, high = limits(prompts)
        gone = set(stop_planes(state.prompts)) - set(stop_planes(prompts))
        freed = [plane for plane in sorted(gone) if low < plane < high]
        # From a new one it is learned how pale the object is where it ends: at its other end it may end earlier.
        told = sorted(set(stop_planes(prompts)) - set(stop_planes(state.prompts)))
        extension = _mended(extension, (*changed, *freed, *told))
    return ended(replace(state, prompts=prompts, stale=stale, proposals=proposals, extension=extension))


def ended(state: State) -> State:
    """Return the state without what lies beyond stops, and with what follows from its parts."""
    proposals, sections, extension = state.proposals, state.sections, state.extension
    if stop_planes(state.prompts):
        low, high = limits(state.prompts)
        beyond = {plane for one in proposals for plane in planes_of(one.mask) if not low < plane < high}
        proposals = _without(proposals, beyond)
        sections = tuple(one for one in sections if low < one.plane < high)
    if not proposals and not state.stale:
        extension = None  # there is nothing to carry
    return replace(
        state,
        proposals=proposals,
        extension=extension,
        sections=sections if extension is not None and len(proposals) == len(state.proposals) else (),
        answered=not state.stale and (extension is None or not extension.waits),
    )


def answered(state: State, plane: int, found: Sequence[Candidate]) -> State:
    """Return the state with the model's answer to the prompts of a plane, one per object."""
    old = state.proposals
    stale = tuple(one for one in state.stale if one != plane)
    extension = state.extension
    begins: list[Candidate | None] = [*old] if len(found) == len(old) else [None] * len(found)
    if len(found) != len(old):
        if len(found) == 1 and old:
            begins[0] = old[0]
        if extension is not None and old:
            # What was carried through the planes was carried for other objects.
            fixed = fixed_planes(state.prompts)
            begins = [None if one is None else replace(one, mask=kept(one.mask, fixed)) for one in begins]
            extension = replace(extension, planes=(), done=False)
    made = [_answered(before, one, plane) for before, one in zip(begins, found, strict=True)]
    full = tuple(one for one in made if one is not None)
    sections = state.sections if len(full) == len(found) == len(old) else ()
    if extension is not None and extension.done and _differ(old, full, plane):
        extension = _mended(extension, (plane,))
    if extension is not None:
        sections = _agreeing(sections, full, (plane,))
    return ended(replace(state, proposals=full, stale=stale, extension=extension, sections=sections))


def painted(state: State, found: Sequence[Candidate], planes: Collection[int]) -> State:
    """Return the state with proposals that were changed by hand in some planes: there they are the prompts now.

    What was carried from there through other planes is not computed again by itself.
    """
    if not found:
        return state.emptied()
    others = tuple(one for one in state.prompts if isinstance(one, Stop) or one.plane not in planes)
    slices = [section_at(one.mask, plane) for plane in sorted(planes) for one in found]
    prompts = with_valid_stops(state.prompts, (*others, *(MaskPrompt(one) for one in slices if one.area)))
    extension, sections = state.extension, state.sections
    if extension is not None:
        new = (*extension.planes, *(plane for plane in sorted(planes) if plane not in extension.planes))
        extension = replace(extension, planes=new, done=True, stopped=False)
        alike = sections if len(found) == len(state.proposals) else ()
        sections = _agreeing(alike, found, planes, score=1.0)
    return ended(replace(state, proposals=tuple(found), prompts=prompts, extension=extension, sections=sections))


def extended(state: State, sections: Iterable[Section], *, final: bool) -> State:
    """Return the state with what was found of the objects in further planes. Fixed planes stay as they are."""
    fixed, (low, high) = set(fixed_planes(state.prompts)), limits(state.prompts)
    known = {(one.place, one.plane): one for one in state.sections}
    masks: dict[int, dict[int, Mask]] = {}
    for new in sections:
        if new.plane in fixed or not low < new.plane < high:
            continue
        masks.setdefault(new.place, {})[new.plane] = new.mask
        known.pop((new.place, new.plane), None)
        if new.mask.area:
            known[new.place, new.plane] = Agreement(new.place, new.plane, new.agreement, new.score)
    ordered = tuple(known[place] for place in sorted(known))
    scores: dict[int, list[float]] = {}
    for one in ordered:
        scores.setdefault(one.place, []).append(one.score)
    proposals = list(state.proposals)
    for number, parts in sorted(masks.items()):
        old = proposals[number].mask if number < len(proposals) else None
        # A mask for all planes of this answer: one per plane would copy the whole object each time.
        mask = replaced(old, parts, list(parts.values()))
        mean = min(1.0, math.fsum(own) / len(own)) if (own := scores.get(number)) else 0.0
        proposals[number : number + 1] = [Candidate(mask, mean, EXTENDED)]
    extension = state.extension or Extension()
    if final:
        extension = replace(extension, planes=(), done=True, stopped=False)
    full = tuple(one for one in proposals if one.mask.area)
    # Without an object that is gone the others have other numbers.
    ordered = ordered if len(full) == len(proposals) else ()
    return ended(replace(state, proposals=full, extension=extension, sections=ordered))


def stopped(state: State) -> State:
    """Return the state in which the object is no longer carried on: what was found so far stays."""
    if state.extension is None or state.extension.done:
        return state
    return ended(replace(state, extension=replace(state.extension, stopped=True)))


def _answered(old: Candidate | None, new: Candidate, plane: int) -> Candidate | None:
    """Return an object with its answer in a plane, None where nothing is left of it."""
    before = None if old is None else old.mask
    mask = replaced(before, {plane, *planes_of(new.mask)}, [new.mask])
    made = replace(new, mask=mask)
    # Of a batch most is known: what a journal repeats line by line need not lie in memory again and again.
    return None if not mask.area else old if made == old else made


def _differ(old: Sequence[Candidate], new: Sequence[Candidate], plane: int) -> bool:
    return [section_at(one.mask, plane) for one in old] != [section_at(one.mask, plane) for one in new]


def _agreeing(
    sections: Iterable[Agreement], found: Sequence[Candidate], planes: Collection[int], score: float | None = None
) -> tuple[Agreement, ...]:
    """Return the sections with those of fixed ``planes``, to which the object agrees by itself."""
    known = {(one.place, one.plane): one for one in sections if one.plane not in planes}
    for place, one in enumerate(found):
        for plane in planes_of(one.mask):
            if plane in planes:
                known[place, plane] = Agreement(place, plane, 1.0, float(one.score) if score is None else score)
    return tuple(known[place] for place in sorted(known))


def begun(state: State, options: tuple[Setting, ...]) -> State:
    """Return the state in which the object is to be carried through all planes, from its fixed ones."""
    fixed = fixed_planes(state.prompts)
    proposals = state.proposals
    if fixed:
        # Movies are followed forward: what lies before is not computed again, and stays.
        kept_before = state.lineage is not None and Setting("backward", True) not in options
        least = fixed[0] if kept_before else -1
        gone = {p for one in proposals for p in planes_of(one.mask) if p not in fixed and p > least}
        proposals = _without(proposals, gone)
    given = fixed or [p for one in proposals for p in planes_of(one.mask)]
    taken = not fixed
    extension = Extension(options, taken=taken)
    sections = _agreeing((), proposals, given)
    return ended(replace(state, proposals=proposals, extension=extension, sections=sections))


def slices(state: State) -> tuple[tuple[Mask, ...], ...]:
    """Return of every object its fixed slices by plane; all that it has where it has none of those."""
    fixed = fixed_planes(state.prompts)
    changed = state.extension.planes if state.extension is not None else ()
    out = []
    for one in state.proposals:
        own = planes_of(one.mask)
        known = [plane for plane in own if plane in fixed]
        given = known or [plane for plane in own if plane not in changed] or own
        out.append(tuple(section_at(one.mask, plane) for plane in given))
    return tuple(out)


def base(state: State, plane: int, count: int) -> tuple[Mask | None, ...]:
    """Return what each of ``count`` objects is in a plane already, where it was carried there; () for no object."""
    painted_here = any(isinstance(one, MaskPrompt) for one in by_plane(state.prompts).get(plane, ()))
    if state.extension is None or painted_here or count != len(state.proposals):
        return ()
    found = [section_at(one.mask, plane) for one in state.proposals]
    return tuple(one if one.area else None for one in found) if any(one.area for one in found) else ()


def _mended(extension: Extension, planes: Iterable[int]) -> Extension:
    """Return an extension in which some planes were changed."""
    new = tuple(dict.fromkeys(planes))
    if not new:
        return extension
    if not (extension.done or extension.planes):
        return replace(extension, stopped=False)  # all of it is computed anyway
    planes = (*(one for one in extension.planes if one not in new), *new)
    return replace(extension, planes=planes, done=False, stopped=False)


def _without(found: Sequence[Candidate], planes: Collection[int]) -> tuple[Candidate, ...]:
    """Return proposals without what they have in some planes; those of which nothing is left are gone."""
    if not planes:
        return tuple(found)
    made = [replace(one, mask=replaced(one.mask, planes)) for one in found]
    return tuple(one for one in made if one.mask.area)
