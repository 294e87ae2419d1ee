"""Instances of COCO: one image per plane, one annotation per object and plane, its class as the category.

Polygons, which fill to exactly the pixels, or runs of pixels where an object has holes, which polygons of COCO cannot
have. Annotations may overlap. Beyond the standard are the number of the object (``label``), its ``name`` and ``score``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import FileError, Mask, ObjectInfo
from ...core.box import Triple
from ..replacing import replacing
from .filling import fill
from .found import Found, score_of
from .outlines import area
from .results import Outlined, Results

#: The category of objects without class.
_PLAIN = "object"


def write_coco(path: Path, results: Results) -> None:
    """Write all objects and candidates. Raises FileError."""
    planes, height, width = results.shape
    names = sorted({one.category or _PLAIN for one in results.infos.values()} | {_PLAIN})
    categories = {name: i for i, name in enumerate(names, start=1)}
    called = results.image.name if results.image is not None else "image"
    images = [
        {"id": i + 1, "file_name": called if results.flat else f"{called}[{i}]", "width": width, "height": height}
        for i in range(planes)
    ]
    head = {
        "info": {"description": "objects of microsam_nb"}, "licenses": [], "images": images,
        "categories": [{"id": n, "name": name, "supercategory": ""} for name, n in categories.items()],
    }  # fmt: skip
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "annotations": [')
        count = 0
        for plane in range(planes):
            for one in results.outlines(plane):
                count += 1
                line = {"id": count, **_annotation(one, categories, (height, width))}
                file.write((",\n" if count > 1 else "\n") + json.dumps(line, ensure_ascii=False, separators=(",", ":")))
        file.write("\n]}\n")


def read_coco(content: Mapping[str, Any], shape: Triple, name: str = "") -> Iterator[Found]:
    """Yield the annotations of an image of ``shape`` (planes, h, w); of the image ``name`` where there are several.

    ``content`` is what the file holds. Raises FileError, and what Python raises for content of another form.
    """
    categories = {one["id"]: str(one["name"]) for one in content.get("categories", ())}
    planes = _planes(content["images"], shape, name)
    for one in content["annotations"]:
        if one["image_id"] in planes and not one.get("candidate"):
            mask = _mask(one["segmentation"], planes[one["image_id"]], shape)
            category = categories.get(one.get("category_id"), "")
            info = ObjectInfo(
                score_of(one.get("score")), str(one.get("name", "")), "" if category == _PLAIN else category
            )
            yield Found(int(one.get("label", 0)), mask, info)


def _annotation(one: Outlined, categories: Mapping[str, int], size: tuple[int, int]) -> dict[str, Any]:
    corners = np.concatenate([part[0] for part in one.parts]).astype(np.int64)
    (y0, x0), (y1, x1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    segmentation: Any = [part[0][:, ::-1].astype(np.int64).ravel().tolist() for part in one.parts]
    if any(len(part) > 1 for part in one.parts):
        segmentation = {"counts": _runs(fill(one.parts, 0, (1, *size)), size), "size": list(size)}
    out: dict[str, Any] = {
        "image_id": one.plane + 1, "category_id": categories[one.info.category or _PLAIN], "iscrowd": 0,
        "area": area(one.parts), "bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": segmentation,
    }  # fmt: skip
    out |= {"candidate": one.origin} if one.origin else {"label": one.number}
    out |= {"name": one.info.name} if one.info.name else {}
    return out | ({} if one.info.score is None else {"score": one.info.score})


def _runs(mask: Mask, size: tuple[int, int]) -> list[int]:
    """Return how many pixels, down the columns of an image, are outside, inside, outside ... of a mask."""
    (_, top, left), bitmap = mask.start, mask.bitmap[0]
    x, y = np.nonzero(np.pad(bitmap, ((0, 1), (0, 0))).T)
    places = (x + left) * size[0] + y + top
    breaks = np.flatnonzero(np.diff(places) != 1)
    starts, stops = places[np.append(0, breaks + 1)], places[np.append(breaks, len(places) - 1)] + 1
    edges = np.stack([starts, stops], axis=1).ravel()
    out: list[int] = np.diff(np.concatenate([[0], edges, [size[0] * size[1]]])).tolist()
    return out


def _mask(segmentation: Any, plane: int, shape: Triple) -> Mask:
    if isinstance(segmentation, Mapping):
        height, width = (int(n) for n in segmentation["size"])
        counts = segmentation["counts"]
        runs = np.asarray(_unpacked(counts) if isinstance(counts, str) else counts, np.int64)
        if (height, width) != shape[1:] or runs.sum() != height * width or (runs < 0).any():
            raise ValueError("the runs of an annotation do not fit its image")
        # Only the columns that the object lies in: there may be thousands of objects.
        stops = np.cumsum(runs)
        inside = np.flatnonzero((np.arange(len(runs)) % 2 == 1) & (runs > 0))
        if not len(inside):
            return Mask((0, 0, 0), np.zeros((0, 0, 0), bool))
        first, last = (stops[inside[0]] - runs[inside[0]]) // height, (stops[inside[-1]] - 1) // height
        ends = np.clip(stops, first * height, (last + 1) * height)
        flat = np.repeat(np.arange(len(runs)) % 2 == 1, np.diff(ends, prepend=first * height))
        return Mask.crop(flat.reshape(-1, height).T, (plane, 0, int(first)))
    parts = [[np.asarray(line, np.float64).reshape(-1, 2)[:, ::-1]] for line in segmentation if len(line) > 5]
    return fill(parts, plane, shape)


def _unpacked(text: str) -> NDArray[np.int64]:
    """Return the runs of a compressed mask: 5 bits per letter, each run less the last but one."""
    runs: list[int] = []
    value = shift = 0
    for letter in text.encode("ascii"):
        bits = letter - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return np.array(runs, np.int64)


def _planes(images: Sequence[Mapping[str, Any]], shape: Triple, name: str) -> dict[Any, int]:
    """Return the plane of every image that is meant, by its id."""
    fitting = [one for one in images if (one["height"], one["width"]) == shape[1:]]
    named = [one for one in fitting if name and name in (one["file_name"], Path(str(one["file_name"])).stem)]
    if shape[0] == 1 and named:
        fitting = named
    if len(fitting) != shape[0]:
        known = ", ".join(str(one["file_name"]) for one in images[:4])
        raise FileError(
            f"The file has {len(fitting)} images of {shape[1]} x {shape[2]} pixels, not {shape[0]} ({known} ...).",
            "Give a file for this image, or an image that is named as in the file.",
        )
    return {one["id"]: plane for plane, one in enumerate(fitting)}
