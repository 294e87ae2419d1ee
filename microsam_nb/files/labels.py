"""Write and read label images."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..core import FileError


def write_labels(path: Path, labels: NDArray[np.uint32]) -> None:
    """Write instance labels (y, x) or (plane, y, x) as a zlib-compressed TIFF, uint16 if the ids fit, else uint32.

    The file is written under a temporary name and renamed. Raises FileError.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise FileError(
            f"Labels cannot be written as {path.suffix or 'a file without ending'}.", "Use a name ending in .tif."
        )
    small = labels.astype(np.uint16) if labels.max(initial=0) < 2**16 else labels
    axes = "YX" if small.ndim == 2 else "ZYX"
    part = path.with_name(path.name + ".part")
    try:
        # Without photometric, 3 or 4 planes would be stored as the channels of one colour picture.
        tifffile.imwrite(part, small, photometric="minisblack", compression="zlib", metadata={"axes": axes})
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise FileError(
            f"{path} cannot be written ({error.strerror}).", "Choose a folder that exists and that you may write to."
        ) from error
