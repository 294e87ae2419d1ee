"""A training on screen: what it learns from, its settings, its course, and what can be done with the result."""

from __future__ import annotations

import html
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from ..core import MicrosamError
from ..session import Change
from ..session.finetuning import FinetuningSession, Phase
from ..session.training_run import TrainingRun, next_folder
from ..session.wording import counted
from ..widgets import Loop, close_tree, style_sheet
from ..widgets.background import Background
from ..widgets.guard import Guard
from ..widgets.training_bar import TrainingBar, TrainingDeeds
from ..widgets.training_crops import TrainingCrops
from ..widgets.training_data import TrainingDataPanel
from ..widgets.training_result import TrainingResult
from ..widgets.training_setup import PresetChoice, TrainingSetup

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..core import Option
    from ..engine.training.data import TrainingData

_log = logging.getLogger("microsam_nb")

#: Seconds between two looks at a run that trains, and at one that does not.
_PACE, _CALM = 0.5, 2.0
#: What is done in the background, in the words that are shown.
_READING, _STARTING, _USING = "Reading the images and their objects", "Writing the data", "Changing over to the weights"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a training can be set up with: the data, as in ``training.json`` too, and what the form offers."""

    data: TrainingData
    described: dict[str, Any]
    options: list[Option]
    presets: list[PresetChoice]
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Works:
    """What a finetuner has others do, each on a thread of its own; all raise MicrosamError with the remedy.

    ``prepare`` reads the data, telling the name of each image, ``begin`` writes a run into a folder and starts its
    process, ``start`` starts that of a run that is there; ``use`` changes open annotators over to weights and returns
    how many, ``export`` writes weights.
    """

    prepare: Callable[[Callable[[str], object]], Prepared]
    begin: Callable[[Path, Prepared, dict[str, Any]], TrainingRun]
    start: Callable[[TrainingRun], None]
    use: Callable[[Path], int]
    export: Callable[[Path, Path], Path]
    endings: tuple[tuple[str, str], ...]


class Finetuner:
    """A training on screen; show it as the last line of a cell. ``start``, ``pause``, ``resume`` and ``stop`` do what
    the buttons do. Closing it does not end the training. ``model``: what it begins with is called.
    """

    def __init__(self, folder: Path, run: TrainingRun | None, works: Works, model: str = "") -> None:
        self.folder, self._works, self._model = folder, works, model
        self.session = FinetuningSession()
        self._prepared: Prepared | None = None
        self._setup: TrainingSetup | None = None
        self._curves: Any = None
        self._closed = threading.Event()
        self._title, self._left = widgets.HTML(), widgets.VBox()
        self._title.add_class("msam-title")
        self._loop = Loop(lambda change, everything: self._paint(), self._failed)
        self._work = Background(self._loop.post, self._refused)
        self._data = TrainingDataPanel()
        deeds = TrainingDeeds(self._start, self.session.pause, self._resume, self.session.ask, self.session.stop,
                              self._anew)  # fmt: skip
        self._bar = TrainingBar(self._loop, deeds)
        self._crops = TrainingCrops(self.session, self._loop, self._failed)
        self._result = TrainingResult(self._loop, self._use, self._export, self._log_tail, works.endings)
        self._plots = widgets.Box()
        parts = [self._data.box, self._left, self._bar.box, self._plots, self._crops.box, self._result.box]
        self.widget = widgets.VBox([style_sheet(), Guard(), self._title, *parts])
        for name in ("msam-annotator", "msam-finetuning"):
            self.widget.add_class(name)
        self.session.changed.connect(lambda _: self._loop.repaint(Change(notice=True)))
        if run is None:
            self._collect()
        else:
            self.session.attach(run)
        self._loop.repaint(Change(notice=True))
        self._watch = threading.Thread(target=self._look, name="microsam-finetuning", daemon=True)
        self._watch.start()

    @property
    def path(self) -> Path | None:
        """The best weights so far, for ``load_model`` and every ``model=``; None while there are none."""
        return self.session.state.result

    @property
    def scores(self) -> DataFrame:
        """One row before the training and one per epoch: step, loss, IoU after clicks and mSA on validation images."""
        from pandas import DataFrame

        course = self.session.state.course
        rows = [] if course.before is None else [(0, math.nan, course.before, False)]
        rows += [(one.step, one.loss, one.scores, one is course.best) for one in course.epochs]
        return DataFrame(
            [(step, loss, s.first, s.last, s.accuracy, s.total, best) for step, loss, s, best in rows],
            columns=["step", "loss", "first_iou", "last_iou", "msa", "total", "best"],
        )

    def start(self) -> None:
        """Train with the settings of the form."""
        self._loop.post(self._start)

    def pause(self) -> None:
        """Let the training wait; it needs no processor then."""
        self._loop.post(self.session.pause)

    def resume(self) -> None:
        """Let the training go on."""
        self._loop.post(self._resume)

    def stop(self) -> None:
        """End the training with the best weights so far."""
        self._loop.post(self.session.stop)

    def wait(self, timeout: float = 3600.0) -> None:
        """Return when the training is over, or waits for somebody, and all is on screen. Raises TimeoutError."""
        end = time.monotonic() + timeout
        while True:
            self._loop.wait(max(0.0, end - time.monotonic()))
            self.session.look()
            state = self.session.state
            if not state.busy and (not state.phase.alive or state.phase is Phase.PAUSED) and self._loop.idle:
                return
            if time.monotonic() > end:
                raise TimeoutError(f"The training is still {state.phase} after {timeout:g} s; wait longer.")
            self._closed.wait(0.1)

    def close(self) -> None:
        """Close the widgets; the training goes on, and the same call shows it again."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._watch.join()
        self._work.close()
        self._crops.close()
        self._loop.close()
        if self._curves is not None:
            self._curves.close()
        close_tree(self.widget)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = self.widget._repr_mimebundle_() or {}
        data = dict(bundle[0] if isinstance(bundle, tuple) else bundle)
        data["text/plain"] = f"Finetuning in {self.folder}"
        return data

    # On threads of their own.

    def _look(self) -> None:
        """Look at the run again and again; only that, and never long."""
        while not self._closed.wait(_PACE if self.session.state.phase.alive else _CALM):
            try:
                self.session.look()
            except Exception as error:  # noqa: BLE001 - the thread must live; the failure is shown
                _log.exception("The training cannot be watched.")
                self.session.say(f"The training cannot be watched ({error.__class__.__name__}: {error}).", error=True)

    # On the screen's thread.

    def _collect(self) -> None:
        self.session.work(_READING)

        def told(name: str) -> None:
            self.session.work(f"{_READING}: {name}")

        self._work.ask("prepare", lambda: self._works.prepare(told), self._ready)

    def _ready(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self.session.ready(prepared.described, prepared.settings)

    def _choose(self, changes: Any) -> None:
        for name, value in changes.items():
            self.session.choose(name, value)

    def _start(self) -> None:
        if self._prepared is None or self.session.state.phase is not Phase.SETUP or self.session.state.busy:
            return
        prepared, settings = self._prepared, dict(self.session.state.settings)
        self.session.say("")
        self.session.work(_STARTING)
        begin = self._works.begin
        self._work.ask("start", lambda: begin(self.folder, prepared, settings), self._begun)

    def _begun(self, run: TrainingRun) -> None:
        self.session.attach(run, starting=True)

    def _resume(self) -> None:
        session, run = self.session, self.session.run
        session.say("")
        # What failed, for want of memory or room on the disk, may go on as what was killed does.
        if session.state.phase not in (Phase.INTERRUPTED, Phase.FAILED) or run is None:
            session.resume()
            return
        session.work("Starting the process")
        start = self._works.start
        self._work.ask("start", lambda: start(run), lambda _: session.started())

    def _anew(self) -> None:
        self._prepared, self._setup = None, None
        self.folder = next_folder(self.folder)
        self._left.children = ()
        self.session.begin_anew()
        self._collect()

    def _use(self) -> None:
        result = self.session.state.result
        if result is not None:
            self.session.work(_USING)
            self._work.ask("use", lambda: self._works.use(result), self._used)

    def _used(self, count: int) -> None:
        self.session.work("")
        if count:
            self.session.say(f"{counted(count, 'open annotator')} {'changes' if count == 1 else 'change'} over to it.")
        else:
            path = os.fspath(self.session.state.result or "")
            self.session.say(f"No annotator is open in this notebook; open one with model={path!r}.")

    def _export(self, path: Path) -> None:
        result = self.session.state.result
        if result is not None:
            self.session.work("Writing the weights")
            self._work.ask("export", lambda: self._works.export(result, path), self._exported)

    def _exported(self, path: Path) -> None:
        self.session.work("")
        self.session.say(f"The weights are written to {path.absolute()}.")

    def _log_tail(self) -> str:
        run = self.session.run
        return "" if run is None else run.log_tail()

    def _refused(self, error: Exception) -> None:
        """Say what work in the background could not do."""
        self.session.work("")
        said = str(error) if isinstance(error, MicrosamError) else f"{error.__class__.__name__}: {error}"
        self.session.say(said, error=True)

    def _failed(self, error: Exception) -> None:
        _log.error("The screen failed.", exc_info=error)
        self.session.say(
            f"Something went wrong on screen ({error.__class__.__name__}: {error}). The training is not affected; "
            "run the cell again.",
            error=True,
        )

    def _paint(self) -> None:
        state = self.session.state
        place = self.folder.name if self.folder.parent == Path.cwd() else str(self.folder)
        named = html.escape(f"Finetuning {state.course.model or self._model}".rstrip())
        self._title.value = f"{named} <span class='msam-hint'>{html.escape(place)}</span>"
        self._data.show(state.data)
        self._show_setup(state.phase, state.settings)
        self._bar.show(state)
        if state.course.epochs or state.course.before is not None:
            self._drawn().show(state.course)
        elif self._curves is not None:
            self._curves.show(state.course)
        self._crops.show(state.course)
        self._result.show(state)

    def _show_setup(self, phase: Phase, settings: Any) -> None:
        if phase is not Phase.SETUP or self._prepared is None:
            if self._left.children:
                self._left.children = ()
            return
        if self._setup is None:
            self._setup = TrainingSetup(self._prepared.options, self._prepared.presets, self._loop, self._choose)
        self._setup.show(settings)
        if not self._left.children:
            self._left.children = (self._setup.box,)

    def _drawn(self) -> Any:
        if self._curves is None:
            # bqplot takes a third of a second to import.
            from ..widgets.training_curves import TrainingCurves

            self._curves = TrainingCurves()
            self._plots.children = (self._curves.box,)
        return self._curves
