"""Tracks as a file of TrackMate, the tracking plugin of Fiji (version 7 and later): spots with outlines, and edges.

TrackMate's coordinates are in units of the image's calibration, and the middle of the first pixel is 0, 0.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from ...core import Tracks, VoxelSize
from ...core.tracks import middles, renumbered
from ..replacing import replacing

#: Spots carry the number of their track, which TrackMate itself does not keep, as a feature of this name.
FEATURE = "MICROSAM_TRACK"
_SPOT = (
    ("QUALITY", "QUALITY"), ("POSITION_X", "POSITION"), ("POSITION_Y", "POSITION"), ("POSITION_Z", "POSITION"),
    ("POSITION_T", "TIME"), ("FRAME", "NONE"), ("RADIUS", "LENGTH"), ("VISIBILITY", "NONE"), (FEATURE, "NONE"),
)  # fmt: skip
_EDGE = (("SPOT_SOURCE_ID", "NONE"), ("SPOT_TARGET_ID", "NONE"), ("LINK_COST", "COST"))
_TRACK = (("TRACK_INDEX", "NONE"), ("TRACK_ID", "NONE"), ("NUMBER_SPOTS", "NONE"))
_WHOLE = ("FRAME", "VISIBILITY", FEATURE, "SPOT_SOURCE_ID", "SPOT_TARGET_ID", *(name for name, _ in _TRACK))


def write_trackmate(path: Path, tracks: Tracks, *, image: Path | None = None, voxel: VoxelSize | None = None) -> Path:
    """Write tracks as TrackMate XML; return the path. ``image`` is the movie that TrackMate opens with them.

    ``voxel`` is the movie's calibration; without it a pixel is one unit. An outline is that of an object's largest
    part, without holes. Raises FileError.
    """
    rows = tracks.places()
    ids = {(int(track), int(frame)): spot for spot, (track, frame) in enumerate(rows[:, :2])}
    with replacing(path) as part, part.open("w", encoding="utf-8") as lines:
        for line in _lines(tracks, ids, image, voxel or VoxelSize(None, 1.0, 1.0, "pixel")):
            lines.write(line + "\n")
    return path


def _lines(tracks: Tracks, ids: dict[tuple[int, int], int], image: Path | None, voxel: VoxelSize) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<TrackMate version="7.11.1">'
    yield f'<Model spatialunits={quoteattr(voxel.unit)} timeunits="frame"><FeatureDeclarations>'
    for kind, features in (("Spot", _SPOT), ("Edge", _EDGE), ("Track", _TRACK)):
        yield f"<{kind}Features>"
        for name, dimension in features:
            about = f'feature="{name}" name="{name}" shortname="{name}" dimension="{dimension}"'
            yield f'<Feature {about} isint="{str(name in _WHOLE).lower()}" />'
        yield f"</{kind}Features>"
    yield f'</FeatureDeclarations><AllSpots nspots="{len(ids)}">'
    for frame, plane in enumerate(tracks.labels):
        yield f'<SpotsInFrame frame="{frame}">'
        yield from _spots(frame, plane, ids, voxel)
        yield "</SpotsInFrame>"
    yield "</AllSpots><AllTracks>"
    families = _families(tracks)
    for index, edges in enumerate(families):
        count = len({spot for edge in edges for spot in edge})
        yield f'<Track name="Track_{index}" TRACK_INDEX="{index}" TRACK_ID="{index}" NUMBER_SPOTS="{count}">'
        for source, target in edges:
            yield f'<Edge SPOT_SOURCE_ID="{ids[source]}" SPOT_TARGET_ID="{ids[target]}" LINK_COST="-1.0" />'
        yield "</Track>"
    yield "</AllTracks><FilteredTracks>"
    for index in range(len(families)):
        yield f'<TrackID TRACK_ID="{index}" />'
    yield "</FilteredTracks></Model>"
    yield from _settings(tracks.labels.shape, image, voxel)
    yield '<GUIState state="ConfigureViews" />'
    yield "</TrackMate>"


def _spots(frame: int, plane: NDArray[np.uint32], ids: dict[tuple[int, int], int], voxel: VoxelSize) -> Iterator[str]:
    numbers, sizes, places = middles(plane)
    boxes = ndimage.find_objects(renumbered(plane, {track: n for n, track in enumerate(numbers.tolist(), start=1)}))
    rows = zip(numbers.tolist(), sizes.tolist(), places.tolist(), boxes, strict=True)
    for track, area, (y, x), box in rows:
        middle = np.array([y - 0.5, x - 0.5])
        outline = (_outline(plane[box] == track) + [one.start for one in box] - middle) * [voxel.y, voxel.x]
        spot, radius = ids[track, frame], math.sqrt(area / math.pi * voxel.y * voxel.x)
        points = " ".join(f"{x:.7g} {y:.7g}" for y, x in outline.tolist())
        yield (
            f'<Spot ID="{spot}" name="ID{spot}" QUALITY="{area}" POSITION_X="{middle[1] * voxel.x:.6f}" '
            f'POSITION_Y="{middle[0] * voxel.y:.6f}" POSITION_Z="0.0" POSITION_T="{frame}" FRAME="{frame}" '
            f'RADIUS="{radius:.6f}" VISIBILITY="1" {FEATURE}="{track}" ROI_N_POINTS="{len(outline)}">{points}</Spot>'
        )


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the corners (n, 2) of the largest part of a mask, as (y, x) where the first pixel's middle is 0, 0."""
    parts, _ = ndimage.label(mask, np.ones((3, 3)))
    largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    whole = np.pad(ndimage.binary_fill_holes(largest), 1)
    corners = np.asarray(find_contours(whole.astype(np.float64), 0.5, fully_connected="high")[0][:-1], np.float64) - 1
    before, after = corners - np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0) - corners
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    kept: NDArray[np.float64] = corners[turns]  # those within a straight line say nothing
    return kept


def _families(tracks: Tracks) -> list[list[tuple[tuple[int, int], tuple[int, int]]]]:
    """Return the edges, from (track, frame) to (track, frame), of every root and its descendants, where it has some."""
    edges: dict[int, list[tuple[tuple[int, int], tuple[int, int]]]] = defaultdict(list)
    spans = tracks.spans
    for root in tracks.lineage.roots:
        for track in (root, *tracks.lineage.descendants(root)):
            edges[root] += [((track, a), (track, b)) for a, b in pairwise(tracks.present[track])]
            edges[root] += [((track, spans[track][1]), (d, spans[d][0])) for d in tracks.lineage.children(track)]
    return [some for some in edges.values() if some]


def _settings(shape: tuple[int, ...], image: Path | None, voxel: VoxelSize) -> Iterator[str]:
    """TrackMate does not open files in which one of these is missing."""
    frames, height, width = shape
    name, folder = ("", "") if image is None else (image.name, str(image.resolve().parent))
    yield "<Settings>"
    yield (
        f'<ImageData filename={quoteattr(name)} folder={quoteattr(folder)} width="{width}" height="{height}" '
        f'nslices="1" nframes="{frames}" pixelwidth="{voxel.x}" pixelheight="{voxel.y}" voxeldepth="1.0" '
        'timeinterval="1.0" />'
    )
    yield f'<BasicSettings xstart="0" xend="{width - 1}" ystart="0" yend="{height - 1}" zstart="0" zend="0" '
    yield f'tstart="0" tend="{frames - 1}" />'
    yield '<DetectorSettings DETECTOR_NAME="MANUAL_DETECTOR" RADIUS="5.0" />'
    yield '<InitialSpotFilter feature="QUALITY" value="0.0" isabove="true" />'
    yield '<SpotFilterCollection /><TrackerSettings TRACKER_NAME="MANUAL_TRACKER" /><TrackFilterCollection />'
    yield "<AnalyzerCollection><SpotAnalyzers /><EdgeAnalyzers /><TrackAnalyzers /></AnalyzerCollection>"
    yield "</Settings>"
