"""Settings fitted to images whose objects are known: a grid search over the cheap stage."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import Image, LabelError, SettingsError
from ..evaluation.matching import mean_segmentation_accuracy
from ..load import load_model
from ..models import Model
from ..plan import choose_tiling
from ..store import open_store
from ..tiling import Tiling
from .kept import Kept
from .modes import settings_for
from .segmenter import Progress, Segmenter
from .settings import AutomaticSettings, GridSettings, Mode, mode_of

#: Memory that each image may take, in bytes.
_BUDGET = 128 << 20
#: What is tried by default.
GRIDS: dict[Mode, dict[str, tuple[float, ...]]] = {
    Mode.AMG: {
        "pred_iou": (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9),
        "stability": (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
    },
    Mode.AIS: {
        "foreground": (0.3, 0.4, 0.5, 0.6),
        "center_distance": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        "boundary_distance": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    },
    Mode.APG: {
        "min_score": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        "trust": (0.6, 0.7, 0.8, 0.9, 1.0),
        "nms": (0.3, 0.5, 0.7, 0.9),
    },
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What settings reached, in 0..1."""

    settings: AutomaticSettings
    score: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """All trials of a search, in the order they were made; ``names`` of the settings that were varied."""

    names: tuple[str, ...]
    trials: tuple[Trial, ...]
    start: Trial
    images: int
    metric: str = field(default="mSA")

    @property
    def best(self) -> Trial:
        """The best trial; the first settings where none is better."""
        return max((self.start, *self.trials), key=lambda one: one.score)

    @property
    def settings(self) -> AutomaticSettings:
        """The best settings."""
        return self.best.settings

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per trial, the best first: the settings that were varied, and the score."""
        order = sorted((self.start, *self.trials), key=lambda one: -one.score)
        return [{**{n: getattr(one.settings, n) for n in self.names}, self.metric: one.score} for one in order]

    def curves(self) -> dict[str, list[tuple[Any, float]]]:
        """Return for each setting its values and the best score that each of them reached, for a plot."""
        out: dict[str, list[tuple[Any, float]]] = {}
        for name in self.names:
            best: dict[Any, float] = {}
            for one in self.trials:
                value = getattr(one.settings, name)
                best[value] = max(best.get(value, 0.0), one.score)
            out[name] = sorted(best.items())
        return out

    def __str__(self) -> str:
        values = ", ".join(f"{name}={_shown(getattr(self.settings, name))}" for name in self.names)
        return f"{values}: {self.metric} {self.best.score:.3f} instead of {self.start.score:.3f}, {self.images} images"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in (*self.names, self.metric))
        lines = ["".join(f"<td>{_shown(value)}</td>" for value in row.values()) for row in self.rows()[:20]]
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        return f"<p>{self}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def tune(
    model: Model | str | os.PathLike[str],
    images: Sequence[Image | NDArray[np.generic]],
    labels: Sequence[NDArray[np.integer]],
    mode: Mode | str = Mode.AUTO,
    *,
    start: AutomaticSettings | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    partial: bool = False,
    tiling: Tiling | None = None,
) -> Tuning:
    """Return the settings that segment some images best: every combination of ``grid`` is tried.

    ``labels``: (y, x) or (planes, y, x) for each image. The score is the mean segmentation accuracy (mSA) over all
    planes with objects or, with ``partial`` where not every object is annotated, the mean best IoU of those that are.
    What the model computes is computed once. ``tiling``: of planes, by default as ``segment`` does it. ``start``: the
    other settings, by default those of the model. Raises SettingsError for a grid of unknown settings, and LabelError
    where labels do not fit, or hold no object.
    """
    model = model if isinstance(model, Model) else load_model(model)
    if isinstance(images, np.ndarray | Image):
        raise SettingsError(
            "Images come one by one, with labels for each.", "Give lists: tune(model, [image], [labels])."
        )
    segmenters = [_segmenter(model, _image(one), tiling) for one in images]
    first = settings_for(model, mode) if start is None else start
    found: Tuning | None = None
    for step in tuning(segmenters, labels, first, grid=grid, partial=partial):
        found = step if isinstance(step, Tuning) else found
    assert found is not None
    return found


def tuning(
    segmenters: Sequence[Segmenter],
    labels: Sequence[NDArray[np.integer]],
    start: AutomaticSettings,
    *,
    grid: Mapping[str, Sequence[Any]] | None = None,
    partial: bool = False,
) -> Iterator[Progress | Tuning]:
    """Search as ``tune`` and yield how it goes; the result comes last."""
    grid = dict(GRIDS[mode_of(start)] if grid is None else grid)
    known = {one.name for one in start.describe()}
    for name, values in grid.items():
        if name not in known or not len(values):
            raise SettingsError(f"{name!r} = {values!r} cannot be tried.", f"Use some of: {', '.join(sorted(known))}.")
    work = list(_planes(segmenters, labels))
    trials = [replace(start, **dict(zip(grid, values, strict=True))) for values in itertools.product(*grid.values())]
    scores = np.zeros((len(trials) + 1, len(work)))
    total, done = len(work) * (len(trials) + 1), 0
    for column, (segmenter, plane, truth) in enumerate(work):
        # A grid that is kept down to the lowest threshold serves all others.
        for lowest in _lowest([start, *trials]):
            yield from segmenter.prepare(plane, lowest)
        for row, settings in enumerate([start, *trials]):
            # Later trials need nothing more, unless the grid holds settings that need the model.
            yield from segmenter.prepare(plane, settings)
            found = segmenter.labels(plane, settings)
            scores[row, column] = best_iou(truth, found) if partial else mean_segmentation_accuracy(truth, found)
            done += 1
            yield Progress(done, total, "trials")
    first, *others = scores.mean(1).tolist()
    tried = tuple(Trial(settings, score) for settings, score in zip(trials, others, strict=True))
    yield Tuning(tuple(grid), tried, Trial(start, first), len(work), "mean IoU" if partial else "mSA")


def _lowest(every: Sequence[AutomaticSettings]) -> list[AutomaticSettings]:
    """Return the settings with the lowest threshold for every grid of points that is needed."""
    out: dict[tuple[Any, ...], AutomaticSettings] = {}
    for one in sorted((one for one in every if isinstance(one, GridSettings)), key=lambda one: one.pred_iou):
        out.setdefault(tuple(one.costly().values()), one)
    return list(out.values())


def best_iou(truth: NDArray[np.integer], found: NDArray[np.integer]) -> float:
    """Return the mean over the objects of ``truth`` of the best IoU that an object of ``found`` has with each."""
    numbers, a = np.unique(truth, return_inverse=True)
    pairs = np.bincount(
        a.reshape(-1) * (int(found.max(initial=0)) + 1) + found.reshape(-1).astype(np.int64),
        minlength=len(numbers) * (int(found.max(initial=0)) + 1),
    ).reshape(len(numbers), -1)
    union = pairs.sum(1, keepdims=True) + pairs.sum(0, keepdims=True) - pairs
    iou = (pairs / np.maximum(union, 1))[numbers != 0][:, 1:]
    return float(iou.max(1).mean()) if iou.size else 0.0


def _planes(
    segmenters: Sequence[Segmenter], labels: Iterable[NDArray[np.integer]]
) -> Iterator[tuple[Segmenter, int, NDArray[np.integer]]]:
    every = list(labels)
    if len(every) != len(segmenters):
        raise LabelError(f"There are {len(every)} labels for {len(segmenters)} images.", "Give one for each image.")
    count = 0
    for segmenter, one in zip(segmenters, every, strict=True):
        volume = np.asarray(one)
        volume = volume[None] if volume.ndim == 2 else volume
        if volume.shape != segmenter.store.shape:
            raise LabelError(
                f"Labels of shape {np.asarray(one).shape} do not fit an image of {segmenter.store.shape}.",
                "Give labels (y, x), or (planes, y, x) for a volume.",
            )
        for plane, truth in enumerate(volume):
            if truth.any():
                count += 1
                yield segmenter, plane, truth
    if not count:
        raise LabelError("There is no object in the labels.", "Annotate some objects first.")


def _segmenter(model: Model, image: Image, tiling: Tiling | None) -> Segmenter:
    if tiling is None and not model.is_nano:
        tiling = choose_tiling(image.shape, model)
    # One image comes after the other: what was found in an earlier one is not needed any more.
    store = open_store(None, model, image, tiling, keep=False, budget=_BUDGET)
    return Segmenter(model, store, Kept(store.key, budget=_BUDGET))


def _image(one: Image | NDArray[np.generic]) -> Image:
    return one if isinstance(one, Image) else Image(one)
