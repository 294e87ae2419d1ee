"""A series and the model that learns from it: a training below the images, and the model that was used last."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from ..core import MicrosamError
from ..core.replacing import replaced_whole
from ..session.training_run import TrainingRun
from ..widgets.buttons import plain_button

if TYPE_CHECKING:
    from ..engine import Model
    from .finetuner import Finetuner

_MODEL = "model.json"
#: Folder of the trainings of a series, in its output.
FOLDER = "finetuned"


class SeriesTraining:
    """A button that shows a training of a model on what was annotated so far, and hides it again.

    ``post`` calls a function on the thread of the series; ``begin`` returns the training on screen; ``refused`` hears
    why there is none.
    """

    def __init__(
        self,
        output: Path,
        post: Callable[[Callable[[], None]], None],
        begin: Callable[[], Finetuner],
        refused: Callable[[str], object],
    ) -> None:
        self._begin, self._refused = begin, refused
        self.finetuner: Finetuner | None = None
        self.button = plain_button(
            "msam-finetune", "graduation-cap", "Let the model learn from what is annotated so far, while you go on",
            lambda: post(self.toggle), "Finetune",
        )  # fmt: skip
        self._stage = widgets.VBox()
        self.box = widgets.VBox([self.button, self._stage])
        if TrainingRun.there(output / FOLDER):
            self.button.description = "Show the finetuning"

    def show(self) -> Finetuner:
        """Show the training: the one that was begun, or a new one on what is annotated by now."""
        if self.finetuner is not None and self.finetuner.session.run is None:
            self.finetuner.close()
            self.finetuner = None
        if self.finetuner is None:
            self.finetuner = self._begin()
        self._stage.children = (self.finetuner.widget,)
        self.button.description = "Hide the finetuning"
        return self.finetuner

    def toggle(self) -> None:
        """Show the training, or hide it; it goes on."""
        if not self._stage.children:
            try:
                self.show()
            except MicrosamError as error:
                self._refused(str(error))
            return
        self._stage.children = ()
        self.button.description = "Show the finetuning"

    def close(self) -> None:
        if self.finetuner is not None:
            self.finetuner.close()


def model_used(output: Path) -> tuple[str, str]:
    """Return the model that a series was annotated with last, and a sentence where it is gone; nano at first."""
    try:
        name = json.loads((output / _MODEL).read_text(encoding="utf-8"))["model"]
    except (OSError, ValueError, KeyError, TypeError):
        return "nano", ""
    if not isinstance(name, str):
        return "nano", ""
    if os.path.isabs(name) and not os.path.isfile(name):
        return "nano", f"The weights that were used last, {name}, are gone: nano answers."
    return name, ""


def remember_model(output: Path, model: Model | str | os.PathLike[str]) -> None:
    """Keep which model answers, where it has a name or a file. Raises OSError as it comes."""
    if not isinstance(model, str | os.PathLike):
        return
    name = os.fspath(model)
    kept = os.path.abspath(name) if os.path.isfile(name) else name
    if model_used(output)[0] != kept:
        with replaced_whole(output / _MODEL) as part:
            part.write_text(json.dumps({"model": kept}), encoding="utf-8")


def same_model(first: Any, second: Any) -> bool:
    """Whether two services would answer with the same model: one object, or one name or file."""
    paths = isinstance(first, str | os.PathLike) and isinstance(second, str | os.PathLike)
    return os.fspath(first) == os.fspath(second) if paths else first is second
