"""annotate_2d: click objects out of an image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..core import Image, ImageError, ProjectError
from ..engine.load import find_weights
from ..engine.models import Model
from ..files.volumes import open_image
from ..session import Project
from .base import Annotator, stem
from .service import EngineService


def annotate_2d(
    image: Any,
    *,
    axes: str = "",
    name: str = "",
    model: Model | str | os.PathLike[str] = "nano",
    device: str = "auto",
    project: str | os.PathLike[str] | bool | None = None,
) -> Annotator:
    """Show ``image`` and segment what is clicked.

    ``image``: an array (y, x) or (y, x, channel) of any real dtype, a path, or an ``Image``. ``axes``: "yx" or
    "yxc" where the guess is wrong. ``model``: "nano", a checkpoint file, or a loaded model. ``project``: the folder
    that keeps the work, opened again if it is there; by default NAME-HASH.msam in the working folder, False for none.
    Raises ImageError, FileError, ModelError or ProjectError with the remedy.
    """
    shown = _image(image, axes, name)
    if shown.shape[0] != 1 or shown.axes[0] != "y":
        raise ImageError(
            f"annotate_2d shows one plane, but the image has axes {shown.axes!r} and shape {shown.pixels.shape}.",
            "Pass one plane, for example annotate_2d(volume[0]), or say axes='yxc' if the last axis is colour.",
        )
    model_name = model.spec.name if isinstance(model, Model) else find_weights(model)[1]
    kept, note = _project(shown, project, model_name)
    try:
        return Annotator(shown, EngineService(shown, model, device), kept, note)
    except BaseException:
        if kept is not None:
            kept.close()
        raise


def _image(image: Any, axes: str, name: str) -> Image:
    if isinstance(image, Image):
        return image
    if isinstance(image, (str, os.PathLike)):
        path = Path(image)
        return Image(open_image(path), axes, name or path.stem)
    # A copy: what is shown and what the model sees must not change with the caller's array. A mapped file may not fit.
    own = isinstance(image, np.ndarray) and not isinstance(image, np.memmap)
    return Image(image.copy() if own else image, axes, name or "image")


def _project(image: Image, project: str | os.PathLike[str] | bool | None, model: str) -> tuple[Project | None, str]:
    """Open the project, and return it with a warning when the default place cannot be written."""
    if project is False:
        return None, ""
    if project is None or project is True:
        folder = Path.cwd() / f"{stem(image)}.msam"
        try:
            return Project.open(folder, image, model), ""
        except ProjectError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            return None, f"Your work is not kept on disk: {error}"
    return Project.open(Path(project), image, model), ""
