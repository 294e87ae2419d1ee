"""What the process of a training does: it trains, shows what it has learned, and listens to what is wanted."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ..core import MicrosamError
from ..engine.load import load_model
from ..engine.models import Model
from ..engine.training import (
    CropDataset,
    EpochResult,
    FinetuningSettings,
    Score,
    Validator,
    export,
    finetune,
    preflight,
    with_decoder,
)
from ..session.training_run import WEIGHTS, Stage, TrainingRun, Wish
from .training_previews import Previews
from .training_process import read_data

#: Seconds between two events about steps, and between two looks whether a paused training may go on.
_PACE, _NAP = 1.0, 0.2
#: Seconds between two checkpoints within an epoch; where writing takes long, this many times as long as it takes.
_SAFE, _SHARE = 60.0, 50
#: What rank 0 has decided after a step, as all processes of a distributed training hear it.
_GO_ON, _STOP, _LEAVE = 0, 1, 2

Told = Callable[[dict[str, Any]], object]


class Left(Exception):
    """The process was asked to end: the training goes on when it is started again."""


class _Stopped(Exception):
    """Somebody wants the training to end with what it has."""


def work(run: TrainingRun, told: Told = lambda _: None) -> None:
    """Train until the training is over; ``told`` hears every event. Returns at once when it is over already.

    SIGTERM and Ctrl-C write a checkpoint and raise ``Left``. Raises MicrosamError with the remedy, which is told
    as an event, too; so is any other error. Started by torchrun, only the first process writes and listens.
    """
    if dist.is_initialized() and run.stage is Stage.FINISHED:
        return
    if dist.is_initialized() and dist.get_rank():
        _Work(run, None).all()
        return
    with run.held(), _leaving() as asked:
        if run.stage is Stage.FINISHED:
            return
        teller = _Teller(run, told)
        try:
            _Work(run, teller, asked).all()
        except MicrosamError as error:
            teller.tell("failed", message=error.what, remedy=error.remedy)
            raise
        except (MemoryError, torch.OutOfMemoryError) as error:
            memory = MicrosamError(
                "The memory does not suffice any more; the best weights so far are kept.",
                "Begin a new training with a smaller batch, fewer objects per crop or LoRA, or close other programs.",
            )
            teller.tell("failed", message=memory.what, remedy=memory.remedy)
            raise memory from error
        except Left:
            raise
        except Exception as error:
            teller.tell("failed", message=f"{error.__class__.__name__}: {error}", remedy=f"Read {run.log}.")
            raise


class _Teller:
    """Tells events, to the disk as long as that takes them."""

    def __init__(self, run: TrainingRun, told: Told) -> None:
        self.run, self._told = run, told
        self._last = 0.0

    def tell(self, kind: str, **fields: Any) -> None:
        event = {"kind": kind, **fields}
        # A full disk must not end a training: the weights may still find room when it is over.
        with contextlib.suppress(OSError):
            event = self.run.tell(kind, **fields)
        self._told(event)

    def step(self, step: int, steps: int, loss: float) -> None:
        if time.monotonic() - self._last >= _PACE:
            self._last = time.monotonic()
            self.tell("progress", step=step, steps=steps, loss=loss)


class _Work:
    """A training from its first step, or from its checkpoint, to its end; without a teller in silence."""

    def __init__(self, run: TrainingRun, teller: _Teller | None, asked: threading.Event | None = None) -> None:
        self.run, self.teller, self.asked = run, teller, asked or threading.Event()
        told = run.training
        self.model = load_model(told["model"], told["device"], trainable=True)
        self.settings = FinetuningSettings().changed(told["settings"])
        self.notes: list[str] = []
        self._saved, self._patience = time.monotonic(), _SAFE
        if self.model.distances is None and self.settings.distances:
            self.model = with_decoder(self.model, self.settings.seed)
            self.notes.append(f"{self.model.spec.label} has no instance decoder: it gets a new one, which learns too.")
        data = read_data(run)
        self.data = CropDataset(data.training, longest=1024)
        self.previews = Previews(self.model, data.validation, self.settings)
        self.validation = Validator(data.validation, also=self.previews.look)

    def all(self) -> None:
        tell, settings = self._tell, self._fitting()
        self.settings = settings
        begun = (self.run.folder / "checkpoint.pt").exists()
        if not begun and self.teller is not None:
            self._show_before()
        why = ""
        folder = self.run.folder
        results = finetune(
            self.model, self.data, settings, folder=folder, validation=self.validation, between=self._between
        )
        step = 0
        try:
            for result in results:
                step = result.step
                self._show(result)
                why = result.stopped
        except _Stopped as stopped:
            step, why = stopped.args[0], "Stopped by the user; the best weights so far are kept."
        if self.teller is not None:
            # A training that was complete, but for the last lines of its story, tells them now.
            tell("finished", step=step or settings.steps, file=self._export(self.model).name, why=why)

    def _fitting(self) -> FinetuningSettings:
        """Return settings that fit the memory: those of the first start, or measured now."""
        told = [e["settings"] for e in self.run.events if e["kind"] == "preflight" and e.get("settings")]
        if told:
            self.settings = self.settings.changed(told[-1])
        self._tell(
            "begun", pid=os.getpid(), model=self.model.spec.label, device=str(self.model.device),
            settings=self.settings.plain(), step=_step_of(self.run.folder),
        )  # fmt: skip
        if told or not self.run.training.get("preflight", True) or dist.is_initialized():
            return self.settings
        for found in preflight(self.model, self.data, self.settings):
            last = found
        assert isinstance(last.settings, FinetuningSettings)
        self.notes += last.notes
        self._tell(
            "preflight", text=last.text, seconds=last.seconds, peak=last.peak, notes=list(last.notes),
            settings=last.settings.plain(),
        )  # fmt: skip
        return last.settings

    def _show_before(self) -> None:
        with contextlib.suppress(OSError):
            self.run.keep_crops(*self.previews.crops)
        score = self.validation.score(self.model, self.settings)
        self._tell("before", score=_plain(score))
        self._show_preview(0)

    def _show(self, result: EpochResult) -> None:
        notes, self.notes = [*self.notes, *result.notes], []
        self._saved = time.monotonic()
        if result.best and self.teller is not None:
            try:
                # The best weights lie in a file of their own; the model goes on from others.
                self._export(load_model(self.run.folder / "best.pt", "cpu", trainable=True))
            except (OSError, MicrosamError, RuntimeError) as error:
                notes.append(f"The weights could not be exported yet ({error}); this is tried again at the next best.")
        score = None if result.score is None else _plain(result.score)
        told = {k: v for k, v in asdict(result).items() if k not in ("score", "notes", "stopped")}
        self._tell("epoch", **told, score=score, notes=notes)
        self._show_preview(result.step)

    def _show_preview(self, step: int) -> None:
        if self.teller is None or not self.previews.labels:
            return
        with contextlib.suppress(OSError):
            file = self.run.keep_preview(step, self.previews.labels)
            self._tell("preview", step=step, file=file, scores=self.previews.scores)

    def _export(self, model: Model) -> Path:
        name = WEIGHTS[0] if model.is_nano else WEIGHTS[1]
        note = f"finetuned from {self.model.spec.name}, {len(self.run.training['data']['training'])} images"
        return export(model, self.run.folder / name, note=note)

    def _between(self, step: int, loss: float, save: Callable[[], str]) -> None:
        """After every step: tell it, and do what is wanted."""
        if self.teller is not None:
            self.teller.step(step, self.settings.steps, loss)
            self._keep(save)
        decided = self._decide(step, save)
        if decided == _STOP:
            raise _Stopped(step)
        if decided == _LEAVE:
            save()
            raise Left

    def _keep(self, save: Callable[[], str]) -> None:
        """Write a checkpoint where the last one is so old that a crash would cost much."""
        begun = time.monotonic()
        if begun - self._saved >= self._patience:
            note = save()
            self.notes += [note] if note else []
            self._saved = time.monotonic()
            self._patience = max(_SAFE, _SHARE * (self._saved - begun))

    def _decide(self, step: int, save: Callable[[], str]) -> int:
        decided = _GO_ON
        if self.teller is not None:
            decided = self._wanted(step, save)
        if dist.is_initialized():
            shared = torch.tensor([decided])
            dist.broadcast(shared, 0)
            decided = int(shared[0])
        return decided

    def _wanted(self, step: int, save: Callable[[], str]) -> int:
        """Return what is wanted; wait here while that is nothing."""
        wish = self.run.wish
        if wish is Wish.PAUSE and not self.asked.is_set():
            note = save()
            self._tell("paused", step=step, note=note)
            while wish is Wish.PAUSE and not self.asked.wait(_NAP):
                wish = self.run.wish
            if wish is not Wish.PAUSE:
                self._tell("resumed", step=step)
        if self.asked.is_set():
            return _LEAVE
        return _STOP if wish is Wish.STOP else _GO_ON

    def _tell(self, kind: str, **fields: Any) -> None:
        if self.teller is not None:
            self.teller.tell(kind, **fields)


@contextlib.contextmanager
def _leaving() -> Iterator[threading.Event]:
    """Give an event that is set when the process is asked to end, instead of ending it; asked again, it ends."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(*_: object) -> None:
        if asked.is_set():
            raise Left
        asked.set()

    before = {one: signal.signal(one, ask) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _step_of(folder: Path) -> int:
    """Return the step of a checkpoint, 0 without one."""
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0
    from ..engine.training.checkpoint import load_checkpoint

    return int(load_checkpoint(path)["step"])


def _plain(score: Score) -> dict[str, float | None]:
    """Return a score as JSON can hold it: what was not measured is null."""
    values = {**asdict(score), "total": score.total}
    return {name: None if value != value else value for name, value in values.items()}
