"""The panel of classes."""

from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.session import (
    AcceptGuesses,
    Classified,
    Guess,
    Guesses,
    Select,
    SetClass,
    SetClasses,
    Undo,
)
from microsam_nb.view import Command
from microsam_nb.widgets import ClassesPanel
from microsam_nb.widgets.panels import EVERYTHING


class Trainer:
    def __init__(self):
        self.told = []
        self.kept = ""

    def start(self):
        self.told.append("start")

    def save(self, path):
        self.told.append(("save", path))

    def load(self, path):
        self.told.append(("load", path))


@pytest.fixture
def made(desk):
    one = desk()
    labels = np.zeros((1, 96, 96), np.uint32)
    for i in range(5):
        labels[0, 10:20, 15 * i + 2 : 15 * i + 12] = i + 1
    one.fill(labels)
    one.trainer = Trainer()
    one.panel = ClassesPanel(one.session, one.hands, one.trainer)
    one.panel.show(EVERYTHING)
    return one


def guess(one, *found):
    known = {label: Guess(label, name, p, lead) for label, name, p, lead in found}
    one.session.handle(Classified(Guesses(known, "Trained on 4 objects.", ("a", "b"))))


def shown(panel):
    return [one.description for one in panel.classes if one.layout.display != "none"]


def test_opening_it_begins_the_training(made):
    assert made.trainer.told == ["start"]
    assert "Name two classes" in made.panel.said.value
    assert shown(made.panel) == []
    assert made.panel.accept.disabled
    assert made.panel.next.disabled
    assert made.panel.save.disabled


def test_a_name_makes_a_class_and_takes_the_tool(made):
    made.panel.name.value = "large"
    assert made.session.state.browsing.category == "large"
    assert Command.CLASSIFY in made.done
    assert made.panel.name.value == ""
    made.panel.name.value = "small"
    assert shown(made.panel) == ["large: 0 clicked, 0 predicted [1]", "small: 0 clicked, 0 predicted [2]"]
    made.panel.classes[0].click()
    assert made.session.state.browsing.category == "large"
    made.panel.add.click()
    assert made.session.state.browsing.classes == ("large", "small")


def test_it_counts_what_is_given_and_predicted(made):
    made.session.handle(SetClasses(("a", "b")))
    made.session.handle(SetClass((1,), "a"))
    guess(made, (2, "a", 0.9, 0.8), (3, "b", 0.6, 0.2))
    assert shown(made.panel) == ["a: 1 clicked, 1 predicted [1]", "b: 0 clicked, 1 predicted [2]"]
    assert "Trained on 4 objects." in made.panel.said.value
    assert not made.panel.accept.disabled
    made.panel.accept.click()
    assert isinstance(made.done[-1], AcceptGuesses)
    assert shown(made.panel) == ["a: 1 clicked, 1 predicted [1]", "b: 0 clicked, 1 predicted [2]"]
    assert made.panel.accept.disabled
    made.session.handle(Undo())
    assert not made.panel.accept.disabled


def test_next_goes_to_the_least_certain_and_not_twice_to_the_same(made):
    guess(made, (2, "a", 0.9, 0.8), (3, "b", 0.6, 0.2), (4, "b", 0.55, 0.1))
    for _ in range(4):
        made.panel.next.click()
    gone = [what[1] for what in made.done if isinstance(what, tuple) and what[0] == "go to"]
    assert gone == [4, 3, 2, 4]
    assert "probability 0.55" in made.session.notice.text


def test_a_picked_object_says_what_it_is(made):
    guess(made, (2, "a", 0.9, 0.8))
    made.session.handle(Select((2,)))
    assert "Object 2: a, probability 0.90." in made.panel.picked.value
    made.session.handle(SetClass((2,), "b"))
    assert "by hand" in made.panel.picked.value


def test_markup_in_names_is_text(made):
    guess(made, (2, "<b>x", 0.9, 0.8))
    made.session.handle(Select((2,)))
    assert "<b>" not in made.panel.picked.value


def test_saving_and_loading_need_a_path(made):
    guess(made, (2, "a", 0.9, 0.8))
    made.panel.path.value = "my.skops"
    made.panel.save.click()
    made.panel.load.click()
    assert made.trainer.told[1:] == [("save", "my.skops"), ("load", "my.skops")]
    made.panel.path.value = " "
    made.panel.load.click()
    assert "Enter the path" in made.session.notice.text


def test_what_came_of_saving_stays_in_the_panel(made):
    made.trainer.kept = "The classifier is saved in /<here>/my.skops."
    made.session.say("saved")
    assert made.panel.kept.value == "The classifier is saved in /&lt;here&gt;/my.skops."
    made.session.say("something else")
    assert "is saved in" in made.panel.kept.value


def computing(one, waiting):
    one.session.handle(Classified(Guesses(waiting=waiting, total=5)))


def test_while_features_are_computed_nobody_is_told_that_classes_are_missing(made):
    computing(made, 5)
    said = made.panel.said
    assert said.value == (
        "Name two classes, then click on a few objects of each. The features are being computed: 0 of 5 objects."
    )
    made.session.handle(SetClasses(("a", "b")))
    computing(made, 4)
    assert said.value == "Click on a few objects of each class. The features are being computed: 1 of 5 objects."
    made.session.handle(SetClass((1,), "a"))
    assert said.value.startswith("1 object of class a; predictions need some of a second class. The features")
    made.session.handle(SetClass((2,), "b"))
    assert said.value == (
        "Predictions come by themselves when the features of those clicked are known. "
        "The features are being computed: 1 of 5 objects."
    )
    computing(made, 0)
    assert "computed" not in said.value


def test_many_classes_have_no_button_but_break_nothing(made):
    made.session.handle(SetClasses(tuple(f"class {i}" for i in range(30))))
    assert len(shown(made.panel)) == 12


def test_the_key_of_a_class_in_the_name_field_chooses_it(made):
    for name in ("large", "small", "1"):
        made.panel.name.value = name
    assert made.session.state.browsing.classes == ("large", "small")
    assert made.session.state.browsing.category == "large"
    made.panel.name.value = "3"
    assert made.session.state.browsing.classes == ("large", "small", "3")


def test_the_first_class_shows_the_colours_of_classes(made):
    made.panel.name.value = "large"
    assert made.session.state.browsing.layers.by_class


def test_a_class_that_no_object_has_can_be_removed(made):
    for name in ("large", "small"):
        made.panel.name.value = name
    made.session.handle(SetClass((1,), "small"))
    made.panel.drop.click()
    assert made.session.state.browsing.classes == ("large", "small")
    assert "of class small" in made.session.notice.text
    made.session.handle(Undo())
    made.panel.drop.click()
    assert made.session.state.browsing.classes == ("large",)
    assert made.session.state.browsing.category == "large"
