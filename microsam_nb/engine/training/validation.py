"""How good a model is while it is trained: exact, and the same question every time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ...core import Image, LabelledImage
from ..automatic import Segmenter, settings_for
from ..evaluation.matching import mean_segmentation_accuracy
from ..models import Model
from ..precision import fast_dtype
from ..store import open_store
from .asked import Draws
from .batches import Batch, draw_batch
from .dataset import CropDataset
from .interactive import examine
from .parts import network
from .settings import TrainingPrecision, TrainingSettings


@dataclass(frozen=True, slots=True)
class Score:
    """All in 0..1, higher is better; NaN where not measured.

    ``first_iou`` and ``last_iou``: mean IoU after the first click and after all of them; ``accuracy``: mean
    segmentation accuracy (mSA) of automatic segmentation.
    """

    first_iou: float = math.nan
    last_iou: float = math.nan
    accuracy: float = math.nan

    @property
    def total(self) -> float:
        """The mean of what was measured, by which the best epoch is chosen; higher is better."""
        known = [v for v in (self.first_iou, self.last_iou, self.accuracy) if not math.isnan(v)]
        return sum(known) / len(known) if known else math.nan


class Validator:
    """Asks a model about fixed crops of ``images`` with fixed prompts, and segments the first ``automatic`` of them.

    Equal weights give bit-equal scores. What is found where nobody has looked does not count. ``also`` is called with
    the model after every measurement, in the mode in which it is used. Raises MicrosamError when no image holds an
    object.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        *,
        crops: int = 16,
        automatic: int = 4,
        also: Callable[[Model], object] | None = None,
    ) -> None:
        self._also = also
        longest = max(max(one.labels.shape) for one in images) if images else 1
        self._data = CropDataset(images, longest=min(1024, longest))
        self._crops = crops
        self._images = [one for one in images if one.labels.any()][:automatic]
        self._batches: dict[tuple[float, ...], list[Batch]] = {}

    def score(self, model: Model, settings: TrainingSettings) -> Score:
        """Measure what the settings train. The model's parts come back in the mode they were in."""
        net = network(model)
        modes = {module: module.training for module in net.modules()}
        net.eval()
        try:
            first = last = accuracy = math.nan
            if settings.prompts:
                first, last = self._clicked(model, settings)
            if model.distances is not None and settings.distances > 0:
                accuracy = self._segmented(model)
            if self._also is not None:
                self._also(model)
            return Score(first, last, accuracy)
        finally:
            for module, mode in modes.items():
                module.training = mode

    @torch.no_grad()
    def _clicked(self, model: Model, settings: TrainingSettings) -> tuple[float, float]:
        full = settings.precision is TrainingPrecision.FULL
        dtype = torch.float32 if full else fast_dtype(model.device)
        found: list[tuple[float, float]] = []
        for number, batch in enumerate(self._fixed(model, settings)):
            noise = torch.Generator(model.device)
            noise.manual_seed(number)
            batch = batch.to(model.device)
            with torch.autocast(model.device.type, dtype=dtype, enabled=dtype is not torch.float32):
                features = model.sam.image_encoder(batch.images).float()
            draws = Draws(np.random.default_rng(number), noise)
            turns = examine(model, batch, features, settings.clicks, draws, dtype)
            found += zip(turns[0].tolist(), turns[-1].tolist(), strict=True)
        means = np.mean(found, axis=0)
        return float(means[0]), float(means[1])

    def _fixed(self, model: Model, settings: TrainingSettings) -> list[Batch]:
        key = (model.frame, settings.crop, settings.objects, settings.typical_chance)
        if key not in self._batches:
            one = replace(settings, batch=1)
            self._batches[key] = [
                draw_batch(model, self._data, one, np.random.default_rng([1, number]), vary=False)
                for number in range(self._crops)
            ]
        return self._batches[key]

    def _segmented(self, model: Model) -> float:
        values = []
        for one in self._images:
            segmenter = Segmenter(model, open_store(None, model, Image(one.pixels)))
            settings = settings_for(model, "ais")
            for _ in segmenter.prepare(0, settings):
                pass
            found = segmenter.labels(0, settings)
            if one.known is not None:
                found = _within(found, one.known)
            values.append(mean_segmentation_accuracy(one.labels, found))
        return float(np.mean(values)) if values else math.nan


def _within(found: NDArray[np.uint32], known: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Return what was found without objects of which more than half lies where nobody has looked: they may be right."""
    ids, dense = np.unique(found, return_inverse=True)
    dense = dense.reshape(found.shape)
    inside = np.bincount(dense.ravel(), known.ravel(), len(ids)) * 2 >= np.bincount(dense.ravel())
    return np.where(inside, ids, 0).astype(np.uint32)[dense]
