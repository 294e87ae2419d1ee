"""Read images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture

from ..core import FileError

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
#: Endings of the files that can be read.
SUFFIXES = (".tif", ".tiff", ".npy", *_PICTURES)
_FORMATS = ("PNG", "JPEG", "BMP", "GIF")


def read_image(path: Path) -> NDArray[np.generic]:
    """Read a TIFF, PNG, JPEG or .npy file as an array. Raises FileError."""
    if path.is_dir():
        raise FileError(f"{path.resolve()} is a folder.", "Name the image file in it.")
    if not path.is_file():
        raise FileError(f"There is no file {path.resolve()}.", "Check the name and the folder.")
    suffix = path.suffix.lower()
    try:
        if suffix in (".tif", ".tiff"):
            pixels = np.asarray(tifffile.imread(path))
            if not pixels.size:
                raise ValueError("no pixels in it")
            return pixels
        if suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if suffix in _PICTURES:
            with Picture.open(path, formats=_FORMATS) as picture:
                indexed = picture.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV")
                return np.asarray(picture.convert("RGB") if indexed else picture)
    except Exception as error:  # readers and their codecs have no common base error
        raise FileError(f"{path} cannot be read as an image ({error}).", "Save it again as TIFF or PNG.") from error
    raise FileError(
        f"Files ending in {suffix or 'nothing'} cannot be read.", "Save the image as TIFF, PNG, JPEG or .npy."
    )
