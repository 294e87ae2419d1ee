"""annotate_2d: click objects out of an image."""

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


def annotate_2d(
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
    """Show ``image`` and segment what is clicked.

    ``image``: the path of a file or zarr folder, an array (y, x) or (y, x, channel) of any real dtype (numpy, dask,
    zarr, a TIFF of tifffile, a picture of PIL), or an ``Image``. ``axes``: "yx" or "yxc" where the guess is wrong.
    ``model``: a name such as "nano" or "vit_b_lm", a checkpoint file, or a loaded model. ``embeddings``: the store that
    the command ``embed`` made with that model, a folder or an address (https:// is only read); what it lacks is
    computed. ``labels``: objects to begin with, an array or the path of one; a project that holds work already keeps
    its own, so that the same cell goes on where it was left. ``project``: the folder that keeps the work, opened again
    if it is there; by default NAME-HASH.msam in the working folder, False for none. ``settings``: how a new annotation
    begins, ``AnnotatorSettings`` or a dict of some of them.
    Raises ImageError, FileError, LabelError, ModelError, SettingsError or ProjectError with the remedy.
    """
    shown = read_input(image, axes, name)
    if shown.shape[0] != 1 or shown.axes[0] != "y":
        door = "movie with annotate_tracks" if shown.axes[0] == "t" else "volume with annotate_3d"
        raise ImageError(
            f"annotate_2d shows one plane, but the image has axes {shown.axes!r} and shape {shown.pixels.shape}.",
            f"Open a {door}(image), pass one plane, for example annotate_2d(volume[0]), or say axes='yxc' if the last "
            "axis is colour.",
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
