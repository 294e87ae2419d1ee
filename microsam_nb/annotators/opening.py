"""What all doors to an annotator have in common: session, project, model and the objects to begin with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import Image, ModelError, Option, ProjectError
from ..engine.automatic.settings import KINDS, Mode
from ..engine.download import cached_files
from ..engine.finding import find_weights
from ..engine.linking.settings import LinkSettings
from ..engine.registry import MODELS
from ..session import Project, Session, SetPlane, Settle
from ..view import Command
from ..widgets import ModelChoice
from .base import Annotator, Methods, stem
from .beginning import Beginning
from .late import LateService
from .settings import AnnotatorSettings

if TYPE_CHECKING:
    from ..engine import Model

_MODES = (
    ("What suits the model", "auto"), ("Distances (AIS)", "ais"), ("Automatic prompts (APG)", "apg"),
    ("Grid of points (AMG)", "amg"),
)  # fmt: skip


def open_annotator(
    image: Image,
    *,
    model: Model | str | os.PathLike[str],
    device: str,
    first: Beginning | None,
    project: str | os.PathLike[str] | bool | None,
    settings: AnnotatorSettings | Mapping[str, Any] | None,
    embeddings: str | os.PathLike[str] | None = None,
    kind: type[Annotator] = Annotator,
    service: LateService | None = None,
    commands: Mapping[Command, Callable[[], object]] | None = None,
) -> Annotator:
    """Return an annotator of this ``kind``, with the objects of ``first`` in a new project.

    They are made in a new project only: what takes long need not be done for one that has work. ``service``: one that
    was prepared for this image; ``commands``: what else keys do. The other arguments, and what is raised, are those of
    ``annotate_2d``.
    """
    options = AnnotatorSettings.of(settings)
    movie = image.axes[0] == "t"
    aside = ""
    kept, warning = _project(image, project, name_of(model))
    try:
        session = Session(image.shape, kept, movie=movie)
        new = not (session.can_undo or session.can_redo or session.labels.count())
        if new:
            # A stack of images is empty at its ends; a movie begins with its first frame.
            middle = [SetPlane(image.shape[0] // 2)] if image.axes[0] == "z" else []
            begin = None if first is None else first.make()
            for action in [*options.actions(), *middle, *([begin, Settle()] if begin is not None else [])]:
                session.handle(action)
            # That was not the user.
            session.acted = False
            if first is not None and kept is not None:
                kept.begin(first.fingerprint)
        elif first is not None and kept is not None and first.fingerprint and kept.begun == first.fingerprint:
            aside = f"It goes on with what was done; {first.argument}= was used when the project was made."
        elif first is not None and kept is not None:
            folder = kept.folder.name
            left = f"The {first.argument} given were not loaded: {folder} holds work already. "
            warning = f"{warning} {left}Choose another project folder to begin with them.".strip()
        warning = f"{warning} {session.recovered}".strip()
        beside = kept.folder if kept is not None else None
        place = None if embeddings is None else os.fspath(embeddings)
        service = service or LateService(image, model, device, beside, place)
        return kind(
            image,
            service,
            kept,
            warning,
            session=session,
            settings=options,
            models=model_choices,
            methods=Methods(_MODES, _options),
            linking=LinkSettings.describe if movie else None,
            follows=service.follows,
            commands=commands,
            engine=service.engine,
            loaded=loaded(service.source),
            aside=aside,
        )
    except BaseException:
        if kept is not None:
            kept.close()
        raise


def loaded(model: Model | str | os.PathLike[str]) -> str:
    """Return what is said of a model that is there already, "" for one that is yet to be loaded."""
    if isinstance(model, str | os.PathLike):
        return ""
    return f"The model {model.spec.label} is ready on {model.device.type}."


def name_of(model: Model | str | os.PathLike[str]) -> str:
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
        # The same pixels may have been annotated as a volume.
        folder = Path.cwd() / f"{stem(image)}{'-tracks' if image.axes[0] == 't' else ''}.msam"
        try:
            return Project.open(folder, image, model), ""
        except ProjectError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            return None, f"Your work is not kept on disk: {error}"
    return Project.open(Path(project).expanduser(), image, model), ""
