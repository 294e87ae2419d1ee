"""Trails of picked tracks: where they come from."""

from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.session import DeleteIn, LoadLabels, Session
from microsam_nb.view import colour_of
from microsam_nb.view.trails import LENGTH, Trails


@pytest.fixture
def session():
    """Track 1 goes right, with a gap in frame 3; track 2 is in frame 5 only."""
    labels = np.zeros((20, 16, 40), np.uint32)
    for t in range(20):
        labels[t, 4:7, t : t + 3] = 1
    labels[3] = 0
    labels[5, 10:12, 10:12] = 2
    made = Session(labels.shape, movie=True)
    made.handle(LoadLabels.of(labels))
    return made


def test_the_last_places_up_to_the_frame(session):
    (line,) = Trails(session).lines((1,), 4)
    assert line.points.tolist() == [[5.5, 1.5], [5.5, 2.5], [5.5, 3.5], [5.5, 5.5]]
    assert not line.closed
    assert line.colour == colour_of(1)
    (line,) = Trails(session).lines((1,), 18)
    assert len(line.points) == LENGTH
    assert line.points[-1].tolist() == [5.5, 19.5]


def test_there_is_none_of_one_place_and_of_what_is_gone(session):
    assert Trails(session).lines((1,), 0) == []
    assert Trails(session).lines((2, 99), 9) == []
    assert Trails(session).lines((), 9) == []


def test_places_are_remembered_until_labels_are_written(session, monkeypatch):
    trails = Trails(session)
    trails.lines((1,), 9)
    crops = []
    crop = session.crop
    monkeypatch.setattr(session, "crop", lambda box: (crops.append(box), crop(box))[1])
    trails.lines((1,), 10)
    assert len(crops) == 1
    session.handle(DeleteIn(1, 9))
    trails.forget()
    (line,) = trails.lines((1,), 10)
    assert [x for _, x in line.points.tolist()][-2:] == [9.5, 11.5]
