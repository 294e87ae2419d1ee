"""What a store's embeddings belong to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import xxhash

from ...core import Image, StoreError
from ...core.image import spread
from ...core.pixels import raw_bytes
from ..encode import scaled_size
from ..models import Model
from ..tiling import Tiling

#: The fingerprint reads at most this many planes and this many bytes of each.
_PLANES = 8
_BYTES = 1 << 20
#: Pixels of a large plane that the signature reads at a time, or one row of its chunks if that is more.
_ROWS = 16 << 20
#: What was read need not be read again: opening a store asks more than once.
_fingerprints: WeakKeyDictionary[Image, str] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class EmbeddingKey:
    """An image, a model, and how the image was shown to the model.

    ``image`` is the fingerprint of the pixels (empty when only ``micro-sam`` knew it), ``shape`` planes, height and
    width, ``stacked`` whether there is a plane axis, ``model`` the hash of its weights. The longest side is scaled to
    ``frame`` pixels, but enlarged at most ``enlargement`` times. ``contrast`` describes the stretch.
    """

    image: str
    shape: tuple[int, int, int]
    stacked: bool
    channels: int
    dtype: str
    model: str
    frame: int
    enlargement: float
    tiling: Tiling | None
    contrast: str

    @classmethod
    def of(cls, image: Image, model: Model, tiling: Tiling | None) -> EmbeddingKey:
        """Describe the embeddings of ``image`` by ``model``."""
        return cls(
            fingerprint(image), image.shape, image.axes[0] in "zt", image.channels, np.dtype(image.pixels.dtype).str,
            model.spec.hash, model.frame, model.enlargement, tiling,
            json.dumps(asdict(image.contrast), sort_keys=True, default=str),
        )  # fmt: skip

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> EmbeddingKey:
        """Read what ``to_json`` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        planes, height, width = (int(side) for side in found["shape"])
        tile, halo = found["tile_shape"], found["halo"]
        tiling = None if tile is None else Tiling((int(tile[0]), int(tile[1])), (int(halo[0]), int(halo[1])))
        limit = found["enlargement"]
        return cls(
            str(found["image"]), (planes, height, width), bool(found["stacked"]), int(found["channels"]),
            str(found["dtype"]), str(found["model"]), int(found["frame"]), math.inf if limit is None else float(limit),
            tiling, str(found["contrast"]),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        limit = self.enlargement if math.isfinite(self.enlargement) else None
        tile = None if self.tiling is None else list(self.tiling.tile)
        halo = None if self.tiling is None else list(self.tiling.halo)
        return {
            "image": self.image, "shape": list(self.shape), "stacked": self.stacked, "channels": self.channels,
            "dtype": self.dtype, "model": self.model, "frame": self.frame, "enlargement": limit,
            "tile_shape": tile, "halo": halo, "contrast": self.contrast,
        }  # fmt: skip

    @property
    def shown_shape(self) -> tuple[int, ...]:
        """Shape of a plane as the network sees it: (y, x) or (y, x, 3)."""
        return self.shape[1:] + ((3,) if self.channels > 1 else ())

    @property
    def tiles(self) -> int:
        """Tiles of one plane, 1 without tiling."""
        return 1 if self.tiling is None else math.prod(self.tiling.grid(self.shape[1:]))

    def original_size(self, tile: int) -> tuple[int, int]:
        """Height and width in pixels of what the network sees of a tile, or of a plane without tiling."""
        return self.shape[1:] if self.tiling is None else self.tiling.tile_at(self.shape[1:], tile).outer.shape

    def input_size(self, tile: int) -> tuple[int, int]:
        """The same after scaling, before padding."""
        return scaled_size(self.original_size(tile), self.frame, self.enlargement)

    def check(self, found: EmbeddingKey, label: str) -> None:
        """Raise StoreError, saying why, when the embeddings ``found`` in the store ``label`` are not of this key."""
        mine = (self.shape, self.stacked, self.channels, self.dtype)
        theirs = (found.shape, found.stacked, found.channels, found.dtype)
        if mine != theirs:
            raise StoreError(
                f"{label} belongs to another image ({_size(found)}, not {_size(self)}).",
                "Open it with that image, or choose another store.",
            )
        if found.image and self.image != found.image:
            raise StoreError(
                f"{label} belongs to another image of the same size.",
                "Open it with that image, or choose another store.",
            )
        mine_too = (self.model, self.frame, self.enlargement)
        if mine_too != (found.model, found.frame, found.enlargement):
            raise _another_model(label, found.model, self.model)
        if self.tiling != found.tiling:
            raise StoreError(
                f"{label} was computed {_tiles(found.tiling)}, not {_tiles(self.tiling)}.",
                f"Open it with tiling={found.tiling!r}, or choose another store.",
            )
        if found.contrast and self.contrast != found.contrast:
            raise StoreError(
                f"{label} was computed with the contrast {found.contrast}, not {self.contrast}.",
                "Give the image that contrast, or choose another store.",
            )

    def check_model(self, model: Model, label: str) -> None:
        """Raise StoreError unless the embeddings of this key are of ``model``.

        An old cache of micro-sam knows no more of its model than the architecture, which must do.
        """
        same = self.model in (model.spec.hash, model.spec.architecture[:5])
        if not same or (self.frame, self.enlargement) != (model.frame, model.enlargement):
            raise _another_model(label, self.model, model.spec.hash)


def fingerprint(image: Image) -> str:
    """Return a hash of a sample of the pixels: whole rows at regular steps of up to 8 planes spread evenly.

    Never reads more than 8 planes, so that it is quick for volumes of any size; up to 1 MiB of each is hashed. An
    image of no more than that is covered fully. Of large planes (``Image.large``) it is blocks instead of rows, and
    no more than these are read. A change is missed when it lies only in planes, rows or blocks between those of the
    sample; ``signature`` sees everything. Found once for each image and remembered.
    """
    found = _fingerprints.get(image)
    if found is None:
        found = _fingerprints[image] = _fingerprint(image)
    return found


def _fingerprint(image: Image) -> str:
    digest = xxhash.xxh128()
    for index in spread(image.shape[0], _PLANES):
        if image.large:
            digest.update(image.trace(index).encode())
            continue
        plane = image.plane(index)
        row = plane.nbytes // plane.shape[0]
        step = max(1, math.ceil(plane.nbytes / max(row, _BYTES)))
        digest.update(raw_bytes(plane[::step]))
    return f"xxh128:{digest.hexdigest()}"


def signature(image: Image) -> str:
    """Return the SHA-1 of the raw bytes of all pixels, read plane by plane: micro-sam's ``data_signature``.

    Of large planes a part at a time.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    planes, height, width = image.shape
    # Rows that make a whole plane one after the other give the same hash.
    tall = image.block[0]
    rows = max(tall, _ROWS // width // tall * tall) if image.large else height
    for index in range(planes):
        for y in range(0, height, rows):
            part = image.region(index, y, 0, min(height, y + rows), width) if image.large else image.plane(index)
            digest.update(np.ascontiguousarray(np.ma.filled(part, 0)).tobytes())
    return digest.hexdigest()


def _another_model(label: str, found: str, wanted: str) -> StoreError:
    return StoreError(
        f"{label} was computed with another model ({found}, not {wanted}).", "Load that model, or choose another store."
    )


def _size(key: EmbeddingKey) -> str:
    planes, height, width = key.shape
    stack = f"{planes} planes of " if key.stacked else ""
    colour = f", {key.channels} channels" if key.channels else ""
    return f"{stack}{height} x {width} pixels{colour}, {np.dtype(key.dtype) if key.dtype else 'any type'}"


def _tiles(tiling: Tiling | None) -> str:
    return "in one piece" if tiling is None else f"in tiles of {tiling.tile} with a halo of {tiling.halo}"
