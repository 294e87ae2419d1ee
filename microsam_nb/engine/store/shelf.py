"""Where features lie: the memory of this process here, zarr in ``layout.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ...core import StoreError

Features = NDArray[np.floating[Any]]


class Item(NamedTuple):
    """One embedding of a store: a tile of a plane, tile 0 when planes are not tiled."""

    plane: int
    tile: int = 0


class Shelf(Protocol):
    """Keeps the features (1, c, h, w) of items."""

    @property
    def writable(self) -> bool:
        """Whether ``write`` and ``finish`` may be called."""

    @property
    def complete(self) -> bool:
        """Whether every item is there and the store says so."""

    def refresh(self) -> None:
        """Notice what another process has added."""

    def has(self, item: Item) -> bool:
        """Say whether an item was written completely."""

    def read(self, item: Item) -> Features:
        """Return the features of an item that is there. Raises StoreError when they are damaged."""

    def write(self, item: Item, features: Features) -> None:
        """Keep features; the item is there only when they are written completely. Raises StoreError."""

    def finish(self, signature: Callable[[], str]) -> None:
        """Mark the store as complete; ``signature`` reads the whole image for its hash. Raises StoreError."""


class ForgettingShelf:
    """Keeps nothing: what was used lately is remembered by the store, the rest is computed again."""

    writable = False
    complete = False

    def refresh(self) -> None:
        """There is nothing to notice."""

    def has(self, item: Item) -> bool:
        return False

    def read(self, item: Item) -> Features:
        raise StoreError(f"Plane {item.plane}, tile {item.tile} is not kept.", "Compute it again.")

    def write(self, item: Item, features: Features) -> None:
        """Nothing is kept."""

    def finish(self, signature: Callable[[], str]) -> None:
        """It is never complete."""


class MemoryShelf:
    """Keeps features as long as the process lives."""

    writable = True

    def __init__(self, half: bool) -> None:
        self._kept: dict[Item, Features] = {}
        self._dtype = np.float16 if half else np.float32
        self.complete = False

    def refresh(self) -> None:
        """Nobody else adds to this memory."""

    def has(self, item: Item) -> bool:
        return item in self._kept

    def read(self, item: Item) -> Features:
        return self._kept[item]

    def write(self, item: Item, features: Features) -> None:
        self._kept[item] = features.astype(self._dtype, copy=False)

    def finish(self, signature: Callable[[], str]) -> None:
        self.complete = True
