"""Objects of single frames linked to tracks, with divisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import LabelError, Settings, option
from ..core.labels import as_labels
from ..core.lineage import Lineage
from ..core.tracks import Tracks, middles


@dataclass(frozen=True)
class LinkSettings(Settings):
    """Which objects of different frames are the same cell; distances are multiples of the typical diameter."""

    distance: float = option(
        1.0, "How far a cell moves at most from frame to frame.", low=0.05, high=50.0, unit="diameters"
    )
    gap: int = option(
        1, "Over so many frames in which it is missing a cell is followed.", low=0, high=20, unit="frames"
    )
    division: float = option(
        1.5,
        "How far daughters lie at most from where their mother was; 0: cells do not divide.",
        low=0.0,
        high=50.0,
        unit="diameters",
    )
    min_length: int = option(
        1, "Tracks of fewer frames, without mother or daughters, are left out.", low=1, high=1000, unit="frames"
    )


def link(frames: Sequence[ArrayLike] | NDArray[np.integer], settings: LinkSettings = LinkSettings()) -> Tracks:
    """Return the tracks of labels (frames, h, w), or a sequence of (h, w), whose numbers differ from frame to frame.

    Linear assignment of objects by the distance of their middles, first from frame to frame, then of ends to
    beginnings over gaps and at divisions: Jaqaman et al., Nature Methods 2008, as laptrack implements it (Fukai and
    Kawaguchi, Bioinformatics 2023). Raises LabelError for what is no labels, or frames of different shapes.
    """
    labels = _together(frames)
    rows = [
        (frame, number, y, x, area) for frame in range(len(labels)) for number, area, (y, x) in middles(labels[frame])
    ]
    if not rows:
        return Tracks(labels)
    table = np.array(rows, np.float64)
    diameter = float(np.sqrt(np.median(table[:, 4]) * 4 / np.pi))
    tracks, daughters = _assign(table, diameter, settings)
    tracks, daughters = _long_enough(table, tracks, daughters, settings.min_length)
    out = np.zeros(labels.shape, np.uint32)
    for frame in range(len(labels)):
        own = table[:, 0] == frame
        numbers = np.zeros(int(labels[frame].max(initial=0)) + 1, np.uint32)
        numbers[table[own, 1].astype(np.int64)] = tracks[own]
        out[frame] = numbers[labels[frame]]
    return Tracks(out, Lineage(daughters))


def _together(frames: Sequence[ArrayLike] | NDArray[np.integer]) -> NDArray[np.uint32]:
    planes = [as_labels(np.asarray(frame)) for frame in frames]
    shapes = {plane.shape for plane in planes}
    if not planes or len(shapes) > 1 or len(planes[0]) != 1:
        raise LabelError(
            f"Frames of shapes {sorted(shapes)} are no movie.", "Give labels (frames, y, x), all of one size."
        )
    return np.concatenate(planes)


def _assign(
    table: NDArray[np.float64], diameter: float, settings: LinkSettings
) -> tuple[NDArray[np.uint32], dict[int, tuple[int, ...]]]:
    """Return the track of every row (frame, number, y, x, area), from 1, and the daughters of those that divide."""
    import pandas as pd
    from laptrack import LapTrack

    if len(np.unique(table[:, 0])) == 1:
        return np.arange(1, len(table) + 1, dtype=np.uint32), {}
    farthest, apart = (settings.distance * diameter) ** 2, (settings.division * diameter) ** 2
    options: dict[str, Any] = {
        "metric": "sqeuclidean", "cutoff": farthest,
        "gap_closing_metric": "sqeuclidean", "gap_closing_cutoff": farthest if settings.gap else False,
        "gap_closing_max_frame_count": settings.gap + 1,  # it counts steps
        "splitting_metric": "sqeuclidean", "splitting_cutoff": apart or False,
    }  # fmt: skip
    objects = pd.DataFrame(
        {"frame": table[:, 0].astype(int), "y": table[:, 2], "x": table[:, 3], "row": range(len(table))}
    )
    found, splits, _ = LapTrack(**options).predict_dataframe(
        objects, coordinate_cols=["y", "x"], frame_col="frame", only_coordinate_cols=False
    )
    tracks = np.zeros(len(table), np.uint32)
    tracks[found["row"].to_numpy().astype(int)] = found["track_id"].to_numpy().astype(np.int64) + 1
    daughters: dict[int, tuple[int, ...]] = {}
    if len(splits):
        for mother, daughter in splits[["parent_track_id", "child_track_id"]].to_numpy().astype(int).tolist():
            daughters[mother + 1] = (*daughters.get(mother + 1, ()), daughter + 1)
    return tracks, daughters


def _long_enough(
    table: NDArray[np.float64], tracks: NDArray[np.uint32], daughters: dict[int, tuple[int, ...]], least: int
) -> tuple[NDArray[np.uint32], dict[int, tuple[int, ...]]]:
    """Number the tracks from 1 in the order in which they begin, without those that are too short."""
    related = {*daughters, *(one for some in daughters.values() for one in some)}
    new: dict[int, int] = {}
    for track in dict.fromkeys(tracks[np.argsort(table[:, 0], kind="stable")].tolist()):
        own = table[tracks == track, 0]
        if track in related or own.max() - own.min() + 1 >= least:
            new[track] = len(new) + 1
    numbers = np.zeros(int(tracks.max()) + 1, np.uint32)
    for old, number in new.items():
        numbers[old] = number
    return numbers[tracks], {new[m]: tuple(new[d] for d in some) for m, some in daughters.items()}
