"""Read how large a pixel is."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tifffile

from ..core import FileError, ImageError, VoxelSize

#: Ways to write micrometres.
_MICRONS = ("um", "micron", "microns", "micrometer", "micrometre", "\\u00b5m", "μm", "µm")
#: What OME-Zarr calls the units of people.
UNITS = {"µm": "micrometer", "nm": "nanometer", "mm": "millimeter", "cm": "centimeter", "m": "meter", "Å": "angstrom"}
_PEOPLE = {name: unit for unit, name in UNITS.items()}
#: Units that say nothing about the real world.
_NONE = ("", "pixel", "pixels", "px", "reference_frame")


def read_voxel_size(path: Path) -> VoxelSize | None:
    """Return the voxel size that ImageJ or an OME writer left in a TIFF file, or None where there is none.

    The resolution of other TIFF files is that of a printer or screen, and left alone. Raises FileError for a TIFF
    that cannot be read.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        with tifffile.TiffFile(path) as file:
            if file.ome_metadata:
                return _of_ome(file.ome_metadata)
            if file.imagej_metadata is not None:
                return _of_imagej(file.imagej_metadata, file.pages[0].tags)
    except Exception as error:  # readers have no common base error
        raise FileError(f"{path} cannot be read as an image ({error}).", "Save it again as TIFF.") from error
    return None


def _of_ome(text: str) -> VoxelSize | None:
    """Read the attributes of the first Pixels element; x without y is square, as writers often leave it out."""
    element = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", text)
    found = dict(re.findall(r'\bPhysicalSize(\w+)="([^"]*)"', element.group())) if element else {}
    units = {found.get(f"{axis}Unit", "µm") for axis in "ZYX" if axis in found}
    if "X" not in found or len(units) > 1:
        return None
    return voxel_size(found.get("Z"), found.get("Y", found["X"]), found["X"], units.pop())


def _of_imagej(about: dict[str, Any], tags: Any) -> VoxelSize | None:
    if "YResolution" not in tags or "XResolution" not in tags:
        return None
    y, x = (tags[name].value for name in ("YResolution", "XResolution"))  # pixels, and the units they cover
    if not (y[0] and x[0]):
        return None
    return voxel_size(about.get("spacing"), y[1] / y[0], x[1] / x[0], str(about.get("unit", "")))


def size_of_scale(scales: Mapping[str, Any], key: str, axes: str) -> VoxelSize | None:
    """Return the voxel size that a pyramid of OME-Zarr gives its array ``key`` with ``axes``, or None without unit."""
    level = next((one for one in scales["datasets"] if str(one["path"]) == key), None)
    if level is None:
        return None
    sizes = [1.0] * len(axes)
    for change in (*(level.get("coordinateTransformations") or ()), *(scales.get("coordinateTransformations") or ())):
        if change.get("type") == "scale" and len(change.get("scale", ())) == len(axes):
            sizes = [size * float(more) for size, more in zip(sizes, change["scale"], strict=True)]
    of = dict(zip(axes, sizes, strict=True))
    units = {
        name: one.get("unit", "") for name, one in zip(axes, scales["axes"], strict=True) if isinstance(one, Mapping)
    }
    if units.get("y", "") != units.get("x", ""):
        return None
    z = of.get("z") if units.get("z") == units.get("x") else None
    return voxel_size(z, of.get("y"), of.get("x"), _PEOPLE.get(units.get("x", ""), units.get("x", "")))


def voxel_size(z: Any, y: Any, x: Any, unit: str) -> VoxelSize | None:
    """Return the size of a voxel where these are numbers above 0 and the unit means something, else None."""
    if unit.lower() in _NONE:
        return None
    name = "µm" if unit.lower() in _MICRONS else unit
    with contextlib.suppress(ImageError, ValueError, TypeError):
        # An unknown distance of planes is no reason to forget the size of the pixels.
        with contextlib.suppress(ImageError, ValueError, TypeError):
            return VoxelSize(None if z is None else float(z), float(y), float(x), name)
        return VoxelSize(None, float(y), float(x), name)
    return None
