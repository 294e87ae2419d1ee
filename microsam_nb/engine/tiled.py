"""Answers from the tiles of a store.

The tile that has most room around the prompts answers. When they do not fit into any, or the mask reaches a border
of the tile that is none of the plane, the object is larger than the tile: it is looked at again in a window of twice
the size, and so on up to the whole plane. Such windows are encoded when they are needed, from the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..core import BoxPrompt, Candidate, Mask
from .answer import answer, best
from .encode import encode
from .looks import Look, window_at
from .models import Model
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
    order = sorted(range(len(asked)), key=lambda i: (asked[i].plane, tiles[i].index))
    found: dict[int, Candidate] = {}
    for start in range(0, len(order), _TOGETHER):
        some = order[start : start + _TOGETHER]
        looks = [Look(tiles[i].outer, store.tile(asked[i].plane, tiles[i].index)) for i in some]
        answers = answer(model, [(one, asked[i]) for one, i in zip(looks, some, strict=True)])
        for i, one in zip(some, answers, strict=True):
            found[i] = best(model, asked[i], [one], size)
    return [_whole(model, store, asked[i], found[i], tiles[i].outer) for i in range(len(asked))]


def best_tile(tiling: Tiling, size: tuple[int, int], extent: BoxPrompt) -> Tile:
    """Return the tile with most room between what is asked for and its borders, of which the plane's do not count."""
    rows, columns = tiling.grid(size)
    middle = ((extent.y0 + extent.y1) / 2, (extent.x0 + extent.x1) / 2)
    steps = zip(middle, tiling.tile, (rows, columns), strict=True)
    row, column = (min(max(0, int(place // step)), count - 1) for place, step, count in steps)
    near = [
        tiling.tile_at(size, r * columns + c)
        for r in range(max(0, row - 1), min(rows, row + 2))
        for c in range(max(0, column - 1), min(columns, column + 2))
    ]
    return max(near, key=lambda tile: _room(tile.outer, size, extent))


def _room(window: Window, size: tuple[int, int], extent: BoxPrompt) -> float:
    gaps = [
        extent.y0 - window.y0 if window.y0 > 0 else math.inf,
        extent.x0 - window.x0 if window.x0 > 0 else math.inf,
        window.y1 - extent.y1 if window.y1 < size[0] else math.inf,
        window.x1 - extent.x1 if window.x1 < size[1] else math.inf,
    ]
    # Where the plane's border hides one side, the middle still decides between equal tiles.
    centre = math.hypot(
        (window.y0 + window.y1 - extent.y0 - extent.y1) / 2, (window.x0 + window.x1 - extent.x0 - extent.x1) / 2
    )
    return min(gaps) - 1e-3 * centre


def _whole(model: Model, store: EmbeddingStore, asked: Gathered, found: Candidate, window: Window) -> Candidate:
    size = store.shape[1:]
    while _outgrows(window, size, asked.extent(), found.mask) and store.has_image:
        known = asked.extent([box_of(found.mask, size)] if found.mask.area else [])
        side = max(known.y1 - known.y0, known.x1 - known.x0, max(window.shape)) * _GROWTH
        window = window_at(size, ((known.y0 + known.y1) / 2, (known.x0 + known.x1) / 2), side)
        pixels = store.shown(asked.plane)[window.slices]
        found = best(model, asked, answer(model, [(Look(window, encode(model, pixels)), asked)]), size)
    return found


def _outgrows(window: Window, size: tuple[int, int], extent: BoxPrompt, mask: Mask) -> bool:
    """Whether the prompts, or the mask, reach a border of the window that is none of the plane."""
    if window.shape == size:
        return False
    if _room(window, size, extent) < 0:
        return True
    if not mask.area:
        return False
    (_, y0, x0), (_, y1, x1) = mask.box.start, mask.box.stop
    return (
        (y0 <= window.y0 > 0)
        or (x0 <= window.x0 > 0)
        or (window.y1 < size[0] and y1 >= window.y1)
        or (window.x1 < size[1] and x1 >= window.x1)
    )
