"""Pieces of the validation images, segmented again and again while a model learns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from ..core import Image, LabelledImage
from ..engine.automatic import segment
from ..engine.encode import encode
from ..engine.evaluation import mean_segmentation_accuracy
from ..engine.evaluation.interactive import objects_of, painted
from ..engine.evaluation.protocol import deepest_point
from ..engine.models import Model
from ..engine.predict import predict_many
from ..engine.training.settings import TrainingSettings

#: Crops that are shown: of nano, and of models that take seconds for each on a processor.
_FEW, _FEWER = 4, 2
#: Side of a crop of nano in pixels.
_SIDE = 256


class Previews:
    """The first validation images, cut to where they have most objects.

    ``labels`` int32 (y, x) of each and ``scores`` (mSA) are those of the last ``look``: by automatic segmentation, or
    where the instance decoder is not trained by one click on every object.
    """

    def __init__(self, model: Model, images: Sequence[LabelledImage], settings: TrainingSettings) -> None:
        side = _SIDE if model.is_nano else model.frame
        some = [one for one in images if one.labels.any()][: _FEW if model.is_nano else _FEWER]
        self._images = [_cut(one, side) for one in some]
        self._automatic = settings.distances > 0 and model.distances is not None
        self.labels: list[NDArray[np.int32]] = []
        self.scores: list[float] = []

    @property
    def crops(self) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.int32]]]:
        """The pictures uint8 (y, x, 3) and their true labels int32 (y, x)."""
        return [_picture(one) for one in self._images], [one.labels for one in self._images]

    def look(self, model: Model) -> None:
        """Segment all crops."""
        self.labels = [self._segmented(model, one) for one in self._images]
        pairs = zip(self._images, self.labels, strict=True)
        self.scores = [round(mean_segmentation_accuracy(one.labels, found), 4) for one, found in pairs]

    def _segmented(self, model: Model, one: LabelledImage) -> NDArray[np.int32]:
        if self._automatic:
            return np.asarray(segment(one.pixels, model, "ais"), np.int32)
        objects = objects_of(one.labels[None].astype(np.uint32))
        found = predict_many(model, encode(model, Image(one.pixels).shown()), [[deepest_point(own)] for own in objects])
        height, width = one.labels.shape
        labels = painted([answer.mask for answer in found], (1, height, width))[0]
        return np.asarray(labels, np.int32)


def _cut(one: LabelledImage, side: int) -> LabelledImage:
    """Return the square of an image, of ``side`` pixels at most, that has most objects."""
    height, width = one.labels.shape
    # Many small objects show more than one large one.
    numbers, places, sizes = np.unique(one.labels, return_inverse=True, return_counts=True)
    weight = np.where(numbers > 0, 1 / sizes, 0)[places.reshape(one.labels.shape)]
    full = uniform_filter(weight, size=(min(side, height), min(side, width)), mode="constant")
    y, x = np.unravel_index(int(np.argmax(full)), full.shape)
    top = min(max(0, int(y) - side // 2), max(0, height - side))
    left = min(max(0, int(x) - side // 2), max(0, width - side))
    place = np.s_[top : top + side, left : left + side]
    known = None if one.known is None else one.known[place]
    return LabelledImage(one.pixels[place], one.labels[place], one.group, one.name, known)


def _picture(one: LabelledImage) -> NDArray[np.uint8]:
    shown = Image(one.pixels).shown()
    return np.repeat(shown[..., None], 3, axis=2) if shown.ndim == 2 else shown
