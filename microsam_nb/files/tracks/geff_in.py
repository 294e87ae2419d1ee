"""Tracks from GEFF, the graph exchange file format, of any writer."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ...core import FileError, Lineage, LineageError, Tracks, VoxelSize
from ...core.box import Triple
from ...core.tracks import areas, renumbered
from .drawing import Disc, draw, pick

_UNITS = (None, "pixel", "frame")


@dataclass(frozen=True, slots=True)
class _Graph:
    """Arrays of one value per node, and edges (n, 2) of indices of nodes; the latter of an edge is the later one."""

    frames: NDArray[np.int64]
    places: NDArray[np.float64]  # (n, 2): y, x
    radii: NDArray[np.float64] | None
    tracks: NDArray[np.int64] | None
    segments: NDArray[np.int64] | None
    labels: Path | None
    in_pixels: bool
    edges: NDArray[np.int64]


def read_geff(
    path: Path,
    *,
    shape: Triple | None = None,
    labels: NDArray[np.integer] | None = None,
    voxel: VoxelSize | None = None,
    radius: float = 5.0,
) -> Tracks:
    """Read a graph, or the one in a folder; its nodes become the objects of its labels that they name.

    Where the graph has no labels, nodes get the pixels of ``labels`` (frames, h, w) under them, or discs of their
    radius, or else of ``radius`` pixels, in a movie of ``shape``; ``voxel`` is the size of a pixel where the graph is
    in units of the real world. Tracks are numbered as in the graph, which has perhaps a tracklet or track_id of every
    node, or else from 1. Raises FileError.
    """
    graph = _read(_find(path))
    numbers = _numbers(graph, path)
    if graph.labels is not None and labels is None:
        objects = _named(graph, graph.labels, numbers)
    elif voxel is None and not graph.in_pixels:
        raise FileError(f"The places of {path} are not in pixels.", "Give the size of a pixel, voxel=VoxelSize(...).")
    else:
        discs = _discs(graph, numbers, voxel or VoxelSize(None, 1.0, 1.0, "pixel"), radius)
        objects = draw(discs, shape) if labels is None else pick(discs, labels)
    try:
        if graph.tracks is not None:
            return Tracks(objects, _lineage(graph, numbers))
        spots = list(zip(graph.frames.tolist(), numbers.tolist(), strict=True))
        return Tracks.from_links(objects, ((spots[a], spots[b]) for a, b in graph.edges.tolist()))
    except LineageError as error:
        raise FileError(f"{path} holds no tracks. {error.what}", f"Correct its edges. {error.remedy}") from error


def _discs(graph: _Graph, numbers: NDArray[np.int64], voxel: VoxelSize, radius: float) -> list[Disc]:
    places = graph.places / [voxel.y, voxel.x] + 0.5
    plain = graph.radii is None
    radii = np.full(len(numbers), radius) if plain else np.asarray(graph.radii) / math.sqrt(voxel.y * voxel.x)
    rows = zip(graph.frames.tolist(), numbers.tolist(), places.tolist(), radii.tolist(), strict=True)
    return [Disc(frame, number, y, x, size) for frame, number, (y, x), size in rows]


def _find(path: Path) -> Path:
    """Return the one graph that ``path`` is, or holds."""
    if not path.is_dir():
        raise FileError(f"There is no folder {path}.", "Give a GEFF, or the Zarr folder that holds it.")
    found = [path] if _is_graph(path) else [one for one in sorted(path.iterdir()) if one.is_dir() and _is_graph(one)]
    if len(found) != 1:
        names = ", ".join(one.name for one in found)
        raise FileError(
            f"{path} holds {'several graphs: ' + names if found else 'no GEFF'}.", "Give the folder of one graph."
        )
    return found[0]


def _is_graph(folder: Path) -> bool:
    try:
        return "geff" in zarr.open_group(folder, mode="r").attrs
    except Exception:  # noqa: BLE001 - readers have no common base error
        return False


def _read(path: Path) -> _Graph:
    from geff.core_io import read_to_memory

    try:
        data: Any = read_to_memory(path)
        about, props = data["metadata"], data["node_props"]
        axes = {one.name: one for one in about.axes or ()}
        # TrackMate's axis of time may be in seconds.
        time = "FRAME" if "FRAME" in props else next((name for name, one in axes.items() if one.type == "time"), "t")
        *others, y, x = _space([name for name, one in axes.items() if one.type == "space"])
        if any(len(np.unique(props[name]["values"])) > 1 for name in others):
            raise FileError(f"{path} has tracks in several planes.", "Give the tracks of one plane.")
        frames = np.asarray(props[time]["values"])
        whole = frames.astype(np.int64)
        if (whole != frames).any() or (whole < 0).any():
            raise ValueError(f"{time} holds other numbers than frames from 0")
        where = {node: row for row, node in enumerate(np.asarray(data["node_ids"]).tolist())}
        edges = np.array([[where[a], where[b]] for a, b in data["edge_ids"].tolist()], np.int64).reshape(-1, 2)
        backwards = whole[edges[:, 0]] > whole[edges[:, 1]]
        if not about.directed:
            edges[backwards] = edges[backwards][:, ::-1]
        related = next((one for one in about.related_objects or () if one.type == "labels"), None)
        named = related and (related.node_prop or related.label_prop)
        return _Graph(
            whole,
            np.stack([np.asarray(props[name]["values"], np.float64) for name in (y, x)], axis=1),
            _column(props, about.sphere, np.float64),
            _tracks(props, about, whole),
            _column(props, named, np.int64),
            path / related.path if related and named in props else None,
            all(axes[name].unit in _UNITS for name in (y, x) if name in axes),
            edges,
        )
    except FileError:
        raise
    except Exception as error:  # readers have no common base error
        raise FileError(f"{path} is not a GEFF ({error}).", "Write it again with the package geff.") from error


def _space(names: list[str]) -> list[str]:
    """Return the axes of space with y and x last: TrackMate's are POSITION_X, POSITION_Y and perhaps POSITION_Z."""
    last = {name[-1].lower(): name for name in names}
    if not {"y", "x"} <= set(last):
        return names if len(names) > 1 else ["y", "x"]
    return [*(name for name in names if name not in (last["y"], last["x"])), last["y"], last["x"]]


def _column(props: Any, name: str | None, kind: type[Any]) -> Any:
    """Return the values of a property, None when nodes lack it."""
    if name not in props or (props[name]["missing"] is not None and props[name]["missing"].any()):
        return None
    return np.asarray(props[name]["values"]).astype(kind)


def _tracks(props: Any, about: Any, frames: NDArray[np.int64]) -> Any:
    """Return the numbers of tracks that the nodes have, where these are said to be that, or can be."""
    said = (about.track_node_props or {}).get("tracklet")
    found = _column(props, said or "track_id", np.int64)
    if found is None or said:
        return found
    # Others call a whole family a track.
    return found if len(np.unique(np.stack([frames, found]), axis=1).T) == len(found) else None


def _numbers(graph: _Graph, path: Path) -> NDArray[np.int64]:
    """Return a number for every node, unlike all others of its frame: that of its track, where the graph has it."""
    if graph.tracks is None:
        return np.arange(1, len(graph.frames) + 1)
    numbers = graph.tracks + (1 if graph.tracks.min(initial=1) == 0 else 0)
    pairs = np.stack([graph.frames, numbers], axis=1)
    if len(np.unique(pairs, axis=0)) < len(pairs) or numbers.min(initial=1) < 1:
        raise FileError(
            f"{path} has one track twice in a frame, or numbers below 0.", "Give every track one node per frame."
        )
    return numbers


def _named(graph: _Graph, path: Path, numbers: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the labels of a graph with the numbers of its nodes."""
    try:
        found: Any = zarr.open(path.resolve(), mode="r")
        found = found if isinstance(found, zarr.Array) else found["0"]  # the finest of a pyramid
        whole = np.asarray(found)
        whole = whole.reshape(whole.shape[0], *whole.shape[-2:])  # one channel, one plane
    except Exception as error:  # readers have no common base error
        raise FileError(
            f"The labels {path} cannot be read ({error}).", "Put them there, or give the labels of the movie."
        ) from error
    out = np.zeros(whole.shape, np.uint32)
    names: dict[int, dict[int, int]] = defaultdict(dict)
    segments = numbers if graph.segments is None else graph.segments
    for frame, segment, number in zip(graph.frames.tolist(), segments.tolist(), numbers.tolist(), strict=True):
        if frame >= len(whole) or segment in names[frame]:
            raise FileError(
                f"Object {segment} of frame {frame} has two nodes, or no such frame.", "Give the labels of the movie."
            )
        names[frame][segment] = number
    for frame, some in names.items():
        out[frame] = renumbered(whole[frame].astype(np.uint32), some)
        lost = set(some.values()) - set(areas(out[frame])[0].tolist())
        if lost:
            raise FileError(
                f"The labels have no pixels for track {min(lost)} in frame {frame}.", "Give the labels of the movie."
            )
    return out


def _lineage(graph: _Graph, numbers: NDArray[np.int64]) -> Lineage:
    daughters: dict[int, tuple[int, ...]] = {}
    for first, second in numbers[graph.edges].tolist():
        if first != second:
            daughters[first] = (*daughters.get(first, ()), second)
    return Lineage(daughters)
