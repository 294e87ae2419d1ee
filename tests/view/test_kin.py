"""What can be done with picked tracks: which commands, and what they mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from microsam_nb.core import Lineage, LineageError, Tracks
from microsam_nb.session import (
    AddPoint,
    BeginDaughters,
    CutTrack,
    EndDaughters,
    EndTrack,
    JoinTracks,
    LoadTracks,
    Orphan,
    Reparent,
    Select,
    Session,
    SwapTracks,
)
from microsam_nb.view import MOVIE, Command
from microsam_nb.view.kin import meant, possible, track_action

HERE = Command.DELETE_HERE
ONE = {Command.DIVIDE, Command.CUT_TRACK, Command.END_TRACK, HERE, Command.ORPHAN}


@pytest.fixture
def session():
    """Track 1 in frames 0 to 3, its daughters 2 and 3 from 4 to 7, track 4 from 2 to 5."""
    labels = np.zeros((8, 20, 20), np.uint32)
    labels[:4, 1:4, 1:4] = 1
    labels[4:, 1:4, 1:4], labels[4:, 6:9, 6:9] = 2, 3
    labels[2:6, 12:15, 12:15] = 4
    made = Session(labels.shape, movie=True)
    made.handle(LoadTracks.of(Tracks(labels, Lineage({1: (2, 3), 2: (), 3: (), 4: ()}))))
    return made


def can(session, frame, *picked):
    session.handle(Select(picked))
    return possible(session, frame)


def test_one_track(session):
    middle = {Command.DIVIDE, Command.CUT_TRACK, Command.END_TRACK, HERE}
    assert can(session, 4) == set()
    assert can(session, 2, 1) == middle
    assert can(session, 0, 1) == {HERE}
    assert can(session, 5, 1) == {Command.DIVIDE}, "daughters may begin later"
    assert can(session, 4, 2) == {HERE, Command.ORPHAN}
    assert can(session, 5, 2) == ONE


def test_two_tracks(session):
    assert can(session, 4, 2, 3) == set(), "both begin there, and share frames"
    assert can(session, 5, 2, 3) == {Command.SWAP}
    assert can(session, 3, 4, 1) == {Command.SWAP}
    assert can(session, 6, 2, 1) == {Command.JOIN}, "she is the mother already"
    session.handle(Orphan(2))
    assert can(session, 6, 2, 1) == {Command.JOIN, Command.SWAP, Command.REPARENT}
    assert can(session, 6, 1, 2) == {Command.JOIN, Command.SWAP}
    assert can(session, 6, 1, 2, 3) == set()


def test_what_is_offered_is_possible_and_what_is_not_is_refused(session):
    tracks = LoadTracks.of(Tracks(*session.family()))
    for picked in [(a,) for a in range(1, 5)] + [(a, b) for a in range(1, 5) for b in range(1, 5) if a != b]:
        for frame in range(8):
            offered = can(session, frame, *picked)
            for command in MOVIE - {Command.DAUGHTERS_DONE}:
                session.handle(tracks)
                try:
                    session.handle(track_action(command, picked, frame))
                    done = True
                except LineageError:
                    done = False
                # A swap may also fail because a daughter would begin before her mother ends.
                assert done == (command in offered) or (command is Command.SWAP and not done), (command, picked, frame)
            session.handle(tracks)


def test_daughters_are_done_while_they_are_marked(session):
    session.handle(BeginDaughters(1, 4))
    assert Command.DAUGHTERS_DONE in can(session, 4)
    session.handle(EndDaughters())
    assert can(session, 4) == set()


def test_the_object_in_hand_is_what_divides_where_nothing_else_is_picked(session):
    assert not meant(session)
    session.handle(AddPoint(16, 3, plane=2))
    assert meant(session)
    assert can(session, 3) == {Command.DIVIDE}
    assert can(session, 0) == set()
    assert can(session, 2, 1) == {Command.CUT_TRACK, Command.END_TRACK, HERE}
    assert not meant(session)
    session.amend(replace(session.state, target=1))
    assert meant(session), "the picked track is the one in hand"


@pytest.mark.parametrize(
    ("command", "picked", "action"),
    [
        (Command.DIVIDE, (1,), BeginDaughters(1, 3)),
        (Command.CUT_TRACK, (1,), CutTrack(1, 3)),
        (Command.END_TRACK, (1,), EndTrack(1, 3)),
        (Command.ORPHAN, (2,), Orphan(2)),
        (Command.JOIN, (1, 4), JoinTracks(1, 4)),
        (Command.SWAP, (1, 4), SwapTracks(1, 4, 3)),
        (Command.REPARENT, (4, 1), Reparent(4, 1)),
        (Command.DAUGHTERS_DONE, (), EndDaughters()),
    ],
)
def test_actions(command, picked, action):
    assert track_action(command, picked, 3) == action


@pytest.mark.parametrize("command", sorted(MOVIE - {Command.DAUGHTERS_DONE}))
def test_without_enough_tracks_it_says_how_to_pick_them(command):
    with pytest.raises(LineageError, match=r"Pick one|Shift-click"):
        track_action(command, (), 3)
    with pytest.raises(LineageError, match=r"Pick one|Shift-click"):
        track_action(command, (1, 2, 3), 3)


def test_images_have_no_tracks():
    assert possible(Session((1, 9, 9)), 0) == set()
