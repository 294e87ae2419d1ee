"""The buttons of a training, how far it is, and the question before it is stopped."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass

import ipywidgets as widgets

from ..session.finetuning import Finetuning, Phase, Question
from ..view.training import headline, loss_of_stopping, progress
from .buttons import group, plain_button, visible
from .hands import Poster
from .progress import in_words
from .status import alert

_ASIDE = (
    "It trains in a process of its own: closing this notebook or restarting its kernel does not end it. "
    "Run the cell again to see how far it is."
)


@dataclass(frozen=True, slots=True)
class TrainingDeeds:
    """What the buttons do; called on the screen's thread."""

    start: Callable[[], None]
    pause: Callable[[], None]
    resume: Callable[[], None]
    ask: Callable[[Question], None]
    stop: Callable[[], None]
    anew: Callable[[], None]


class TrainingBar:
    """Shows only the buttons that do something now."""

    def __init__(self, hands: Poster, deeds: TrainingDeeds) -> None:
        def button(name: str, icon: str, text: str, tooltip: str, deed: Callable[[], None]) -> widgets.Button:
            return plain_button(f"msam-{name}-training", icon, tooltip, lambda: hands.post(deed), text)

        self.start = button("start", "play", "Start training", "Train with these settings", deeds.start)
        self.start.button_style = "primary"
        self.pause = button("pause", "pause", "Pause", "Keep everything, and compute nothing until Resume", deeds.pause)
        self.resume = button("resume", "play", "Resume", "Go on where it was left", deeds.resume)
        self.resume.button_style = "primary"
        self.stop = button(
            "stop", "stop", "Stop ...", "End the training with the best weights so far",
            lambda: deeds.ask(Question.STOP),
        )  # fmt: skip
        self.anew = button(
            "new", "refresh", "New training", "Look at the data again, and set up another training; this one is kept",
            deeds.anew,
        )  # fmt: skip
        self.sure = button("sure", "stop", "Stop now", "End the training with the best weights so far", deeds.stop)
        self.sure.button_style = "danger"
        self.no = button("no", "", "Go on training", "Do not stop", lambda: deeds.ask(Question.NONE))
        self.asked = widgets.HTML()
        self.question = widgets.VBox([self.asked, group("msam-answers", [self.sure, self.no])])
        self.question.add_class("msam-question")
        self.line, self.aside = widgets.HTML(), widgets.HTML(f"<span class='msam-note'>{_ASIDE}</span>")
        self.line.add_class("msam-training-line")
        buttons = [self.start, self.resume, self.pause, self.stop, self.anew]
        self.box = widgets.VBox([group("msam-deeds", buttons), self.line, self.question, self.aside])
        self.box.add_class("msam-training-bar")

    def show(self, state: Finetuning) -> None:
        phase, asking = state.phase, state.question is Question.STOP
        going = phase in (Phase.STARTING, Phase.RUNNING)
        shown = {
            self.start: phase is Phase.SETUP,
            self.resume: phase in (Phase.PAUSED, Phase.PAUSING, Phase.INTERRUPTED, Phase.FAILED),
            self.pause: going and not asking,
            self.stop: (going or phase in (Phase.PAUSED, Phase.PAUSING)) and not asking,
            self.anew: phase.over or phase is Phase.INTERRUPTED,
            self.question: asking,
            self.aside: phase.alive,
        }
        for one, on in shown.items():
            visible(one, on)
        for one in (self.start, self.resume, self.anew):
            one.disabled = bool(state.busy)
        if asking:
            self.asked.value = f"<b>Stop the training?</b> {html.escape(loss_of_stopping(state.course))}"
        self.line.value = _line(state)


def _line(state: Finetuning) -> str:
    parts = []
    if said := headline(state):
        parts.append(alert(said) if state.phase is Phase.FAILED else f"<div>{html.escape(said)}</div>")
    if (work := progress(state)) is not None:
        share = f"width:{100 * min(1.0, work.done / work.total):.1f}%" if work.total else ""
        unknown = "" if work.total else " msam-unknown"
        bar = f"<div class='msam-track{unknown}'><div style='{share}'></div></div>"
        parts.append(f"<div role='status'>{html.escape(in_words(work))}{bar}</div>")
    if state.course.preflight and not state.phase.over:
        parts.append(f"<div class='msam-note'>{html.escape(state.course.preflight)}</div>")
    parts += [f"<div class='msam-note'>{html.escape(note)}</div>" for note in state.course.notes[-2:]]
    if state.notice.text:
        text = state.notice.text
        parts.append(alert(text) if state.notice.error else f"<div>{html.escape(text)}</div>")
    return "".join(parts)
