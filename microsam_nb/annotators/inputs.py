"""What users hand over as images and labels."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture

from ..core import Image, ImageError, ObjectInfo
from ..files.formats.found import fitted
from ..files.importing import read_objects
from ..files.volumes import Lazy, open_image
from ..files.voxels import read_voxel_size


def read_input(image: Any, axes: str = "", name: str = "") -> Image:
    """Return an ``Image`` of a path, an array of any kind, a picture of PIL, an open TIFF, or an ``Image``.

    Arrays on disk, zarr and dask stay there; arrays in memory are copied, so that what is shown and what the model
    sees do not change with the caller's. Raises ImageError or FileError with the remedy.
    """
    if isinstance(image, Image):
        if axes or name:
            return replace(image, axes=axes or image.axes, name=name or image.name)
        return image
    if isinstance(image, tifffile.TiffFile):
        image = Path(image.filehandle.path)
    if isinstance(image, (str, os.PathLike)):
        path = Path(image).expanduser()
        opened = open_image(path)
        size = getattr(opened, "voxel_size", None) or read_voxel_size(path)
        return Image(opened, axes, name or path.stem, voxel_size=size, source=path.absolute())
    # Who has a group has imported zarr; others need not wait for that.
    zarr = sys.modules.get("zarr")
    if zarr is not None and isinstance(image, zarr.Group):
        keys = ", ".join(f"group[{key!r}]" for key in sorted(key for key, _ in image.arrays())[:4])
        raise ImageError("A zarr group is not an image.", f"Give one of its arrays{f': {keys}' if keys else ''}.")
    if isinstance(image, Picture.Image):
        # Palettes and printing colours are numbers that mean nothing by themselves.
        image = image.convert("RGB") if image.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV") else image
        return Image(np.array(image), axes, name or Path(getattr(image, "filename", "") or "image").stem)
    if isinstance(image, (tifffile.TiffPage, tifffile.TiffPageSeries)):
        return Image(image.asarray(), axes, name or "image")
    in_memory = isinstance(image, np.ndarray) and not isinstance(image, np.memmap)
    size = image.voxel_size if isinstance(image, Lazy) else None
    return Image(image.copy() if in_memory else image, axes, name or "image", voxel_size=size)


def as_movie(image: Image) -> Image:
    """Return an image whose first axis is time; one plane is a movie of one frame. Raises ImageError."""
    if image.axes.startswith("t"):
        return image
    if image.axes.startswith("z"):
        # Many programs call every stack z.
        return replace(image, axes=f"t{image.axes[1:]}")
    if image.large:
        raise ImageError(f"{image.name} is one plane of {image.shape[1]} x {image.shape[2]} pixels.", "Give a movie.")
    pixels = np.asarray(image.pixels)[None]
    return replace(image, pixels=pixels, axes=f"t{image.axes}")


def read_labels(labels: Any, image: Image) -> tuple[NDArray[np.generic], str, dict[int, ObjectInfo]]:
    """Return labels for an image, of an array or a path, where they come from, and what is said of the objects.

    Raises LabelError or FileError.
    """
    if isinstance(labels, (str, os.PathLike)):
        path = Path(labels).expanduser()
        objects = read_objects(path, image.shape, name=image.name)
        left = f" (without {objects.hidden} that others cover)" if objects.hidden else ""
        return objects.labels if image.shape[0] > 1 else objects.labels[0], f"{path.name}{left}", objects.infos
    computed = labels.compute() if hasattr(labels, "compute") else labels
    try:
        found = np.asarray(computed if isinstance(computed, np.ndarray) else computed[...])
    except (TypeError, ValueError, KeyError):
        found = np.asarray(computed)
    return fitted(found, image.shape), "", {}
