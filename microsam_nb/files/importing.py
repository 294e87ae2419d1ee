"""One door to all files that hold objects: of this package, Cellpose, StarDist, ilastik, Fiji, QuPath, napari, COCO."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from ..core import FileError
from ..core.box import Triple
from ..core.labels import as_labels
from .formats.found import Objects, fitted, painted
from .images import read_image
from .volumes import is_zarr


def read_objects(path: Path | str, shape: Triple, *, name: str = "") -> Objects:
    """Read objects for an image of ``shape`` (planes, h, w); the ending of the path tells the format.

    Label images as TIFF, PNG, .npy, zarr and OME-Zarr; outlines as ROIs of ImageJ (.zip, .roi), GeoJSON (QuPath) and
    COCO (.json), where ``name`` picks the image in a file with several. Where shapes overlap the smallest wins.
    Candidates are left out. Raises FileError, and LabelError for labels that do not fit.
    """
    path = Path(path)
    if path.is_dir() and is_zarr(path):
        from .formats.ngff_in import read_ngff

        return read_ngff(path, shape)
    match path.suffix.lower():
        case ".zip" | ".roi":
            from .formats.rois import read_rois

            _check(path)
            return painted(read_rois(path, shape), shape, path.name)
        case ".geojson" | ".json":
            _check(path)
            return _read_json(path, shape, name)
        case ".csv":
            raise FileError(f"{path} is a table, which has no pixels of objects.", "Give labels, ROIs or GeoJSON.")
    return Objects(as_labels(fitted(_read_pixels(path), shape, path.name)).reshape(shape))


def _check(path: Path) -> None:
    if not path.is_file():
        raise FileError(f"There is no file {path.resolve()}.", "Check the name and the folder.")


def _read_pixels(path: Path) -> NDArray[np.generic]:
    suffix = path.suffix.lower()
    if suffix == ".npy" and path.is_file() and _is_pickle(path):
        raise FileError(
            f"{path} is a pickle, which could run any program when it is opened.",
            "Save the masks as TIFF or PNG; in Cellpose: File, Save masks.",
        )
    if suffix == ".png" and path.is_file():
        # What is no PNG the reader of all images tells.
        with contextlib.suppress(OSError), Picture.open(path, formats=("PNG",)) as picture:
            if picture.mode == "P":
                # The numbers count, not the colours that a palette gives them.
                return np.asarray(picture)
    return read_image(path)


def _is_pickle(path: Path) -> bool:
    """Say whether a .npy file holds Python objects, without opening any."""
    with contextlib.suppress(OSError, ValueError), path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return bool(reader(file)[2].hasobject)
    return False


def _read_json(path: Path, shape: Triple, name: str) -> Objects:
    from .formats.coco import read_coco
    from .formats.geojson import read_geojson

    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        coco = isinstance(content, Mapping) and "annotations" in content
        found = list(read_coco(content, shape, name) if coco else read_geojson(content, shape))
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise FileError(
            f"{path} cannot be read as GeoJSON or COCO ({error.__class__.__name__}: {error}).",
            "Export the objects again: as GeoJSON in QuPath, or as instances with segmentations for COCO.",
        ) from error
    return painted(found, shape, path.name)
