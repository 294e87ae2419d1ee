"""One door to all formats of objects: the ending of the path chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Candidate, FileError, Image, ObjectInfo, VoxelSize
from ..core.labels import as_labels
from .formats.results import Results
from .labels import write_label_stack, write_labels
from .replacing import check_writable

#: What a path may end in, and what opens it.
ENDINGS = {
    ".tif": "label image: Fiji, napari, QuPath, CellProfiler",
    ".tiff": "label image",
    ".ome.zarr": "OME-Zarr labels: napari, or among the labels of an OME-Zarr image",
    ".zarr": "OME-Zarr labels",
    ".zip": "ROIs: Fiji, ImageJ",
    ".roi": "one ROI: Fiji, ImageJ",
    ".geojson": "annotations: QuPath",
    ".json": "instances of COCO: Detectron2, CVAT, FiftyOne",
    ".csv": "measurements: pandas, R, spreadsheets",
}

#: Endings of files that hold candidates beside the objects.
OVERLAPPING = (".zip", ".geojson", ".json")


def write_objects(
    path: Path | str,
    labels: Any,
    *,
    image: Image | None = None,
    infos: Mapping[int, ObjectInfo] | None = None,
    scores: Mapping[int, float] | None = None,
    voxel: VoxelSize | None = None,
    candidates: Sequence[Candidate] = (),
) -> Path:
    """Write objects, wholly or not at all, in the format of the ending (``ENDINGS``); return where they are.

    ``labels`` are whole numbers (y, x) or (plane, y, x), 0 = background, an array or anything that has a ``shape`` and
    gives one plane for an index: a volume is read plane by plane. ``image`` is where they were found, for brightness,
    names and whether planes are times; ``infos`` has what is said of objects, ``scores`` in [0, 1] that of the model
    where ``infos`` has none; ``voxel`` the size of a pixel, by default the image's. ``candidates``, which may overlap,
    are written too in the formats that can hold them (``OVERLAPPING``). Raises FileError or LabelError.
    """
    path = Path(path)
    check_objects_path(path)
    if isinstance(labels, np.ndarray) or len(labels.shape) == 2:
        labels = np.asarray(labels)
        flat, planes = labels.ndim == 2, as_labels(labels)
    else:
        flat, planes = False, labels
    said = dict(infos or {})
    for number, score in (scores or {}).items():
        known = said.get(number, ObjectInfo())
        said[number] = known if known.score is not None else replace(known, score=float(score))
    voxel = voxel or (image.voxel_size if image is not None else None)
    some = tuple(candidates) if path.suffix.lower() in OVERLAPPING else ()
    return _writer(path)(path, Results(planes, flat, said, some, image, voxel)) or path


def check_objects_path(path: Path) -> None:
    """Raise FileError when objects clearly cannot be written to ``path``, before they are made."""
    _writer(path)
    if path.suffix.lower() != ".zarr":
        check_writable(path)


def _writer(path: Path) -> Callable[[Path, Results], Path | None]:
    # Each format is imported when it is needed.
    match path.suffix.lower():
        case ".tif" | ".tiff":
            return _write_tiff
        case ".zarr":
            from .formats.ngff import write_ngff

            return write_ngff
        case ".zip" | ".roi":
            from .formats.rois import write_rois

            return write_rois
        case ".geojson":
            from .formats.geojson import write_geojson

            return write_geojson
        case ".json":
            from .formats.coco import write_coco

            return write_coco
        case ".csv":
            from .formats.table import write_table

            return write_table
        case suffix:
            raise FileError(
                f"Objects cannot be written as {suffix or 'a file without ending'}.",
                f"Use a name ending in {', '.join(ENDINGS)}.",
            )


def _write_tiff(path: Path, results: Results) -> None:
    if results.flat:
        write_labels(path, results.plane(0))
        return
    planes: NDArray[Any] | Any = (results.plane(i) for i in range(results.shape[0]))
    write_label_stack(path, planes, results.shape, results.largest())
