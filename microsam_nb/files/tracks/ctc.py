"""The folder of the Cell Tracking Challenge: a label image per frame, and a table of tracks.

Every line of the table says L B E P: track, first frame, last frame, mother (0 for none). See Maska et al., Nature
Methods 2023, and the challenge's naming and file content conventions.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from ...core import FileError, LineageError
from ...core.lineage import Lineage
from ...core.tracks import Tracks
from ..replacing import replacing

_TABLES = ("res_track.txt", "man_track.txt")
_FRAME = re.compile(r"(?:mask|man_track)(\d+)\.tiff?$", re.IGNORECASE)
#: The challenge's images hold 16 bits.
_LARGEST = 2**16 - 1


def write_ctc(folder: Path, tracks: Tracks) -> Path:
    """Write tracks as mask000.tif, mask001.tif, ... and res_track.txt; return the folder, which is made if need be.

    A track with gaps is written as the challenge wants it: every part is a track of its own, with a new number, and
    descends from the one before. The table, without which the folder means nothing, is written last. Raises FileError
    for more than 65,535 tracks, and where the folder holds another result.
    """
    labels, lineage = _without_gaps(tracks)
    largest = int(labels.max(initial=0))
    if largest > _LARGEST:
        raise FileError(
            f"Track {largest} does not fit the 16 bits of the Cell Tracking Challenge.",
            "Number the tracks from 1, or write another format.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    digits = max(3, len(str(len(labels) - 1)))
    own = {f"mask{frame:0{digits}d}.tif" for frame in range(len(labels))}
    others = [one.name for one in sorted(folder.iterdir()) if _FRAME.match(one.name) and one.name not in own]
    if others:
        raise FileError(
            f"The folder {folder} holds frames of another result, such as {others[0]}.", "Choose an empty folder."
        )
    (folder / _TABLES[0]).unlink(missing_ok=True)
    for frame, plane in enumerate(labels):
        with replacing(folder / f"mask{frame:0{digits}d}.tif") as part:
            tifffile.imwrite(part, plane.astype(np.uint16), compression="zlib")
    mothers = lineage.parents
    spans = Tracks(labels, lineage).spans
    lines = [f"{track} {first} {last} {mothers.get(track, 0)}\n" for track, (first, last) in spans.items()]
    with replacing(folder / _TABLES[0]) as part:
        part.write_text("".join(lines))
    return folder


def read_ctc(folder: Path) -> Tracks:
    """Read the tracks of a folder: a result (res_track.txt) or a ground truth (man_track.txt).

    A track that is the only one to descend from another is the later part of that one. Raises FileError for a folder
    without table or frames, frames that are missing or differ in size, and a table that does not fit the frames.
    """
    table = next((folder / name for name in _TABLES if (folder / name).is_file()), None)
    if table is None:
        raise FileError(
            f"There is no table of tracks in {folder}.", f"Give the folder that holds {' or '.join(_TABLES)}."
        )
    frames = {int(m.group(1)): one for one in sorted(folder.iterdir()) if (m := _FRAME.match(one.name))}
    if not frames or sorted(frames) != list(range(len(frames))):
        lost = next((i for i in range(len(frames) + 1) if i not in frames), 0)
        raise FileError(f"Frame {lost} is missing in {folder}.", "Put all frames there, mask000.tif and so on.")
    planes: list[NDArray[np.uint32]] = []
    for frame in range(len(frames)):
        try:
            plane = np.asarray(tifffile.imread(frames[frame])).astype(np.uint32)
        except (OSError, ValueError, tifffile.TiffFileError) as error:
            raise FileError(f"{frames[frame].name} cannot be read ({error}).", "Copy it again.") from error
        if plane.ndim != 2 or (planes and plane.shape != planes[0].shape):
            raise FileError(
                f"{frames[frame].name} has shape {plane.shape}.", "Give frames of one plane each, all of one size."
            )
        planes.append(plane)
    spans, daughters = _read_table(table)
    try:
        tracks = Tracks(np.stack(planes), Lineage(daughters))
    except LineageError as error:
        raise FileError(f"{table.name} does not fit the frames: {error.what}", error.remedy) from error
    for track, span in tracks.spans.items():
        if spans.get(track) != span:
            said = f"from {spans[track][0]} to {spans[track][1]}" if track in spans else "nowhere"
            raise FileError(
                f"Track {track} is there in frames {span[0]} to {span[1]}, by {table.name} {said}.",
                "Write the table anew, or give the frames that belong to it.",
            )
    gone = sorted(set(spans) - set(tracks.spans))
    if gone:
        raise FileError(f"Track {gone[0]} of {table.name} is in no frame.", "Take it out of the table.")
    return _joined(tracks)


def _without_gaps(tracks: Tracks) -> tuple[NDArray[np.uint32], Lineage]:
    """Return labels and lineage in which every part of a track with gaps is a track."""
    gaps = tracks.gaps
    if not gaps:
        return tracks.labels, tracks.lineage
    labels, new = tracks.labels.copy(), max(tracks.lineage.free_id, 1)
    daughters = dict(tracks.lineage.daughters)
    for track, missing in gaps.items():
        last = track
        there = [frame for frame in range(*tracks.spans[track]) if frame not in missing] + [tracks.spans[track][1]]
        for before, frame in pairwise(there):
            if frame - before > 1:
                daughters[new], daughters[last] = daughters[last], (new,)
                last, new = new, new + 1
            labels[frame][tracks.labels[frame] == track] = last
    return labels, Lineage(daughters)


def _joined(tracks: Tracks) -> Tracks:
    """Return tracks in which the only daughter of a track is its later part."""
    lineage = tracks.lineage
    single = [track for track in lineage if len(lineage.children(track)) == 1]
    if not single:
        return tracks
    numbers = np.arange(int(tracks.labels.max()) + 1, dtype=np.uint32)
    # The last ones first: each takes over what its later part has become.
    for track in sorted(single, key=lambda one: tracks.spans[one][0], reverse=True):
        (later,) = lineage.children(track)
        lineage = lineage.join(track, later)
        numbers[numbers == later] = track
    return Tracks(numbers[tracks.labels], lineage)


def _read_table(path: Path) -> tuple[dict[int, tuple[int, int]], dict[int, tuple[int, ...]]]:
    """Return first and last frame of every track, and the daughters of those that divide."""
    spans: dict[int, tuple[int, int]] = {}
    daughters: dict[int, tuple[int, ...]] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            track, first, last, mother = (int(part) for part in line.split())
        except ValueError as error:
            raise FileError(
                f"Line {number} of {path.name} is {line.strip()!r}.",
                "Write four whole numbers: track, first frame, last frame, mother or 0.",
            ) from error
        if track in spans:
            raise FileError(f"Track {track} stands twice in {path.name}.", "Keep one of its lines.")
        spans[track] = first, last
        if mother:
            daughters[mother] = (*daughters.get(mother, ()), track)
    return spans, daughters
