"""The panel of classes: which there are, what a classifier says of all objects, and which of them it is unsure of."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import ipywidgets as widgets

from ..session import (
    AcceptGuesses,
    Change,
    ColourByClass,
    Guess,
    Session,
    SetClasses,
    Tool,
    class_names,
    classed_by_hand,
)
from ..session.wording import counted, plural
from ..view import Command
from ..view.classes import class_colour, pale
from .buttons import command_button, group, mark, plain_button, visible
from .hands import Bound, Hands
from .panels import title

#: Classes that have a button, and of these those that have a key.
_BUTTONS, _KEYS = 12, 5
_DIGITS = "12345"[:_KEYS]
#: Where a classifier is saved by default.
_FILE = "classifier.skops"


class Trainer(Protocol):
    """What trains, saves and loads classifiers; every call returns at once.

    ``kept``: what came of the last saving or loading, "" before that; a session tells when it is another (``notice``).
    """

    @property
    def kept(self) -> str: ...

    def start(self) -> None: ...

    def save(self, path: str) -> None: ...

    def load(self, path: str) -> None: ...


class ClassesPanel:
    """Classes to give, and what ``trainer`` makes of those given; opening it begins that."""

    def __init__(self, session: Session, hands: Hands, trainer: Trainer) -> None:
        self._session, self._hands, self._trainer = session, hands, trainer
        self._names: tuple[str, ...] = ()
        #: Objects that were looked at by "next uncertain": they come again when all others have been.
        self._seen: set[int] = set()
        self.tool = command_button(
            Command.CLASSIFY, "tags", "Click on objects of the chosen class, or draw over several; the right button "
            "takes the class away", hands.act, "Classify",
        )  # fmt: skip
        self.by_class = widgets.Checkbox(
            False, description="Colours", indent=False, tooltip="Objects in the colours of their classes, else one each"
        )
        self.by_class.add_class("msam-class-colours")
        self._by_class = Bound(self.by_class, hands, lambda on: hands.handle(ColourByClass(bool(on))))
        self.classes = [plain_button("msam-class", "", "", self._choosing(place), "class") for place in range(_BUTTONS)]
        self._swatches = widgets.VBox(self.classes)
        self._swatches.add_class("msam-classes-list")
        self.name = widgets.Text(placeholder="Name of a new class", continuous_update=False)
        self.name.add_class("msam-class-name")
        self.add = plain_button("msam-add-class", "plus", "Add this class", self._add)
        self.drop = plain_button("msam-drop-class", "minus", "Remove the chosen class, which no object has", self._drop)
        self.said = widgets.HTML()
        self.said.add_class("msam-note")
        self.picked = widgets.HTML()
        self.picked.add_class("msam-note")
        self.next = plain_button(
            "msam-next-uncertain", "question-circle", "Go to the object that the classifier is least sure of",
            self._next, "Next uncertain",
        )  # fmt: skip
        self.accept = plain_button(
            "msam-accept-classes", "check", "Give all other objects the predicted classes; one step, Ctrl-Z takes it "
            "back", self._accept, "Accept predictions",
        )  # fmt: skip
        self.path = widgets.Text(_FILE, continuous_update=False)
        self.path.add_class("msam-class-file")
        self.save = plain_button("msam-save-classifier", "save", "Save the classifier", self._save, "Save")
        self.load = plain_button(
            "msam-load-classifier", "folder-open", "Go on with a saved classifier", self._load, "Load"
        )
        self.kept = widgets.HTML()
        self.kept.add_class("msam-note")
        self.kept.add_class("msam-classifier-kept")
        self.box = widgets.VBox(
            [
                title("Classes", "a few of each are enough"),
                group("msam-class-tools", [self.tool, self.by_class]),
                self._swatches,
                widgets.HBox([self.name, self.add, self.drop]),
                self.said,
                self.picked,
                group("msam-class-guesses", [self.next, self.accept]),
                widgets.HBox([self.path, self.save, self.load]),
                self.kept,
            ]
        )
        self.name.observe(lambda _: self._add(), "value")
        trainer.start()

    def show(self, change: Change) -> None:
        self.kept.value = html.escape(self._trainer.kept)
        if not (change.objects or change.labels is not None or change.tool or change.layers):
            return
        browsing = self._session.state.browsing
        mark(self.tool, browsing.tool is Tool.CLASSIFY)
        self._by_class.show(browsing.layers.by_class)
        infos, guesses = dict(self._session.infos), self._session.guesses
        self._names = class_names(self._session)
        given = Counter(info.category for info in infos.values() if classed_by_hand(info))
        taken = Counter(info.category for info in infos.values() if info.category and not classed_by_hand(info))
        waiting = [one for one in guesses.known.values() if self._open(one)]
        guessed = Counter(one.category for one in waiting)
        for place, button in enumerate(self.classes):
            visible(button, place < len(self._names))
            if place < len(self._names):
                name = self._names[place]
                colour, faint = (_hex(one) for one in (class_colour(place), pale(class_colour(place))))
                key = f" [{place + 1}]" if place < _KEYS else ""
                button.description = f"{name}: {given[name]} clicked, {guessed[name] + taken[name]} predicted{key}"
                button.tooltip = f"Give the class {name}; with the classify tool {key or 'by this button'}"
                button.layout.border_left = f"14px solid {colour}"
                button.layout.border_right = f"6px solid {faint}"
                mark(button, name == browsing.category)
        self.said.value = html.escape(self._progress(given))
        self.picked.value = html.escape(self._about_picked())
        self.next.disabled = not waiting
        self.accept.disabled = not waiting
        self.save.disabled = not guesses.classes

    def close(self) -> None:
        """All widgets are children of the box."""

    def _open(self, guess: Guess) -> bool:
        """Whether a prediction is no object's class yet."""
        info = self._session.infos.get(guess.label)
        return info is None or not info.category or (info.probability is not None and info.category != guess.category)

    def _progress(self, given: Counter[str]) -> str:
        guesses, noun = self._session.guesses, self._session.noun.lower()
        still = ""
        if guesses.waiting:
            done = f"{guesses.total - guesses.waiting:,} of {counted(guesses.total, noun)}"
            still = f" The features are being computed: {done}."
        if guesses.said:
            return f"{guesses.said}{still}"
        if not self._session.labels.count():
            return f"There are no {plural(noun)} yet: segment some, or open the image with labels."
        if not self._names:
            return f"Name two classes, then click on a few {plural(noun)} of each.{still}"
        if len(given) > 1:
            # It is not the user that anything waits for.
            return f"Predictions come by themselves when the features of those clicked are known.{still}"
        if not given:
            return f"Click on a few {plural(noun)} of each class.{still}"
        only, count = next(iter(given.items()))
        return f"{counted(count, noun)} of class {only}; predictions need some of a second class.{still}"

    def _about_picked(self) -> str:
        if len(self._session.selected) != 1:
            return ""
        label = self._session.selected[0]
        info, guess = self._session.infos.get(label), self._session.guesses.known.get(label)
        who = f"{self._session.noun} {label}"
        if classed_by_hand(info) and info is not None:
            return f"{who}: {info.category}, by hand."
        return "" if guess is None else f"{who}: {guess.category}, probability {guess.probability:.2f}."

    # Buttons: these callbacks only queue.

    def _choosing(self, place: int) -> Callable[[], None]:
        def choose() -> None:
            if place < len(self._names):
                self._hands.handle(SetClasses(self._names, self._names[place]))

        return lambda: self._hands.post(choose)

    def _add(self) -> None:
        def add() -> None:
            name, first = self.name.value.strip(), not self._names
            if name:
                if name in _DIGITS[: len(self._names)]:
                    # The key of a class, pressed while the field still had the keyboard.
                    name = self._names[_DIGITS.index(name)]
                self._hands.handle(SetClasses((*self._names, name), name))
                self.name.value = ""
                if first:
                    self._hands.handle(ColourByClass(True))
                if self._session.state.browsing.tool is not Tool.CLASSIFY:
                    self._hands.act(Command.CLASSIFY)

        self._hands.post(add)

    def _drop(self) -> None:
        def drop() -> None:
            chosen = self._session.state.browsing.category
            kept = tuple(name for name in self._names if name != chosen)
            if any(info.category == chosen for info in dict(self._session.infos).values()):
                text = f"There are {plural(self._session.noun.lower())} of class {chosen}. Give them another one first."
                self._session.say(text, error=True)
            elif len(kept) < len(self._names):
                self._hands.handle(SetClasses(kept, kept[0] if kept else ""))

        self._hands.post(drop)

    def _next(self) -> None:
        def go() -> None:
            order = sorted(filter(self._open, self._session.guesses.known.values()), key=lambda one: one.lead)
            fresh = [one for one in order if one.label not in self._seen]
            if not fresh:
                self._seen.clear()
                fresh = order
            if fresh:
                one = fresh[0]
                self._seen.add(one.label)
                self._hands.go_to(one.label)
                about = f"{self._session.noun} {one.label}: {one.category}, probability {one.probability:.2f}"
                text = f"{about}. {len(order)} are not confirmed; click with the right class to tell."
                # After it is picked, which says something too.
                self._hands.post(lambda: self._session.say(text))

        self._hands.post(go)

    def _accept(self) -> None:
        self._hands.post(lambda: self._hands.handle(AcceptGuesses.of(self._session)))

    def _save(self) -> None:
        self._hands.post(lambda: self._with_path(self._trainer.save))

    def _load(self) -> None:
        self._hands.post(lambda: self._with_path(self._trainer.load))

    def _with_path(self, use: Callable[[str], None]) -> None:
        path = self.path.value.strip()
        if path:
            use(path)
        else:
            self._session.say(f"Enter the path of a file first, for example {_FILE}.", error=True)


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
