"""Classes of objects: given by hand, predicted, accepted; undone, written to the journal, opened again."""

from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.core import Image, LabelError, ObjectInfo
from microsam_nb.session import (
    AcceptGuesses,
    Classified,
    ClassifyAlong,
    Delete,
    Describe,
    Guess,
    Guesses,
    LoadLabels,
    Project,
    Redo,
    Session,
    SetClass,
    SetClasses,
    SetTool,
    Tool,
    Undo,
    class_names,
)
from microsam_nb.session.actions.classifying import choose_class


def squares(count=4):
    labels = np.zeros((1, 20, 10 * count), np.uint32)
    for i in range(count):
        labels[0, 5:15, 10 * i + 2 : 10 * i + 8] = i + 1
    return labels


@pytest.fixture
def session():
    made = Session((1, 20, 40))
    made.handle(LoadLabels.of(squares()))
    return made


def classes(session):
    return {label: info.category for label, info in sorted(session.infos.items()) if info.category}


def guess(session, **names):
    known = {int(k[1:]): Guess(int(k[1:]), name, 0.8, 0.6) for k, name in names.items()}
    session.handle(Classified(Guesses(known, "said", ("a", "b"))))


def test_a_line_gives_its_class_to_all_that_it_runs_through(session):
    session.handle(ClassifyAlong(((10.0, 1.0), (10.0, 25.0)), 0, "a"))
    assert classes(session) == {1: "a", 2: "a", 3: "a"}
    session.handle(Undo())
    assert classes(session) == {}
    session.handle(Redo())
    session.handle(ClassifyAlong(((10.0, 1.0), (10.0, 9.0)), 0, ""))
    assert classes(session) == {2: "a", 3: "a"}


def test_a_line_beside_all_objects_is_an_error_with_a_remedy(session):
    with pytest.raises(LabelError, match="Click on"):
        session.handle(ClassifyAlong(((1.0, 1.0), (1.0, 30.0)), 0, "a"))
    assert classes(session) == {}


def test_predictions_are_no_classes_until_they_are_accepted(session):
    session.handle(SetClass((1,), "a"))
    guess(session, _1="b", _2="b", _3="a")
    assert classes(session) == {1: "a"}
    session.handle(AcceptGuesses.of(session))
    assert classes(session) == {1: "a", 2: "b", 3: "a"}, "what the user said stays"
    assert session.infos[2] == ObjectInfo(category="b", probability=0.8)
    session.handle(Undo())
    assert classes(session) == {1: "a"}
    session.handle(Redo())
    assert classes(session) == {1: "a", 2: "b", 3: "a"}


def test_accepted_classes_follow_newer_predictions_and_the_user(session):
    guess(session, _2="b")
    session.handle(AcceptGuesses.of(session))
    guess(session, _2="a")
    session.handle(AcceptGuesses.of(session))
    assert classes(session) == {2: "a"}
    session.handle(SetClass((2,), "a"))
    assert session.infos[2].probability is None, "the user has said the same"
    guess(session, _2="b")
    with pytest.raises(LabelError, match="Click on a few objects"):
        session.handle(AcceptGuesses.of(session))


def test_a_class_that_is_written_into_the_table_is_the_users(session):
    guess(session, _2="b")
    session.handle(AcceptGuesses.of(session))
    session.handle(Describe(2, category="c"))
    assert session.infos[2].probability is None


def test_predictions_of_objects_that_are_gone_are_left_out(session):
    guess(session, _2="b", _3="a")
    session.handle(Delete((2,)))
    session.handle(AcceptGuesses.of(session))
    assert classes(session) == {3: "a"}


def test_without_predictions_there_is_nothing_to_accept(session):
    with pytest.raises(LabelError, match="two classes or more"):
        session.handle(AcceptGuesses.of(session))
    assert not session.infos


def test_a_deleted_object_takes_its_class_along_and_brings_it_back(session):
    session.handle(SetClass((1,), "a"))
    session.handle(Delete((1,)))
    assert classes(session) == {}
    session.handle(Undo())
    assert classes(session) == {1: "a"}


def test_classes_are_chosen_by_place(session):
    session.handle(SetClasses(("large", " small ", "large", "")))
    assert session.state.browsing.classes == ("large", "small")
    assert session.state.browsing.category == "large"
    session.handle(choose_class(session, 1))
    assert session.state.browsing.category == "small"
    with pytest.raises(LabelError, match="Name it in the panel"):
        choose_class(session, 2)
    assert not session.can_redo


def test_classes_of_objects_and_of_a_classifier_are_known_too(session):
    session.handle(SetClasses(("z",)))
    session.handle(SetClass((1,), "y"))
    guess(session, _2="b")
    assert class_names(session) == ("z", "a", "b", "y")


def test_predictions_tell_the_screen(session):
    changes = []
    session.changed.connect(changes.append)
    guess(session, _1="a")
    assert changes[-1].objects


def test_all_of_it_is_there_again_when_a_project_is_opened(tmp_path):
    image = Image(np.zeros((20, 40), np.uint8))
    project = Project.open(tmp_path / "a.msam", image, "nano")
    session = Session((1, 20, 40), project)
    session.handle(LoadLabels.of(squares()))
    session.handle(SetClasses(("a", "b"), "b"))
    session.handle(SetTool(Tool.CLASSIFY))
    session.handle(ClassifyAlong(((10.0, 1.0), (10.0, 9.0)), 0, "a"))
    guess(session, _2="b", _3="a")
    session.handle(AcceptGuesses.of(session))
    before, infos = session.state.browsing, dict(session.infos)
    session.close()
    again = Session((1, 20, 40), Project.open(tmp_path / "a.msam", image, "nano"))
    assert again.infos == infos
    assert again.state.browsing.classes == before.classes
    assert again.state.browsing.category == "b"
    assert not again.guesses.known, "predictions are made anew"
    again.handle(Undo())
    assert classes(again) == {1: "a"}
    again.close()
