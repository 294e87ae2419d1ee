"""A training in a process of its own, which neither a closed notebook nor a killed kernel ends."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import FileError, LabelledImage, SettingsError
from ..session.training_run import Stage, TrainingRun, Wish, write_training

if TYPE_CHECKING:
    from ..engine.training.data import TrainingData
    from ..engine.training.settings import FinetuningSettings


def prepare_run(
    folder: str | os.PathLike[str],
    data: TrainingData,
    *,
    model: str | os.PathLike[str] = "nano",
    settings: FinetuningSettings | Mapping[str, Any] | None = None,
    device: str = "auto",
    preflight: bool = True,
) -> TrainingRun:
    """Write a new training into ``folder``, with a copy of its data, whole or not at all; no process is started.

    ``model``: a name or the file of weights; ``preflight``: measure a step first, and give up what does not fit the
    memory. A folder with the same training is opened as it is. Raises SettingsError where it holds another one,
    ModelError for a model that is not there, and FileError where nothing can be written.
    """
    from ..engine.load import architecture_of
    from ..engine.training.settings import FinetuningSettings

    architecture_of(model)
    folder = Path(folder)
    chosen = settings if isinstance(settings, FinetuningSettings) else FinetuningSettings().changed(settings or {})
    training = {
        "model": os.path.abspath(model) if os.path.isfile(model) else os.fspath(model),
        "device": device,
        "settings": chosen.plain(),
        "kind": "finetune",
        "preflight": preflight,
        "data": described(data),
        "digest": _digest(data),
        "created": time.time(),
    }
    if TrainingRun.there(folder):
        return _same(TrainingRun(folder), training)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileError(f"{folder} holds something else.", "Name a new folder for the training.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as place:
            part = Path(place) / "run"
            _write_data(part / "data", data)
            write_training(part, training)
            if folder.exists():
                folder.rmdir()  # an empty one: not every system replaces it
            part.rename(folder)
    except OSError as error:
        raise FileError(
            f"The training cannot be written to {folder} ({error.strerror or error}).",
            "Name a folder that you may write to and that has space left.",
        ) from error
    return TrainingRun(folder)


def read_data(run: TrainingRun) -> TrainingData:
    """Return the copy of its data that a training keeps. Raises FileError."""
    from ..engine.training.data import TrainingData

    def part(name: str) -> tuple[LabelledImage, ...]:
        return tuple(_read_image(path) for path in sorted((run.folder / "data").glob(f"{name}_*.npz")))

    return TrainingData(part("training"), part("validation"), tuple(run.training["data"]["notes"]))


def start(run: TrainingRun) -> None:
    """Start the process of a training, or start it again where it was interrupted.

    It belongs to no terminal and to no kernel: it goes on when they end. What it prints goes to ``run.log``. Raises
    FileError when a process works on it already, and when none can be started.
    """
    if run.alive:
        raise run.taken()
    told = len(run.events)
    try:
        run.wish = Wish.RUN
        with run.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - this Python, and a folder
                [sys.executable, "-m", "microsam_nb", "train", "--folder", os.path.abspath(run.folder)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )  # fmt: skip
    except OSError as error:
        raise FileError(
            f"The training in {run.folder} cannot be started ({error.strerror or error}).",
            "Make room on the disk, and check that you may write there.",
        ) from error
    # A child that nobody waits for stays in the list of processes; and one that ends at once could say nothing.
    threading.Thread(target=_follow, args=(process, run, told), name="microsam-training", daemon=True).start()


def _follow(process: subprocess.Popen[bytes], run: TrainingRun, told: int) -> None:
    code = process.wait()
    if code and len(run.events) == told and run.stage is not Stage.RUNNING:
        run.tell(
            "failed",
            message=f"The process of the training ended before it began (exit code {code}).",
            remedy=f"Read {run.log} for the reason, and start it again.",
        )


def described(data: TrainingData) -> dict[str, Any]:
    """Return what is told of data on screen and in ``training.json``."""

    def rows(part: Sequence[LabelledImage]) -> list[dict[str, Any]]:
        return [
            {
                "name": one.name,
                "group": one.group,
                "shape": list(one.labels.shape),
                "objects": int(np.count_nonzero(np.unique(one.labels))),
            }
            for one in part
        ]

    return {"training": rows(data.training), "validation": rows(data.validation), "notes": list(data.notes)}


def _same(run: TrainingRun, training: Mapping[str, Any]) -> TrainingRun:
    """Return a run that is there already. Raises SettingsError when it is another one than is asked for."""
    words = {"model": "another model", "settings": "other settings", "digest": "other images or objects"}
    other = [said for name, said in words.items() if run.training.get(name) != training[name]]
    if other:
        raise SettingsError(
            f"{run.folder} holds a training with {' and '.join(other)}.",
            "Name a new folder, or give what it was begun with to go on.",
        )
    return run


def _digest(data: TrainingData) -> str:
    found = hashlib.sha256()
    for part in (data.training, data.validation):
        for one in part:
            known = one.known if one.known is not None else np.zeros(0, bool)
            for array in (one.pixels, one.labels, known):
                found.update(f"{array.dtype.str}{array.shape}".encode())
                found.update(np.ascontiguousarray(array).tobytes())
        found.update(b"|")
    return found.hexdigest()


def _write_data(folder: Path, data: TrainingData) -> None:
    folder.mkdir(parents=True)
    for name, part in (("training", data.training), ("validation", data.validation)):
        for number, one in enumerate(part):
            known: dict[str, Any] = {} if one.known is None else {"known": one.known}
            np.savez_compressed(
                folder / f"{name}_{number:04d}.npz",
                pixels=one.pixels, labels=one.labels, name=one.name, group=one.group, **known,
            )  # fmt: skip


def _read_image(path: Path) -> LabelledImage:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            known = file["known"] if "known" in file.files else None
            return LabelledImage(file["pixels"], file["labels"], str(file["group"]), str(file["name"]), known)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise FileError(
            f"{path} of the training cannot be read ({error}).", "Start the training anew, in another folder."
        ) from error
