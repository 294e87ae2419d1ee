"""Planes that do not fit the memory: distances and watershed block by block, without seams.

Every block is looked at with a margin around it. An object belongs to the block in which the middle of its seed lies,
and is painted whole, margin included; the windows of the model lie where they do for the whole plane, and blurs are
the same everywhere, so that neighbouring blocks see the same objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...core import LabelError
from ..models import Model
from ..store import EmbeddingStore
from ..tiling import Tile, Tiling, Window
from .distances import flooded, smooth, within_limits
from .maps import Scale, check_decoder, find_scale, fitting, plane_maps
from .settings import DistanceSettings
from .volumes import Planes

#: Sides of the blocks, and the least margin, in pixels; the margin also holds so many objects.
BLOCK, _MARGIN, _OBJECTS = 2048, 64, 3.0


@dataclass(frozen=True, slots=True)
class Block:
    """``done`` of ``total`` blocks are painted, with ``objects`` objects so far.

    What was done can be gone on with from here: give it back to ``segment_large``.
    """

    done: int
    total: int
    objects: int
    scale: Scale
    block: int


def segment_large(
    model: Model,
    store: EmbeddingStore,
    settings: DistanceSettings,
    out: Planes,
    *,
    plane: int = 0,
    block: int = BLOCK,
    begun: Block | None = None,
) -> Iterator[Block]:
    """Segment a plane of any size into ``out``, uint32 (y, x), block by block; numbers begin with 1.

    ``out`` must be zeros, or what an earlier run left that came as far as ``begun``. Memory: that of one block with
    its margin, whatever the size of the plane. Objects larger than the margin may be cut. Raises as ``plane_maps``,
    and LabelError where ``out`` does not fit.
    """
    size = store.shape[1:]
    if tuple(out.shape) != size:
        raise LabelError(f"Labels of shape {tuple(out.shape)} do not fit {size}.", "Give labels of the plane's shape.")
    state = begin_large(model, store, settings, plane=plane, block=block) if begun is None else begun
    state = replace(state, total=len(blocks(size, state)))
    yield state
    for tile in blocks(size, state)[state.done :]:
        state = paint_block(find_block(model, store, settings, state, tile, plane=plane), tile, out, state)
        yield state


def begin_large(
    model: Model, store: EmbeddingStore, settings: DistanceSettings, *, plane: int = 0, block: int = BLOCK
) -> Block:
    """Return where ``segment_large`` begins: the scale at which the model looks is measured. Raises ModelError."""
    check_decoder(model)
    scale = Scale(1.0, None)
    if settings.diameter > 0:
        scale = Scale(fitting(model, settings.diameter) if model.is_nano else 1.0, settings.diameter)
    for scale in () if settings.diameter > 0 else find_scale(model, store, plane):  # noqa: B007 - the last one counts
        pass
    begun = Block(0, 0, 0, scale, block)
    return replace(begun, total=len(blocks(store.shape[1:], begun)))


def blocks(size: tuple[int, int], state: Block) -> list[Tile]:
    """Return the blocks of a plane of ``size`` (height, width), each with its margin, in the order of painting."""
    margin = max(_MARGIN, math.ceil(_OBJECTS * (state.scale.size or 0.0)))
    return list(Tiling((state.block, state.block), (margin, margin)).tiles(size))


@dataclass(frozen=True, slots=True, eq=False)
class FoundBlock:
    """What is seen in a block with its margin: ``labels`` (y, x), and by number areas (n + 1,) and which it owns."""

    labels: NDArray[np.int32]
    areas: NDArray[np.int64]
    own: NDArray[np.bool_]


def find_block(
    model: Model, store: EmbeddingStore, settings: DistanceSettings, state: Block, tile: Tile, *, plane: int = 0
) -> FoundBlock | None:
    """Find the objects of one block, whatever was painted before; None without any."""
    maps: NDArray[np.float32] | None = None
    for _, _, maps in plane_maps(model, store, plane, state.scale.zoom, tile.outer):  # noqa: B007 - the last one counts
        pass
    assert maps is not None
    parts = smooth(maps, settings, state.scale.size)
    seeds = parts.seeds(settings)
    count = int(seeds.max(initial=0))
    if not count:
        return None
    own = _owned(seeds, count, tile.inner, tile.outer)
    labels = flooded(parts, seeds)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    own &= within_limits(areas, settings)
    if settings.min_score:
        sums = np.bincount(labels.ravel(), weights=maps[0].ravel(), minlength=count + 1)
        own &= sums >= settings.min_score * areas
    return FoundBlock(labels, areas, own)


def paint_block(found: FoundBlock | None, tile: Tile, out: Planes, state: Block) -> Block:
    """Paint the objects of the next block, numbered on from those before; return how far it is then."""
    if found is None:
        return replace(state, done=state.done + 1)
    labels, areas, own = found.labels, found.areas, found.own.copy()
    before = np.asarray(out[tile.outer.slices])
    # What is numbered higher was painted by a run that was killed in this block.
    before = np.where(before > state.objects, 0, before)
    table = np.zeros(len(own), np.uint32)
    free = before == 0
    # An object of which a neighbouring block has painted half or more is the same, and gets no number.
    left = np.bincount(labels[free].ravel(), minlength=len(own))
    own &= 2 * left > areas
    own[0] = False
    count = int(np.count_nonzero(own))
    table[own] = state.objects + np.arange(1, count + 1)
    out[tile.outer.slices] = np.where(free, table[labels], before).astype(np.uint32)
    return replace(state, done=state.done + 1, objects=state.objects + count)


def _owned(seeds: NDArray[np.int32], count: int, inner: Window, outer: Window) -> NDArray[np.bool_]:
    """Return which seeds have their middle in the inner part of a block."""
    middles = np.array(ndimage.center_of_mass(seeds > 0, seeds, range(1, count + 1)))
    # Rounded to half pixels: sums of the same seed from two sides must not differ.
    middles = np.round(middles * 2) / 2
    ys, xs = middles[:, 0] + outer.y0, middles[:, 1] + outer.x0
    inside = (ys >= inner.y0) & (ys < inner.y1) & (xs >= inner.x0) & (xs < inner.x1)
    return np.concatenate([[False], inside])
