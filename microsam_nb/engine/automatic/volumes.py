"""Volumes: plane by plane, then gaps are closed and the planes' objects joined in 3D. Nothing is held but labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...core import LabelError
from ..store.shelf import Item
from .gaps import close_gaps
from .segmenter import Progress, Segmenter
from .settings import AutomaticSettings
from .stitch import Stitching, StitchSettings

#: Planes that a GPU encodes together.
_TOGETHER = 8


class Planes(Protocol):
    """Labels (z, y, x) that are read and written plane by plane: a numpy or zarr array of unsigned integers."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> Any: ...

    def __setitem__(self, key: Any, value: Any, /) -> None: ...


def segment_planes(
    segmenter: Segmenter, settings: AutomaticSettings, out: Planes, done: set[int] | None = None
) -> Iterator[Progress]:
    """Segment every plane by itself into ``out``, numbered from 1 in each plane.

    Planes in ``done`` are there already; those that get there are added to it. Raises as ``Segmenter.prepare``, and
    LabelError where ``out`` does not fit.
    """
    shape = segmenter.store.shape
    if tuple(out.shape) != shape:
        raise LabelError(f"Labels of shape {tuple(out.shape)} do not fit {shape}.", "Give labels of the image's shape.")
    done = set() if done is None else done
    yield Progress(len(done), shape[0], "planes")
    encoded = 0
    for plane in range(shape[0]):
        if plane in done:
            continue
        if plane >= encoded:
            encoded = _encode_ahead(segmenter, plane)
        for step in segmenter.prepare(plane, settings):
            if shape[0] == 1:
                yield step
            elif step.note:
                yield Progress(len(done), shape[0], "planes", step.note)
        out[plane] = segmenter.labels(plane, settings)
        done.add(plane)
        yield Progress(len(done), shape[0], "planes")


def _encode_ahead(segmenter: Segmenter, plane: int) -> int:
    """Encode the next planes together, where that is quicker; return the first that is not encoded."""
    model, store = segmenter.model, segmenter.store
    if model.is_nano or model.device.type == "cpu" or store.tiling is not None:
        return plane + 1
    end = min(store.shape[0], plane + _TOGETHER)
    store.fill([Item(one) for one in range(plane, end)])
    return end


def join_planes(planes: Planes, settings: StitchSettings, out: Planes | None = None) -> Iterator[Progress]:
    """Join the objects of all planes, each numbered from 1, in 3D; numbers are those of 3D objects afterwards.

    ``out`` takes the result, by default the planes themselves. Only some planes are in memory at a time. Raises
    LabelError for planes that are no labels.
    """
    out = planes if out is None else out
    count = int(planes.shape[0])
    stitching = Stitching()
    source: Iterator[NDArray[Any]] = (np.asarray(planes[z]) for z in range(count))
    if settings.gap_closing:
        source = close_gaps(source, settings.gap_closing)
    for z, labels in enumerate(source):
        out[z] = stitching.add(labels)
        yield Progress(z + 1, 2 * count, "planes")
    table = stitching.solve(settings)
    for z in range(count):
        out[z] = table[np.asarray(out[z])]
        yield Progress(count + z + 1, 2 * count, "planes")


def segment_volume(
    segmenter: Segmenter, settings: AutomaticSettings, stitching: StitchSettings | None = None
) -> NDArray[np.uint32]:
    """Return the 3D objects of a volume, uint32 (z, y, x), numbered from 1; see ``segment_planes``."""
    out = np.zeros(segmenter.store.shape, np.uint32)
    for _ in segment_planes(segmenter, settings, out):
        pass
    for _ in join_planes(out, stitching or StitchSettings()):
        pass
    return out
