"""Open what lies in a place: our own store, a cache of micro-sam, or a new store."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import zarr
from zarr.errors import ContainsArrayError, ContainsGroupError

from ... import __version__
from ...core import StoreError
from ..models import Model
from ..tiling import Tiling
from .key import EmbeddingKey
from .layout import ZarrShelf
from .place import OURS, Place, cannot_write

_FORMAT = 1


def open_shelf(place: Place, key: EmbeddingKey | None, model: Model | None, half: bool) -> ZarrShelf:
    """Open the store in ``place``, or begin one for ``key``.

    Raises StoreError when there is none and no key, when it belongs to another key, or cannot be read.
    """
    group = _open_group(place)
    attributes = {} if group is None else group.attrs.asdict()
    if group is None or not (attributes or any(True for _ in group.members())):
        if key is None or model is None or not place.writable:
            raise StoreError(f"There is no store {place.label}.", "Check the name, or give a model and an image.")
        shelf = ZarrShelf(place, _begin(place, group, key, model, half), key, half)
        shelf.lay_out()
        return shelf
    if OURS in attributes:
        found, dtype = _own_key(attributes, place)
    elif "input_size" in attributes:
        found, dtype = _peer_key(group, attributes, key, model, place), "float32"
    else:
        raise StoreError(
            f"{place.label} is an unfinished cache, or no store of embeddings.", "Finish it there, or choose another."
        )
    if key is not None:
        key.check(found, place.label)
    shelf = ZarrShelf(place, group, found, dtype == "float16")
    if shelf.writable and not shelf.complete:
        shelf.lay_out()
    return shelf


def _begin(place: Place, empty: zarr.Group | None, key: EmbeddingKey, model: Model, half: bool) -> zarr.Group:
    about = {
        "format": _FORMAT, "version": __version__, "key": key.to_json(), "dtype": "float16" if half else "float32",
        "model_name": model.spec.name, "model_type": model.spec.architecture[:5],
    }  # fmt: skip
    try:
        if empty is None:
            with suppress(ContainsGroupError):
                return zarr.create_group(place.store, attributes={OURS: about}, zarr_format=3)
            # Another process was quicker; it must have begun the same store.
            empty = zarr.open_group(place.store, mode="r+", use_consolidated=False)
            if OURS in empty.attrs:
                key.check(_own_key(empty.attrs.asdict(), place)[0], place.label)
                return empty
        return empty.update_attributes({OURS: about})
    except StoreError:
        raise
    except Exception as error:  # file systems and object stores have no common base error
        raise cannot_write(place.label, error) from error


def _open_group(place: Place) -> zarr.Group | None:
    try:
        return zarr.open_group(place.store, mode="r+" if place.writable else "r", use_consolidated=False)
    except FileNotFoundError:
        return None
    except ContainsArrayError as error:
        raise StoreError(f"{place.label} holds an array and no store.", "Name a new or empty folder.") from error
    except Exception as error:  # stores have no common base error
        raise StoreError(
            f"{place.label} cannot be opened as a store ({error}).",
            "Check the address and the permissions; if the store is damaged, delete it and compute it again.",
        ) from error


def _own_key(attributes: dict[str, Any], place: Place) -> tuple[EmbeddingKey, str]:
    try:
        own = _mapping(attributes[OURS])
        if int(own["format"]) > _FORMAT:
            raise StoreError(
                f"{place.label} was made by microsam_nb {own.get('version')}.", "Update microsam_nb to open it."
            )
        return EmbeddingKey.from_json(_mapping(own["key"])), str(own["dtype"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"The attributes of {place.label} cannot be read.", "Delete the store and compute it again."
        ) from error


def _peer_key(
    group: zarr.Group, attributes: dict[str, Any], wanted: EmbeddingKey | None, model: Model | None, place: Place
) -> EmbeddingKey:
    """Return the key of a finished cache of micro-sam; what it does not know is empty, or taken from ``wanted``."""
    try:
        features = group["features"]
        tiling = None
        if isinstance(features, zarr.Group):
            about: dict[str, Any] = dict(features.attrs)
            height, width = (int(side) for side in about["shape"])
            tile, halo = about["tile_shape"], about["halo"]
            tiling = Tiling((int(tile[0]), int(tile[1])), (int(halo[0]), int(halo[1])))
            array: Any = next(iter(features.arrays()))[1]
        else:
            height, width = (int(side) for side in attributes["original_size"])
            array = features
        stacked = array.ndim == 5
        planes = int(array.shape[0]) if stacked else 1
        architecture = str(attributes["model_type"])
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise StoreError(f"{place.label} is no complete cache of micro-sam.", "Choose another store.") from error
    known = attributes.get("model_hash")
    if known is None and model is not None and model.spec.architecture[:5] == architecture:
        known = model.spec.hash
    return EmbeddingKey(
        "", (planes, height, width), stacked, 0 if wanted is None else wanted.channels,
        "" if wanted is None else wanted.dtype, str(known or architecture), 1024, math.inf, tiling, "",
    )  # fmt: skip


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no mapping")
    return value
