"""finetune: a model learns from your own images, and you watch it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from ..core import FileError, MicrosamError, SettingsError
from ..core.replacing import replaced_whole
from ..session.training_run import TrainingRun, next_folder
from .finetuner import Finetuner, Prepared, Works
from .opening import name_of
from .training_process import described, prepare_run, start
from .using import use_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..engine.training.settings import FinetuningSettings

#: Trainings that are on screen in this process; showing one again takes the place of the earlier widget.
_open: WeakValueDictionary[Path, Finetuner] = WeakValueDictionary()

_ENDINGS = ((".safetensors", ".safetensors"), (".pt (PyTorch, micro-sam)", ".pt"))


def finetune(
    images: Any = None,
    labels: Any = None,
    *,
    validation: Any = None,
    validation_labels: Any = None,
    share: float = 0.2,
    complete: bool | None = None,
    axes: str = "",
    planes: int = 16,
    model: str | os.PathLike[str] = "nano",
    folder: str | os.PathLike[str] = "finetuned",
    settings: FinetuningSettings | Mapping[str, Any] | None = None,
    device: str = "auto",
) -> Finetuner:
    """Let a model learn from annotated images; the same call shows a training that was begun, running or over.

    ``images``: a folder of images with ``labels``, a folder of labels of the same names; or, without labels, projects,
    the output folder of a series, open annotators, arrays, or a list of all of these; the arguments up to ``planes``
    are those of ``training_data.collect``. Without ``images`` the training in ``folder`` is shown again. ``model``: a
    name or a file of weights to begin with. ``folder``: where the training is kept, "finetuned" in the working folder;
    a new training beside one that is there gets a number. ``settings``: those that are not to be as the preset for this
    machine has them; the form changes them too.

    The training is a process of its own, which ends neither with the notebook nor with its kernel. Raises FileError,
    ModelError or SettingsError with the remedy.
    """
    where = newest(Path(os.path.abspath(Path(folder).expanduser())))
    there = TrainingRun.there(where)
    if images is None and not there:
        raise FileError(
            f"There is no training in {where}.", "Give the images to learn from, or the folder of a training."
        )
    if settings is not None and not isinstance(settings, Mapping) and not hasattr(settings, "steps_per_epoch"):
        raise SettingsError(f"{settings!r} are no settings.", "Give a dict such as {'steps': 300}.")
    if there and images is None:
        model = TrainingRun(where).training["model"]
    found = {
        "validation": validation, "validation_labels": validation_labels, "share": share, "complete": complete,
        "axes": axes, "planes": planes,
    }  # fmt: skip
    data = None if images is None else _Data(images, labels, found)
    return _shown(where, data, lambda: model, settings, device)


def finetune_series(series: Any, folder: Path, model: Callable[[], str | os.PathLike[str]]) -> Finetuner:
    """Show the training of a series in ``folder``; ``model`` says what each new one begins with.

    Raises FileError and ModelError.
    """
    return _shown(newest(folder), _Data(series, None, {}), model, None, "auto")


def _shown(
    where: Path,
    data: _Data | None,
    model: Callable[[], str | os.PathLike[str]],
    settings: FinetuningSettings | Mapping[str, Any] | None,
    device: str,
) -> Finetuner:
    """Return the training in a folder on screen, in the place of what showed it before."""
    run = TrainingRun(where) if TrainingRun.there(where) else None
    name = Path(run.training["model"]).stem if run is not None else name_of(model())
    if run is None:
        where = next_folder(where)
    if where in _open:
        _open.pop(where).close()
    works = Works(
        prepare=_Preparing(data, model, settings, device, where),
        begin=lambda place, prepared, chosen: _begin(place, prepared, chosen, model(), device),
        start=start,
        use=use_model,
        export=export_weights,
        endings=_ENDINGS,
    )
    made = Finetuner(where, run, works, name)
    _open[where] = made
    return made


def newest(folder: Path) -> Path:
    """Return of a folder of trainings and those that were numbered after it the one with the highest number."""
    pattern = re.compile(rf"{re.escape(folder.name)}-(\d+)")
    try:
        numbered = [(int(match[1]), one) for one in folder.parent.iterdir() if (match := pattern.fullmatch(one.name))]
    except OSError:
        return folder
    return max((pair for pair in numbered if TrainingRun.there(pair[1])), default=(0, folder))[1]


def export_weights(weights: Path, path: Path) -> Path:
    """Write weights to a file, in the format that its ending says. Raises FileError or ModelError."""
    path = Path(os.path.abspath(path))
    try:
        if path.suffix == weights.suffix:
            with replaced_whole(path) as part:
                shutil.copyfile(weights, part)
            return path
        from ..engine.load import load_model
        from ..engine.training.export import export

        return export(load_model(weights, "cpu", trainable=True), path)
    except OSError as error:
        raise FileError(
            f"{path} cannot be written ({error.strerror or error}).", "Name a file in a folder that you may write to."
        ) from error


@dataclass(frozen=True, slots=True)
class _Data:
    """Where the data come from."""

    images: Any
    labels: Any
    found: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Preparing:
    """Reads the data and finds the settings that suit the machine."""

    data: _Data | None
    model: Callable[[], str | os.PathLike[str]]
    settings: FinetuningSettings | Mapping[str, Any] | None
    device: str
    folder: Path

    def __call__(self, told: Callable[[str], object]) -> Prepared:
        # Importing torch takes seconds: the widget is on screen by now.
        from ..engine.training.settings import FinetuningSettings
        from .training_choices import choices, presets_for, settings_of
        from .training_data import collect
        from .training_process import read_data

        presets, fitting = presets_for(self.model(), self.device)
        settings = settings_of(self.settings, fitting.settings).plain()
        if self.data is None:
            data = read_data(TrainingRun(self.folder))
        else:
            data = collect(self.data.images, self.data.labels, told=told, **self.data.found)
        return Prepared(data, described(data), FinetuningSettings.describe(), choices(presets), settings)


def _begin(
    folder: Path, prepared: Prepared, settings: dict[str, Any], model: str | os.PathLike[str], device: str
) -> TrainingRun:
    run = prepare_run(folder, prepared.data, model=model, settings=settings, device=device)
    try:
        start(run)
    except MicrosamError:
        # Otherwise the form could not be changed any more: the folder holds what it said.
        if not run.events:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return run
