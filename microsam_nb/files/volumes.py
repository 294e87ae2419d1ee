"""Open images without reading them whole."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..core import FileError, VoxelSize
from ..core.image import AXES
from .images import read_image
from .voxels import size_of_scale

#: Files up to this size are simply read.
_SMALL = 64 << 20
#: Endings of formats of microscopes, and the package with which bioio reads them.
PLUGINS = {".czi": "bioio-czi", ".dv": "bioio-dv", ".lif": "bioio-lif", ".nd2": "bioio-nd2"}
_ZARR = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(path: Path) -> bool:
    """Say whether a folder holds a zarr array or group."""
    return any((path / name).is_file() for name in _ZARR)


def open_image(path: Path, key: str = "") -> Any:
    """Open an image or volume of any size: an array, or something that is read by indexing planes or parts of them.

    TIFF and .npy files of more than 64 MiB are mapped into memory or read tile by tile; a zarr folder is read chunk
    by chunk. The lower resolutions of OME-Zarr and of such a TIFF are its ``levels``. ``key`` names the array in a
    zarr group; of OME-Zarr it is the full resolution by default, its axes of length 1 are dropped. Where the file
    names its axes the result has them as ``axes``, channels last; OME-Zarr and the formats of microscopes, which the
    optional package bioio reads, give their ``voxel_size`` too. Raises FileError.
    """
    if path.is_dir() and is_zarr(path):
        return _open_zarr(path, key)
    suffix = path.suffix.lower()
    if suffix in PLUGINS and path.is_file():
        from .readers import open_with_bioio

        return open_with_bioio(path, key)
    if suffix in (".tif", ".tiff", ".npy") and path.is_file():
        try:
            if suffix == ".npy":
                if path.stat().st_size > _SMALL:
                    return np.load(path, mmap_mode="r", allow_pickle=False)
            else:
                return _open_tiff(path)
        except FileError:
            raise
        except Exception as error:  # readers and their codecs have no common base error
            raise FileError(f"{path} cannot be read as an image ({error}).", "Save it again as TIFF.") from error
    return read_image(path)


class Named(np.ndarray[Any, Any]):
    """An array with the names of its ``axes``; parts and results of it have none."""

    axes: str = ""
    _channel: int = -1

    def stored(self) -> NDArray[np.generic]:
        """Return it with the channels where the file has them."""
        plain = np.asarray(self)
        return np.moveaxis(plain, -1, self._channel) if self._channel >= 0 else plain


class Lazy:
    """An array elsewhere; ``lazy[i]`` reads one plane, ``lazy[i, y0:y1, x0:x1:step]`` a part of it.

    Where its ``axes`` are known, those of length 1 are left out (but y and x), and channels come last unless
    ``moved`` is False. ``levels`` are smaller copies of the same, where the file has them, the largest first.
    ``chunks`` are the sides of what the file stores in one piece, () where that is not known.
    """

    #: How large a pixel is, where the file says it.
    voxel_size: VoxelSize | None = None

    def __init__(self, source: Any, axes: str = "", *, moved: bool = True, levels: Sequence[Lazy] = ()) -> None:
        shape = tuple(int(side) for side in source.shape)
        names = axes or "?" * len(shape)
        kept = [i for i, name in enumerate(names) if shape[i] > 1 or name in "yx?"]
        channel = [i for i in kept if names[i] == "c"] if moved else []
        self._source = source
        self._names = axes
        self._picked: list[Any] = [slice(None) if i in kept else 0 for i in range(len(shape))]
        self._kept = kept
        self._order = [i for i in kept if i not in channel] + channel
        self.axes = "".join(names[i] for i in self._order)
        self.shape = tuple(shape[i] for i in self._order)
        self.dtype = np.dtype(source.dtype)
        self.ndim = len(self.shape)
        self.levels = tuple(levels)
        chunks = getattr(source, "chunks", None)
        self.chunks: tuple[int, ...] = tuple(int(chunks[i]) for i in self._order) if chunks else ()

    def stored(self) -> Lazy:
        """Return the same with the channels where the file has them."""
        levels = [one.stored() for one in self.levels]
        out = Lazy(self._source, self._names, moved=False, levels=levels)
        out.voxel_size = self.voxel_size
        out._owner = self  # its file stays open as long as this one
        return out

    _owner: Lazy | None = None

    def read(self) -> Named:
        """Return all of it in memory, with the names of its axes."""
        out = self[...].view(Named)
        out.axes = self.axes
        out._channel = self._kept.index(self._order[-1]) if self.axes.endswith("c") else -1
        return out

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.generic]:
        keys = self._spelt_out(key)
        if keys is None:  # numpy knows many more ways to pick
            out: NDArray[np.generic] = self[...][key]
            return out
        picked, kept = list(self._picked), []
        for axis, one in zip(self._order, keys, strict=True):
            picked[axis] = one
            if isinstance(one, slice):
                kept.append(axis)
        found = np.asarray(self._source[tuple(picked)])
        stored = sorted(kept)
        return found.transpose([stored.index(axis) for axis in kept])

    def _spelt_out(self, key: Any) -> list[Any] | None:
        """Return one number or slice forward per axis, or None for other ways to index. Raises IndexError."""
        keys = list(key) if isinstance(key, tuple) else [key]
        if not all(one is ... or isinstance(one, (int, np.integer, slice)) for one in keys):
            return None
        if keys.count(...) == 0:
            keys.append(...)
        gap = keys.index(...)
        keys[gap : gap + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        if len(keys) != self.ndim or any(isinstance(one, slice) and (one.step or 1) < 1 for one in keys):
            return None
        for place, one in enumerate(keys):
            if isinstance(one, (int, np.integer)):
                if not 0 <= one < self.shape[place]:
                    raise IndexError(f"there is no {'plane' if place == 0 else 'pixel'} {one}")
                keys[place] = int(one)
        return keys

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)


def _open_tiff(path: Path) -> Any:
    """Return a TIFF as an array where it is small, else as a lazy view; with axes where the file names them."""
    with tifffile.TiffFile(path) as file:
        series = file.series[0] if file.series else None
        names = _tiff_axes(series) if series is not None else ""
        long = {name for name, side in zip(names, series.shape, strict=False) if side > 1} if series else set()
        small = series is None or series.nbytes <= _SMALL
        # Whether all pixels lie in one piece.
        whole = series is not None and series.dataoffset is not None and not series.is_pyramidal
        count = len(series.levels) if series is not None else 1
    if {"t", "z"} <= long:
        raise times_and_planes(path, names)
    if small:
        pixels = read_image(path)
        return Lazy(pixels, names).read() if names and len(names) == pixels.ndim else pixels
    if whole:
        mapped = tifffile.memmap(path, mode="r")
        return Lazy(mapped, names) if names else mapped
    lazy, *smaller = (_tiff_level(path, names, level) for level in range(count))
    lazy.levels = tuple(smaller)
    return lazy


def _tiff_level(path: Path, names: str, level: int) -> Lazy:
    import zarr

    store = tifffile.imread(path, aszarr=True, level=level)
    lazy = Lazy(zarr.open_array(store, mode="r"), names)
    weakref.finalize(lazy, store.close)
    return lazy


def _tiff_axes(series: Any) -> str:
    """Return the axes that a TIFF names, "" where one is unknown or twice there; samples and channels are c."""
    names = str(series.axes).lower().replace("s", "c")
    kept = "".join(name for name, side in zip(names, series.shape, strict=True) if side > 1 or name in "yx")
    known = set(names) <= set("tzyxc") and len(set(names)) == len(names) and {"y", "x"} <= set(names)
    moved = kept.replace("c", "") + "c" * ("c" in kept)
    return names if known and (moved in AXES or {"t", "z"} <= set(kept)) and names != "yx" else ""


def times_and_planes(path: Path, axes: str) -> FileError:
    """Return the error for an image with more than one axis of planes."""
    return FileError(
        f"{path} has both times and planes (axes {axes!r}).", "Save one time point or one plane by itself."
    )


def _open_zarr(path: Path, key: str) -> Any:
    # A sixth of a second, which the first picture of another file need not wait for.
    import zarr

    try:
        found: Any = zarr.open(path, mode="r")
        scales = _scales(found)
        axes, smaller = "", []
        if isinstance(found, zarr.Group):
            if not key and scales is None:
                names = sorted(name for name, _ in found.arrays())
                if len(names) != 1:
                    said = f"the arrays {', '.join(names)}" if names else "no array"
                    raise FileError(f"{path} holds {said}.", "Name one with key=... (--key on the command line).")
                key = names[0]
            elif scales is not None:
                axes = _names(scales.get("axes"))
                first, *others = (str(one["path"]) for one in scales["datasets"])
                # A pyramid may lack levels that it lists.
                smaller = [] if key else [one for one in map(found.get, others) if isinstance(one, zarr.Array)]
                key = key or first
            found = found.get(key)
        if not isinstance(found, zarr.Array):
            raise FileError(f"{path} holds no array {key!r}.", "Check the key.")
        axes = axes if len(axes) == found.ndim else ""
        lazy = Lazy(found, axes, levels=[Lazy(one, axes) for one in smaller if one.ndim == found.ndim])
        lazy.voxel_size = size_of_scale(scales, str(key), axes) if scales is not None and axes else None
    except FileError:
        raise
    except Exception as error:  # stores and codecs have no common base error
        raise FileError(f"{path} cannot be read as zarr ({error}).", "Check that it is complete.") from error
    if "t" in lazy.axes and "z" in lazy.axes:
        raise times_and_planes(path, lazy.axes)
    return lazy


def _scales(group: Any) -> Mapping[str, Any] | None:
    """Return the first pyramid of an OME-Zarr group (version 0.5 or older), or None."""
    about = dict(group.attrs)
    found = about.get("ome", about)
    scales = found.get("multiscales") if isinstance(found, Mapping) else None
    return scales[0] if scales else None


def _names(axes: Any) -> str:
    return "".join(str(one["name"] if isinstance(one, Mapping) else one)[:1].lower() for one in axes or ())
