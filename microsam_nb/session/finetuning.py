"""A finetuning as somebody sees it who prepares it, or watches it: the run on disk is the truth."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..core import MicrosamError
from .course import Course
from .signal import Signal
from .state import Notice
from .training_run import Stage, TrainingRun, Wish


class Phase(StrEnum):
    """What a finetuning is doing. SETUP: it can be started; STARTING: its process has told nothing yet."""

    COLLECTING = "collecting"
    SETUP = "setup"
    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPING = "stopping"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def alive(self) -> bool:
        """Whether a process trains, or is about to."""
        return self in _ALIVE

    @property
    def over(self) -> bool:
        """Whether nothing more comes of this training."""
        return self in (Phase.FINISHED, Phase.FAILED)


_ALIVE = (Phase.STARTING, Phase.RUNNING, Phase.PAUSING, Phase.PAUSED, Phase.STOPPING)


class Question(StrEnum):
    """What is asked before something is given up."""

    NONE = ""
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Finetuning:
    """All that is on screen but the pictures.

    ``data``: images and notes as in ``training.json``; ``settings``: what the form holds; ``result``: the weights that
    can be used, None while there are none.
    """

    phase: Phase = Phase.COLLECTING
    course: Course = field(default_factory=Course)
    data: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    result: Path | None = None
    notice: Notice = field(default_factory=lambda: Notice(""))
    question: Question = Question.NONE
    #: What is done in the background, "" for nothing.
    busy: str = ""


class FinetuningSession:
    """Holds the state; ``changed`` is emitted, on any thread, whenever it is another one."""

    def __init__(self) -> None:
        self.state = Finetuning()
        self.run: TrainingRun | None = None
        self.changed: Signal[None] = Signal()
        self._lock = threading.RLock()
        #: From the moment a process is started until it is alive.
        self._starting = False

    # What the user does.

    def choose(self, name: str, value: Any) -> None:
        """Take a setting from the form."""
        with self._lock:
            self._change(settings={**self.state.settings, name: value})

    def pause(self) -> None:
        self._wish(Wish.PAUSE)

    def resume(self) -> None:
        """Let a paused process go on; one that has ended must be started again."""
        self._wish(Wish.RUN)

    def ask(self, question: Question) -> None:
        """Ask before something is given up, or take the question back."""
        self._change(question=question)

    def stop(self) -> None:
        """End the training with the best weights so far."""
        self._change(question=Question.NONE)
        self._wish(Wish.STOP)

    # What the annotator tells.

    def say(self, text: str, *, error: bool = False) -> None:
        self._change(notice=Notice(text, error))

    def work(self, what: str) -> None:
        """Say what is done in the background; "" when it is done."""
        self._change(busy=what)

    def ready(self, data: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """A training can be set up with these data."""
        with self._lock:
            self._change(phase=Phase.SETUP, data=data, settings=dict(settings), busy="")

    def begin_anew(self) -> None:
        """Leave a training that is over, to set up another one."""
        with self._lock:
            self.run, self._starting = None, False
            self.state = Finetuning()
        self.changed.emit(None)

    def attach(self, run: TrainingRun, *, starting: bool = False) -> None:
        """Watch a run from its first event on; ``starting``: its process is about to be started."""
        with self._lock:
            self.run, self._starting = run, starting
            told = run.training
            self._change(
                course=Course(model=str(told.get("model", "")), settings=told.get("settings", {})),
                data=told.get("data", {}), settings=told.get("settings", {}), busy="",
            )  # fmt: skip
        self.look()

    def started(self) -> None:
        """The process was started."""
        with self._lock:
            self._starting = True
            self._change(busy="")
        self.look()

    def look(self) -> None:
        """Read what the process has told since the last look."""
        with self._lock:
            run = self.run
            if run is None:
                return
            try:
                events = run.new_events()
                stage, wish, result = run.stage, run.wish, run.result
            except (OSError, MicrosamError) as error:
                self.say(str(error), error=True)
                return
            course = self.state.course
            for event in events:
                course = course.after(event)
            if events or stage not in (Stage.PREPARED, Stage.INTERRUPTED):
                self._starting = False
            phase = _phase(stage, wish, starting=self._starting)
            question = self.state.question if phase.alive else Question.NONE
            self._change(course=course, phase=phase, result=result, question=question)

    def _wish(self, wish: Wish) -> None:
        with self._lock:
            if self.run is None:
                return
            try:
                self.run.wish = wish
            except OSError as error:
                self.say(
                    f"{self.run.folder} cannot be written ({error.strerror or error}). Make room on the disk, or check "
                    "that you may write there.",
                    error=True,
                )
                return
        self.look()

    def _change(self, **fields: Any) -> None:
        with self._lock:
            new = replace(self.state, **fields)
            if new == self.state:
                return
            self.state = new
        self.changed.emit(None)


def _phase(stage: Stage, wish: Wish, *, starting: bool) -> Phase:
    if stage in (Stage.FINISHED, Stage.FAILED):
        return Phase(stage.value)
    if starting:
        return Phase.STARTING
    if stage in (Stage.PREPARED, Stage.INTERRUPTED):
        return Phase.INTERRUPTED
    if wish is Wish.STOP:
        return Phase.STOPPING
    if stage is Stage.PAUSED:
        return Phase.PAUSED
    return Phase.PAUSING if wish is Wish.PAUSE else Phase.RUNNING
