"""What a training has made: weights that can be used, written elsewhere, and the log of its process."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path

import ipywidgets as widgets

from ..session.finetuning import Finetuning, Phase
from .buttons import group, plain_button, visible
from .hands import Poster
from .panels import title


class TrainingResult:
    """``use`` is called without arguments, ``export`` with a path; both on the screen's thread.

    ``endings`` lists what an export can be written as: what the menu says and the ending. ``log`` returns the end of
    what the process wrote.
    """

    def __init__(
        self,
        hands: Poster,
        use: Callable[[], None],
        export: Callable[[Path], None],
        log: Callable[[], str],
        endings: Sequence[tuple[str, str]],
    ) -> None:
        self._hands, self._read, self._export = hands, log, export
        self.about = widgets.HTML()
        self.use = plain_button(
            "msam-use-weights", "check", "Change over to these weights in all annotators that are open in this "
            "notebook", lambda: hands.post(use), "Use this model",
        )  # fmt: skip
        self.use.button_style = "success"
        self.path = widgets.Text(value="finetuned", placeholder="name of a file", continuous_update=False)
        self.ending = widgets.Dropdown(options=list(endings))
        self.export = plain_button(
            "msam-export-weights", "download", "Write the weights to this file",
            lambda: hands.post(self._write), "Export",
        )  # fmt: skip
        self.path.add_class("msam-export-path")
        row = group("msam-export", [self.path, self.ending, self.export])
        self.weights = widgets.VBox([title("Weights"), self.about, widgets.Box([self.use]), row])
        self.show_log = plain_button(
            "msam-show-log", "file-text-o", "Show what the training process wrote, or hide it",
            lambda: hands.post(self._toggle), "Log",
        )  # fmt: skip
        self.log = widgets.HTML()
        visible(self.log, False)
        self.box = widgets.VBox([self.weights, widgets.Box([self.show_log]), self.log])
        self.box.add_class("msam-result")

    def show(self, state: Finetuning) -> None:
        visible(self.weights, state.result is not None)
        visible(self.show_log, state.phase not in (Phase.COLLECTING, Phase.SETUP))
        self.use.disabled = self.export.disabled = bool(state.busy)
        if state.result is None:
            return
        best = state.course.best
        which = "" if best is None else f" of step {best.step}"
        more = "" if state.phase.over else " They are replaced when a later epoch is better."
        self.about.value = f"The best weights{which} are in <code>{html.escape(str(state.result))}</code>.{more}"

    def _write(self) -> None:
        name = self.path.value.strip()
        path = Path(name or "finetuned").expanduser()
        chosen = self.ending.value
        self._export(path if path.suffix == chosen else path.with_name(path.name + chosen))

    def _toggle(self) -> None:
        shown = self.log.layout.display != "none"
        if not shown:
            self.log.value = f"<pre class='msam-log'>{html.escape(self._read() or 'The log is empty.')}</pre>"
        visible(self.log, not shown)
