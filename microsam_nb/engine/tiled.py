"""Answers from the tiles of a store.

The tile that has most room around the prompts answers. When they do not fit into any, or the mask reaches a border
of the tile that is none of the plane, the object is larger than the tile: it is looked at again in a window of twice
the size, and so on up to the whole plane, or some thousand pixels of a large one. Such windows are encoded when they
are needed, from the image, and remembered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..core import BoxPrompt, Candidate, Mask, StoreError
from .answer import answer, best
from .embedding import Embedding
from .looks import Look, window_at
from .models import Model
from .pixels import farthest, thinned
from .prompting import Gathered, box_of
from .store import EmbeddingStore
from .tiling import Tile, Tiling, Window

#: Objects whose tiles are in memory at the same time.
_TOGETHER = 16
#: A window around an object that outgrew its tile is at least this much larger than what is known of it.
_GROWTH = 2.0


def answer_from_tiles(model: Model, store: EmbeddingStore, asked: Sequence[Gathered]) -> list[Candidate]:
    """Answer prompts in planes that are cut into tiles, in their order. Raises StoreError.

    An object that outgrows its tile stays as the tile shows it when the store was opened without its image.
    """
    size = store.shape[1:]
    assert store.tiling is not None
    tiles = [best_tile(store.tiling, size, own.extent()) for own in asked]
    fits = [_fits(tile.outer, size, own) for tile, own in zip(tiles, asked, strict=True)]
    if not all(fits) and not store.has_image:
        raise StoreError(
            "The prompts of an object reach beyond every tile of the store.",
            "Open the store with the model and the image, or keep to one tile.",
        )
    order = [i for i in range(len(asked)) if fits[i]]
    order.sort(key=lambda i: (asked[i].plane, tiles[i].index))
    found: dict[int, Candidate] = {}
    for start in range(0, len(order), _TOGETHER):
        some = order[start : start + _TOGETHER]
        # Objects of one tile share its embedding, by which the decoder knows that they belong together.
        wanted = dict.fromkeys((asked[i].plane, tiles[i].index) for i in some)
        embeddings = {one: readable(model, store.tile(*one)) for one in wanted}
        looks = [Look(tiles[i].outer, embeddings[asked[i].plane, tiles[i].index]) for i in some]
        answers = answer(model, [(one, asked[i]) for one, i in zip(looks, some, strict=True)])
        for i, one in zip(some, answers, strict=True):
            found[i] = best(model, asked[i], [one], size)
    return [_whole(model, store, asked[i], found.get(i), tiles[i].outer) for i in range(len(asked))]


def tiles_for(store: EmbeddingStore, asked: Sequence[Gathered]) -> list[int]:
    """Return the tile that answers first, for each object."""
    assert store.tiling is not None
    return [best_tile(store.tiling, store.shape[1:], own.extent()).index for own in asked]


def readable(model: Model, embedding: Embedding) -> Embedding:
    """Return a stored embedding. Raises StoreError when the model cannot read its features."""
    shape = tuple(embedding.features.shape)
    if shape != model.features_shape:
        raise StoreError(
            f"The store is damaged: it holds features {shape}, and {model.spec.label} reads {model.features_shape}.",
            "Open the store with the model and the image to compute them again.",
        )
    return embedding


def best_tile(tiling: Tiling, size: tuple[int, int], extent: BoxPrompt) -> Tile:
    """Return the tile with most room between what is asked for and its borders, of which the plane's do not count.

    Windows are half-open: a point on the border between two tiles belongs to the later one.
    """
    rows, columns = tiling.grid(size)
    middle = ((extent.y0 + extent.y1) / 2, (extent.x0 + extent.x1) / 2)
    steps = zip(middle, tiling.tile, (rows, columns), strict=True)
    row, column = (min(max(0, int(place // step)), count - 1) for place, step, count in steps)
    near = [
        tiling.tile_at(size, r * columns + c)
        for r in range(max(0, row - 1), min(rows, row + 2))
        for c in range(max(0, column - 1), min(columns, column + 2))
    ]
    return max(reversed(near), key=lambda tile: _rank(tile.outer, size, extent))


def _fits(window: Window, size: tuple[int, int], asked: Gathered) -> bool:
    """Whether the window shows everything that is asked for, of points also the pixel they lie in."""
    inside = all(
        (p.y < window.y1 or window.y1 == size[0]) and (p.x < window.x1 or window.x1 == size[1])
        for p in asked.points
        if p.positive
    )
    return inside and _gap(window, size, asked.extent()) >= 0


def _gap(window: Window, size: tuple[int, int], extent: BoxPrompt) -> float:
    """Return how far the nearest border of the window lies outside the extent; those of the plane do not count."""
    gaps = [
        extent.y0 - window.y0 if window.y0 > 0 else math.inf,
        extent.x0 - window.x0 if window.x0 > 0 else math.inf,
        window.y1 - extent.y1 if window.y1 < size[0] else math.inf,
        window.x1 - extent.x1 if window.x1 < size[1] else math.inf,
    ]
    return min(gaps)


def _rank(window: Window, size: tuple[int, int], extent: BoxPrompt) -> tuple[bool, float]:
    gap = _gap(window, size, extent)
    # Where the plane's border hides one side, the middle still decides between equal tiles.
    centre = math.hypot(
        (window.y0 + window.y1 - extent.y0 - extent.y1) / 2, (window.x0 + window.x1 - extent.x0 - extent.x1) / 2
    )
    return gap >= 0, gap - 1e-3 * centre


def _whole(model: Model, store: EmbeddingStore, asked: Gathered, found: Candidate | None, window: Window) -> Candidate:
    size, shown = store.shape[1:], store.key.shown_shape
    most = max(farthest(shown), _longest(asked.extent()) * _GROWTH)
    while found is None or (store.has_image and max(window.shape) < most and _outgrows(window, size, found.mask)):
        known = asked.extent([box_of(found.mask, size)] if found is not None and found.mask.area else [])
        side = min(max(_longest(known), max(window.shape)) * _GROWTH, most)
        grown = window_at(size, ((known.y0 + known.y1) / 2, (known.x0 + known.x1) / 2), side)
        window = thinned(grown, shown, model.frame)[0]
        look = Look(window, store.window(asked.plane, window))
        found = best(model, asked, answer(model, [(look, asked)]), size)
    return found


def _longest(extent: BoxPrompt) -> float:
    return max(extent.y1 - extent.y0, extent.x1 - extent.x0)


def _outgrows(window: Window, size: tuple[int, int], mask: Mask) -> bool:
    """Whether the mask reaches a border of the window that is none of the plane."""
    if not mask.area:
        return False
    (_, y0, x0), (_, y1, x1) = mask.box.start, mask.box.stop
    return (
        (y0 <= window.y0 > 0)
        or (x0 <= window.x0 > 0)
        or (window.y1 < size[0] and y1 >= window.y1)
        or (window.x1 < size[1] and x1 >= window.x1)
    )
