"""Objects in the colours of their classes."""

from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.session import Classified, Guess, Guesses, LoadLabels, Session, SetClass, SetClasses
from microsam_nb.view.classes import Classes, class_colour, pale
from microsam_nb.view.overlays import OBJECTS, Source, fill_entries, label_source
from microsam_nb.view.raster import Raster


def test_given_classes_have_full_colours_predicted_ones_paler_and_others_grey():
    labels = np.zeros((1, 4, 8), np.uint32)
    labels[0, :, 0:2], labels[0, :, 2:4], labels[0, :, 4:6] = 7, 8, 9
    session = Session(labels.shape)
    session.handle(LoadLabels.of(labels))
    session.handle(SetClasses(("x", "y")))
    session.handle(SetClass((7,), "y"))
    session.handle(Classified(Guesses({8: Guess(8, "y", 0.7, 0.4), 7: Guess(7, "x", 0.7, 0.4)}, "", ("x", "y"))))
    shown = Classes.shown(session)
    style = shown.style(OBJECTS)
    found = fill_entries(shown.source(label_source(session.labels, 0)), Raster(1, 0, 0, 4, 8), style)
    colours = style.table[found[0]]
    assert tuple(colours[0]) == class_colour(1)
    assert tuple(colours[2]) == pale(class_colour(1))
    assert tuple(colours[4]) == (150, 150, 150)
    assert found[0, 7] == 0


def test_the_same_classes_are_equal_so_that_nothing_is_drawn_again():
    session = Session((1, 4, 8))
    session.handle(SetClasses(("x",)))
    assert Classes.shown(session) == Classes.shown(session)
    assert class_colour(0) != class_colour(1)


@pytest.mark.parametrize("large", [0, 2**31])
def test_objects_have_the_colours_of_their_classes(large):
    ids = np.array([[0, 1, 2, 3 + large]], np.uint32)
    found = Classes(("a", "b"), {1: 1, 2: 0})
    style = found.style(OBJECTS)
    entries = fill_entries(found.source(Source(lambda _: ids)), Raster(1, 0, 0, 1, 4), style)[0]
    assert entries[0] == 0
    assert [tuple(style.table[one].tolist()) for one in entries[1:]] == [
        found.colours[1],
        found.colours[0],
        found.colours[-1],
    ]
