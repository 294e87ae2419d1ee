"""The training loop: epochs, their checkpoints and scores, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch import Tensor

from ...core import SettingsError
from ..models import Model
from .checkpoint import load_checkpoint, try_checkpoint
from .dataset import CropDataset
from .export import best_state
from .learner import Learner, StepResult
from .schedule import Progress
from .settings import TrainingSettings
from .validation import Score, Validator

#: Settings that a training may go on with changed.
_MAY_CHANGE = ("steps", "steps_per_epoch", "checkpoint_every", "early_stop")
#: Steps in a row without a usable gradient after which the training ends; half precision first tries smaller scales.
_LOST = 5
_LOST_SCALED = 20
#: What may be done after a step: it gets the step, its loss, and a function that writes the checkpoint and returns a
#: sentence when the disk does not take it. What it raises ends the training, which goes on from the checkpoint later.
Between = Callable[[int, float, Callable[[], str]], object]


@dataclass(frozen=True, slots=True)
class EpochResult:
    """Means over the steps of one epoch, and how good the averaged weights are.

    ``score`` is None without validation; ``best``: it is the best so far. ``notes`` are sentences about what went
    wrong without ending the training; ``stopped`` says why this epoch is the last one, "" when it is as planned.
    """

    step: int
    loss: float
    first_iou: float
    last_iou: float
    distance_loss: float
    seconds: float
    score: Score | None = None
    best: bool = False
    notes: tuple[str, ...] = ()
    stopped: str = ""


def train(
    model: Model,
    data: CropDataset,
    settings: TrainingSettings,
    *,
    folder: Path | None = None,
    validation: Validator | None = None,
    between: Between | None = None,
) -> Iterator[EpochResult]:
    """Train what may learn in ``model``, in place, yielding a result per epoch.

    With ``folder`` a checkpoint is written after every epoch, and within as the settings say; called again, training
    goes on from it as if it had never been interrupted. With ``validation`` the best epoch is kept, in the folder as
    ``best.pt``. When the iterator ends, the model holds the averaged weights of the best epoch, without validation of
    the last one. Stop early by closing it; ``between`` is called after every step. Raises SettingsError when the
    folder holds another training.
    """
    run = _Run(model, data, settings, folder, validation)
    run.between = between
    try:
        while not run.ended:
            yield run.epoch()
    finally:
        run.finish()


@dataclass(slots=True)
class _Epoch:
    """What the steps of an epoch add up to."""

    sums: list[float] = field(default_factory=lambda: [0.0] * 4)
    count: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def add(self, one: StepResult) -> None:
        if one.skipped:
            self.skipped += 1
            return
        for i, value in enumerate((one.loss, one.first, one.last, one.distances)):
            self.sums[i] += value
        self.count += 1


class _Run:
    """Everything that changes during a training."""

    def __init__(
        self,
        model: Model,
        data: CropDataset,
        settings: TrainingSettings,
        folder: Path | None,
        validation: Validator | None,
    ) -> None:
        self.model, self.settings, self.validation = model, settings, validation
        self.learner = Learner(model, data, settings)
        self.folder = folder if self.learner.rank == 0 else None
        self.progress, self.sofar = Progress(), _Epoch()
        self.best: dict[str, Tensor] | None = None
        self.lost, self.stopped = 0, ""
        self.between: Between | None = None
        if folder is not None and (folder / "checkpoint.pt").exists():
            self._restore(load_checkpoint(folder / "checkpoint.pt"))

    @property
    def ended(self) -> bool:
        return not self._due and (self.learner.step >= self.settings.steps or bool(self.stopped))

    @property
    def _due(self) -> bool:
        """Whether all steps of an epoch are taken, but it was left, or killed, before it was measured."""
        s, step = self.settings, self.learner.step
        taken = self.sofar.count + self.sofar.skipped
        return taken > 0 and (step % s.steps_per_epoch == 0 or step >= s.steps)

    def epoch(self) -> EpochResult:
        """Take the steps that are left of an epoch, measure, and write the checkpoint."""
        begun = time.perf_counter() - self.sofar.seconds
        notes = self._take_steps(begun)
        done, self.sofar = self.sofar, _Epoch()
        if done.skipped:
            steps = "1 step was" if done.skipped == 1 else f"{done.skipped} steps were"
            notes.append(f"{steps} left out because the loss was no number.")
        loss, first, last, distances = (v / done.count if done.count else math.nan for v in done.sums)
        score, best = self._measure(notes)
        self._judge(score, loss)
        # Before the result is handed out: who stops iterating, or is killed, keeps the epoch.
        notes.append(self._save())
        seconds = time.perf_counter() - begun
        told = tuple(note for note in notes if note)
        return EpochResult(self.learner.step, loss, first, last, distances, seconds, score, best, told, self.stopped)

    def _take_steps(self, begun: float) -> list[str]:
        s, notes = self.settings, list[str]()
        if self._due:
            return notes
        left = min(s.steps_per_epoch - self.learner.step % s.steps_per_epoch, s.steps - self.learner.step)
        for number, one in enumerate(self.learner.steps(left), start=1):
            self.sofar.add(one)
            self.lost = self.lost + 1 if one.skipped else 0
            if self.lost >= (_LOST_SCALED if self.learner.scaler.is_enabled() else _LOST):
                self.stopped = (
                    f"The loss was no number in {self.lost} steps one after another; the best weights so far are "
                    "kept. Choose a lower learning rate, or precision fp32."
                )
                break
            if s.checkpoint_every and self.learner.step % s.checkpoint_every == 0 and number < left:
                notes.append(self._save(begun))
            if self.between is not None:
                self.between(self.learner.step, one.loss, lambda: self._save(begun))
        return notes

    def _measure(self, notes: list[str]) -> tuple[Score | None, bool]:
        """Score the averaged weights, and keep them if they are the best."""
        if self.validation is None:
            return None, False
        learner = self.learner
        current = learner.copy()
        learner.put(learner.mean)
        shared = [self.validation.score(self.model, self.settings) if learner.rank == 0 else None]
        if dist.is_initialized():
            dist.broadcast_object_list(shared)
        score = shared[0]
        assert score is not None
        best = self.progress.tell(score.total, self.settings)
        if best:
            self.best = {k: v.cpu() for k, v in learner.copy().items()}
            if self.folder is not None:
                notes.append(try_checkpoint(self.folder / "best.pt", best_state(self.model, learner.step, score.total)))
        learner.put(current)
        return score, best

    def _judge(self, score: Score | None, loss: float) -> None:
        """Lower the rate on a plateau, of the loss where no score is known, and end the training where it stands."""
        s = self.settings
        if score is None:
            self.progress.tell(-loss, s)
        elif s.early_stop and self.progress.since >= s.early_stop and not self.stopped:
            epochs = "1 epoch" if s.early_stop == 1 else f"{s.early_stop} epochs"
            self.stopped = f"No better score in {epochs}; the best weights are kept."
        self.learner.factor = self.progress.factor

    def finish(self) -> None:
        """Give the model the best weights, ready to be used."""
        self.learner.put(self.best or self.learner.mean)
        self.learner.net.eval()

    def _save(self, begun: float | None = None) -> str:
        """Write the checkpoint; ``begun``: when the epoch began that is not over."""
        if begun is not None:
            self.sofar.seconds = time.perf_counter() - begun
        return "" if self.folder is None else try_checkpoint(self.folder / "checkpoint.pt", self._state())

    def _state(self) -> dict[str, Any]:
        return self.learner.state() | {
            "settings": self.settings.plain(),
            "base": self.model.spec.hash,
            "progress": asdict(self.progress),
            "sofar": asdict(self.sofar),
            "best": self.best,
            "lost": self.lost,
            "stopped": self.stopped,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._check(state)
        self.learner.restore(state)
        self.progress = Progress(**state["progress"])
        self.sofar = _Epoch(**state["sofar"])
        self.best, self.lost, self.stopped = state["best"], state["lost"], state["stopped"]
        self.learner.factor = self.progress.factor

    def _check(self, state: dict[str, Any]) -> None:
        """Raise SettingsError when the training was begun otherwise; steps and reports may change."""
        before, now = state["settings"], self.settings.plain()
        other = [name for name in now if name not in _MAY_CHANGE and before.get(name, now[name]) != now[name]]
        if other:
            was = ", ".join(f"{name}={before[name]}" for name in other)
            raise SettingsError(
                f"This training was begun with {was}.", "Give the same settings, or another folder to begin anew."
            )
        if state["base"] != self.model.spec.hash:
            raise SettingsError(
                f"This training was begun with other weights than those of {self.model.spec.name}.",
                "Load the same model, or give another folder to begin anew.",
            )
