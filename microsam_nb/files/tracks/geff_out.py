"""Tracks as GEFF, the graph exchange file format: a Zarr folder with the graph, ``tracks.geff``, beside its ``labels``.

Every object of a frame is a node with t, y, x (the middle of the first pixel is 0, 0), area and track_id, which is
also its number in the labels; edges lead to the next frame of a track, and from mothers to daughters.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ...core import FileError, Tracks
from ..folders import replacing_folder

_GRAPH, _LABELS, _TRACK = "tracks.geff", "labels", "track_id"
#: Side of the chunks of the labels.
_CHUNK = 1024


def write_geff(path: Path, tracks: Tracks) -> Path:
    """Write tracks into a new folder, whose name ends in .zarr, or over an earlier one of ours; return the folder.

    Raises FileError.
    """
    from geff.core_io import write_arrays  # half a second
    from geff_spec import Axis, GeffMetadata, RelatedObject

    if path.suffix.lower() == ".geff":
        raise FileError(f"{path} would hold the labels beside the graph.", "Use a name ending in .zarr.")
    rows = tracks.places()
    nodes = np.arange(len(rows), dtype=np.uint64)
    values = {"t": rows[:, 1].astype(np.int64), "y": rows[:, 2] - 0.5, "x": rows[:, 3] - 0.5,
              "area": rows[:, 4].astype(np.int64), _TRACK: rows[:, 0].astype(np.uint32)}  # fmt: skip
    # A tracklet of GEFF ends only where the graph divides, which excludes mothers of one daughter.
    plain = all(len(some) != 1 for some in tracks.lineage.daughters.values())
    about = GeffMetadata(
        directed=True,
        axes=[Axis(name="t", type="time", unit="frame"), *(Axis(name=n, type="space", unit="pixel") for n in "yx")],
        node_props_metadata={},
        edge_props_metadata={},
        track_node_props={"tracklet": _TRACK} if plain else None,
        related_objects=[RelatedObject(type="labels", path=f"../{_LABELS}", node_prop=_TRACK)],
    )
    with replacing_folder(path, is_ours) as part:
        group = zarr.open_group(part, mode="w", zarr_format=2)
        chunks = tuple(
            max(1, min(size, most)) for size, most in zip(tracks.labels.shape, (1, _CHUNK, _CHUNK), strict=True)
        )
        array = group.create_array(_LABELS, shape=tracks.labels.shape, dtype="uint32", chunks=chunks)
        for frame, plane in enumerate(tracks.labels):
            array[frame] = plane
        props: Any = {name: {"values": some, "missing": None} for name, some in values.items()}
        write_arrays(str(part / _GRAPH), nodes, props, _edges(tracks, rows), {}, about, zarr_format=2)
    return path


def is_ours(folder: Path) -> bool:
    """Tell whether a folder holds what ``write_geff`` wrote and nothing else, so that it may be replaced."""
    names = {one.name for one in folder.iterdir()}
    return _GRAPH in names and names <= {_GRAPH, _LABELS, ".zgroup", ".zattrs", "zarr.json"}


def _edges(tracks: Tracks, rows: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return pairs of rows of ``places``."""
    own: dict[int, list[int]] = defaultdict(list)
    for row, track in enumerate(rows[:, 0].astype(int).tolist()):
        own[track].append(row)
    pairs = [pair for some in own.values() for pair in pairwise(some)]
    pairs += [(own[mother][-1], own[track][0]) for track, mother in tracks.lineage.parents.items()]
    return np.array(pairs, np.uint64).reshape(-1, 2)
