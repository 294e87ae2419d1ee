"""Encode a whole image, what is looked at first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ..core import Image, StoreError
from .models import Model
from .store import EmbeddingStore, Item


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tile ``tile`` of ``plane`` was stored; now ``done`` of ``total`` are."""

    plane: int
    tile: int
    done: int
    total: int


def embed(
    model: Model,
    image: Image,
    store: EmbeddingStore,
    first_plane: int = 0,
    *,
    first_tile: int = 0,
    planes: Iterable[int] | None = None,
    batch: int | None = None,
) -> Iterator[Encoded]:
    """Fill ``store`` plane by plane outward from ``first_plane``, in it tile by tile outward from ``first_tile``.

    ``planes``: only these. What is there is skipped. Stop iterating to cancel; begin again to go on. ``batch`` tiles
    are encoded together, by default 1 on a processor (so that the features do not depend on what was there before)
    and 8 on a GPU.
    """
    walk = embed_stepwise(model, image, store, first_plane, first_tile=first_tile, planes=planes, batch=batch)
    yield from (one for one in walk if one is not None)


def embed_stepwise(
    model: Model,
    image: Image,
    store: EmbeddingStore,
    first_plane: int = 0,
    *,
    first_tile: int = 0,
    planes: Iterable[int] | None = None,
    batch: int | None = None,
) -> Iterator[Encoded | None]:
    """Do what ``embed`` does, and yield None between the blocks of the network, where others may use model and store.

    A tile that is left there is not in the store, but gone on with when it is needed.
    """
    store.check(model, image)
    if not (0 <= first_plane < store.shape[0] and 0 <= first_tile < store.tiles):
        raise StoreError(
            f"There is no tile {first_tile} of plane {first_plane}.",
            f"Planes end at {store.shape[0] - 1}, tiles at {store.tiles - 1}.",
        )
    wanted = range(store.shape[0]) if planes is None else set(planes)
    groups = missing_groups(model, store, first_plane, first_tile=first_tile, planes=wanted, batch=batch)
    total = len(wanted) * store.tiles
    done = total - sum(map(len, groups))
    for number, some in enumerate(groups, start=1):
        for _ in store.fill_stepwise(some):
            yield None
        if number == len(groups):
            store.finish()
        for item in some:
            done += 1
            yield Encoded(item.plane, item.tile, done, total)
    store.finish()


def missing_groups(
    model: Model,
    store: EmbeddingStore,
    first_plane: int = 0,
    *,
    first_tile: int = 0,
    planes: Collection[int] | None = None,
    batch: int | None = None,
) -> list[list[Item]]:
    """Return what is missing in ``store``, in the order of ``embed``, in groups that are encoded together."""
    size = max(1, batch or (1 if model.device.type == "cpu" else 8))
    store.refresh()
    items = _order(store, first_plane, first_tile)
    missing = [i for i in items if (planes is None or i.plane in planes) and not store.has(*i)]
    return [missing[start : start + size] for start in range(0, len(missing), size)]


def _order(store: EmbeddingStore, first_plane: int, first_tile: int) -> list[Item]:
    """Return every item, the nearest first."""
    columns = store.tiles if store.tiling is None else store.tiling.grid(store.shape[1:])[1]
    row, column = divmod(first_tile, columns)

    def steps(tile: int) -> int:
        down, right = divmod(tile, columns)
        return max(abs(down - row), abs(right - column))

    tiles = sorted(range(store.tiles), key=steps)
    planes = sorted(range(store.shape[0]), key=lambda plane: abs(plane - first_plane))
    return [Item(plane, tile) for plane in planes for tile in tiles]
