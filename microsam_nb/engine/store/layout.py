"""Embeddings in zarr, as micro-sam lays them out, so that caches can be copied either way.

Untiled features are one array ``features``, (1, c, h, w) or (planes, 1, c, h, w); tiled ones a group ``features``
with one such array per tile. Every chunk is one embedding. What is ours beside that, and ignored by micro-sam: the
attribute ``microsam_nb`` with the key, and the array ``done`` (planes, tiles), one byte that is set after the chunk
was written. ``input_size`` appears among the attributes when everything is there.

Chunks are replaced as a whole and carry a checksum, so several processes may write one store: at worst they compute
a tile twice. Where a scheduler gives out the tiles, no two write one chunk: workers ``put`` features, and it alone
makes the arrays and marks what is done. A cache that micro-sam made is only read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.errors import ContainsArrayError, ContainsGroupError

from ...core import StoreError
from .key import EmbeddingKey
from .place import OURS, Place, cannot_write
from .shelf import Features, Item

#: The version of micro-sam whose layout this is; another one only warns.
_PEER = "1.8.10"


class ZarrShelf:
    """Features in a zarr group; see ``Shelf``."""

    def __init__(self, place: Place, group: zarr.Group, key: EmbeddingKey, half: bool) -> None:
        self._place, self._group = place, group
        self.key = key
        self._dtype = "float16" if half else "float32"
        self._rows: dict[int, NDArray[np.uint8]] = {}
        self._arrays: dict[int, zarr.Array[Any]] = {}
        self._masked = _masked_tiles(group)

    @property
    def ours(self) -> bool:
        """Whether this library made the store; otherwise micro-sam did."""
        return OURS in self._group.attrs

    @property
    def writable(self) -> bool:
        return self._place.writable and self.ours

    @property
    def complete(self) -> bool:
        return "input_size" in self._group.attrs

    @property
    def signature(self) -> str | None:
        """SHA-1 of the image's raw bytes, which a complete store knows."""
        found = self._group.attrs.get("data_signature")
        return None if found is None else str(found)

    def has(self, item: Item) -> bool:
        if self._masked is not None:
            return item.tile in self._masked.get(item.plane, ())
        return self.complete or bool(self._row(item.plane)[item.tile])

    def read(self, item: Item) -> Features:
        try:
            array = self._array(item.tile)
            found = np.asarray(array[item.plane] if self.key.stacked else array[...])
        except Exception as error:  # codecs and file systems have no common base error
            raise self._damaged(item) from error
        wrong = found.ndim != 4 or found.shape[0] != 1 or found.dtype.kind != "f"
        # A chunk that is missing reads as zeros.
        if wrong or not found.any() or not np.isfinite(found).all():
            raise self._damaged(item)
        return found

    def write(self, item: Item, features: Features) -> None:
        self.put(item, features)
        self.mark([item])

    def make_room(self, tile: int, shape: tuple[int, ...]) -> None:
        """Make the array for features (1, c, h, w) of a tile, unless it is there. Raises StoreError."""
        with self._writing():
            array = self._arrays.get(tile)
            if array is None or array.shape[-len(shape) :] != shape:
                self._arrays[tile] = self._make_array(tile, shape)

    def put(self, item: Item, features: Features) -> None:
        """Keep features, without saying that they are there. Raises StoreError."""
        self.make_room(item.tile, features.shape)
        with self._writing():
            self._arrays[item.tile][item.plane if self.key.stacked else ...] = features.astype(self._dtype, copy=False)

    def mark(self, items: Iterable[Item]) -> None:
        """Say that the features of items are there. Raises StoreError."""
        if self.complete:
            return
        with self._writing():
            for item in items:
                row = self._row(item.plane).copy()
                row[item.tile] = 1
                self._flags[item.plane] = row
                self._rows[item.plane] = row

    def finish(self, signature: Callable[[], str]) -> None:
        if self.complete:
            return
        attributes = {"data_signature": signature(), **self._peer_attributes()}
        with self._writing():
            self._group.attrs.update(attributes)
            sealed = self._place.seal()
            if sealed is not self._place:
                self._group = zarr.open_group(sealed.store, mode="r", use_consolidated=False)
                self._place, self._arrays = sealed, {}

    def lay_out(self) -> None:
        """Make the parts of a new store, or those that a killed process did not come to."""
        with self._writing():
            planes, tiles, tiling = self.key.shape[0], self.key.tiles, self.key.tiling
            with suppress(ContainsArrayError):
                self._group.create_array(
                    "done", shape=(planes, tiles), chunks=(1, tiles), dtype="uint8", fill_value=0, compressors=None
                )
            if tiling is not None:
                about = {"shape": list(self.key.shape[1:]), "tile_shape": list(tiling.tile), "halo": list(tiling.halo)}
                with suppress(ContainsGroupError):
                    self._group.create_group("features", attributes=about)

    def refresh(self) -> None:
        """Read at once what is there; another process may have added to it."""
        if not self.complete and self.ours:
            with suppress(Exception):  # ``has`` asks again, plane by plane
                self._rows = dict(enumerate(np.asarray(self._flags[...], np.uint8)))

    @property
    def _flags(self) -> zarr.Array[Any]:
        found = self._group["done"]
        if not isinstance(found, zarr.Array):
            raise TypeError("done is no array")
        return found

    def _row(self, plane: int) -> NDArray[np.uint8]:
        """Return the done flags of a plane's tiles, read when they are first asked for."""
        if plane not in self._rows:
            try:
                self._rows[plane] = np.asarray(self._flags[plane], np.uint8)
            except Exception:  # noqa: BLE001 - flags that cannot be read prove nothing; the tiles are computed again
                return np.zeros(self.key.tiles, np.uint8)
        return self._rows[plane]

    def _array(self, tile: int) -> zarr.Array[Any]:
        if tile not in self._arrays:
            found = self._group["features" if self.key.tiling is None else f"features/{tile}"]
            if not isinstance(found, zarr.Array):
                raise TypeError("features are no array")
            self._arrays[tile] = found
        return self._arrays[tile]

    def _make_array(self, tile: int, shape: tuple[int, ...]) -> zarr.Array[Any]:
        """Open or make the array of a tile, whose shape is known when the first features are."""
        tiling = self.key.tiling
        about: dict[str, Any] = {}
        if tiling is not None:
            about["original_size"] = list(self.key.original_size(tile))
            about["input_size"] = list(self.key.input_size(tile))
        whole = (self.key.shape[0], *shape) if self.key.stacked else shape
        name = "features" if tiling is None else f"features/{tile}"
        known: Any = self._group.get(name)
        # Another process may have made it meanwhile; one of another shape is damaged, and nothing in it of use.
        with suppress(ContainsArrayError):
            self._group.create_array(
                name,
                shape=whole,
                chunks=(1, *shape) if self.key.stacked else shape,
                dtype=self._dtype,
                fill_value=0.0,
                compressors=[ZstdCodec(level=0, checksum=True)],
                attributes=about,
                overwrite=known is not None and getattr(known, "shape", None) != whole,
            )
        self._arrays.pop(tile, None)
        return self._array(tile)

    def _peer_attributes(self) -> dict[str, Any]:
        own: Any = self._group.attrs[OURS]
        tiling = self.key.tiling
        return {
            "tile_shape": None if tiling is None else list(tiling.tile),
            "halo": None if tiling is None else list(tiling.halo),
            "model_type": own["model_type"],
            "model_name": own["model_name"],
            "micro_sam_version": _PEER,
            "model_hash": self.key.model,
            "input_size": None if tiling is not None else list(self.key.input_size(0)),
            "original_size": None if tiling is not None else list(self.key.original_size(0)),
        }

    def _damaged(self, item: Item) -> StoreError:
        tile = "" if self.key.tiling is None else f", tile {item.tile},"
        return StoreError(
            f"Plane {item.plane}{tile} in {self._place.label} is missing or damaged.",
            "Open the store with the model and the image to compute it again.",
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # file systems and object stores have no common base error
            raise cannot_write(self._place.label, error) from error


def _masked_tiles(group: zarr.Group) -> dict[int, list[int]] | None:
    """Return the tiles of each plane that micro-sam computed inside a mask, or None without one."""
    try:
        features = group["features"]
    except KeyError:
        return None
    found: Any = features.attrs.get("tiles_in_mask")
    if found is None:
        return None
    planes = found if isinstance(found, dict) else {"0": found}
    return {int(plane): [int(tile) for tile in tiles] for plane, tiles in planes.items()}
