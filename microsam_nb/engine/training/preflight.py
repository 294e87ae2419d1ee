"""One real step before a training: how long it takes, how much memory it needs, and less of both where it must."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Event, Thread

import torch

from ...core import MicrosamError
from ..models import Model
from .dataset import CropDataset
from .finetuning import released
from .learner import Learner
from .memory import available_memory, resident_memory
from .parts import choose_parts, network
from .settings import TrainingSettings

#: Seconds between two looks at the memory of the process.
_PACE = 0.02
#: Rank of the additions that are tried before the encoder is frozen.
_RANK = 4


@dataclass(frozen=True, slots=True)
class Preflight:
    """What one step has shown.

    ``settings`` that fit the machine; ``seconds`` per step; ``peak`` bytes of memory, those of the model included;
    ``notes`` say, in order, what was given up to make it fit.
    """

    settings: TrainingSettings
    seconds: float
    peak: int
    notes: tuple[str, ...]

    @property
    def seconds_per_epoch(self) -> float:
        return self.seconds * min(self.settings.steps_per_epoch, self.settings.steps)

    @property
    def text(self) -> str:
        """For people: what was given up, time and memory."""
        whole = self.seconds * self.settings.steps
        said = (
            f"One epoch takes {_duration(self.seconds_per_epoch)}, the whole training {_duration(whole)} at most, "
            "what is measured between not counted. "
            f"It needs {self.peak / 1e9:.1f} GB of memory."
        )
        return " ".join([*self.notes, said])


def preflight(
    model: Model, data: CropDataset, settings: TrainingSettings, *, memory: int | None = None
) -> Iterator[Preflight]:
    """Measure one step, and give up batch, then most of the encoder's gradient, then all of it until it fits.

    The order: batches of half the size whose gradients are added up, LoRA of rank 4, a frozen image encoder. Yields
    what each try showed; the last is what fits. ``memory``: bytes that may be used, by default what is free. The
    model's weights come back as they were. Raises MicrosamError when nothing is left to give up.
    """
    limit = available_memory(model.device) if memory is None else memory
    notes: list[str] = []
    while True:
        seconds, peak = measure(model, data, settings)
        fits = peak is not None and peak <= limit
        if fits and peak is not None:
            yield Preflight(settings, seconds, peak, tuple(notes))
            return
        less = _less(model, settings)
        if less is None:
            need = "more" if peak is None else f"{peak / 1e9:.1f} GB"
            raise MicrosamError(
                f"The training needs {need} of memory, but {limit / 1e9:.1f} GB are free.",
                "Choose a smaller model or fewer prompts per crop, or close other programs.",
            )
        settings, note = less
        notes.append(note)
        yield Preflight(settings, seconds, peak or limit, tuple(notes))


def measure(model: Model, data: CropDataset, settings: TrainingSettings) -> tuple[float, int | None]:
    """Take one step and undo it; return its seconds, and the peak of memory in bytes, None when it did not suffice."""
    before = {k: v.to("cpu", copy=True) for k, v in network(model).state_dict().items()}
    most: int | None = None
    begun = time.perf_counter()
    try:
        # The step takes all turns of prompts that any may: a training must survive its largest.
        with released(model):
            choose_parts(model, settings)
            with _watched(model.device) as peak:
                learner = Learner(model, data, settings, most=True)
                begun = time.perf_counter()
                for _ in learner.steps(1):
                    pass
                taken = time.perf_counter() - begun
            most = peak()
    except (MemoryError, RuntimeError) as error:
        if not _is_memory(error):
            raise
        taken = time.perf_counter() - begun
        if model.device.type == "cuda":
            torch.cuda.empty_cache()
    network(model).load_state_dict(before)
    return taken, most


def _less(model: Model, s: TrainingSettings) -> tuple[TrainingSettings, str] | None:
    """Return settings that need less memory, and a sentence about what they give up; None when nothing is left."""
    if s.batch > 1:
        half = s.batch // 2
        crops = "1 crop" if half == 1 else f"{half} crops"
        return (
            replace(s, batch=half, accumulate=min(256, s.accumulate * -(-s.batch // half))),
            f"The memory does not suffice for batches of {s.batch}: {crops} at a time, with gradients added up.",
        )
    if not s.lora_rank and not s.freeze_image_encoder and not model.is_nano:
        return (
            replace(s, lora_rank=_RANK, lora_layers="q,v"),
            f"The memory does not suffice to train the whole image encoder: LoRA of rank {_RANK} instead.",
        )
    if not s.freeze_image_encoder:
        return (
            replace(s, freeze_image_encoder=True, lora_rank=0),
            "The memory does not suffice to train the image encoder: it is left as it is.",
        )
    return None


@contextmanager
def _watched(device: torch.device) -> Iterator[Callable[[], int]]:
    """Give a function that says how much memory was used at most within the block."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: int(torch.cuda.max_memory_allocated(device))
        return
    most, ended = [resident_memory()], Event()

    def look() -> None:
        while not ended.wait(_PACE):
            most.append(max(most.pop(), resident_memory()))

    watcher = Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield lambda: most[0]
    finally:
        ended.set()
        watcher.join()


def _is_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "not enough memory" in str(error) or "out of memory" in str(error)


def _duration(seconds: float) -> str:
    if seconds < 90:
        whole = max(1, round(seconds))
        return "1 second" if whole == 1 else f"{whole} seconds"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"
