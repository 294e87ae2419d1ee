"""Slow work that leaves the session; its answers come back as actions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import Lineage, Mask, Prompt


@dataclass(frozen=True, slots=True)
class Predict:
    """Segment objects, each from its own prompts. Of several waiting only the newest matters.

    ``size``: the usual diameter of the committed objects in pixels, where there are some. All prompts lie in ``plane``.
    ``base``: what each object is in that plane already, None for nothing, () for no object: it was carried there from
    another plane, and the prompts correct it.
    """

    ticket: int
    objects: tuple[tuple[Prompt, ...], ...]
    size: float | None = None
    plane: int = 0
    base: tuple[Mask | None, ...] = ()

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts of all objects."""
        return tuple(prompt for one in self.objects for prompt in one)


@dataclass(frozen=True, slots=True)
class Extend:
    """Carry objects through the planes of a volume. It takes the place of a waiting ``Predict``, and the other way.

    ``objects``: of each its fixed slices, masks of one plane each, sorted by plane: those of planes with prompts, all
    that it has where there are no prompts. ``current``: what each is now (planes, h, w). ``stops``: planes which the
    objects do not reach, nor what lies beyond. ``planes``: those that were changed, so that only their neighbourhood
    is computed again; () for all planes. ``options``: settings other than the model's own. ``taken``: the objects were
    there before any prompt, so that none of their planes is lost where the model finds nothing.
    """

    ticket: int
    objects: tuple[tuple[Mask, ...], ...]
    current: tuple[Mask, ...]
    stops: tuple[int, ...] = ()
    planes: tuple[int, ...] = ()
    options: tuple[Setting, ...] = ()
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Embed:
    """Prepare a plane, so that prompts are answered at once; what lies nearest to (y, x) first, None for the middle."""

    plane: int
    y: float | None = None
    x: float | None = None


@dataclass(frozen=True, slots=True)
class LoadModel:
    """Change over to another model, by its name or the path of its file; it is downloaded if it must be."""

    name: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of an automatic segmentation, as its form has it."""

    name: str
    value: float | bool | str


@dataclass(frozen=True, slots=True)
class SegmentAll:
    """Find all objects of a plane: ``mode`` "auto", "amg", "ais" or "apg", and settings other than the model's own.

    ``final`` False: somebody is still moving a slider, and what is found is only shown. ``volume``: of all planes,
    joined to objects through them.
    """

    ticket: int
    plane: int
    mode: str
    options: tuple[Setting, ...] = ()
    final: bool = True
    volume: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Find the settings with which an automatic segmentation gives ``labels``, uint32 (y, x), of a plane best."""

    ticket: int
    plane: int
    mode: str
    options: tuple[Setting, ...]
    labels: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class Around:
    """The tracks of a movie: ``only`` some are linked anew, () for all, from frame ``first`` on. The rest is kept.

    ``labels`` uint32 (t, y, x); new tracks are numbered from ``free``.
    """

    labels: NDArray[np.uint32]
    lineage: Lineage
    only: tuple[int, ...]
    first: int
    free: int


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """Link the objects of all frames of a movie to tracks: ``labels``, uint32 (t, y, x), None: find them first.

    ``around``: the tracks that are there, where some of them are kept.
    """

    ticket: int
    mode: str
    options: tuple[Setting, ...]
    labels: NDArray[np.uint32] | None
    around: Around | None = None


@dataclass(frozen=True, slots=True)
class StopQuestion:
    """Leave what is asked about the object in hand; what runs in the background goes on.

    ``ticket``: of the newest question that is meant; what was asked since stays. None for any.
    """

    ticket: int | None = None


@dataclass(frozen=True, slots=True)
class StopWork:
    """Leave what runs in the background; what it has got so far stays."""


@dataclass(frozen=True, slots=True)
class StopSearch:
    """Leave what needs all objects: finding, fitting or linking them; models are loaded and planes prepared on."""


#: What is asked about the object in hand: only the newest one matters.
Question = Predict | Extend
#: What takes long.
LongWork = Embed | LoadModel | SegmentAll | Fit | Link
#: What needs all objects: only the newest one matters.
Search = SegmentAll | Fit | Link
Request = Question | LongWork | StopQuestion | StopSearch | StopWork
