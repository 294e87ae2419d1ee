"""What the expensive stages found, kept in memory and, where there is a place for it, on disk beside the embeddings.

On disk it is a zarr group ``automatic``: ``maps/PLANE`` (3, y, x) float16 with its ``zoom`` and ``size``, and
``grid/PLANE`` and ``answers/PLANE`` with the arrays of ``Proposals``. Attributes that are written last tell what is
complete. The group carries the key of the embeddings, so that it is never used for another image, model or contrast.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from ...core import StoreError
from ..store.key import EmbeddingKey
from ..store.place import OURS, Place, cannot_write, find_place
from .answers import Answers
from .distances import typical_size
from .peer_state import find_amg_state, read_amg_state, read_is_state
from .proposals import Proposals

_Result = TypeVar("_Result")
_log = logging.getLogger("microsam_nb")

_GROUP, _ABOUT, _DONE, _FORMAT = "automatic", "microsam_nb", "done", 1
#: Memory for results of expensive stages, in bytes; older ones are read again, or computed again without a place.
BUDGET = 512 << 20
_CHUNK = 512


@dataclass(frozen=True, slots=True, eq=False)
class PlaneMaps:
    """Distance maps of a plane, float16 (3, y, x), and the typical diameter of its objects in pixels, if any."""

    maps: NDArray[np.float16]
    size: float | None


class Kept:
    """The results of one store's planes; see the module. Safe to share between threads."""

    def __init__(
        self,
        key: EmbeddingKey,
        place: Place | None = None,
        budget: int = BUDGET,
        peer: Path | None = None,
        strict: bool = True,
    ) -> None:
        self._key, self._place, self._budget, self._peer, self._strict = key, place, budget, peer, strict
        self._recent: OrderedDict[tuple[str, int, str], Any] = OrderedDict()
        # Which the key of the embeddings does not know.
        self._decoder = ""
        self._refused: set[int] = set()
        self._lock = threading.Lock()
        self._group = None if place is None else _open(place, key)

    @classmethod
    def at(cls, where: str | os.PathLike[str] | None, key: EmbeddingKey, *, strict: bool = True) -> Kept:
        """Keep results in a folder, as that of an embedding store, or with None in memory only. Raises StoreError.

        Not ``strict``: what cannot be written later, for example to a full disk, stays in memory, and the log says so.

        In a cache of micro-sam nothing is written; the states of its automatic segmentation are read, where there are
        some that belong to the image.
        """
        if where is None:
            return cls(key)
        if _is_peer(Path(where)):
            return cls(key, peer=Path(where))
        place = find_place(where, writing=True)
        # A packed store is only read: its results stay in memory.
        return cls(key, place if place.writable else None, strict=strict)

    def maps(self, plane: int, zoom: float) -> PlaneMaps | None:
        """Return the distance maps of a plane at a zoom, if they are known."""

        def read(group: zarr.Group, about: Mapping[str, Any]) -> PlaneMaps:
            maps = np.asarray(group["maps"], np.float16)
            if maps.shape != (3, *self._key.shape[1:]):
                raise ValueError(f"maps of shape {maps.shape}")
            return PlaneMaps(maps, None if about["size"] is None else float(about["size"]))

        about = {"zoom": round(zoom, 6)}
        found: PlaneMaps | None = self._get("maps", plane, about, read)
        if found is None and self._peer is not None:
            maps = self._from_peer(lambda folder, index: _peer_maps(folder, self._key.shape[1:], index), plane)
            if maps is not None:
                found = PlaneMaps(maps.astype(np.float16), typical_size([maps]))
                self._remember(("maps", plane, _name(about)), found)
        return found

    def put_maps(self, plane: int, zoom: float, found: PlaneMaps) -> None:
        """Keep the distance maps of a plane."""
        self._put("maps", plane, {"zoom": round(zoom, 6)}, found, {"maps": found.maps}, {"size": found.size})

    def grid(self, plane: int, about: Mapping[str, Any], floor: float) -> Proposals | None:
        """Return what a grid found in a plane, if it kept everything of a predicted IoU above ``floor``."""

        def read(group: zarr.Group, known: Mapping[str, Any]) -> tuple[float, Proposals]:
            return float(known["floor"]), Proposals.from_arrays(_arrays(group), plane)

        found: tuple[float, Proposals] | None = self._get("grid", plane, about, read)
        if found is None and self._peer is not None and _as_peer(about):
            every = self._from_peer(lambda folder, index: _peer_grid(folder, self._key.shape[1:], index, plane), plane)
            if every is not None:
                # It has kept every mask.
                found = 0.0, every
                self._remember(("grid", plane, _name(about)), found)
        return found[1] if found is not None and found[0] <= floor else None

    def put_grid(self, plane: int, about: Mapping[str, Any], floor: float, found: Proposals) -> None:
        """Keep what a grid found in a plane."""
        self._put("grid", plane, about, (floor, found), found.to_arrays(), {"floor": floor})

    def answers(self, plane: int, zoom: float) -> Answers:
        """Return the answers to automatic prompts in a plane, empty when there are none."""

        def read(group: zarr.Group, known: Mapping[str, Any]) -> Answers:
            return Answers.from_arrays(_arrays(group), plane)

        found: Answers | None = self._get("answers", plane, {"zoom": round(zoom, 6)}, read)
        return Answers() if found is None else found

    def put_answers(self, plane: int, zoom: float, found: Answers) -> None:
        """Keep the answers to automatic prompts in a plane."""
        arrays = found.to_arrays(self._key.shape[1:], plane)
        self._put("answers", plane, {"zoom": round(zoom, 6)}, found, arrays, {})

    def belong_to(self, decoder: str) -> None:
        """Say which instance decoder asks, by its identity; what another one found is forgotten, and not read."""
        with self._lock:
            if self._decoder not in ("", decoder):
                self._recent.clear()
            self._decoder = decoder

    def _from_peer(self, read: Callable[[Path, int | None], _Result | None], plane: int) -> _Result | None:
        """Return what micro-sam has kept of a plane, None without any; what is refused is said once."""
        assert self._peer is not None
        try:
            return read(self._peer, plane if self._key.stacked else None)
        except StoreError as error:
            if plane not in self._refused:
                self._refused.add(plane)
                _log.warning("%s It is computed again.", error)
            return None

    def _get(self, kind: str, plane: int, about: Mapping[str, Any], read: Any) -> Any:
        name = _name(about)
        with self._lock:
            found = self._recent.get((kind, plane, name))
            if found is not None:
                self._recent.move_to_end((kind, plane, name))
                return found
        if self._group is None:
            return None
        try:
            group = self._group[f"{kind}/{plane}-{name}"]
            known: Any = group.attrs[_DONE]
            if kind != "grid" and self._decoder and known.get("decoder", "") not in ("", self._decoder):
                return None
            found = read(group, known)
        except Exception:  # noqa: BLE001 - what is missing or damaged is computed again
            return None
        self._remember((kind, plane, name), found)
        return found

    def _put(
        self, kind: str, plane: int, about: Mapping[str, Any], found: Any, arrays: Mapping[str, Any],
        known: Mapping[str, Any],
    ) -> None:  # fmt: skip
        name = _name(about)
        self._remember((kind, plane, name), found)
        if self._group is None or self._place is None:
            return
        try:
            group = self._group.create_group(f"{kind}/{plane}-{name}", overwrite=True)
            for key, array in arrays.items():
                _write(group, key, np.asarray(array))
            # Written last: without it the rest does not count.
            group.attrs[_DONE] = {**about, **known, "decoder": self._decoder}
        except Exception as error:  # file systems have no common base error
            if self._strict:
                raise cannot_write(self._place.label, error) from error
            _log.warning("%s It stays in memory.", cannot_write(self._place.label, error))

    def _remember(self, key: tuple[str, int, str], found: Any) -> None:
        with self._lock:
            self._recent[key] = found
            self._recent.move_to_end(key)
            used = sum(map(_bytes, self._recent.values()))
            # What else is known of the same plane is needed together with it.
            for old in [one for one in self._recent if one[1] != key[1]]:
                if used <= self._budget:
                    break
                used -= _bytes(self._recent.pop(old))


def _is_peer(folder: Path) -> bool:
    """Whether a folder is a cache of embeddings that micro-sam made."""
    try:
        attributes = zarr.open_group(folder, mode="r", use_consolidated=False).attrs
    except Exception:  # noqa: BLE001 - what cannot be opened will be said by whoever writes
        return False
    return "input_size" in attributes and OURS not in attributes


def _as_peer(about: Mapping[str, Any]) -> bool:
    """Whether a grid is the one that micro-sam has by default: its state does not say which."""
    return about.get("points_per_side") == 32 and not about.get("crop_layers")


def _peer_maps(folder: Path, size: tuple[int, int], index: int | None) -> NDArray[np.float32] | None:
    path = folder / "is_state.h5"
    return read_is_state(path, size, index) if path.is_file() else None


def _peer_grid(folder: Path, size: tuple[int, int], index: int | None, plane: int) -> Proposals | None:
    path = find_amg_state(folder, index)
    return None if path is None else read_amg_state(path, size, plane)


def _open(place: Place, key: EmbeddingKey) -> zarr.Group:
    try:
        root = zarr.open_group(place.store, mode="a", use_consolidated=False)
        group = root.require_group(_GROUP)
        about: Any = group.attrs.get(_ABOUT)
        if about is None:
            group.attrs[_ABOUT] = {"format": _FORMAT, "key": key.to_json()}
            return group
        known = EmbeddingKey.from_json(about["key"])
    except StoreError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"The automatic segmentation in {place.label} cannot be read ({error}).",
            f"Delete its folder {_GROUP} to compute it again.",
        ) from error
    except Exception as error:  # stores have no common base error
        raise cannot_write(place.label, error) from error
    key.check(known, f"The automatic segmentation in {place.label}")
    return group


def _write(group: zarr.Group, name: str, array: NDArray[Any]) -> None:
    if not array.size:
        # A chunk has no length 0.
        group.create_array(name, shape=array.shape, chunks=tuple(max(1, n) for n in array.shape), dtype=array.dtype)
        return
    chunks = tuple(min(n, _CHUNK) if array.ndim == 3 and i else n for i, n in enumerate(array.shape))
    compressors = [ZstdCodec(level=1, checksum=True)]
    made = group.create_array(name, shape=array.shape, chunks=chunks, dtype=array.dtype, compressors=compressors)
    made[...] = array


def _arrays(group: zarr.Group) -> dict[str, NDArray[Any]]:
    return {name: np.asarray(array[...]) for name, array in group.arrays()}


def _name(about: Mapping[str, Any]) -> str:
    return hashlib.sha1(json.dumps(about, sort_keys=True).encode(), usedforsecurity=False).hexdigest()[:12]


def _bytes(found: Any) -> int:
    if isinstance(found, PlaneMaps):
        return found.maps.nbytes
    if isinstance(found, Answers):
        return found.nbytes
    return sum(bits.nbytes for bits in found[1].bits) + 100 * len(found[1])
