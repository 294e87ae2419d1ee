"""Write label images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..core import FileError
from .replacing import check_writable, replacing


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


def check_labels_path(path: Path) -> None:
    """Raise FileError when labels clearly cannot be written to ``path``, before they are made."""
    _check_name(path)
    check_writable(path)


def _check_name(path: Path) -> None:
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise FileError(
            f"Labels cannot be written as {path.suffix or 'a file without ending'}.", "Use a name ending in .tif."
        )
