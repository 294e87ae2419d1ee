"""Automatic segmentation for one annotator: requests to candidates, with the expensive stage kept between them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core import Candidate, Mask, SettingsError, StoreError
from ..engine.automatic import Kept, Progress, Segmenter, Tuning
from ..engine.automatic.grid import floor_of
from ..engine.automatic.modes import mode_for, settings_for
from ..engine.automatic.settings import AutomaticSettings, GridSettings, mode_of, settings_with
from ..engine.automatic.stitch import StitchSettings
from ..engine.automatic.tuning import tuning
from ..engine.automatic.volumes import join_planes, segment_planes
from ..engine.models import Model
from ..engine.store import EmbeddingStore
from ..session import Action, Automatic, Fit, Link, SegmentAll, Setting, Sketched, Suggested, Surveyed, Work, Working
from .compute import compute

#: Searches that were left and can be gone on with.
_LEFT = 3
#: Seconds between two reports of progress.
_PAUSE = 0.2
#: How objects of single planes are joined: as micro-sam's window does, gaps of a plane are closed.
_JOINED = StitchSettings(gap_closing=1, min_extent=2)
#: Bytes of labels of a volume that is segmented on screen.
_MOST = 2**30


class AutomaticService:
    """Answers requests for all objects of a plane.

    What the model has begun to compute is gone on with when another request needs the same. ``folder``: where its
    results are kept on disk, None for memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._segmenter: Segmenter | None = None
        #: What was begun and left, the newest last.
        self._begun: dict[object, Iterator[Progress]] = {}

    def segment(self, model: Model, store: EmbeddingStore, request: SegmentAll) -> Iterator[Action]:
        """Find all objects; yield how it goes, and candidates."""
        segmenter = self._of(model, store)
        settings = _settings(model, request.mode, request.options)
        if request.volume:
            yield from self._segment_volume(segmenter, request, settings)
            return
        yield from self._prepare(segmenter, request.plane, settings)
        if request.final:
            scores, areas = compute.call(lambda: segmenter.spread(request.plane, settings))
            yield Surveyed(request.ticket, str(mode_of(settings)), tuple(scores.tolist()), tuple(areas.tolist()))
        found = compute.call(lambda: segmenter.candidates(request.plane, settings))
        if request.final:
            yield Suggested(request.ticket, tuple(found), _automatic(settings, model))
        else:
            yield Sketched(request.ticket, tuple(found))

    def _segment_volume(
        self, segmenter: Segmenter, request: SegmentAll, settings: AutomaticSettings
    ) -> Iterator[Action]:
        """Find all objects of all planes; those of single planes are joined."""
        store, model = segmenter.store, segmenter.model
        out = _room(store)
        what = "Finding all objects of all planes"
        yield from paced(compute.steps(segment_planes(segmenter, settings, out)), what)
        planes = out.copy()
        yield from paced(compute.steps(join_planes(out, _JOINED)), "Joining the objects of all planes")
        found = compute.call(lambda: _objects(segmenter, settings, planes, out))
        about = f"In {store.shape[0]} planes:"
        automatic = replace(_automatic(settings, model), volume=True)
        yield Suggested(request.ticket, tuple(found), automatic, about)

    def frames(
        self, model: Model, store: EmbeddingStore, request: Link, found: list[NDArray[np.uint32]]
    ) -> Iterator[Action]:
        """Find the objects of every frame; yield how it goes, and append labels (t, y, x), numbered in each frame."""
        segmenter, out = self._of(model, store), _room(store)
        settings = _settings(model, request.mode, request.options)
        yield from paced(
            compute.steps(segment_planes(segmenter, settings, out)), "Finding the objects of all frames", "frames"
        )
        found.append(out)

    def fit(self, model: Model, store: EmbeddingStore, request: Fit) -> Iterator[Action]:
        """Find settings that give the objects of a plane best, and the candidates they give."""
        segmenter = self._of(model, store)
        start = _settings(model, request.mode, request.options)
        yield from self._prepare(segmenter, request.plane, start)
        labels = np.zeros(store.shape, np.uint32)
        labels[request.plane] = request.labels
        results: list[Tuning] = []
        steps = compute.steps(tuning([segmenter], [labels], start, partial=True))
        yield from paced(_without_result(steps, results), "Fitting the settings")
        (result,) = results
        best = result.settings
        scores, areas = compute.call(lambda: segmenter.spread(request.plane, best))
        yield Surveyed(request.ticket, str(mode_of(best)), tuple(scores.tolist()), tuple(areas.tolist()))
        found = compute.call(lambda: segmenter.candidates(request.plane, best))
        about = f"Fitted: mean IoU with your objects {result.best.score:.2f}, before {result.start.score:.2f}."
        yield Suggested(request.ticket, tuple(found), _automatic(best, model), about)

    def _prepare(self, segmenter: Segmenter, plane: int, settings: AutomaticSettings) -> Iterator[Action]:
        # Of a grid also how far down it is kept.
        least = floor_of(settings.pred_iou) if isinstance(settings, GridSettings) else None
        about = (segmenter, plane, mode_of(settings), tuple(settings.costly().items()), least)
        # Kept while it runs: whoever leaves it for other settings, or another method, can go on with it.
        steps = self._begun.pop(about, None) or _Open(iter(segmenter.prepare(plane, settings)))
        self._begun[about] = steps
        while len(self._begun) > _LEFT:
            del self._begun[next(iter(self._begun))]
        yield from paced(compute.steps(steps), "Finding all objects")
        self._begun.pop(about, None)
        # What was begun may have been for other thresholds.
        yield from paced(compute.steps(iter(segmenter.prepare(plane, settings))), "Finding all objects")

    def _of(self, model: Model, store: EmbeddingStore) -> Segmenter:
        known = self._segmenter
        if known is None or known.model is not model or known.store is not store:
            self._begun.clear()
            known = self._segmenter = Segmenter(model, store, self._kept(model, store))
        return known

    def _kept(self, model: Model, store: EmbeddingStore) -> Kept:
        if self._folder is None:
            return Kept(store.key)
        place = self._folder / f"automatic-{model.spec.architecture}-{model.spec.hash[-8:]}.zarr"
        try:
            return Kept.at(place, store.key, strict=False)
        except StoreError:
            # It can be computed again: a damaged or unwritable place must not keep anybody from annotating.
            return Kept(store.key)


def _room(store: EmbeddingStore) -> NDArray[np.uint32]:
    if 4 * math.prod(store.shape) > _MOST:
        raise SettingsError(
            f"The volume {store.shape} is too large to find all its objects on screen.",
            "Segment it with `python -m microsam_nb segment` or `track`, and open the result with labels= or tracks=.",
        )
    return np.zeros(store.shape, np.uint32)


def _objects(
    segmenter: Segmenter, settings: AutomaticSettings, planes: NDArray[np.uint32], joined: NDArray[np.uint32]
) -> list[Candidate]:
    """Return the objects of a volume as candidates; the score of each is the mean of its parts, by their areas.

    ``planes``: labels numbered in each plane; ``joined``: the same pixels with the numbers of the whole objects.
    """
    count = int(joined.max(initial=0))
    total, weight = np.zeros(count + 1), np.zeros(count + 1)
    for plane in np.flatnonzero(planes.any(axis=(1, 2))):
        scored = segmenter.candidates(int(plane), settings)
        for one in scored:
            ids = joined[one.mask.box.slices][one.mask.bitmap]
            ids = ids[ids > 0]
            if len(ids):
                number = int(np.bincount(ids).argmax())
                total[number] += one.score * one.mask.area
                weight[number] += one.mask.area
    found = []
    for number, place in enumerate(ndimage.find_objects(joined.view(np.int32)), start=1):
        if place is None:
            continue
        start = tuple(part.start for part in place)
        score = total[number] / weight[number] if weight[number] else 0.0
        found.append(Candidate(Mask(start, joined[place] == number), float(min(1.0, score)), str(mode_of(settings))))
    return found


class _Open:
    """An iterator that nobody closes: who leaves it may come back."""

    def __init__(self, steps: Iterator[Progress]) -> None:
        self._steps = steps

    def __iter__(self) -> Iterator[Progress]:
        return self

    def __next__(self) -> Progress:
        return next(self._steps)


def _without_result(steps: Iterator[Progress | Tuning], results: list[Tuning]) -> Iterator[Progress]:
    """Yield the progress, and put what comes last into a list."""
    for step in steps:
        if isinstance(step, Tuning):
            results.append(step)
        else:
            yield step


def paced(steps: Iterator[Any], what: str, planes: str = "planes") -> Iterator[Action]:
    """Yield how far steps are, not more often than can be read; and after every step a chance to leave.

    ``planes``: what planes are called.
    """
    start = time.perf_counter()
    told = -_PAUSE
    unit, first = "", 0
    last: Work | None = None
    for step in steps:
        now = time.perf_counter()
        if step.unit != unit:
            unit, first, start, told = step.unit, step.done, now, -_PAUSE
        passed, made = now - start, step.done - first
        if passed - told < _PAUSE and not step.note:
            # The one who runs this may leave it here.
            yield Working(last)
            continue
        told = passed
        left = passed / made * (step.total - step.done) if made > 0 and step.total else None
        told_unit = planes if step.unit == "planes" else step.unit
        last = Work(f"{what}. {step.note}" if step.note else what, step.done, step.total, told_unit, left)
        yield Working(last)


def _settings(model: Model, mode: str, options: tuple[Setting, ...]) -> AutomaticSettings:
    which = mode_for(model, mode)
    own = settings_for(model, which)
    known = {one.name for one in own.describe()}
    # Settings that another mode had are no mistake of the user.
    return settings_with(own, {one.name: one.value for one in options if one.name in known})


def _automatic(settings: AutomaticSettings, model: Model) -> Automatic:
    options = tuple(Setting(one.name, _plain(getattr(settings, one.name))) for one in settings.describe())
    return Automatic(str(mode_of(settings)), options, model.spec.label)


def _plain(value: Any) -> float | bool | str:
    if isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int | float):
        return float(value)
    raise SettingsError(f"{value!r} is no value of a form.", "Use numbers, words, yes and no.")
