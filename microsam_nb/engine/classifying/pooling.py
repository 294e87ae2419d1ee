"""What a model sees in objects: its features averaged over each mask, and in which windows to look at them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ...core import Box
from ..embedding import Embedding
from ..looks import window_at
from ..store import EmbeddingStore
from ..tiling import Window

#: nano looks at windows of so many usual diameters, at least so many pixels; objects up to this share of one fit in.
_VIEW, _LEAST, _FITS = 8.0, 64, 0.25
#: Side of a window around a larger object, in its sizes.
_MARGIN = 2.3


@dataclass(frozen=True, slots=True)
class Place:
    """A window of a plane, and which of the boxes asked about are to be looked at in it; ``tile`` None for nano."""

    window: Window
    members: tuple[int, ...]
    tile: int | None


def usual_side(boxes: Sequence[Box]) -> int:
    """Return the side of nano's windows for objects of these sizes: a power of two, so that few edits change it."""
    sizes = [math.sqrt(box.shape[1] * box.shape[2]) for box in boxes]
    side = max(_LEAST, _VIEW * float(np.median(sizes))) if sizes else _LEAST
    return int(2 ** round(math.log2(side)))


def places(store: EmbeddingStore, boxes: Sequence[Box], side: int | None) -> list[Place]:
    """Return where to look at objects of one plane: whole planes or tiles, of ``side`` pixels for nano.

    A tile belongs to the objects whose middles lie in its inner part: what many tiles show counts once.
    """
    shape = store.shape[1:]
    middles = [((b.start[1] + b.stop[1]) / 2, (b.start[2] + b.stop[2]) / 2) for b in boxes]
    found: dict[tuple[Window, int | None], list[int]] = {}
    for index, (box, (y, x)) in enumerate(zip(boxes, middles, strict=True)):
        tile: int | None = 0
        if side is not None:
            tile, size = None, max(box.shape[1:])
            step = side * (1 - _FITS)
            grid = (int(y // step) + 0.5) * step, (int(x // step) + 0.5) * step
            large = size > _FITS * side
            window = window_at(shape, (y, x) if large else grid, size * _MARGIN if large else side)
        elif store.tiling is None:
            window = Window(0, 0, *shape)
        else:
            tile = store.tiling.tile_of(shape, y, x)
            window = store.tiling.tile_at(shape, tile).outer
        found.setdefault((window, tile), []).append(index)
    return [Place(window, tuple(members), tile) for (window, tile), members in found.items()]


def look_at(store: EmbeddingStore, plane: int, place: Place) -> Iterator[Embedding | None]:
    """Yield None between the steps of the network, then the embedding of a place."""
    if place.tile is None:
        yield store.window(plane, place.window)
        return
    from ..store import Item

    for _ in store.fill_stepwise([Item(plane, place.tile)]):
        yield None
    yield store.tile(plane, place.tile)


def pool(
    embedding: Embedding, frame: int, dense: NDArray[np.int64], corner: tuple[int, int], count: int
) -> NDArray[np.float64]:
    """Return mean and deviation of every channel inside objects 1 to ``count`` of ``dense`` (h, w), (count, 2 c).

    Every pixel of a mask weighs the four cells around it, as if the features were enlarged to the size of the image:
    an object too small for a cell of its own still has a value. ``corner``: (y, x) of ``dense`` in what is embedded.
    Objects without pixels have nan.
    """
    features = embedding.features[0].float().cpu().numpy().astype(np.float64)
    channels, height, width = features.shape
    rows, columns = dense.nonzero()
    own = dense[rows, columns] - 1
    cells, parts = [], []
    for places_, start, scale, cell, most, size in (
        (rows, corner[0], embedding.scale[0], frame / height, height, embedding.input_size[0]),
        (columns, corner[1], embedding.scale[1], frame / width, width, embedding.input_size[1]),
    ):
        last = min(most, max(1, math.ceil(size / cell))) - 1
        at = np.clip((places_ + start + 0.5) * scale / cell - 0.5, 0, last)
        low = np.floor(at).astype(np.int64)
        cells.append((low, np.minimum(low + 1, last)))
        parts.append((1 - (at - low), at - low))
    weights = sparse.csr_matrix((count, height * width))
    for i in (0, 1):
        for j in (0, 1):
            where = cells[0][i] * width + cells[1][j]
            weights = weights + sparse.csr_matrix((parts[0][i] * parts[1][j], (own, where)), weights.shape)
    flat = features.reshape(channels, -1).T
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.asarray(weights.sum(1))
        mean = (weights @ flat) / total
        square = (weights @ flat**2) / total
    return np.hstack([mean, np.sqrt(np.maximum(square - mean**2, 0))])
