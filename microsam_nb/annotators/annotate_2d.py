"""annotate_2d: click objects out of an image."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import Image, ImageError, ModelError, Option, ProjectError
from ..engine.automatic.settings import KINDS, Mode
from ..engine.download import cached_files
from ..engine.finding import find_weights
from ..engine.registry import MODELS
from ..session import LoadLabels, Project, Session
from ..widgets import ModelChoice
from .base import Annotator, Methods, stem
from .inputs import read_input, read_labels
from .late import LateService
from .settings import AnnotatorSettings

if TYPE_CHECKING:
    from ..engine import Model


_MODES = (
    ("What suits the model", "auto"), ("Distances (AIS)", "ais"), ("Automatic prompts (APG)", "apg"),
    ("Grid of points (AMG)", "amg"),
)  # fmt: skip


def annotate_2d(
    image: Any,
    *,
    axes: str = "",
    name: str = "",
    model: Model | str | os.PathLike[str] = "nano",
    device: str = "auto",
    labels: Any = None,
    project: str | os.PathLike[str] | bool | None = None,
    settings: AnnotatorSettings | Mapping[str, Any] | None = None,
) -> Annotator:
    """Show ``image`` and segment what is clicked.

    ``image``: the path of a file or zarr folder, an array (y, x) or (y, x, channel) of any real dtype (numpy, dask,
    zarr, a TIFF of tifffile, a picture of PIL), or an ``Image``. ``axes``: "yx" or "yxc" where the guess is wrong.
    ``model``: a name such as "nano" or "vit_b_lm", a checkpoint file, or a loaded model. ``labels``: objects to begin
    with, an array or the path of one; a project that holds work already keeps its own. ``project``: the folder that
    keeps the work, opened again if it is there; by default NAME-HASH.msam in the working folder, False for none.
    ``settings``: how a new annotation begins, ``AnnotatorSettings`` or a dict of some of them.
    Raises ImageError, FileError, LabelError, ModelError, SettingsError or ProjectError with the remedy.
    """
    options = AnnotatorSettings.of(settings)
    shown = read_input(image, axes, name)
    if shown.shape[0] != 1 or shown.axes[0] != "y":
        raise ImageError(
            f"annotate_2d shows one plane, but the image has axes {shown.axes!r} and shape {shown.pixels.shape}.",
            "Pass one plane, for example annotate_2d(volume[0]), or say axes='yxc' if the last axis is colour.",
        )
    first = None if labels is None else LoadLabels.of(*read_labels(labels, shown))
    model_name = _name_of(model)
    kept, warning = _project(shown, project, model_name)
    try:
        session = Session(shown.shape, kept)
        new = not (session.can_undo or session.can_redo or session.labels.count())
        if new:
            for action in [*options.actions(), *([first] if first is not None else [])]:
                session.handle(action)
        elif first is not None and kept is not None:
            folder = kept.folder.name
            left = f"The labels given were not loaded: {folder} holds work already. "
            warning = f"{warning} {left}Choose another project folder to begin with them.".strip()
        warning = f"{warning} {session.recovered}".strip()
        folder_of_embeddings = kept.folder if kept is not None else None
        service = LateService(shown, model, device, folder_of_embeddings)
        return Annotator(
            shown,
            service,
            kept,
            warning,
            session=session,
            settings=options,
            models=model_choices,
            methods=Methods(_MODES, _options),
            follows=service.follows,
        )
    except BaseException:
        if kept is not None:
            kept.close()
        raise


def _name_of(model: Model | str | os.PathLike[str]) -> str:
    if isinstance(model, str | os.PathLike):
        return find_weights(model)[1]
    if not hasattr(model, "spec"):
        raise ModelError(
            f"A {type(model).__name__} is no model.", "Give a name such as 'nano', a path, or what load_model returns."
        )
    return model.spec.name


def _options(mode: str) -> Sequence[Option]:
    return KINDS[Mode(mode)].describe()


def model_choices() -> list[ModelChoice]:
    """Return every model of the registry, and whether it has to be downloaded."""
    return [
        ModelChoice(one.name, one.label, one.about, one.megabytes, all(file.size for file in cached_files(one)))
        for one in MODELS
    ]


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
    return Project.open(Path(project).expanduser(), image, model), ""
