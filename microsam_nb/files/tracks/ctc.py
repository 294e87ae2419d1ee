"""The folder of the Cell Tracking Challenge: a label image per frame, and a table of tracks.

Every line of the table says L B E P: track, first frame, last frame, mother (0 for none). A track has pixels in all of
its frames; a cell that is away for some frames comes back as another track, the only daughter of the first. See Maska
et al., Nature Methods 2023, and the challenge's naming and file content conventions.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from ...core import FileError, Lineage, LineageError, Tracks
from ...core.labels import LARGEST
from ...core.parts import Line, unbroken
from ...core.tracks import relabelled, renumbered
from ..folders import replacing_folder

_TABLES = ("res_track.txt", "man_track.txt")
_FRAME = re.compile(r"(?:mask|man_track)(\d+)\.tiff?$", re.IGNORECASE)
#: The challenge's images hold 16 bits.
_LARGEST = 2**16 - 1


def write_ctc(folder: Path, tracks: Tracks) -> Path:
    """Write tracks as mask000.tif, mask001.tif, ... and res_track.txt into a new folder, or over an earlier result.

    Returns the folder. Tracks keep their numbers; parts after a gap get numbers above all others. Raises FileError for
    numbers above 65,535, and where the folder holds anything else.
    """
    lines, parts = unbroken(tracks)
    largest = max((line[0] for line in lines), default=0)
    if largest > _LARGEST:
        raise FileError(
            f"A track would have the number {largest}; the Cell Tracking Challenge has 16 bits, up to {_LARGEST}.",
            "Number the tracks from 1 with tracks.numbered(), or write another format."
            if len(lines) <= _LARGEST
            else "Write another format, such as geff.",
        )
    digits = max(3, len(str(len(tracks.labels) - 1)))
    with replacing_folder(folder, is_result) as part:
        for frame, plane in enumerate(tracks.labels):
            own = renumbered(plane, parts[frame]).astype(np.uint16)
            tifffile.imwrite(part / f"mask{frame:0{digits}d}.tif", own, photometric="minisblack", compression="zlib")
        (part / _TABLES[0]).write_text("".join("{} {} {} {}\n".format(*line) for line in lines), encoding="ascii")
    return folder


def read_ctc(folder: Path) -> Tracks:
    """Read the tracks of a result (res_track.txt) or a ground truth (man_track.txt, also that in its folder TRA).

    Frames in which there is no track need no file. A track that begins after a gap as the only daughter of another is
    its later part. Raises FileError for a folder without table or frames, and for a table that does not fit the frames.
    """
    table = _table(folder)
    if table is None:
        raise FileError(
            f"There is no table of tracks in {folder}.", f"Give the folder that holds {' or '.join(_TABLES)}."
        )
    files = {int(m.group(1)): one for one in sorted(table.parent.iterdir()) if (m := _FRAME.match(one.name))}
    if not files:
        raise FileError(f"There are no frames beside {table}.", "Put them there as mask000.tif, mask001.tif and so on.")
    lines = _read_table(table)
    _check_frames(lines, files, table.name)
    try:
        whole = Tracks(_read_frames(files), Lineage(_daughters(lines)))
    except LineageError as error:
        raise FileError(f"{table.name} does not fit the frames. {error.what}", "Correct the table.") from error
    _compare(whole, lines, table.name)
    return _join(whole)


def is_ctc(folder: Path) -> bool:
    """Tell whether a folder holds a table of tracks, or has a folder TRA that does."""
    return _table(folder) is not None


def _table(folder: Path) -> Path | None:
    places = (one / name for one in (folder, folder / "TRA") for name in _TABLES)
    return next((place for place in places if place.is_file()), None)


def is_result(folder: Path) -> bool:
    """Tell whether a folder holds a result and nothing else, so that another may replace it."""
    names = {one.name for one in folder.iterdir()}
    return _TABLES[0] in names and all(_FRAME.match(name) for name in names - {_TABLES[0]})


def _join(tracks: Tracks) -> Tracks:
    """Return tracks whose parts after a gap have the number of the first part."""
    spans, first = tracks.spans, {track: track for track in tracks.present}
    daughters: dict[int, tuple[int, ...]] = {}
    for track in sorted(spans, key=lambda one: spans[one]):  # parts come one after the other
        some = tracks.lineage.children(track)
        if len(some) == 1 and spans[some[0]][0] > spans[track][1] + 1:
            first[some[0]] = first[track]
        else:
            daughters[first[track]] = some
    if len(daughters) == len(first):
        return tracks
    return Tracks(relabelled(tracks.labels, first), Lineage(daughters))


def _read_frames(files: dict[int, Path]) -> NDArray[np.uint32]:
    planes = np.zeros((0, 0, 0), np.uint32)
    for frame, path in files.items():
        try:
            plane = np.asarray(tifffile.imread(path))
        except Exception as error:  # readers have no common base error
            raise FileError(f"{path} cannot be read as an image ({error}).", "Copy it again.") from error
        whole = plane.dtype.kind in "bui" and plane.min(initial=0) >= 0 and plane.max(initial=0) <= LARGEST
        if plane.ndim != 2 or not whole or (planes.size and plane.shape != planes.shape[1:]):
            raise FileError(
                f"{path} has shape {plane.shape} and type {plane.dtype}.",
                "Give frames of one plane each (y, x), all of one size, of whole numbers that are not below 0.",
            )
        if not planes.size:
            planes = np.zeros((1 + max(files), *plane.shape), np.uint32)
        planes[frame] = plane
    return planes


def _read_table(path: Path) -> dict[int, Line]:
    lines: dict[int, Line] = {}
    for number, text in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            track, first, last, mother = (int(part) for part in text.split())
        except ValueError as error:
            raise FileError(
                f"Line {number} of {path.name} is {text.strip()!r}.",
                "Write four whole numbers: track, first frame, last frame, mother or 0.",
            ) from error
        if track in lines or track < 1 or not 0 <= first <= last:
            raise FileError(
                f"Line {number} of {path.name}, {text.strip()!r}, is not possible.",
                "Give every track one line with a number from 1, and a last frame that is not before the first.",
            )
        lines[track] = track, first, last, mother
    return lines


def _daughters(lines: dict[int, Line]) -> dict[int, tuple[int, ...]]:
    daughters: dict[int, tuple[int, ...]] = dict.fromkeys(lines, ())
    for track, _, _, mother in lines.values():
        if mother:
            daughters[mother] = (*daughters.get(mother, ()), track)
    return daughters


def _check_frames(lines: dict[int, Line], files: dict[int, Path], name: str) -> None:
    """Raise FileError where a frame of a track has no file."""
    there = sorted(files)
    for track, first, last, _ in lines.values():
        if bisect_right(there, last) - bisect_left(there, first) <= last - first:
            lost = next(frame for frame in range(first, last + 1) if frame not in files)
            raise FileError(
                f"There is no file of frame {lost}, but {name} says that track {track} is in {first} to {last}.",
                "Copy all frames again, or correct the table.",
            )


def _compare(tracks: Tracks, lines: dict[int, Line], name: str) -> None:
    """Raise FileError where a track is in other frames than its line says, but for gaps."""
    for track, (begins, ends) in tracks.spans.items():
        said = lines[track][1:3] if track in lines else None
        if (begins, ends) != said:
            words = f"{said[0]} to {said[1]}" if said else "none"
            raise FileError(
                f"Track {track} is in frames {begins} to {ends}; {name} says {words}.",
                "Correct the table, or give the frames that belong to it.",
            )
