"""One door to all formats of tracks."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core import FileError, Tracks, VoxelSize
from ...core.box import Triple
from ..folders import check_folder
from ..replacing import check_writable
from .ctc import is_ctc, is_result, read_ctc, write_ctc
from .geff_in import read_geff
from .geff_out import is_ours, write_geff
from .table import check_csv_path, read_csv, write_csv
from .trackmate_in import read_trackmate
from .trackmate_out import write_trackmate


class TrackFormat(StrEnum):
    """Formats of tracks: folder of the Cell Tracking Challenge, Zarr folder with a GEFF, TrackMate's XML, table."""

    CTC = "ctc"
    GEFF = "geff"
    TRACKMATE = "trackmate"
    CSV = "csv"


#: The ending of each format's files, "" for a folder.
ENDINGS = {TrackFormat.CTC: "", TrackFormat.GEFF: ".zarr", TrackFormat.TRACKMATE: ".xml", TrackFormat.CSV: ".csv"}
_ENDINGS = {
    "": TrackFormat.CTC, ".zarr": TrackFormat.GEFF, ".geff": TrackFormat.GEFF, ".xml": TrackFormat.TRACKMATE,
    ".csv": TrackFormat.CSV, ".txt": TrackFormat.CSV,
}  # fmt: skip


def read_tracks(
    path: Path | str,
    format: TrackFormat | str | None = None,
    *,
    shape: Triple | None = None,
    labels: NDArray[np.integer] | None = None,
    voxel: VoxelSize | None = None,
    radius: float = 5.0,
) -> Tracks:
    """Read tracks; without ``format`` it follows from what the path is, or the one file in it, and its ending.

    For files that hold spots: ``labels`` (frames, h, w) has their pixels, whatever its numbers; without it, and without
    labels that lie beside, they are drawn, as discs of ``radius`` pixels if the file has no outlines or radii, in a
    movie of ``shape`` (frames, h, w). ``voxel`` is the size of a pixel where a GEFF is not in pixels. Raises FileError.
    """
    path = _within(Path(path)) if format is None else Path(path)
    match _format(path, format):
        case TrackFormat.CTC:
            return read_ctc(path)
        case TrackFormat.GEFF:
            return read_geff(path, shape=shape, labels=labels, voxel=voxel, radius=radius)
        case TrackFormat.TRACKMATE:
            return read_trackmate(path, shape=shape, labels=labels)
        case TrackFormat.CSV:
            return read_csv(path, shape=shape, labels=labels, radius=radius)


def write_tracks(
    path: Path | str,
    tracks: Tracks,
    format: TrackFormat | str | None = None,
    *,
    image: Path | None = None,
    voxel: VoxelSize | None = None,
) -> Path:
    """Write tracks, wholly or not at all; without ``format`` it follows from the ending; return the path.

    TrackMate opens the movie ``image`` with them, and needs its calibration, ``voxel``. Raises FileError.
    """
    path = Path(path)
    match _format(path, format):
        case TrackFormat.CTC:
            return write_ctc(path, tracks)
        case TrackFormat.GEFF:
            return write_geff(path, tracks)
        case TrackFormat.TRACKMATE:
            return write_trackmate(path, tracks, image=image, voxel=voxel)
        case TrackFormat.CSV:
            return write_csv(path, tracks)


def check_tracks_path(path: Path, format: TrackFormat) -> None:
    """Raise FileError where tracks clearly cannot be written to ``path``, before they are made.

    Folders above it need not exist for the formats that are folders.
    """
    if format is TrackFormat.CSV:
        return check_csv_path(path)
    if format is TrackFormat.TRACKMATE:
        return check_writable(path)
    ours = is_result if format is TrackFormat.CTC else is_ours
    return check_folder(path, ours)


def _within(path: Path) -> Path:
    """Return the only file ``tracks`` of a folder, as the command line writes it, or the path itself."""
    inside = [] if is_ctc(path) else [one for ending in ENDINGS.values() if (one := path / f"tracks{ending}").exists()]
    return inside[0] if len(inside) == 1 else path


def _format(path: Path, name: TrackFormat | str | None) -> TrackFormat:
    if name is not None:
        try:
            return TrackFormat(name)
        except ValueError as error:
            raise FileError(f"There is no format {name!r} of tracks.", f"Use {', '.join(TrackFormat)}.") from error
    if path.is_dir() and is_ctc(path):
        return TrackFormat.CTC
    if path.suffix.lower() in _ENDINGS:
        return _ENDINGS[path.suffix.lower()]
    raise FileError(
        f"The ending of {path.name} is of no format of tracks.",
        "Use .xml (TrackMate), .zarr (GEFF), .csv (napari), or a folder of the Cell Tracking Challenge without ending.",
    )
