"""annotate_3d: click objects out of a volume."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core import ImageError
from .base import Annotator
from .beginning import begin_with
from .inputs import read_input
from .opening import open_annotator
from .settings import AnnotatorSettings

if TYPE_CHECKING:
    from ..engine import Model


def annotate_3d(
    image: Any,
    *,
    axes: str = "",
    name: str = "",
    model: Model | str | os.PathLike[str] = "nano",
    device: str = "auto",
    embeddings: str | os.PathLike[str] | None = None,
    labels: Any = None,
    project: str | os.PathLike[str] | bool | None = None,
    settings: AnnotatorSettings | Mapping[str, Any] | None = None,
) -> Annotator:
    """Show the volume ``image`` plane by plane, and segment what is clicked through all planes.

    ``image``: the path of a file or zarr folder, an array (z, y, x) or (z, y, x, channel) of any real dtype (numpy,
    dask, zarr, a TIFF of tifffile), or an ``Image``; what lies on disk is read plane by plane. ``axes``: "zyx" or
    "zyxc" where the guess is wrong. The voxel size is taken from the file; an ``Image`` can be given another one.
    The other arguments are those of ``annotate_2d``.
    Raises ImageError, FileError, LabelError, ModelError, SettingsError or ProjectError with the remedy.
    """
    shown = read_input(image, axes, name)
    if shown.axes[0] == "t":
        raise ImageError(
            f"annotate_3d shows volumes, but {shown.name} has time as its first axis ({shown.axes}).",
            "Open it with annotate_tracks(image), or say axes='zyx' if its first axis is z.",
        )
    if shown.axes[0] == "y":
        raise ImageError(
            f"annotate_3d shows volumes, but the image has axes {shown.axes!r} and shape {shown.pixels.shape}.",
            "Open it with annotate_2d(image), or say axes='zyx' if its first axis is z.",
        )
    return open_annotator(
        shown,
        model=model,
        device=device,
        embeddings=embeddings,
        first=begin_with(labels, shown),
        project=project,
        settings=settings,
    )
