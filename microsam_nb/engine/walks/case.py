"""What is known of an object, and what all its walks have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core import Mask, MaskPrompt, PromptError, Section
from ...core.sections import moved_to, planes_of, section_at, slices_of
from ..appearance import Appearance, appearance
from ..motion import seen_shift
from ..reprompt import ProjectSettings
from ..store import EmbeddingStore

#: An object that stands out more than this, as a share, does not end by turning pale.
_PALE = 0.7
NOTHING = Mask((0, 0, 0), np.zeros((0, 0, 0), bool))


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one object.

    ``seeds``: its masks in the planes that are fixed, one plane each, by plane. ``current``: what it is in all
    planes, where it was carried before; then ``changed`` are the planes from which on it is to be computed again,
    fixed ones and such that no longer are. ``given``: what it is was not carried there, but kept by somebody who had
    looked at it; then no plane of it is lost where the model would end it.
    """

    seeds: Mapping[int, Mask]
    current: Mask | None = None
    changed: tuple[int, ...] = ()
    given: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """What all walks of one object have in common; it lies in the planes between ``bounds``, which are outside."""

    store: EmbeddingStore
    settings: ProjectSettings
    place: int
    bounds: tuple[int, int]
    seeds: Mapping[int, Mask]
    #: What the object is in all planes, where it was carried before.
    current: Mask
    given: bool
    reference: Appearance | None
    #: The share of how it stands out where it is known from which on it is no longer there.
    contrast: float = 0.0

    def section(self, mask: Mask, plane: int, agreement: float, score: float) -> Section:
        return Section(self.place, plane, mask, min(1.0, max(0.0, agreement)), min(1.0, max(0.0, score)))

    def gone(self, plane: int) -> Section:
        """Return that the object is no longer in a plane."""
        return self.section(NOTHING, plane, 0.0, 0.0)

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


def case_of(store: EmbeddingStore, settings: ProjectSettings, place: int, known: Known, stops: Sequence[int]) -> Case:
    """Return what is known of an object, checked. Raises PromptError."""
    planes = store.shape[0]
    seeds = {plane: mask for plane, mask in known.seeds.items() if mask.area}
    for plane, mask in seeds.items():
        MaskPrompt(mask).check(store.shape)
        if mask.start[0] != plane:
            raise PromptError(f"The mask for plane {plane} lies in plane {mask.start[0]}.", "Use its own plane.")
    current = known.current if known.current is not None else NOTHING
    if not seeds and not current.area:
        raise PromptError("No plane of the object is known.", "Click on it in one plane or more first.")
    middle = sorted(seeds) or planes_of(current)
    low = max((stop for stop in stops if stop < middle[0]), default=-1)
    high = min((stop for stop in stops if stop > middle[-1]), default=planes)
    reference = _reference(store, settings, seeds or slices_of(current))
    case = Case(store, settings, place, (low, high), seeds, current, known.given, reference)
    return replace(case, contrast=max(settings.contrast, *(_told_by(case, end) for end in (low, high))))


def _reference(store: EmbeddingStore, settings: ProjectSettings, known: Mapping[int, Mask]) -> Appearance | None:
    """Return what an object looks like where it is known and stands out most, if it does.

    Near its ends it is pale: what looks like that may be anything.
    """
    if not settings.contrast or store.image is None:
        return None
    looks = [appearance(store.image, mask) for mask in known.values()]
    most = max(looks, key=lambda one: abs(one.difference))
    return most if most.clear else None


def _told_by(case: Case, stop: int) -> float:
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
