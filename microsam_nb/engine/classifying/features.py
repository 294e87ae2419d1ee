"""Features of committed objects: what the model sees in them, and their size, shape and brightness."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ...core import Box, Image
from ...core.measuring import Crop, Subject
from ..models import Model
from ..store import EmbeddingStore
from ..tiling import Window
from .pooling import Place, look_at, places, pool, usual_side
from .shapes import measure, shape_names

#: In so many planes, evenly spread, an object of a volume or a movie is looked at.
PLANES = 8
#: Objects of a plane whose corners lie in the same square of this side are measured together.
_BLOCK = 1024


class Features(StrEnum):
    """What objects are told apart by."""

    BOTH = "both"
    MODEL = "model"
    SHAPE = "shape"


@dataclass(slots=True)
class _Sum:
    """Features times pixels, and pixels, of the planes of one object so far."""

    total: NDArray[np.float64]
    weight: NDArray[np.float64]


class Describer:
    """Computes the features of objects of one image.

    An object that lies in several planes has their mean, weighted by its pixels: so has a track, whose class is that
    of the whole track. It is looked at in at most ``PLANES`` of them. ``side`` of nano's windows in pixels: what nano
    sees depends on how large it sees it, so that all objects of one training need the same. 0: not known yet, or of
    no meaning. ``done`` of ``total`` counts windows and planes.
    """

    def __init__(
        self, image: Image, model: Model, store: EmbeddingStore, kind: Features = Features.BOTH, side: int = 0
    ) -> None:
        self._image, self._model, self._store, self.kind = image, model, store, kind
        self.side = side
        self.done = self.total = 0
        seen = model.features_shape[1] if kind is not Features.SHAPE else 0
        shape = shape_names(image.channels) if kind is not Features.MODEL else ()
        #: Of every column; those of a model begin with its name for what it sees.
        self.names: tuple[str, ...] = (
            *shape, *(f"{what}_{i}" for what in ("seen_mean", "seen_std") for i in range(seen)),
        )  # fmt: skip

    def settle(self, boxes: Sequence[Box]) -> None:
        """Choose the size of windows by that of all objects, unless it is known."""
        if self._model.is_nano and self.kind is not Features.SHAPE and not self.side and boxes:
            self.side = usual_side(boxes)

    def steps(self, subjects: Sequence[Subject], crop: Crop) -> Iterator[tuple[int, NDArray[np.float32]] | None]:
        """Yield the number of an object and its features (n) when they are known, None between the steps to that.

        What is no number is nan: brightness where there are no finite intensities.
        """
        self.settle([one.box for one in subjects])
        by_plane: dict[int, list[Subject]] = defaultdict(list)
        last: dict[int, int] = {}
        for one in subjects:
            for plane in _spread(one.box):
                by_plane[plane].append(one)
                last[one.label] = plane
        boxes = {plane: [one.box for one in some] for plane, some in by_plane.items()}
        self.done, self.total = 0, len(by_plane) + sum(len(self._places(own)) for own in boxes.values())
        sums: dict[int, _Sum] = {}
        for plane, some in sorted(by_plane.items()):
            for row in self._in_plane(plane, some, crop):
                if row is None:
                    yield None
                    continue
                for one, values, area in zip(some, *row, strict=True):
                    _add(sums, one.label, values, area)
            self.done += 1
            for one in some:
                if last[one.label] == plane:
                    yield one.label, _mean(sums.pop(one.label, None), len(self.names))

    def _places(self, boxes: Sequence[Box]) -> list[Place]:
        if self.kind is Features.SHAPE:
            return []
        return places(self._store, boxes, self.side if self._model.is_nano else None)

    def _in_plane(
        self, plane: int, subjects: list[Subject], crop: Crop
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]] | None]:
        """Yield None between steps, then the features (n, features) of objects as they are in a plane, and pixels."""
        areas = np.zeros(len(subjects))
        shapes = np.full((len(subjects), len(shape_names(self._image.channels))), np.nan)
        near: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, one in enumerate(subjects):
            near[one.box.start[1] // _BLOCK, one.box.start[2] // _BLOCK].append(index)
        for members in near.values():
            whole = Box.around(subjects[i].box for i in members)
            window = Window(*whole.start[1:], *whole.stop[1:])
            dense = _dense(crop, plane, window, [subjects[i].label for i in members])
            areas[members] = np.bincount(dense.reshape(-1), minlength=len(members) + 1)[1:]
            if self.kind is not Features.MODEL:
                pixels = self._image.region(plane, window.y0, window.x0, window.y1, window.x1)
                shapes[members] = measure(dense, pixels, len(members))
            yield None
        parts = [shapes] if self.kind is not Features.MODEL else []
        if self.kind is not Features.SHAPE:
            seen = np.full((len(subjects), 2 * self._model.features_shape[1]), np.nan)
            for place in self._places([one.box for one in subjects]):
                members = list(place.members)
                for found in look_at(self._store, plane, place):
                    if found is None:
                        yield None
                        continue
                    corner, dense = self._cut(plane, place, [subjects[i] for i in members], crop)
                    seen[members] = pool(found, self._model.frame, dense, corner, len(members))
                self.done += 1
                yield None
            parts.append(seen)
        yield np.hstack(parts), areas

    def _cut(
        self, plane: int, place: Place, subjects: list[Subject], crop: Crop
    ) -> tuple[tuple[int, int], NDArray[np.int64]]:
        """Return the part of a place in which objects lie: its corner (y, x) there, and their places in the list."""
        whole, view = Box.around(one.box for one in subjects), place.window
        y0, x0 = max(view.y0, whole.start[1]), max(view.x0, whole.start[2])
        y1, x1 = min(view.y1, whole.stop[1]), min(view.x1, whole.stop[2])
        window = Window(y0, x0, max(y0, y1), max(x0, x1))
        dense = _dense(crop, plane, window, [one.label for one in subjects])
        return (y0 - view.y0, x0 - view.x0), dense


def _dense(crop: Crop, plane: int, window: Window, labels: Sequence[int]) -> NDArray[np.int64]:
    """Return a window of labels with the numbers 1, 2, ... for ``labels`` in their order, 0 for all others."""
    found = crop(Box((plane, window.y0, window.x0), (plane + 1, window.y1, window.x1)))[0]
    order = np.argsort(labels)
    known = np.array(labels, np.uint32)[order]
    at = np.minimum(np.searchsorted(known, found), len(known) - 1)
    dense: NDArray[np.int64] = np.where(known[at] == found, order[at] + 1, 0)
    return dense


def _spread(box: Box) -> list[int]:
    first, stop = box.start[0], box.stop[0]
    return sorted({int(p) for p in np.linspace(first, stop - 1, min(PLANES, stop - first)).round()})


def _add(sums: dict[int, _Sum], label: int, values: NDArray[np.float64], area: float) -> None:
    if not area:
        return
    known = np.isfinite(values)
    own = sums.setdefault(label, _Sum(np.zeros(len(values)), np.zeros(len(values))))
    own.total += np.where(known, values, 0) * area
    own.weight += known * area


def _mean(found: _Sum | None, count: int) -> NDArray[np.float32]:
    if found is None:
        return np.full(count, np.nan, np.float32)
    with np.errstate(invalid="ignore", divide="ignore"):
        out: NDArray[np.float32] = (found.total / found.weight).astype(np.float32)
    return out
