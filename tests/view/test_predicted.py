"""Objects in the colours of their classes."""

from __future__ import annotations

import numpy as np

from microsam_nb.session import Classified, Guess, Guesses, LoadLabels, Session, SetClass, SetClasses
from microsam_nb.view.overlays import OBJECTS, fill_entries, label_source
from microsam_nb.view.predicted import Predicted, class_colour, pale
from microsam_nb.view.raster import Raster


def test_given_classes_have_full_colours_predicted_ones_paler_and_others_grey():
    labels = np.zeros((1, 4, 8), np.uint32)
    labels[0, :, 0:2], labels[0, :, 2:4], labels[0, :, 4:6] = 7, 8, 9
    session = Session(labels.shape)
    session.handle(LoadLabels.of(labels))
    session.handle(SetClasses(("x", "y")))
    session.handle(SetClass((7,), "y"))
    session.handle(Classified(Guesses({8: Guess(8, "y", 0.7, 0.4), 7: Guess(7, "x", 0.7, 0.4)}, "", ("x", "y"))))
    shown = Predicted.shown(session)
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
    assert Predicted.shown(session) == Predicted.shown(session)
    assert class_colour(0) != class_colour(1)
