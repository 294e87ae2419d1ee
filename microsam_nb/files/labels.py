"""Write label images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..core import FileError
from ..core.box import Triple
from .replacing import check_writable, replacing

#: Side of the tiles of large label images.
_TILE = 512
#: Bytes beyond which a TIFF may outgrow its addresses, should the labels not compress.
_BIG = 2**32 - 2**25


def write_labels(path: Path, labels: NDArray[np.uint32]) -> None:
    """Write instance labels (y, x) or (plane, y, x) as a zlib-compressed TIFF, uint16 if the ids fit, else uint32.

    The file is written under a temporary name and renamed. Raises FileError.
    """
    _check_name(path)
    small = labels.astype(np.uint16) if labels.max(initial=0) < 2**16 else labels
    axes = "YX" if small.ndim == 2 else "ZYX"
    with replacing(path) as part:
        # Without photometric, 3 or 4 planes would be stored as the channels of one colour picture.
        tifffile.imwrite(part, small, photometric="minisblack", compression="zlib", metadata={"axes": axes})


def write_label_stack(path: Path, planes: Iterable[NDArray[np.uint32]], shape: Triple, largest: int) -> None:
    """Write instance labels of a volume plane by plane, as ``write_labels`` does; only one plane is in memory.

    ``planes`` (y, x), in order; ``shape`` (planes, h, w); ``largest``: the largest number among them. Raises FileError.
    """
    _check_name(path)
    kind = np.uint16 if largest < 2**16 else np.uint32
    with replacing(path) as part:
        tifffile.imwrite(
            part, (plane.astype(kind) for plane in planes), shape=shape, dtype=kind, photometric="minisblack",
            compression="zlib", bigtiff=math.prod(shape) * np.dtype(kind).itemsize > _BIG, metadata={"axes": "ZYX"},
        )  # fmt: skip


def write_label_planes(path: Path, labels: Any) -> None:
    """Write one plane of labels (y, x) of any size, such as a zarr array, as a tiled TIFF (uint32, BigTIFF).

    Only a row of tiles is in memory. The file is written under a temporary name and renamed. Raises FileError.
    """
    _check_name(path)
    height, width = labels.shape

    def tiles() -> Iterator[NDArray[np.uint32]]:
        for y in range(0, height, _TILE):
            row = np.asarray(labels[y : y + _TILE], np.uint32)
            for x in range(0, width, _TILE):
                tile = np.zeros((_TILE, _TILE), np.uint32)
                part = row[:, x : x + _TILE]
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile

    with replacing(path) as part:
        tifffile.imwrite(
            part, tiles(), shape=(height, width), dtype=np.uint32, tile=(_TILE, _TILE), bigtiff=True,
            photometric="minisblack", compression="zlib", metadata={"axes": "YX"},
        )  # fmt: skip


def check_labels_path(path: Path) -> None:
    """Raise FileError when labels clearly cannot be written to ``path``, before they are made."""
    _check_name(path)
    check_writable(path)


def _check_name(path: Path) -> None:
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise FileError(
            f"Labels cannot be written as {path.suffix or 'a file without ending'}.", "Use a name ending in .tif."
        )
