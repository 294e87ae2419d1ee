"""Tracks from files of TrackMate, the tracking plugin of Fiji."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from ...core import FileError, LineageError, Tracks
from ...core.box import Triple
from .drawing import Disc, draw, pick
from .trackmate_out import FEATURE

_AGAIN = "Save it again with TrackMate."


@dataclass(slots=True)
class _Spot:
    about: dict[str, str]
    text: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _File:
    """What was met while the file was read; files of long movies are too large to be held as a tree."""

    root: str = ""
    image: dict[str, str] = field(default_factory=dict)
    spots: dict[str, _Spot] = field(default_factory=dict)
    edges: list[tuple[str, str, str]] = field(default_factory=list)  # track, source, target
    filtered: set[str] | None = None  # tracks that were not filtered out
    _track: str = ""
    _open: _Spot | None = None

    def begin(self, tag: str, about: dict[str, str]) -> None:
        self.root = self.root or tag
        if tag == "Spot":
            self._open = self.spots[about["ID"]] = _Spot(about)
        elif tag == "Track":
            self._track = about["TRACK_ID"]
        elif tag == "Edge":
            self.edges.append((self._track, about["SPOT_SOURCE_ID"], about["SPOT_TARGET_ID"]))
        elif tag == "FilteredTracks":
            self.filtered = set()
        elif tag == "TrackID" and self.filtered is not None:
            self.filtered.add(about["TRACK_ID"])
        elif tag == "ImageData":
            self.image = about

    def read(self, text: str) -> None:
        if self._open is not None:
            self._open.text.append(text)

    def end(self, tag: str) -> None:
        if tag == "Spot":
            self._open = None

    def refuse(self, *_: object) -> None:
        # Entities can be made to fill the memory, or to read other files; TrackMate writes none.
        raise ValueError("it defines a document type of its own")


def read_trackmate(path: Path, *, shape: Triple | None = None, labels: NDArray[np.integer] | None = None) -> Tracks:
    """Read the visible spots and tracks of a TrackMate file; a spot without links is a track of one frame.

    Spots become their outlines, or discs of their radius, in a movie of ``shape`` (frames, h, w), by default that of
    the file's image; or the pixels of ``labels`` (frames, h, w) under them. Tracks have the numbers that they had when
    we wrote the file, as long as its links are the same, or else are numbered from 1. Raises FileError.
    """
    file = _parse(path)
    try:
        spots, edges = _visible(file)
        discs = [_disc(file.spots[key], number, file.image) for number, key in enumerate(spots, start=1)]
        size = shape or _shape(file.image, discs)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise FileError(f"{path} has a spot, an edge or an image that cannot be read ({error!r}).", _AGAIN) from error
    if len({file.spots[key].about.get("POSITION_Z", "0") for key in spots}) > 1:
        raise FileError(f"{path} has spots in several planes z.", "Track one plane, or a projection.")
    own = dict(zip(spots, discs, strict=True))
    links = []
    for source, target in edges:
        first, second = sorted((one.frame, one.number) for one in (own[source], own[target]))
        links.append((first, second))
    objects = draw(discs, size) if labels is None else pick(discs, labels)
    try:
        tracks = Tracks.from_links(objects, links)
    except LineageError as error:
        raise FileError(f"{path} holds other links than tracks. {error.what}", f"{error.remedy} Or cut it.") from error
    return _former(tracks, discs, [file.spots[key] for key in spots], objects)


def _parse(path: Path) -> _File:
    found = _File()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = found.begin, found.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = found.read, found.refuse
    try:
        with path.open("rb") as data:
            parser.ParseFile(data)
    except FileNotFoundError as error:
        raise FileError(f"There is no file {path}.", "Check the name and the folder.") from error
    except (OSError, expat.ExpatError, ValueError, KeyError) as error:
        raise FileError(f"{path} is not a file of TrackMate ({error}).", _AGAIN) from error
    if found.root != "TrackMate":
        raise FileError(
            f"{path} is not a file of TrackMate, but of {found.root}.",
            "Save the tracks with TrackMate's button Save, not as an export.",
        )
    return found


def _visible(file: _File) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the spots and edges of tracks that were not filtered out, and of spots without track."""
    shown = [one for one in file.edges if file.filtered is None or one[0] in file.filtered]
    linked = {spot for _, *ends in shown for spot in ends}
    hidden = {spot for _, *ends in file.edges for spot in ends} - linked
    hidden |= {key for key, one in file.spots.items() if one.about.get("VISIBILITY") in ("0", "0.0")} - linked
    lost = linked - set(file.spots)
    if lost:
        raise KeyError(min(lost))
    return [key for key in file.spots if key not in hidden], [(source, target) for _, source, target in shown]


def _disc(spot: _Spot, number: int, image: dict[str, str]) -> Disc:
    """Return a spot in pixels, from its place in units of the calibration."""
    about = spot.about
    unit = np.array([float(image.get("pixelheight", 1)), float(image.get("pixelwidth", 1))])
    place = np.array([float(about["POSITION_Y"]), float(about["POSITION_X"])])
    radius = float(about["RADIUS"]) / math.sqrt(unit.prod())
    outline, count = None, int(about.get("ROI_N_POINTS", 0))
    if count > 2:
        points = np.array("".join(spot.text).split(), np.float64).reshape(count, -1)[:, 1::-1]
        outline = (points + place) / unit + 0.5
    y, x = (place / unit + 0.5).tolist()
    values = [y, x, radius] if outline is None else [y, x, radius, *outline.ravel().tolist()]
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"spot {about['ID']} is at no place")
    return Disc(int(float(about["FRAME"])), number, y, x, radius, outline)


def _shape(image: dict[str, str], discs: list[Disc]) -> Triple | None:
    height, width = (int(image.get(name, 0)) for name in ("height", "width"))
    if not height or not width:
        return None
    return max([int(image.get("nframes", 0)), *(one.frame + 1 for one in discs)]), height, width


def _former(tracks: Tracks, discs: list[Disc], spots: list[_Spot], objects: NDArray[np.uint32]) -> Tracks:
    """Return tracks with the numbers that their spots carry, where those say the same as the links."""
    try:
        carried = {
            (disc.frame, disc.number): int(float(one.about[FEATURE])) for disc, one in zip(discs, spots, strict=True)
        }
    except (KeyError, ValueError):
        return tracks
    names: dict[int, set[int]] = defaultdict(set)
    for frame, plane in enumerate(objects):
        numbers, first = np.unique(plane, return_index=True)
        for number, track in zip(numbers.tolist(), tracks.labels[frame].ravel()[first].tolist(), strict=True):
            if number:
                names[track].add(carried[frame, number])
    single = {track: min(some) for track, some in names.items() if len(some) == 1 and min(some) > 0}
    if len(single) < len(tracks.present) or len(set(single.values())) < len(single):
        return tracks
    return tracks.renamed(single)
