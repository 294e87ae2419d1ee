"""GeoJSON of QuPath: every object is an annotation with its class, name and measurements.

Polygons run along the edges of pixels and have holes; an object of a volume is one annotation per plane. They may
overlap. The number of an object is among the metadata, which QuPath keeps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...core import ObjectInfo
from ...core.box import Triple
from ..replacing import replacing
from .filling import fill
from .found import Found, score_of
from .outlines import Ring
from .results import Outlined, Results, category_colours

#: Columns of the table that are no measurements.
_OTHER = ("id", "name", "category", "plane", "y0", "x0", "y1", "x1")
#: The class of candidates.
_CANDIDATE = "candidate"


def write_geojson(path: Path, results: Results) -> None:
    """Write all objects and candidates. Raises FileError."""
    table = results.table()
    measured = {
        (line["id"], line["plane"]): {k: v for k, v in line.items() if k not in _OTHER}
        for line in table.to_dict("records")
    }
    classes = [one.category for one in results.infos.values()]
    colours = category_colours([*classes, _CANDIDATE] if results.candidates else classes)
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        between = "\n"
        for plane in range(results.shape[0]):
            for one in results.outlines(plane):
                numbers = {} if one.origin else measured.get((one.number, one.plane), {})
                feature = _feature(one, results, numbers, colours)
                file.write(between + json.dumps(feature, ensure_ascii=False, separators=(",", ":")))
                between = ",\n"
        file.write("\n]}\n")


def read_geojson(content: Any, shape: Triple) -> Iterator[Found]:
    """Yield the areas of a GeoJSON in an image of ``shape`` (planes, h, w); points and lines do not count.

    ``content`` is what the file holds. Raises what Python raises for content of another form.
    """
    for feature in content if isinstance(content, list) else content.get("features", [content]):
        yield from _found(feature, shape)


def _feature(
    one: Outlined, results: Results, numbers: Mapping[str, Any], colours: Mapping[str, tuple[int, int, int]]
) -> dict[str, Any]:
    polygons = [[_closed(ring) for ring in part] for part in one.parts]
    alone = len(polygons) == 1
    geometry: dict[str, Any] = {
        "type": "Polygon" if alone else "MultiPolygon", "coordinates": polygons[0] if alone else polygons,
    }  # fmt: skip
    if not results.flat:
        place = (0, one.plane) if results.movie else (one.plane, 0)
        geometry["plane"] = {"c": -1, "z": place[0], "t": place[1]}
    about: dict[str, Any] = {"objectType": "annotation", "name": one.name}
    category = _CANDIDATE if one.origin else one.info.category
    if category:
        about["classification"] = {"name": category, "color": list(colours[category])}
    measurements = {"score": one.info.score, **numbers} if one.info.score is not None else dict(numbers)
    about["measurements"] = {key: _plain(value) for key, value in measurements.items() if _known(value)}
    about["metadata"] = {"origin": one.origin} if one.origin else {"label": str(one.number)}
    return {"type": "Feature", "geometry": geometry, "properties": about}


def _closed(ring: Ring) -> list[list[int]]:
    corners: list[list[int]] = ring[:, ::-1].astype(np.int64).tolist()
    return [*corners, corners[0]]


def _found(feature: Mapping[str, Any], shape: Triple) -> Iterator[Found]:
    geometry = feature.get("geometry", feature) or {}
    about = feature.get("properties") or {}
    metadata = about.get("metadata") or {}
    if "origin" in metadata:
        return
    if geometry.get("type") not in ("Polygon", "MultiPolygon"):
        return
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    parts = [[np.asarray(ring, np.float64)[:, 1::-1] for ring in part] for part in polygons]
    where = geometry.get("plane") or {}
    # One of both is 0, or it would be no image of ours.
    plane = max(int(where.get("z", 0)), int(where.get("t", 0)), 0)
    label = str(metadata.get("label", ""))
    number = int(label) if label.isdecimal() and 0 < int(label) < 2**32 else 0
    yield Found(number, fill(parts, plane, shape), _info(about, number))


def _info(about: Mapping[str, Any], number: int) -> ObjectInfo:
    name = str(about.get("name") or "")
    measured = about.get("measurements") or {}
    if isinstance(measured, list):  # QuPath before 0.4
        measured = {one.get("name"): one.get("value") for one in measured}
    category = (about.get("classification") or {}).get("name") or ""
    return ObjectInfo(score_of(measured.get("score")), "" if name == str(number) else name, str(category))


def _known(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _plain(value: Any) -> float:
    """Return a number with as many digits as mean something."""
    return value if isinstance(value, int) else float(f"{value:.7g}")
