"""ROIs of ImageJ and Fiji: a .zip of them, or one .roi.

Every object is one ROI per plane it lies in; holes and several parts make it a composite one. ROIs may overlap. Its
number, class and score are among the properties of the ROI, the class is its group too.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import roifile

from ...core import FileError, ObjectInfo
from ...core.box import Triple
from ..replacing import replacing
from .filling import fill
from .found import Found, score_of
from .outlines import Part, Ring
from .results import Outlined, Results, category_colours

#: The largest coordinate that ImageJ reads.
_FARTHEST = 60_535
#: The highest number of a group in ImageJ.
_GROUPS = 255
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0
_CORNERS = 180  # of an oval
_ENCLOSING = (roifile.ROI_TYPE.POLYGON, roifile.ROI_TYPE.FREEHAND, roifile.ROI_TYPE.TRACED)


def write_rois(path: Path, results: Results) -> None:
    """Write all objects as a .zip, or the only one as a .roi. Raises FileError."""
    if max(results.shape[1:]) > _FARTHEST:
        raise FileError(f"ROIs reach to pixel {_FARTHEST} only.", "Save as .geojson or .tif.")
    groups = {name: i for i, name in enumerate(_classes(results), start=1)}
    shapes = (one for plane in range(results.shape[0]) for one in results.outlines(plane))
    with replacing(path) as part:
        if path.suffix.lower() == ".roi":
            some = list(shapes)
            if len(some) != 1:
                raise FileError(f"A .roi holds one outline, not {len(some)}.", "Save as .zip.")
            part.write_bytes(_roi(some[0], some[0].name, results, groups).tobytes())
            return
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
            taken: set[str] = set()
            for one in shapes:
                name = _name(one, results, taken)
                file.writestr(f"{name}.roi", _roi(one, name, results, groups).tobytes())


def read_rois(path: Path, shape: Triple) -> Iterator[Found]:
    """Yield what ROIs of closed shapes enclose in an image of ``shape`` (planes, h, w); lines and points do not count.

    A ROI that belongs to no plane lies in the first. Raises FileError.
    """
    try:
        read = roifile.roiread(path)
    except Exception as error:  # the reader has no common base error
        raise FileError(f"{path} cannot be read as ROIs ({error}).", "Save them again in the ROI Manager.") from error
    rois = [read] if isinstance(read, roifile.ImagejRoi) else read
    places = [max(0, (roi.position or roi.z_position or roi.t_position) - 1) for roi in rois]
    if shape[0] == 1 and len(set(places)) == 1:
        # On one picture this was the channel that was shown.
        places = [0] * len(rois)
    for roi, plane in zip(rois, places, strict=True):
        parts = _parts(roi)
        about = roi.properties
        if not parts or "candidate" in about:
            continue
        number = _whole(about.get("label"))
        # A number is no name.
        name = str(about.get("name", "" if number else roi.name)).strip()
        info = ObjectInfo(
            score_of(about.get("score")),
            "" if name.isdecimal() else name,
            str(about.get("class", "")),
        )
        yield Found(number, fill(parts, plane, shape), info)


def _classes(results: Results) -> list[str]:
    return list(category_colours([one.category for one in results.infos.values()]))[:_GROUPS]


def _name(one: Outlined, results: Results, taken: set[str]) -> str:
    """Return a name for a file in the .zip, which ImageJ shows; one that is not there yet."""
    plain = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in one.name).strip(" .") or "_"
    if results.shape[0] > 1:
        plain = f"{plain}-{one.plane + 1:04d}"
    name, count = plain, 1
    while name.casefold() in taken:
        name, count = f"{plain}-{one.number}" if count == 1 else f"{plain}-{one.number}-{count}", count + 1
    taken.add(name.casefold())
    return name


def _roi(one: Outlined, name: str, results: Results, groups: dict[str, int]) -> roifile.ImagejRoi:
    """Return the ROI of an outline.

    Its plane is said as the number of the picture in the stack: a place in z or t as well would make ImageJ forget it
    where a stack is not a hyperstack.
    """
    roi = _outline(one.parts)
    roi.name = _basic(name)
    roi.position = one.plane + 1 if results.shape[0] > 1 else 0
    roi.group = groups.get(one.info.category, 0)
    about = {"candidate" if one.origin else "label": str(one.number)}
    for key, value in (("name", one.info.name), ("class", one.info.category), ("score", one.info.score)):
        if value not in ("", None):
            about[key] = " ".join(_basic(str(value)).split())
    roi.props = "".join(f"{key}: {value}\n" for key, value in sorted(about.items()))
    return roi


def _outline(parts: list[Part]) -> roifile.ImagejRoi:
    first = parts[0][0].astype(np.int64)[:, ::-1]
    if len(parts) == 1 and len(parts[0]) == 1:
        roi = roifile.ImagejRoi.frompoints(first, name="_")
        roi.roitype = roifile.ROI_TYPE.TRACED  # as made by the wand: along the edges of pixels
        # The corners are edges already.
        roi.right, roi.bottom = (int(n) for n in first.max(axis=0))
        return roi
    roi = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT)
    corners = np.concatenate([part[0] for part in parts]).astype(np.int64)
    (roi.top, roi.left), (roi.bottom, roi.right) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    roi.multi_coordinates = np.concatenate([_path(ring) for part in parts for ring in part])
    roi.shape_roi_size = len(roi.multi_coordinates)
    return roi


def _path(ring: Ring) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    steps = np.empty((len(ring), 3), np.float32)
    steps[:, 0], steps[:, 1:] = _LINE, ring[:, ::-1]
    steps[0, 0] = _MOVE
    return np.append(steps.ravel(), np.float32(_CLOSE))


def _parts(roi: roifile.ImagejRoi) -> list[list[Ring]]:
    """Return the lines of a ROI, (y, x), as one part; nothing for lines, points and texts."""
    flat = roi.subtype in (roifile.ROI_SUBTYPE.TEXT, roifile.ROI_SUBTYPE.ARROW, roifile.ROI_SUBTYPE.IMAGE)
    if roi.roitype == roifile.ROI_TYPE.OVAL and not flat:
        angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
        middle, reach = np.array([roi.top + roi.bottom, roi.left + roi.right]), np.array([roi.bottom, roi.right])
        return [[middle / 2 + (reach - middle / 2) * np.stack([np.sin(angles), np.cos(angles)], axis=1)]]
    closed = roi.composite or roi.roitype in (*_ENCLOSING, roifile.ROI_TYPE.RECT)
    if not closed or flat:
        return []
    rings = [np.asarray(one, np.float64)[:, ::-1] for one in roi.coordinates(multi=True)]
    rings = [ring for ring in rings if len(ring) > 2]
    return [rings] if rings else []


def _basic(text: str) -> str:
    """Return a text without characters that take two places in UTF-16, which roifile miscounts."""
    return "".join(c if ord(c) < 0x10000 else "\ufffd" for c in text)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and 0 < value < 2**32 else 0
