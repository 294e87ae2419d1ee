"""Tracks as a CSV table for napari: track_id, t, y, x; beside it the graph of divisions as JSON, and the labels.

Coordinates are napari's: the middle of the first pixel is 0, 0. The graph names the mothers of every daughter, as
``viewer.add_tracks(table, graph=...)`` takes it.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import FileError, Lineage, LineageError, Tracks
from ...core.box import Triple
from ...core.labels import as_labels
from ..images import read_image
from ..labels import write_label_stack
from ..replacing import check_writable, replacing
from .drawing import Disc, draw, pick

_HEADER = ("track_id", "t", "y", "x", "parent", "area")
#: Other names of the columns.
_NAMES = {
    "track": "track_id", "trackid": "track_id", "particle": "track_id", "frame": "t", "time": "t",
    "parent_track_id": "parent",
}  # fmt: skip
_COLUMNS = "Begin the file with the line track_id,t,y,x."
_NUMBERS = "Write numbers: a track, a frame from 0, y and x in pixels; parent is a track, or empty."


def write_csv(path: Path, tracks: Tracks) -> Path:
    """Write a line per track and frame, the graph as NAME.graph.json and the labels as NAME.labels.tif, or nothing.

    Returns the path of the table. Its fifth column has the mother, empty for none, the sixth the area in pixels. Raises
    FileError, also where one of the two is there without a table: it is another's.
    """
    check_csv_path(path)
    mothers, labels = tracks.lineage.parents, tracks.labels
    frames, height, width = labels.shape
    with replacing(labels_path(path)) as pixels, replacing(graph_path(path)) as graph, replacing(path) as table:
        with table.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines)
            writer.writerow(_HEADER)
            for track, frame, y, x, area in tracks.places().tolist():
                own = int(track)
                place = round(y - 0.5, 4), round(x - 0.5, 4)
                writer.writerow((own, int(frame), *place, mothers.get(own, ""), int(area)))
        graph.write_text(json.dumps({str(track): [mother] for track, mother in mothers.items()}), encoding="utf-8")
        whole = pixels.with_suffix(".tif")
        write_label_stack(whole, labels, (frames, height, width), max(tracks.present, default=0))
        whole.replace(pixels)
    return path


def check_csv_path(path: Path) -> None:
    """Raise FileError where a table clearly cannot be written, or files of others have the names of what is beside."""
    check_writable(path)
    for one in (graph_path(path), labels_path(path)):
        if one.exists() and not path.exists():
            raise FileError(f"{one} is there already, without a table.", "Choose another name for the table.")


def read_csv(
    path: Path, *, shape: Triple | None = None, labels: NDArray[np.integer] | None = None, radius: float = 5.0
) -> Tracks:
    """Read a table of tracks, or one without header of track, t, y, x or track, t, z, y, x with one z.

    The spots get the pixels of ``labels`` (frames, h, w) under them, whatever their numbers, by default those of
    NAME.labels.tif beside; where there are none they become discs of their area, or of ``radius`` pixels, in a movie of
    ``shape`` (frames, h, w). Tracks that are numbered from 0 are numbered from 1. Mothers come from the column parent
    (empty, -1 or the track itself: none), or from the graph beside. Raises FileError.
    """
    rows = _read(path)
    shift = 1 if any(row["track_id"] == 0 for row in rows) else 0
    discs: dict[tuple[int, int], Disc] = {}
    mothers: dict[int, set[int]] = {} if any("parent" in row for row in rows) else _read_graph(graph_path(path), shift)
    for row in rows:
        track, frame = int(row["track_id"]) + shift, int(row["t"])
        if (frame, track) in discs:
            raise FileError(f"{path} has track {track - shift} twice in frame {frame}.", "Keep one of the lines.")
        size = math.sqrt(row["area"] / math.pi) if row.get("area", 0) > 0 else radius
        discs[frame, track] = Disc(frame, track, row["y"] + 0.5, row["x"] + 0.5, size)
        mother = int(row.get("parent", -1)) + shift
        if mother > 0 and mother != track:
            mothers.setdefault(track, set()).add(mother)
    spots = list(discs.values())
    daughters: dict[int, tuple[int, ...]] = {}
    for track, some in sorted(mothers.items()):
        if len(some) > 1:
            raise FileError(f"{path}: track {track - shift} has two mothers.", "Keep one; tracks do not merge.")
        daughters[min(some)] = (*daughters.get(min(some), ()), track)
    beside = labels_path(path)
    found = read_image(beside) if labels is None and beside.is_file() else labels
    try:
        objects = draw(spots, shape) if found is None else pick(spots, as_labels(found))
        return Tracks(objects, Lineage(daughters))
    except LineageError as error:
        raise FileError(f"{path}: {error.what}", "Correct the column parent, or the graph beside it.") from error


def graph_path(path: Path) -> Path:
    """Return where the graph of a table lies."""
    return path.with_suffix(".graph.json")


def labels_path(path: Path) -> Path:
    """Return where the labels of a table lie."""
    return path.with_suffix(".labels.tif")


def _read(path: Path) -> list[dict[str, float]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            head = lines.readline()
            lines.seek(0)
            # Spreadsheets in languages with a decimal comma separate columns by semicolons.
            reader = csv.reader(lines, delimiter=";" if ";" in head and "," not in head else ",", strict=True)
            names: list[str] = []
            rows: list[dict[str, float]] = []
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                names = names or _names(path, cells)
                if len(rows) or not _is_header(cells):
                    rows.append(_row(f"{path}, line {reader.line_num}", names, cells))
    except FileNotFoundError as error:
        raise FileError(f"There is no file {path}.", "Check the name and the folder.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path} is not a CSV table ({error}).", "Save the tracks as comma-separated text.") from error
    if not names:
        raise FileError(f"{path} is empty.", _COLUMNS)
    if len({row.get("z", 0) for row in rows}) > 1:
        raise FileError(f"{path} has tracks in several planes z.", "Give the tracks of one plane.")
    return rows


def _is_header(cells: list[str]) -> bool:
    try:
        float(cells[0])
    except ValueError:
        return True
    return False


def _names(path: Path, cells: list[str]) -> list[str]:
    if not _is_header(cells):
        plain = {4: ["track_id", "t", "y", "x"], 5: ["track_id", "t", "z", "y", "x"]}
        if len(cells) not in plain:
            raise FileError(f"{path} has {len(cells)} columns and no header.", _COLUMNS)
        return plain[len(cells)]
    found = [cell.strip().lower() for cell in cells]
    found = [_NAMES.get(name, name) for name in found]
    lost = [name for name in _HEADER[:4] if found.count(name) != 1]
    if lost:
        raise FileError(f"{path} has no column {lost[0]!r}, or two.", _COLUMNS)
    return found


def _row(where: str, names: list[str], cells: list[str]) -> dict[str, float]:
    try:
        texts = {name: cell.strip() for name, cell in zip(names, cells, strict=True)}
        row = {name: float(texts[name]) for name in (*_HEADER, "z") if texts.get(name)}
        whole = all(row[name] == int(row[name]) >= 0 for name in ("track_id", "t"))
        if not whole or not all(math.isfinite(value) for value in row.values()) or not {"y", "x"} <= set(row):
            raise ValueError("no whole number from 0, or a cell is empty")
        if "parent" in names:
            row.setdefault("parent", -1)
    except (ValueError, KeyError, OverflowError) as error:
        raise FileError(f"{where} is no spot of a track ({error}).", _NUMBERS) from error
    return row


def _read_graph(path: Path, shift: int) -> dict[int, set[int]]:
    if not path.is_file():
        return {}
    try:
        data: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        lists = {int(track): some if isinstance(some, list) else [some] for track, some in data.items()}
        return {track + shift: {int(one) + shift for one in some} for track, some in lists.items() if some}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise FileError(
            f"{path} is no graph of tracks ({error}).", 'Write every daughter with its mother: {"2": [1]}.'
        ) from error
