"""Objects carried from the planes in which they are known into all others, many at a time.

The mask of one plane is put to the model as prompts in the next, outwards until the object ends, and between two
known planes from both sides to the middle: the way of micro-sam (Archit et al., Nature Methods 2025). Beyond that an
object is also known by how it stands out from its surroundings, and where the two sides do not agree in the middle
the shape that is interpolated between them is what is put to the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from ..core import Box, Mask, MaskPrompt, Prompt, PromptError, Section
from ..core.raster import union
from ..core.sections import planes_of, section_at
from .appearance import Appearance, appearance
from .between import between
from .models import Model
from .motion import seen_shift
from .predict import predict_many
from .prompting import PointsOf, RegionUse, points_of
from .reprompt import ProjectSettings, Reprompt, project_settings_for
from .store import EmbeddingStore

#: Objects asked for in one call: between two calls other work may come.
_TOGETHER = 8
_EMPTY = np.zeros((0, 0, 0), bool)
#: An object that stands out more than this, as a share, does not end by turning pale.
_PALE = 0.7


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one object.

    ``seeds``: its masks in the planes that are fixed, one plane each, by plane. ``current``: what it is in all
    planes, where it was carried before; then ``changed`` are the planes from which on it is to be computed again,
    fixed ones and such that no longer are.
    """

    seeds: Mapping[int, Mask]
    current: Mask | None = None
    changed: tuple[int, ...] = ()


def project(
    model: Model,
    store: EmbeddingStore,
    seeds: Mapping[int, Mask],
    settings: ProjectSettings | None = None,
    *,
    stops: Sequence[int] = (),
) -> Iterator[Section]:
    """Carry one object through the planes; yield it in each plane that is found, nearest to the seeds first.

    ``seeds``: masks of one plane each, by plane. ``settings``: by default those that suit the model. The object ends
    before a plane in ``stops``. Stop iterating to leave. Raises PromptError without seeds and for seeds outside the
    image, StoreError when an embedding is missing and cannot be computed.
    """
    for found in project_many(model, store, [Known(seeds)], settings, stops=stops):
        yield from found


def project_many(
    model: Model,
    store: EmbeddingStore,
    objects: Sequence[Known],
    settings: ProjectSettings | None = None,
    *,
    stops: Sequence[int] = (),
) -> Iterator[list[Section]]:
    """Carry several objects at a time, as ``project`` does; yield what one call of the model has found.

    Sections say by ``place`` which object they are of. A section of area 0: the object is no longer in that plane.
    """
    own = settings or project_settings_for(model.spec.name, model.spec.architecture)
    cases = [_case(store, own, place, one, stops) for place, one in enumerate(objects)]
    pale = [section for case, one in zip(cases, objects, strict=True) for section in _pale(case, one.changed)]
    if pale:
        yield pale
    walks = [walk for case, one in zip(cases, objects, strict=True) for walk in _walks(case, one.changed)]
    while walks:
        # Those that are in the same plane share its embedding.
        asked = sorted(
            ((walk, question) for walk in walks for question in walk.questions()), key=lambda one: one[1].plane
        )
        for start in range(0, len(asked), _TOGETHER):
            some = asked[start : start + _TOGETHER]
            answers = _answers(model, store, [question for _, question in some], own)
            found = []
            for (walk, question), (mask, score) in zip(some, answers, strict=True):
                found += walk.take(question, mask, score)
            yield found
        walks = [walk for walk in walks if not walk.done]


@dataclass(frozen=True, slots=True)
class _Question:
    """What does an object look like in a plane that in a neighbouring one is ``mask``, which lies there already?"""

    plane: int
    mask: Mask
    step: int = 0


class _Walk(Protocol):
    @property
    def done(self) -> bool: ...

    def questions(self) -> list[_Question]: ...

    def take(self, question: _Question, mask: Mask, score: float) -> list[Section]: ...


def _case(store: EmbeddingStore, settings: ProjectSettings, place: int, known: Known, stops: Sequence[int]) -> _Case:
    """Return what is known of an object, checked."""
    planes = store.shape[0]
    seeds = {plane: mask for plane, mask in known.seeds.items() if mask.area}
    for plane, mask in seeds.items():
        MaskPrompt(mask).check(store.shape)
        if mask.start[0] != plane:
            raise PromptError(f"The mask for plane {plane} lies in plane {mask.start[0]}.", "Use its own plane.")
    current = known.current if known.current is not None else Mask((0, 0, 0), _EMPTY)
    if not seeds and not current.area:
        raise PromptError("No plane of the object is known.", "Click on it in one plane or more first.")
    middle = sorted(seeds) or planes_of(current)
    low = max((stop for stop in stops if stop < middle[0]), default=-1)
    high = min((stop for stop in stops if stop > middle[-1]), default=planes)
    reference = _reference(store, settings, seeds or _all(current))
    case = _Case(store, settings, place, (low, high), seeds, current, reference)
    return replace(case, contrast=max(settings.contrast, *(_told_by(case, end) for end in (low, high))))


def _walks(case: _Case, changed: Sequence[int]) -> list[_Walk]:
    """Return the ways that an object is carried; where planes were ``changed``, only in their neighbourhood."""
    if not changed:
        known_at = case.seeds or _all(case.current)
        order = sorted(known_at)
        walks: list[_Walk] = [_Outward(case, known_at[order[0]], -1)] if case.settings.backward else []
        walks.append(_Outward(case, known_at[order[-1]], 1))
        walks += [_Inward(case, known_at[a], known_at[b]) for a, b in pairwise(order) if b - a > 1]
        return [walk for walk in walks if not walk.done]
    low, high = case.bounds
    inner = [plane for plane in changed if low < plane < high]
    walks = [walk for plane in inner for walk in _mending(case, plane, set(inner))]
    return [walk for walk in walks if not walk.done]


def _pale(case: _Case, changed: Sequence[int]) -> list[Section]:
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
    return [case.section(Mask((plane, 0, 0), _EMPTY), plane, 0.0, 0.0) for plane in rest[pale:]]


def _mending(case: _Case, plane: int, changed: set[int]) -> list[_Walk]:
    """Return how the neighbourhood of a ``plane`` is computed again, one of those that were ``changed``."""
    current = case.current
    there = {*planes_of(current), *case.seeds}
    below = max((p for p in there if p < plane), default=None)
    above = min((p for p in there if p > plane), default=None)

    def at(p: int) -> Mask:
        return case.seeds.get(p) or section_at(current, p)

    if plane not in case.seeds:
        if below is not None and above is not None:
            return [_Inward(case, at(below), at(above))]
        if below is not None:
            return [_Outward(case, at(below), 1)]
        return [_Outward(case, at(above), -1)] if above is not None and case.settings.backward else []
    walks: list[_Walk] = []
    for near, step in ((below, -1), (above, 1)):
        if near is None and step < 0 and not case.settings.backward:
            continue
        next_seed = min((p for p in case.seeds if step * (p - plane) > 0), key=lambda p: abs(p - plane), default=None)
        if next_seed in changed:
            # Two walks would cross each other: both planes are new, and what lies between comes from both.
            if step > 0:
                walks.append(_Inward(case, case.seeds[plane], case.seeds[next_seed]))
            continue
        if near is None:
            walks.append(_Outward(case, case.seeds[plane], step))
        elif abs(near - plane) > 1:
            lower, upper = sorted((case.seeds[plane], at(near)), key=lambda one: one.start[0])
            walks.append(_Inward(case, lower, upper))
        else:
            walks.append(_Outward(case, case.seeds[plane], step, current))
    return walks


@dataclass(frozen=True, slots=True)
class _Case:
    """What all walks of one object have in common; it lies in the planes between ``bounds``, which are outside."""

    store: EmbeddingStore
    settings: ProjectSettings
    place: int
    bounds: tuple[int, int]
    seeds: Mapping[int, Mask]
    #: What the object is in all planes, where it was carried before.
    current: Mask
    reference: Appearance | None
    #: The share of how it stands out where it is known from which on it is no longer there.
    contrast: float = 0.0

    def section(self, mask: Mask, plane: int, agreement: float, score: float) -> Section:
        return Section(self.place, plane, mask, min(1.0, max(0.0, agreement)), min(1.0, max(0.0, score)))

    def fades(self, mask: Mask) -> bool:
        """Whether an object no longer looks like what it is."""
        share = self.share(mask)
        return share is not None and share < self.contrast

    def moved(self, mask: Mask, plane: int, expected: tuple[float, float] | None) -> Mask:
        """Return a mask in another plane, where it is expected; in a movie where it is seen around that."""
        own, image, shift = self.settings, self.store.image, expected
        if own.motion and own.search and image is not None:
            shift = seen_shift(image, mask, plane, expected or (0.0, 0.0), own.search)
        return moved_to(mask, plane, self.store.shape, shift)

    def share(self, mask: Mask) -> float | None:
        """Return how it stands out, as a share of how it does where it is known; None where that says nothing."""
        if self.reference is None or self.store.image is None or not mask.area:
            return None
        return appearance(self.store.image, mask).share(self.reference)


@dataclass(slots=True)
class _Outward:
    """From one plane on in one direction, until the object ends.

    With ``current`` it is mended: where it is as it was, or known, nothing further is computed.
    """

    case: _Case
    mask: Mask
    step: int
    current: Mask | None = None
    done: bool = False
    #: Movement (y, x) from plane to plane that is expected, and where the middle was last.
    _shift: tuple[float, float] | None = None
    _middle: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        self._go_on(self.mask)

    def questions(self) -> list[_Question]:
        plane = self.mask.start[0] + self.step
        return [_Question(plane, self.case.moved(self.mask, plane, self._shift), self.step)]

    def take(self, question: _Question, mask: Mask, score: float) -> list[Section]:
        own, agreement = self.case.settings, overlap(question.mask, mask)
        change = max(mask.area, question.mask.area) / max(1, min(mask.area, question.mask.area))
        ends = (
            not mask.area
            or agreement < own.iou
            or score < own.score
            or (own.growth > 0 and change > own.growth)
            or self.case.fades(mask)
        )
        if ends:
            self.done = True
            return []
        if self.current is not None and overlap(section_at(self.current, question.plane), mask) >= own.settled:
            self.done = True
            return []
        self._go_on(mask)
        return [self.case.section(mask, question.plane, agreement, score)]

    def _go_on(self, mask: Mask) -> None:
        """Take a mask as what the object is in its plane, and be done where there is no further plane."""
        own = self.case.settings
        if own.motion:
            middle = _middle(mask)
            if self._middle is not None:
                seen = middle[0] - self._middle[0], middle[1] - self._middle[1]
                old, keep = self._shift or seen, own.motion_smoothing
                self._shift = keep * old[0] + (1 - keep) * seen[0], keep * old[1] + (1 - keep) * seen[1]
            self._middle = middle
        self.mask = mask
        plane = mask.start[0] + self.step
        low, high = self.case.bounds
        self.done = not low < plane < high or plane in self.case.seeds


@dataclass(slots=True)
class _Inward:
    """Between two planes in which the object is known: from both to the middle, which is asked for with both."""

    case: _Case
    lower: Mask
    upper: Mask
    done: bool = False
    _found: dict[int, Section] = field(default_factory=dict)
    _again: list[_Question] = field(default_factory=list)
    _ends: tuple[Mask, Mask] = field(init=False)

    def __post_init__(self) -> None:
        self._ends = self.lower, self.upper
        self.done = self.upper.start[0] - self.lower.start[0] < 2

    def questions(self) -> list[_Question]:
        if self._again:
            return self._again
        low, high = self.lower.start[0], self.upper.start[0]
        up, down = self._moved(self.lower, self.upper, low + 1), self._moved(self.upper, self.lower, high - 1)
        if high - low == 2 and self.case.settings.motion and overlap(up, down) < self.case.settings.iou:
            # The two are not one cell in one place.
            return [_Question(low + 1, up)]
        if high - low == 2:
            return [_Question(low + 1, union([up, down]))]
        return [_Question(low + 1, up, 1), _Question(high - 1, down, -1)]

    def take(self, question: _Question, mask: Mask, score: float) -> list[Section]:
        if self._again:
            return self._take_again(question, mask, score)
        agreement = overlap(question.mask, mask)
        if not mask.area:
            mask, agreement = self._shape(question.plane), 0.0
        if not question.step and not self.case.settings.motion:
            # Whatever the model makes of both sides together, they may not agree.
            agreement = min(agreement, overlap(self.lower, self.upper))
        section = self._found[question.plane] = self.case.section(mask, question.plane, agreement, score)
        if question.step >= 0:
            self.lower = mask
        if question.step <= 0:
            self.upper = mask
        met = self.upper.start[0] - self.lower.start[0] < 2
        if met:
            self._finish()
        return [section]

    def _moved(self, mask: Mask, other: Mask, plane: int) -> Mask:
        """Return a mask in the next plane; in a movie where it has moved to, on its way to the ``other`` one."""
        if not self.case.settings.motion:
            return moved_to(mask, plane)
        share = 1 / abs(other.start[0] - mask.start[0])
        (y, x), (to_y, to_x) = _middle(mask), _middle(other)
        return self.case.moved(mask, plane, ((to_y - y) * share, (to_x - x) * share))

    def _finish(self) -> None:
        """Where the two sides do not agree, ask again with the shape that lies between the known ones.

        Not in movies: what is between two places of a cell is no place of it.
        """
        worst = min((one.agreement for one in self._found.values()), default=1.0)
        if self.case.settings.motion or min(overlap(self.lower, self.upper), worst) >= self.case.settings.iou:
            self.done = True
            return
        self._again = [_Question(plane, self._shape(plane)) for plane in sorted(self._found)]

    def _take_again(self, question: _Question, mask: Mask, score: float) -> list[Section]:
        self._again = [one for one in self._again if one is not question]
        self.done = not self._again
        agreement = overlap(question.mask, mask)
        before = self._found[question.plane]
        if not mask.area or agreement <= overlap(question.mask, before.mask):
            return []
        return [self.case.section(mask, question.plane, agreement, score)]

    def _shape(self, plane: int) -> Mask:
        return _within(between(*self._ends, plane), self.case.store.shape)


def _answers(
    model: Model, store: EmbeddingStore, questions: Sequence[_Question], settings: ProjectSettings
) -> list[tuple[Mask, float]]:
    """Return what the model makes of masks that lie in the planes asked about already, and its predicted IoU."""
    found = _asked(model, store, questions, settings, settings.prompt)
    if not settings.second_look:
        return found
    doubtful = [
        i
        for i, (question, (mask, score)) in enumerate(zip(questions, found, strict=True))
        if overlap(question.mask, mask) < settings.iou or score < settings.score
    ]
    others = Reprompt.CORRECTION if settings.prompt is not Reprompt.CORRECTION else Reprompt.POINTS_AND_MASK
    again = _asked(model, store, [questions[i] for i in doubtful], settings, others)
    for i, other in zip(doubtful, again, strict=True):
        # What the model believes in more, and only if it would not end the object as well.
        if other[1] > found[i][1] and overlap(questions[i].mask, other[0]) >= settings.iou:
            found[i] = other
    return found


def _asked(
    model: Model,
    store: EmbeddingStore,
    questions: Sequence[_Question],
    settings: ProjectSettings,
    how: Reprompt,
) -> list[tuple[Mask, float]]:
    size = store.shape[1:]
    prompts: list[Sequence[Prompt]] = []
    before: list[Mask | None] = []
    full = [question for question in questions if question.mask.area]
    for question in full:
        if how is Reprompt.CORRECTION:
            prompts.append(points_of(question.mask, size, PointsOf.SEVERAL))
            before.append(question.mask)
        else:
            prompts.append([MaskPrompt(question.mask)])
            before.append(None)
    use = None if how is Reprompt.CORRECTION else _use(how, settings.box_extension)
    found = iter(predict_many(model, store, prompts, previous=before, use=use) if full else [])
    out = []
    for question in questions:
        if not question.mask.area:
            out.append((question.mask, 0.0))
            continue
        one = next(found)
        out.append((one.mask, float(one.score)))
    return out


def _use(kind: Reprompt, reach: float) -> RegionUse:
    """Return how a mask is put to the model as micro-sam puts it."""
    if kind is Reprompt.SINGLE_POINT:
        return RegionUse(box=False, mask=False, points=PointsOf.DEEPEST)
    if kind in (Reprompt.POINTS, Reprompt.POINTS_AND_MASK):
        return RegionUse(box=False, mask=kind is Reprompt.POINTS_AND_MASK, points=PointsOf.SEVERAL)
    return RegionUse(box=True, mask=kind is Reprompt.MASK, box_extension=reach)


def _reference(store: EmbeddingStore, settings: ProjectSettings, known: Mapping[int, Mask]) -> Appearance | None:
    """Return what an object looks like where it is known and stands out most, if it does.

    Near its ends it is pale: what looks like that may be anything.
    """
    if not settings.contrast or store.image is None:
        return None
    looks = [appearance(store.image, mask) for mask in known.values()]
    most = max(looks, key=lambda one: abs(one.difference))
    return most if most.clear else None


def _told_by(case: _Case, stop: int) -> float:
    """Return from which share on an object is no longer there, as a stop of the user tells it; 0 where it does not.

    It is between how it stands out in its last plane and in the stop's, where that is clearly paler than it is where
    it is known: where it does not end by turning pale, but meets another one, nothing is learned.
    """
    if case.settings.motion:
        # A cell of a movie is elsewhere, and its mother's end says nothing about it.
        return 0.0
    within = stop + 1 if stop < min(case.seeds or planes_of(case.current)) else stop - 1
    last = case.seeds.get(within) or section_at(case.current, within)
    if not last.area or not 0 <= stop < case.store.shape[0]:
        return 0.0
    inside, outside = case.share(last), case.share(moved_to(last, stop))
    if inside is None or outside is None or outside > _PALE or outside >= inside:
        return 0.0
    return (inside + outside) / 2


def _middle(mask: Mask) -> tuple[float, float]:
    """Return the middle (y, x) of a mask of one plane."""
    ys, xs = np.nonzero(mask.bitmap[0])
    return mask.start[1] + float(ys.mean()), mask.start[2] + float(xs.mean())


def _all(current: Mask) -> dict[int, Mask]:
    return {plane: section_at(current, plane) for plane in planes_of(current)}


def overlap(one: Mask, other: Mask) -> float:
    """Return the IoU of two masks of one plane each, 0 where one is empty; the planes need not be the same."""
    if not (one.area and other.area):
        return 0.0
    other = Mask((one.start[0], *other.start[1:]), other.bitmap)
    shared = int(np.count_nonzero(other.dense_in(one.box) & one.bitmap))
    return shared / (one.area + other.area - shared)


def moved_to(
    mask: Mask, plane: int, shape: tuple[int, int, int] | None = None, shift: tuple[float, float] | None = None
) -> Mask:
    """Return a mask of one plane in another plane, moved there by ``shift`` (y, x) and cut to an image of ``shape``."""
    dy, dx = shift or (0.0, 0.0)
    _, y, x = mask.start
    moved = Mask((plane, y + round(dy), x + round(dx)), mask.bitmap)
    return moved if shape is None or shift is None else _within(moved, shape)


def _within(mask: Mask, shape: tuple[int, int, int]) -> Mask:
    """Return the part of a mask of one plane that lies in the image."""
    plane = mask.start[0]
    where = Box((plane, 0, 0), (plane + 1, *shape[1:]))
    (_, y0, x0), (_, y1, x1) = mask.box.start, mask.box.stop
    if y0 >= 0 and x0 >= 0 and y1 <= shape[1] and x1 <= shape[2]:
        return mask
    return Mask.crop(mask.dense_in(where), where.start)
