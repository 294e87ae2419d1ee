"""Labels as OME-Zarr: by themselves, or among the labels of an OME-Zarr image.

Written with smaller copies of themselves, the size of a pixel, and a colour and what is said for every object. Those of
an image of version 0.4 (zarr 2) are of that version, all others are 0.5.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...core import FileError, ObjectInfo
from ..folders import replacing_folder
from ..volumes import is_zarr
from ..voxels import UNITS
from .results import Results, colour_of

#: Height and width of a chunk.
_SIDE = 512
#: Levels end when a plane fits into this.
_SMALL = 256
_WRITER = "microsam_nb"


def write_ngff(path: Path, results: Results, name: str = "objects") -> Path:
    """Write the labels and return their folder: ``path``, or labels/NAME in it where that is an OME-Zarr image.

    Only labels that were written by this are replaced. Raises FileError.
    """
    # A sixth of a second.
    import zarr

    image = _attributes(path)
    if "multiscales" not in image.get("ome", image) or _is_ours(path):
        with replacing_folder(path, _is_ours) as part:
            _write(part, results, path.name.split(".")[0] or name, 3)
        return path
    version: Literal[2, 3] = 3 if "ome" in image else 2
    where = path / "labels" / name
    with replacing_folder(where, _is_ours) as part:
        _write(part, results, name, version, source="../../")
    try:
        group = zarr.open_group(path / "labels", mode="a", zarr_format=version)
        about: Any = group.attrs.get("ome", {"version": "0.5"}) if version == 3 else dict(group.attrs)
        about["labels"] = sorted({*about.get("labels", ()), name})
        group.attrs.update({"ome": about} if version == 3 else about)
        if zarr.open_group(path, mode="r").metadata.consolidated_metadata is not None:
            with warnings.catch_warnings():
                # That it is not part of the format is known to who wrote it so.
                warnings.simplefilter("ignore", zarr.errors.ZarrUserWarning)
                zarr.consolidate_metadata(path, zarr_format=version)
    except OSError as error:
        raise FileError(
            f"{path} cannot be written ({error.strerror or error}).",
            "Choose a folder that you may write to and that has space left.",
        ) from error
    return where


def _write(folder: Path, results: Results, name: str, version: Literal[2, 3], source: str = "") -> None:
    """Write all levels into an empty folder, plane by plane."""
    import numcodecs
    import zarr

    group = zarr.open_group(folder, mode="w", zarr_format=version)
    planes, height, width = results.shape
    kind = np.uint16 if results.largest() < 2**16 else np.uint32
    form: dict[str, Any] = {"dimension_names": list(_axes(results))}
    if version == 2:
        form = {"compressors": numcodecs.Blosc(), "chunk_key_encoding": {"name": "v2", "separator": "/"}}
    levels: list[Any] = []
    while not levels or max(-(-height // 2 ** (len(levels) - 1)), -(-width // 2 ** (len(levels) - 1))) > _SMALL:
        sides = -(-height // 2 ** len(levels)), -(-width // 2 ** len(levels))
        shape = sides if results.flat else (planes, *sides)
        chunks = (*(1,) * (len(shape) - 2), *(max(1, min(side, _SIDE)) for side in sides))
        levels.append(
            group.create_array(str(len(levels)), shape=shape, dtype=kind, chunks=chunks, fill_value=0, **form)
        )
    numbers: set[int] = set()
    for index in range(planes):
        plane = results.plane(index)
        numbers.update(results.numbers(index))
        for i, level in enumerate(levels):
            level[... if results.flat else index] = plane[:: 2**i, :: 2**i].astype(kind)
    about: dict[str, Any] = {
        "multiscales": [_multiscales(results, name, len(levels))],
        "image-label": {
            "colors": [{"label-value": n, "rgba": [*colour_of(n), 255]} for n in sorted(numbers)],
            **_properties(results, numbers),
            **({"source": {"image": source}} if source else {}),
        },
    }
    if version == 3:
        group.attrs["ome"] = {"version": "0.5", **about}
    else:
        group.attrs.update({key: _dated(value) for key, value in about.items()})


def _axes(results: Results) -> str:
    return "yx" if results.flat else "tyx" if results.movie else "zyx"


def _multiscales(results: Results, name: str, levels: int) -> dict[str, Any]:
    voxel = results.voxel or (results.image.voxel_size if results.image is not None else None)
    names = _axes(results)
    sizes = {name: (getattr(voxel, name, None) or 1.0) if voxel is not None else 1.0 for name in names}
    axes: list[dict[str, str]] = [{"name": name, "type": "time" if name == "t" else "space"} for name in names]
    for one in axes:
        if voxel is not None and one["name"] != "t":
            one["unit"] = UNITS.get(voxel.unit, voxel.unit)
    datasets = [
        {
            "path": str(i),
            "coordinateTransformations": [
                {"type": "scale", "scale": [sizes[n] * (2**i if n in "yx" else 1) for n in names]}
            ],
        }
        for i in range(levels)
    ]
    return {
        "name": name, "axes": axes, "datasets": datasets, "type": "nearest", "metadata": {"writer": _WRITER},
    }  # fmt: skip


def _properties(results: Results, numbers: set[int]) -> dict[str, Any]:
    """Return what is said of objects that are there."""
    out: list[dict[str, Any]] = []
    for number in sorted(numbers):
        info = results.infos.get(number, ObjectInfo())
        said = {"name": info.name, "class": info.category, "score": info.score}
        out.append({"label-value": number, **{key: value for key, value in said.items() if value not in ("", None)}})
    # Either all colours have properties or none.
    return {"properties": out} if any(len(one) > 1 for one in out) else {}


def _dated(value: Any) -> Any:
    """Version 0.4 says so in every part."""
    return [{"version": "0.4", **one} for one in value] if isinstance(value, list) else {"version": "0.4", **value}


def _attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a zarr group, none where there is no such."""
    import zarr

    if not (path.is_dir() and is_zarr(path)):
        return {}
    try:
        found = zarr.open(path, mode="r")
    except Exception:  # noqa: BLE001 - whatever it is, it is no labels of ours, and stays there
        return {}
    return dict(found.attrs) if isinstance(found, zarr.Group) else {}


def _is_ours(path: Path) -> bool:
    about = _attributes(path)
    about = about.get("ome", about)
    scales = about.get("multiscales") or [{}]
    return "image-label" in about and (scales[0].get("metadata") or {}).get("writer") == _WRITER
