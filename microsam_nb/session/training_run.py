"""A training on disk: the folder that its process writes, and that whoever watches reads.

The process tells what happens in ``events.jsonl``, a JSON object per line; what is wanted of it stands in
``wish.json``. Neither knows of the other: a notebook that is closed ends no training, and a training that was killed
leaves all it has told.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
import zipfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from ..core import FileError, MicrosamError
from ..core.replacing import replaced_whole

VERSION = 1
_TRAINING, _EVENTS, _WISH, _LOG, _LOCK, _PROCESS = (
    "training.json", "events.jsonl", "wish.json", "log.txt", "lock", "process.json",
)  # fmt: skip
_CROPS = "previews/crops.npz"
#: Names of exported weights.
WEIGHTS = ("model.safetensors", "model.pt")
#: Seconds for which a process waits for its lock: who looks whether it is alive holds it for an instant.
_PATIENCE = 10.0


class Wish(StrEnum):
    """What somebody wants a training to do."""

    RUN = "run"
    PAUSE = "pause"
    STOP = "stop"


class Stage(StrEnum):
    """What a training is doing. INTERRUPTED: its process has ended before the training had."""

    PREPARED = "prepared"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


_ENDS = {"finished": Stage.FINISHED, "failed": Stage.FAILED}


class TrainingRun:
    """The folder of a training. ``training``: what it learns and how, as ``training.json`` says.

    Raises FileError for a folder that holds none, or one that this version cannot read.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.training = _read_training(self.folder)
        self._place = self._given = 0
        self._wish = Wish.RUN
        self._events: list[dict[str, Any]] = []

    @staticmethod
    def there(folder: Path) -> bool:
        """Return whether a folder holds a training."""
        return (folder / _TRAINING).exists()

    @property
    def events(self) -> list[dict[str, Any]]:
        """All that has happened so far."""
        self._read()
        return list(self._events)

    def new_events(self) -> list[dict[str, Any]]:
        """Return what has happened since the last call."""
        self._read()
        new, self._given = self._events[self._given :], len(self._events)
        return new

    @property
    def stage(self) -> Stage:
        self._read()
        kinds = [event["kind"] for event in self._events]
        last = next((kind for kind in reversed(kinds) if kind in {"begun", "paused", "resumed", *_ENDS}), "")
        if last in _ENDS:
            return _ENDS[last]
        if self.alive:
            return Stage.PAUSED if last == "paused" else Stage.RUNNING
        return Stage.INTERRUPTED if kinds else Stage.PREPARED

    @property
    def alive(self) -> bool:
        """Whether a process works on it."""
        if not (self.folder / _LOCK).exists():
            return False
        lock = FileLock(self.folder / _LOCK, timeout=0)
        try:
            lock.acquire()
        except (Timeout, OSError):
            return True
        lock.release()
        return False

    @property
    def wish(self) -> Wish:
        try:
            self._wish = Wish(json.loads((self.folder / _WISH).read_text(encoding="utf-8"))["wish"])
        except FileNotFoundError:
            self._wish = Wish.RUN
        except (OSError, ValueError, KeyError, TypeError):
            pass  # it is being replaced: what was wanted before still is
        return self._wish

    @wish.setter
    def wish(self, wish: Wish) -> None:
        with replaced_whole(self.folder / _WISH) as part:
            part.write_text(json.dumps({"wish": str(wish)}), encoding="utf-8")

    @property
    def result(self) -> Path | None:
        """The exported weights, the best so far; None while there are none."""
        return next((self.folder / name for name in WEIGHTS if (self.folder / name).exists()), None)

    @property
    def log(self) -> Path:
        return self.folder / _LOG

    def log_tail(self, lines: int = 30) -> str:
        """Return the end of what the process has printed."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 200 * lines))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        # A progress bar writes over its line; terminals show only the last of it.
        plain = [line.rsplit("\r", 1)[-1] for line in text.replace("\r\n", "\n").split("\n")]
        return "\n".join(plain[-lines:]).strip()

    def crops(self) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.int32]]]:
        """Return the crops that are shown, uint8 (y, x, 3), and their true labels, int32 (y, x)."""
        some = _arrays(self.folder / _CROPS)
        count = sum(name.startswith("image_") for name in some)
        return [some[f"image_{i}"] for i in range(count)], [some[f"truth_{i}"] for i in range(count)]

    def preview(self, file: str) -> list[NDArray[np.int32]]:
        """Return the labels int32 (y, x) of all crops as a preview event names them."""
        some = _arrays(self.folder / file)
        return [some[f"labels_{i}"] for i in range(len(some))]

    # What the process does.

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from working on it. Raises FileError when a process does already."""
        lock = FileLock(self.folder / _LOCK, timeout=_PATIENCE)
        try:
            lock.acquire()
        except Timeout as error:
            raise self.taken() from error
        try:
            who = {"pid": os.getpid(), "host": socket.gethostname(), "started": time.time()}
            with replaced_whole(self.folder / _PROCESS) as part:
                part.write_text(json.dumps(who), encoding="utf-8")
            yield
        finally:
            lock.release()

    def taken(self) -> FileError:
        """Return the error that says which process works on it."""
        try:
            who = json.loads((self.folder / _PROCESS).read_text(encoding="utf-8"))
            whose = f" (process {who['pid']} on {who['host']})"
        except (OSError, ValueError, KeyError, TypeError):
            whose = ""
        return FileError(
            f"The training in {self.folder} is running already{whose}.",
            "Watch it with finetune(folder=...), stop it there, or name another folder.",
        )

    def tell(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Append an event, and return it. Raises OSError as it comes."""
        event = {"kind": kind, "time": time.time(), **fields}
        path = self.folder / _EVENTS
        with path.open("ab") as file:
            # A process that was killed may have left half a line.
            torn = file.tell() > 0 and not _ends_line(path)
            file.write((b"\n" if torn else b"") + json.dumps(event).encode() + b"\n")
        return event

    def keep_crops(self, images: list[NDArray[np.uint8]], truths: list[NDArray[np.int32]]) -> None:
        """Write what previews show."""
        some = {f"image_{i}": one for i, one in enumerate(images)} | {f"truth_{i}": t for i, t in enumerate(truths)}
        _write_arrays(self.folder / _CROPS, some)

    def keep_preview(self, step: int, labels: list[NDArray[np.int32]]) -> str:
        """Write the labels of all crops at a step; return the name of the file."""
        name = f"previews/{step:06d}.npz"
        _write_arrays(self.folder / name, {f"labels_{i}": one for i, one in enumerate(labels)})
        return name

    def _read(self) -> None:
        """Read what was appended since; half a line is left for the next time."""
        try:
            with (self.folder / _EVENTS).open("rb") as file:
                file.seek(self._place)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and isinstance(event.get("kind"), str):
                    self._events.append(event)


def next_folder(folder: Path) -> Path:
    """Return a name like that of a folder that is not taken: finetuned, finetuned-2, finetuned-3."""
    stem = re.sub(r"-\d+$", "", folder.name)
    if not TrainingRun.there(folder.with_name(stem)):
        stem = folder.name  # its number is no count of trainings, but a year, say
    number, free = 2, folder
    while free.exists():
        free, number = folder.with_name(f"{stem}-{number}"), number + 1
    return free


def write_training(folder: Path, training: dict[str, Any]) -> None:
    """Write what a new training learns and how. Raises OSError as it comes."""
    with replaced_whole(folder / _TRAINING) as part:
        part.write_text(json.dumps({"version": VERSION, **training}, indent=1), encoding="utf-8")


def _read_training(folder: Path) -> dict[str, Any]:
    path = folder / _TRAINING
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileError(f"{folder} holds no training.", "Name the folder of one, or start a new one.") from error
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read ({error}).", "Start the training anew in another folder.") from error
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise FileError(
            f"{path} was written by another version of microsam-nb.", "Use that version, or start a new training."
        )
    return found


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise MicrosamError(f"The preview {path.name} cannot be read ({error}).", "Wait for the next one.") from error


def _write_arrays(path: Path, some: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    with replaced_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **some)
