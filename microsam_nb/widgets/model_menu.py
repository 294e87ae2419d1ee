"""The panel of models: which there are, and which one answers."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass

import ipywidgets as widgets

from ..session import Change, Session, UseModel
from .buttons import plain_button
from .hands import Hands
from .panels import EVERYTHING, title


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that can be chosen: ``cached`` when it need not be downloaded."""

    name: str
    label: str
    about: str
    megabytes: int
    cached: bool


class ModelsPanel:
    """A list of models, what the marked one is for, and a button that changes over to it.

    ``choices`` is asked whenever the panel is opened or a model was loaded, as the cache may have changed.
    """

    def __init__(self, choices: Callable[[], list[ModelChoice]], session: Session, hands: Hands) -> None:
        self._ask, self._session, self._hands = choices, session, hands
        self._choices: list[ModelChoice] = []
        self._seen: tuple[str, str] | None = None
        self.now = widgets.HTML()
        self.now.add_class("msam-model")
        self.list = widgets.Select(options=[], rows=8)
        self.about = widgets.HTML()
        self.about.add_class("msam-note")
        self.use = plain_button(
            "msam-use-model", "check", "Change over to the marked model", self._use, "Use this model"
        )
        self.file = widgets.Text(placeholder="or the path of a checkpoint file", continuous_update=False)
        self.open = plain_button("msam-open-model", "folder-open", "Load the checkpoint file", self._open)
        self.list.observe(lambda _: self._describe(), "value")
        self.box = widgets.VBox(
            [title("Model"), self.now, self.list, self.about, self.use, widgets.HBox([self.file, self.open])]
        )

    def show(self, change: Change) -> None:
        session = self._session
        now = session.model, session.device
        if now != self._seen or change == EVERYTHING:
            self._seen = now
            self._fill()
        self.use.disabled = self.open.disabled = session.work is not None
        text = f"<b>{html.escape(session.model)}</b> answers, on {html.escape(session.device)}"
        self.now.value = text if session.model else "The model is being loaded ..."

    def close(self) -> None:
        """All widgets are children of the box."""

    def _fill(self) -> None:
        self._choices = self._ask()
        marked = self.list.value
        entries = [(_entry(one), one.name) for one in self._choices]
        if entries == list(self.list.options):
            return
        self.list.options = entries
        names = [one.name for one in self._choices]
        current = next((one.name for one in self._choices if one.label == self._session.model), names[0])
        self.list.value = marked if marked in names else current
        self._describe()

    def _describe(self) -> None:
        one = next((c for c in self._choices if c.name == self.list.value), None)
        if one is None:
            return
        where = "ready to use" if one.cached else f"{one.megabytes} MB are downloaded once"
        self.about.value = f"{html.escape(one.about[:1].upper() + one.about[1:])}; {where}."

    # Buttons: these callbacks only queue.

    def _use(self) -> None:
        if self.list.value:
            self._hands.handle(UseModel(self.list.value))

    def _open(self) -> None:
        name = self.file.value.strip()
        if name:
            self._hands.handle(UseModel(name))
        else:
            self._session.say("Enter the path of a checkpoint file first, for example models/mine.pt.", error=True)


def _entry(one: ModelChoice) -> str:
    return f"{one.label}  ·  {one.megabytes} MB{'  ✓' if one.cached else ''}"
