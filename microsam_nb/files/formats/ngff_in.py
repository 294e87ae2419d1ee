"""Labels of zarr and OME-Zarr."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...core import FileError, ObjectInfo
from ...core.box import Triple
from ...core.labels import as_labels
from ..volumes import open_image
from .found import Objects, fitted, score_of


def read_ngff(path: Path, shape: Triple) -> Objects:
    """Read labels of an image of ``shape`` (planes, h, w) from zarr; of an OME-Zarr image its only ``labels``.

    Raises FileError or LabelError.
    """
    import zarr

    try:
        about = _about(zarr.open(path, mode="r"))
        if "multiscales" in about and "image-label" not in about and (path / "labels").is_dir():
            inside = zarr.open(path / "labels", mode="r")
            names = sorted(str(one) for one in _about(inside).get("labels", ()))
            if len(names) != 1:
                said = f"the labels {', '.join(names)}" if names else "no labels"
                raise FileError(
                    f"{path} has {said}.", f"Name some, such as {path.name}/labels/{(names or ['cells'])[0]}."
                )
            path = path / "labels" / names[0]
            about = _about(zarr.open(path, mode="r"))
    except FileError:
        raise
    except Exception as error:  # stores and codecs have no common base error
        raise FileError(f"{path} cannot be read as zarr ({error}).", "Check that it is complete.") from error
    labels = as_labels(fitted(np.asarray(open_image(path)[...]), shape, path.name)).reshape(shape)
    infos = {}
    for one in about.get("image-label", {}).get("properties") or ():
        info = ObjectInfo(score_of(one.get("score")), str(one.get("name", "")), str(one.get("class", "")))
        if info != ObjectInfo():
            infos[int(one["label-value"])] = info
    return Objects(labels, infos)


def _about(node: Any) -> Mapping[str, Any]:
    """Return what OME-Zarr of any version says of an array or group."""
    attributes = dict(node.attrs)
    found = attributes.get("ome", attributes)
    return found if isinstance(found, Mapping) else {}
