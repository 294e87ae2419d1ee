"""Named scripts about tracks: divisions, corrections of the lineage, and that labels and lineage always agree."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from loose import NEVER, Loose, answer, found, kill, square

from microsam_nb.core import (
    Delta,
    Image,
    LabelError,
    Lineage,
    LineageError,
    MicrosamError,
    Overlap,
    ProjectError,
    PromptError,
    Section,
    Tracks,
)
from microsam_nb.session import (
    AcceptCandidates,
    AddPoint,
    Automatic,
    BeginDaughters,
    Cancel,
    Clear,
    Commit,
    CutTrack,
    Delete,
    DeleteIn,
    Describe,
    EndDaughters,
    EndTrack,
    Erase,
    Extend,
    Extended,
    ExtendObject,
    FindAll,
    Improve,
    JoinTracks,
    Link,
    LinkAll,
    Linked,
    LoadLabels,
    LoadTracks,
    Merge,
    Orphan,
    Paint,
    Project,
    Redo,
    Reparent,
    Restored,
    Select,
    Session,
    Setting,
    Split,
    Suggested,
    SwapTracks,
    Undo,
)

SHAPE = (8, 30, 30)


@pytest.fixture
def session():
    return Session(SHAPE, movie=True)


@pytest.fixture
def reopen(tmp_path):
    """A session on the folder, as after a killed kernel."""
    sessions = []

    def again():
        sessions.append(Session(SHAPE, Loose(tmp_path), NEVER, movie=True))
        return sessions[-1]

    yield again
    for one in sessions:
        kill(one)


def track(session, frames, y=5, x=5, side=4):
    """Commit a square that is at one place in some frames; return its number."""
    frames = list(frames)
    session.handle(AddPoint(y + 0.5, x + 0.5, plane=frames[0]))
    answer(session, square(y, x, side, frames[0]))
    if len(frames) > 1:
        session.handle(ExtendObject())
        sections = tuple(Section(0, one, square(y, x, side, one), 0.9, 0.9) for one in frames[1:])
        session.handle(Extended(session.awaiting, sections, True))
    number = session.state.next_id
    session.handle(Commit())
    return number


def family(session):
    return dict(session.state.lineage.daughters.items())


def refused(session, action, kind=MicrosamError):
    """The action is refused and changes nothing; return what is said."""
    before = session.state, session.snapshot(), dict(session.infos), session.can_undo
    with pytest.raises(kind) as caught:
        session.handle(action)
    assert before[0] == session.state
    assert np.array_equal(before[1], session.snapshot())
    assert (before[2], before[3]) == (dict(session.infos), session.can_undo)
    check(session)
    return str(caught.value)


def check(session):
    """Labels and lineage are those of a Tracks; nobody is a daughter before her mother has ended."""
    labels, lineage = session.family()
    made = Tracks(labels, lineage)
    assert set(made.present) == set(lineage)
    assert made.present == {one: session.frames(one) for one in lineage}


def test_committed_objects_are_tracks(session):
    assert session.state.lineage == Lineage({})
    one = track(session, range(2, 6))
    assert family(session) == {one: ()}
    assert session.frames(one) == (2, 3, 4, 5)
    assert session.notice.text == f"Track {one} is committed."
    session.handle(Undo())
    assert family(session) == {}
    session.handle(Redo())
    assert family(session) == {one: ()}
    check(session)


def test_an_image_and_a_volume_have_no_tracks():
    session = Session(SHAPE)
    assert session.state.lineage is None
    for action in (CutTrack(1, 2), LinkAll(), Orphan(1), BeginDaughters(1, 2)):
        with pytest.raises(LineageError, match="annotate_tracks"):
            session.handle(action)


def test_a_division_into_three_daughters(session):
    mother = track(session, range(3))
    session.handle(BeginDaughters(mother, 3))
    assert (session.state.mother, session.state.browsing.plane) == (mother, 3)
    daughters = [track(session, range(3, 6), y=5, x=x) for x in (1, 10, 20)]
    assert "Daughter of track" in session.notice.text
    session.handle(EndDaughters())
    assert "3 daughters" in session.notice.text
    other = track(session, range(3), y=20)
    assert family(session) == {mother: tuple(daughters), **dict.fromkeys(daughters, ()), other: ()}
    check(session)


def test_daughters_of_the_second_generation_have_the_right_mother(session):
    mother = track(session, range(2))
    session.handle(BeginDaughters(mother, 2))
    left, right = (track(session, range(2, 4), x=x) for x in (1, 12))
    session.handle(BeginDaughters(right, 4))
    grand = [track(session, range(4, 7), x=x) for x in (12, 20)]
    lineage = session.state.lineage
    assert lineage.children(mother) == (left, right)
    assert lineage.children(right) == tuple(grand)
    assert [lineage.generation(one) for one in (mother, right, grand[0])] == [0, 1, 2]
    # Undo in the middle: the last granddaughter goes, and the next one is a granddaughter again.
    session.handle(Undo())
    while session.state.next_id > grand[1]:
        session.handle(Undo())
    again = track(session, range(4, 6), x=20)
    assert session.state.lineage.children(right) == (grand[0], again)
    check(session)


def test_what_a_mother_has_after_the_division_is_her_first_daughter(session):
    mother = track(session, range(8))
    session.handle(BeginDaughters(mother, 4))
    (first,) = session.state.lineage.children(mother)
    assert (session.frames(mother), session.frames(first)) == ((0, 1, 2, 3), (4, 5, 6, 7))
    second = track(session, range(4, 8), x=15)
    assert session.state.lineage.children(mother) == (first, second)
    # Divided again earlier: the family is still one.
    session.handle(BeginDaughters(mother, 2))
    (between,) = session.state.lineage.children(mother)
    assert session.state.lineage.children(between) == (first, second)
    check(session)
    for _ in range(2):
        session.handle(Undo())
    check(session)


def test_a_division_in_the_last_frame_and_one_that_is_none(session):
    mother = track(session, range(8))
    session.handle(BeginDaughters(mother, 7))
    (first,) = session.state.lineage.children(mother)
    second = track(session, [7], x=15)
    assert session.state.lineage.children(mother) == (first, second)
    assert "later frame" in refused(session, BeginDaughters(mother, 0), LineageError)
    assert "0 to 7" in refused(session, BeginDaughters(mother, 8), LineageError)
    refused(session, BeginDaughters(99, 3), LabelError)
    session.handle(AddPoint(20, 20, plane=1))
    assert "Commit it with C" in refused(session, BeginDaughters(mother, 3), PromptError)


def test_a_daughter_begins_after_her_mother(session):
    mother = track(session, range(4))
    session.handle(BeginDaughters(mother, 4))
    session.handle(AddPoint(5.5, 15.5, plane=2))
    answer(session, square(5, 15, 4, 2))
    assert "No mother" in refused(session, Commit(), LineageError)
    # The object in hand is still there; without mother it is kept.
    session.handle(EndDaughters())
    session.handle(Commit())
    check(session)


def test_a_mother_does_not_grow_beyond_her_daughters(session):
    mother = track(session, range(3))
    session.handle(BeginDaughters(mother, 3))
    track(session, range(3, 6), x=15)
    session.handle(EndDaughters())
    session.handle(Improve(mother))
    session.handle(ExtendObject())
    (request,) = [one for one in session.pending() if isinstance(one, Extend)]
    assert request.stops == (3,)
    session.handle(Clear())
    session.handle(Select((mother,)))
    assert "mother" in refused(session, Paint(((7, 7),), 3, 5), LineageError)


def test_a_track_that_is_followed_anew_from_a_frame_on_keeps_what_was_before(session):
    one = track(session, range(8))
    session.handle(Improve(one))
    session.handle(AddPoint(6.5, 6.5, plane=4))
    answer(session, square(5, 5, 4, 4))
    session.handle(ExtendObject())
    session.handle(Extended(session.awaiting, tuple(Section(0, f, square(6, 6, 4, f), 0.9, 0.9) for f in (5, 6)), True))
    session.handle(Commit())
    assert session.frames(one) == (0, 1, 2, 3, 4, 5, 6)
    # Backward as well, where that is asked for: then all of it is computed again.
    session.handle(Improve(one))
    session.handle(AddPoint(6.5, 6.5, plane=4))
    answer(session, square(5, 5, 4, 4))
    session.handle(ExtendObject((Setting("backward", True),)))
    assert session.state.proposals[0].mask.start[0] == 4


def test_a_track_in_hand_is_not_changed_by_other_commands(session):
    one, other = track(session, range(8)), track(session, range(8), x=15)
    session.handle(Improve(one))
    for action in (EndTrack(one, 4), CutTrack(one, 4), SwapTracks(one, other, 4), JoinTracks(other, one)):
        assert "Commit it with C" in refused(session, action, PromptError)
    session.handle(EndTrack(other, 4))
    session.handle(Commit())
    assert session.frames(one) == tuple(range(8))
    session.handle(EndTrack(one, 4))
    assert session.frames(one) == (0, 1, 2, 3)


def test_a_daughter_is_not_followed_into_her_mother(session):
    mother = track(session, range(3))
    session.handle(BeginDaughters(mother, 3))
    session.handle(AddPoint(5.5, 15.5, plane=4))
    answer(session, square(5, 15, 4, 4))
    session.handle(ExtendObject((Setting("backward", True),)))
    (request,) = [one for one in session.pending() if isinstance(one, Extend)]
    assert request.stops == (2,)


def test_without_an_object_in_hand_clear_ends_the_daughters(session):
    mother = track(session, range(3))
    session.handle(BeginDaughters(mother, 3))
    session.handle(AddPoint(20, 20, plane=3))
    session.handle(Clear())
    assert session.state.mother == mother
    session.handle(Clear())
    assert session.state.mother == 0
    assert session.handle(Clear())
    assert session.handle(EndDaughters())
    assert session.state.mother == 0


def test_a_mother_that_is_deleted_has_no_daughters_any_more(session):
    mother = track(session, range(3))
    session.handle(BeginDaughters(mother, 3))
    daughter = track(session, range(3, 5))
    session.handle(Delete((mother,)))
    assert (family(session), session.state.mother) == ({daughter: ()}, 0)
    session.handle(Undo())
    assert (family(session), session.state.mother) == ({mother: (daughter,), daughter: ()}, mother)
    check(session)


def test_cut_and_join_are_opposites(session):
    one = track(session, range(6))
    session.handle(BeginDaughters(one, 6))
    daughter = track(session, range(6, 8))
    session.handle(EndDaughters())
    before = session.snapshot()
    session.handle(CutTrack(one, 2))
    later = session.state.next_id - 1
    assert family(session) == {one: (), daughter: (), later: (daughter,)}
    assert (session.frames(one), session.frames(later)) == ((0, 1), (2, 3, 4, 5))
    session.handle(JoinTracks(later, one))
    assert family(session) == {one: (daughter,), daughter: ()}
    assert np.array_equal(session.snapshot(), before)
    check(session)
    assert "later frame" in refused(session, CutTrack(one, 0), LineageError)
    assert "earlier frame" in refused(session, CutTrack(one, 7), LineageError)
    for _ in range(2):
        session.handle(Undo())
    assert np.array_equal(session.snapshot(), before)


def test_join_over_a_gap_and_with_relatives(session):
    first, second = track(session, range(2)), track(session, range(4, 6))
    session.handle(JoinTracks(first, second))
    assert "missing in 2 frames" in session.notice.text
    assert session.frames(first) == (0, 1, 4, 5)
    session.handle(Undo())
    session.handle(BeginDaughters(first, 3))
    a, b = track(session, range(3, 5), x=12), track(session, range(3, 5), x=20)
    session.handle(EndDaughters())
    session.handle(BeginDaughters(second, 6))
    c = track(session, [6], x=12)
    session.handle(EndDaughters())
    # A daughter goes on as her mother: the other one is none.
    session.handle(JoinTracks(first, a))
    assert family(session) == {first: (), second: (c,), b: (), c: ()}
    assert f"Track {b}" in session.notice.text
    assert "no mother" in session.notice.text
    session.handle(Undo())
    # What descends from another one is taken away from it.
    session.handle(JoinTracks(b, c))
    assert "no daughter of track" in session.notice.text
    assert family(session) == {first: (a, b), second: (), a: (), b: ()}
    check(session)


def test_tracks_that_share_a_frame_are_not_joined(session):
    first, second = track(session, range(4)), track(session, range(3, 6), x=15)
    assert "frame 3" in refused(session, JoinTracks(first, second), LineageError)
    assert "Shift-click" in refused(session, JoinTracks(first, first), LineageError)
    # As parts of one cell they are merged.
    session.handle(Merge((first, second)))
    assert family(session) == {first: ()}
    assert session.frames(first) == tuple(range(6))
    check(session)


def test_merged_tracks_keep_mother_and_daughters(session):
    mother = track(session, range(2))
    session.handle(BeginDaughters(mother, 2))
    a, b = track(session, range(2, 4), x=5), track(session, range(2, 4), x=9)
    session.handle(BeginDaughters(b, 4))
    grand = track(session, range(4, 6))
    session.handle(EndDaughters())
    session.handle(Merge((a, b)))
    assert family(session) == {mother: (a,), a: (grand,), grand: ()}
    check(session)


def test_swapped_tracks_exchange_their_daughters(session):
    first, second = track(session, range(6)), track(session, range(6), x=15)
    session.handle(BeginDaughters(first, 6))
    daughter = track(session, range(6, 8), x=22)
    session.handle(EndDaughters())
    session.handle(SwapTracks(first, second, 3))
    assert family(session) == {first: (), second: (daughter,), daughter: ()}
    for frame, (a, b) in {2: (first, second), 3: (second, first)}.items():
        assert [session.labels.at(frame, 6, x) for x in (6, 16)] == [a, b]
    session.handle(SwapTracks(second, first, 3))
    assert family(session) == {first: (daughter,), second: (), daughter: ()}
    assert "numbers" in refused(session, SwapTracks(first, second, 0), LineageError)
    assert "earlier" in refused(session, SwapTracks(first, second, 7), LineageError)
    check(session)


def test_a_track_is_not_swapped_with_one_that_descends_from_it(session):
    mother = track(session, range(4))
    session.handle(BeginDaughters(mother, 4))
    daughter = track(session, range(4, 6), x=12)
    session.handle(BeginDaughters(daughter, 6))
    grand = track(session, range(6, 8), x=18)
    session.handle(EndDaughters())
    for one, other in ((mother, daughter), (daughter, mother), (mother, grand)):
        with pytest.raises(LineageError) as error:
            session.handle(SwapTracks(one, other, 3))
        younger = max(one, other)
        assert error.value.what == f"Track {younger} descends from track {mother}: they cannot be swapped."


def test_what_one_track_has_can_be_given_to_the_other(session):
    first, second = track(session, range(3)), track(session, range(2, 8), x=15)
    session.handle(SwapTracks(first, second, 3))
    assert session.frames(first) == tuple(range(8))
    assert session.frames(second) == (2,)
    check(session)


def test_another_mother_and_none(session):
    first, second, third = track(session, range(2)), track(session, range(3), x=12), track(session, range(3, 5), x=20)
    session.handle(Reparent(third, first))
    assert session.state.lineage.parent(third) == first
    session.handle(Reparent(third, second))
    assert session.state.lineage.parent(third) == second
    assert "already" in refused(session, Reparent(third, second), LineageError)
    assert "begin" in refused(session, Reparent(second, first), LineageError)
    assert "descend" in refused(session, Reparent(second, third), LineageError)
    session.handle(Orphan(third))
    assert session.state.lineage.parent(third) is None
    assert "no mother" in refused(session, Orphan(third), LineageError)
    for _ in range(3):
        session.handle(Undo())
    assert family(session) == {first: (), second: (), third: ()}


def test_the_end_of_a_track(session):
    mother = track(session, range(6))
    session.handle(BeginDaughters(mother, 6))
    daughter = track(session, range(6, 8))
    session.handle(EndDaughters())
    session.handle(EndTrack(mother, 2))
    assert session.frames(mother) == (0, 1)
    assert family(session) == {mother: (), daughter: ()}
    assert "delete the track" in refused(session, EndTrack(mother, 0), LineageError)
    session.handle(Undo())
    assert family(session) == {mother: (daughter,), daughter: ()}
    check(session)


def test_where_a_cell_is_another_track_already_no_crumbs_are_left(session):
    first = track(session, range(8), side=6)
    # A click on the same cell: a rim of pixels is free in every frame.
    session.handle(AddPoint(6.5, 6.5, plane=2))
    answer(session, square(5, 5, 7, 2))
    session.handle(ExtendObject())
    sections = tuple(Section(0, one, square(5, 5, 7, one), 0.9, 0.9) for one in (3, 4, 5))
    session.handle(Extended(session.awaiting, sections, True))
    assert f"track {first} already" in refused(session, Commit(), PromptError)
    # In some frames it is another cell: those are kept, and the rest is said.
    sections = tuple(Section(0, one, square(5, 20, 7, one), 0.9, 0.9) for one in (4, 5))
    session.handle(ExtendObject())
    session.handle(Extended(session.awaiting, (Section(0, 3, square(5, 5, 7, 3), 0.9, 0.9), *sections), True))
    session.handle(Commit())
    assert session.frames(first + 1) == (4, 5)
    assert f"In 2 frames from 2 to 3 the cell is track {first} already" in session.notice.text
    check(session)
    # Who wants it gets the pixels.
    session.handle(Undo())
    session.handle(Commit(Overlap.REPLACE))
    assert session.frames(first + 1) == (2, 3, 4, 5)
    assert session.frames(first) == (0, 1, 4, 5, 6, 7)


def test_a_track_can_be_missing_in_a_frame(session):
    one = track(session, range(5))
    session.handle(DeleteIn(one, 2))
    assert session.frames(one) == (0, 1, 3, 4)
    assert session.notice.text.startswith(f"Track {one} is deleted in frame 2")
    assert "Go to a frame" in refused(session, DeleteIn(one, 2), LabelError)
    session.handle(Undo())
    assert session.frames(one) == (0, 1, 2, 3, 4)
    only = track(session, [3], x=15)
    session.handle(DeleteIn(only, 3))
    assert family(session) == {one: ()}
    check(session)


def test_a_line_cuts_a_cell_in_one_frame_only(session):
    one = track(session, range(4), side=10)
    session.handle(Split(((0, 10), (20, 10)), 2))
    other = session.state.next_id - 1
    assert session.frames(one) == (0, 1, 2, 3)
    assert session.frames(other) == (2,)
    check(session)


def test_a_track_in_the_last_frame_and_empty_frames(session):
    one = track(session, [7])
    assert session.frames(one) == (7,)
    assert "cannot end" in refused(session, EndTrack(one, 7), LineageError)
    session.handle(Delete((one,)))
    assert family(session) == {}
    check(session)


def test_labels_from_elsewhere_have_no_relatives(session):
    mother = track(session, range(2))
    session.handle(BeginDaughters(mother, 2))
    track(session, range(2, 4))
    labels = np.zeros(SHAPE, np.uint32)
    labels[:, 2, 2], labels[3:, 5, 5] = 1, 7
    session.handle(LoadLabels.of(labels))
    assert (family(session), session.state.mother) == ({1: (), 7: ()}, 0)
    session.handle(Undo())
    check(session)
    assert len(family(session)) == 2


def tracks():
    labels = np.zeros(SHAPE, np.uint32)
    labels[:3, 2:5, 2:5], labels[3:, 2:5, 2:5], labels[4:, 9, 9] = 4, 5, 9
    return Tracks(labels, Lineage({4: (5, 9)}))


def test_tracks_from_elsewhere_are_one_step(session):
    old = track(session, range(2))
    session.handle(LoadTracks.of(tracks(), "there"))
    assert session.notice.text == "3 tracks, 1 division. Loaded from there."
    assert family(session) == {4: (5, 9), 5: (), 9: ()}
    assert session.state.next_id == 10
    session.handle(Undo())
    assert family(session) == {old: ()}
    wrong = Tracks(np.zeros((2, 3, 3), np.uint32))
    assert "made for this movie" in refused(session, LoadTracks.of(wrong), LabelError)


def test_linking_replaces_everything_in_one_step(session):
    old = track(session, range(2))
    session.handle(AddPoint(20, 20))
    outcome = session.handle(LinkAll((Setting("gap", 2.0),), segment=False))
    (request,) = [one for one in outcome.requests if isinstance(one, Link)]
    assert request.options == (Setting("gap", 2.0),)
    assert np.array_equal(request.labels, session.snapshot())
    session.handle(Linked.of(request.ticket + 1, tracks()))
    assert family(session) == {old: ()}, "an answer that nobody awaits"
    session.handle(Linked.of(request.ticket, tracks()))
    assert family(session) == {4: (5, 9), 5: (), 9: ()}
    assert not session.state.prompts
    session.handle(Undo())
    assert family(session) == {old: ()}
    assert len(session.state.prompts) == 1
    check(session)


def test_what_was_done_while_it_was_linked_is_told(session):
    outcome = session.handle(LinkAll())
    (request,) = [one for one in outcome.requests if isinstance(one, Link)]
    track(session, range(2))
    session.handle(Linked.of(request.ticket, tracks()))
    assert "also 1 that you have made meanwhile" in session.notice.text
    session.handle(Undo())
    assert session.labels.count() == 1


@pytest.mark.parametrize("left", [True, False])
def test_an_automatic_search_does_not_disturb_what_is_read_again(reopen, left):
    session = reopen()
    track(session, range(2))
    outcome = session.handle(LinkAll())
    (request,) = [one for one in outcome.requests if isinstance(one, Link)]
    if left:
        session.handle(Cancel())
    # Clicks while it runs, and after it.
    track(session, range(3), x=15)
    if not left:
        session.handle(Linked.of(request.ticket, tracks()))
    track(session, range(3, 5), y=20)
    session.handle(AddPoint(25, 25))
    kept, labels, state = family(session), session.snapshot(), session.state
    kill(session)
    again = reopen()
    assert not again.recovered
    assert (family(again), again.state.prompts) == (kept, state.prompts)
    assert np.array_equal(again.snapshot(), labels)
    assert again.can_undo


def test_there_must_be_something_to_link(session):
    assert "Find all objects" in refused(session, LinkAll(segment=False), LabelError)
    assert "Link all" in refused(session, FindAll(volume=True), PromptError)
    outcome = session.handle(LinkAll())
    assert [one.labels for one in outcome.requests if isinstance(one, Link)] == [None]


def test_a_killed_session_comes_back_with_its_family(reopen):
    session = reopen()
    mother = track(session, range(3))
    session.handle(BeginDaughters(mother, 3))
    a, b = track(session, range(3, 6), x=1), track(session, range(3, 6), x=12)
    session.handle(SwapTracks(a, b, 4))
    session.handle(CutTrack(b, 5))
    session.handle(Undo())
    kept, labels = family(session), session.snapshot()
    kill(session)
    again = reopen()
    assert (family(again), again.state.mother) == (kept, mother)
    assert np.array_equal(again.snapshot(), labels)
    again.handle(Redo())
    check(again)
    while again.can_undo:
        again.handle(Undo())
        check(again)
    assert family(again) == {}


def test_a_damaged_journal_gives_tracks_that_agree(reopen, tmp_path):
    session = reopen()
    mother = track(session, range(3))
    session.handle(BeginDaughters(mother, 3))
    track(session, range(3, 6), x=1)
    session.flush()
    kill(session)
    lines = (tmp_path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "journal.jsonl").write_bytes(b"".join([*lines[:2], b"nonsense\n", *lines[3:]]))
    again = reopen()
    assert again.recovered
    check(again)
    assert again.labels.count() == 2
    kill(again)
    last = reopen()
    check(last)
    assert last.state.lineage == again.state.lineage


def test_a_movie_is_not_opened_as_a_volume(tmp_path):
    pixels = np.zeros(SHAPE, np.uint8)
    Project.open(tmp_path / "p", Image(pixels, "tyx"), "nano").close()
    with pytest.raises(ProjectError, match="annotate_tracks"):
        Project.open(tmp_path / "p", Image(pixels, "zyx"), "nano")
    Project.open(tmp_path / "v", Image(pixels, "zyx"), "nano").close()
    with pytest.raises(ProjectError, match="annotate_3d"):
        Project.open(tmp_path / "v", Image(pixels, "tyx"), "nano")


def any_action(chance, session):
    """Something that a user might do, sensible or not."""
    known = sorted(session.labels) or [1]
    one, other, frame = chance.choice(known), chance.choice(known), chance.randrange(8)
    return chance.choice([
        CutTrack(one, frame), EndTrack(one, frame), JoinTracks(one, other), SwapTracks(one, other, frame),
        Reparent(one, other), Orphan(one), BeginDaughters(one, frame), EndDaughters(), Delete((one,)),
        DeleteIn(one, frame), Merge((one, other)), Split(((0, 7), (29, 7)), frame), Undo(), Undo(), Redo(),
        Improve(one), Clear(), Commit(),
        LoadTracks.of(tracks()) if chance.random() < 0.1 else Undo(),
    ])  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_random_scripts(seed, reopen):
    chance, session = random.Random(seed), reopen()
    for _ in range(60):
        if chance.random() < 0.4:
            session.handle(Clear())
            first = chance.randrange(8)
            frames = sorted({first, *(min(7, first + chance.randrange(4)) for _ in range(3))})
            try:
                track(session, frames, chance.randrange(20), chance.randrange(20))
            except MicrosamError:
                check(session)
            continue
        action = any_action(chance, session)
        before = session.state, session.snapshot()
        try:
            session.handle(action)
        except MicrosamError:
            assert session.state == before[0]
            assert np.array_equal(session.snapshot(), before[1])
        check(session)
    state, labels = session.state, session.snapshot()
    kill(session)
    again = reopen()
    assert not again.recovered
    assert np.array_equal(again.snapshot(), labels)
    assert replace(again.state, browsing=state.browsing) == state
    restored = Restored.of(again, "x")
    again.handle(restored)
    assert again.state.lineage == state.lineage
    check(again)


def exchanged(session):
    """Tracks that take the place of others while these are being changed, and what is there before and after."""
    session.handle(LoadTracks.of(tracks()))
    before = session.snapshot(), family(session)
    after = np.zeros(SHAPE, np.uint32)
    after[1:4, 2:6, 2:6], after[4:, 2:6, 2:6] = 1, 2
    return before, Tracks(after, Lineage({1: (2,)}))


def test_what_arrives_is_compared_with_the_labels_before_the_session_is_locked(session, monkeypatch):
    _, new = exchanged(session)
    made = LoadTracks.of(new).prepared(session)
    compared = []
    monkeypatch.setattr(Delta, "between", lambda *some: compared.append(some))
    monkeypatch.setattr("microsam_nb.session.actions.linking.unpack", lambda *some: compared.append(some))
    with session._lock:
        made.apply(session)
    assert compared == []
    assert family(session) == {1: (2,), 2: ()}


def test_what_is_committed_while_others_arrive_is_brought_back_by_undo(session):
    _, new = exchanged(session)
    made = LoadTracks.of(new).prepared(session)
    number = track(session, [6], y=20, x=20)
    before = session.snapshot(), family(session)
    session.handle(made)
    assert np.array_equal(session.snapshot(), new.labels)
    check(session)
    session.handle(Undo())
    assert number in session.labels
    assert (np.array_equal(session.snapshot(), before[0]), family(session)) == (True, before[1])
    check(session)
    session.handle(Redo())
    assert np.array_equal(session.snapshot(), new.labels)
    check(session)


def test_tracks_that_do_not_agree_leave_everything_as_it_was(session):
    before, new = exchanged(session)
    wrong = replace(LoadTracks.of(new), lineage=Lineage({2: (1,)}))
    assert "End track 2" in refused(session, wrong, LineageError)
    assert np.array_equal(session.snapshot(), before[0])


def test_only_what_was_written_is_checked(session, monkeypatch):
    exchanged(session)
    asked = []
    frames = session.frames
    monkeypatch.setattr(session, "frames", lambda one: asked.append(one) or frames(one))
    number = track(session, [6, 7], y=20, x=20)
    assert set(asked) <= {number}


def said(session, label):
    """Name and class of a track, as the table shows them."""
    row = next(one for one in session.rows() if one.label == label)
    return row.info.name, row.info.category


def test_both_parts_of_a_track_keep_the_class_and_the_first_its_name(session):
    one = track(session, range(8))
    session.handle(Describe(one, name="Ada", category="big"))
    session.handle(CutTrack(one, 5))
    assert (said(session, one), said(session, 2)) == (("Ada", "big"), ("", "big"))
    session.handle(BeginDaughters(one, 3))
    assert (said(session, one), said(session, 3)) == (("Ada", "big"), ("", "big"))
    session.handle(Undo())
    session.handle(Undo())
    assert (said(session, one), sorted(session.infos)) == (("Ada", "big"), [one])


@pytest.mark.parametrize(
    ("first", "second", "after"),
    [
        (("Ada", ""), ("Bob", "big"), ("Ada", "big")),
        (("", "small"), ("Bob", "big"), ("Bob", "small")),
        (("", ""), ("", ""), ("", "")),
    ],
)
def test_joined_tracks_have_the_name_of_the_earlier_one_else_of_the_other(session, first, second, after):
    one, two = track(session, [0, 1]), track(session, [4, 5])
    for label, (name, category) in ((one, first), (two, second)):
        session.handle(Describe(label, name=name, category=category))
    # Whichever is picked first.
    session.handle(JoinTracks(two, one))
    assert said(session, one) == after
    assert two not in session.infos
    session.handle(Undo())
    assert (said(session, one), said(session, two)) == (first, second)


def test_names_stay_with_the_numbers_of_swapped_tracks(session):
    one, two = track(session, range(6)), track(session, range(6), y=20)
    session.handle(Describe(one, name="Ada", category="big"))
    session.handle(SwapTracks(one, two, 3))
    assert (said(session, one), said(session, two)) == (("Ada", "big"), ("", ""))
    assert session.middle(one, 5) == (22, 7)


def candidates(session, *masks):
    session.handle(FindAll())
    session.handle(Suggested(session._seeking, found(*masks), Automatic("ais")))


def test_candidates_that_are_chosen_while_daughters_are_marked_become_daughters(session):
    mother = track(session, range(4))
    session.handle(BeginDaughters(mother, 4))
    candidates(session, square(2, 2, 3, 4), square(9, 9, 3, 4), square(20, 20, 3, 4))
    session.handle(AcceptCandidates((0, 1)))
    assert family(session) == {1: (2, 3), 2: (), 3: ()}
    assert session.notice.text.startswith("2 cells are accepted. Daughters of track 1.")
    session.handle(AcceptCandidates())
    assert family(session) == {1: (2, 3), 2: (), 3: (), 4: ()}, "who keeps all that is left means no daughters"
    assert "choose those one by one" in session.notice.text
    check(session)


def test_a_candidate_that_begins_while_the_mother_is_there_is_no_daughter(session):
    mother = track(session, range(4))
    session.handle(BeginDaughters(mother, 4))
    candidates(session, square(20, 20, 3, 2))
    session.handle(AcceptCandidates((0,)))
    assert (family(session), session.state.mother) == ({1: (), 2: ()}, 1)
    assert "No daughter of track 1, which is there until frame 3." in session.notice.text
    assert session.notice.text.startswith("Track 2 is accepted.")


def test_what_is_said_in_a_movie_is_about_cells_tracks_and_frames(session):
    track(session, range(3))
    session.handle(Select((1,)))
    session.handle(Paint(((10.0, 10.0),), 3.0, 1))
    assert session.notice.text.startswith("Track 1 has ")
    session.handle(Select(()))
    session.handle(Erase(((7.0, 7.0),), 2.0, 1))
    assert session.notice.text == "Erased from track 1."
    session.say("Saved in /data/object 1/plane-2.tif; an object of 2 planes.")
    assert session.notice.text == "Saved in /data/object 1/plane-2.tif; a cell of 2 frames."
    image = Session((1, 8, 8))
    image.say("An object.")
    assert image.notice.text == "An object."


def test_linking_from_a_frame_on_or_of_one_lineage_says_what_stays(session):
    track(session, range(8)), track(session, range(8), y=20)
    session.handle(Describe(1, name="Ada"))
    (request,) = session.handle(LinkAll(segment=False, only=(2,), first=4)).requests
    around = request.around
    assert (around.only, around.first, around.free) == ((2,), 4, 3)
    assert np.array_equal(around.labels, session.snapshot())
    assert "from frame 4 on" in session.notice.text
    assert "All other tracks stay." in session.notice.text
    made = Tracks(np.where(around.labels == 2, 3, around.labels).astype(np.uint32))
    session.handle(Linked.of(request.ticket, made, "1 is kept.", (1,)))
    assert (said(session, 1), said(session, 3)) == (("Ada", ""), ("", ""))
    session.handle(Undo())
    assert family(session) == {1: (), 2: ()}
    assert "There is no track 7" in refused(session, LinkAll(only=(7,)), LineageError)
    assert "Choose one from 0 to 7" in refused(session, LinkAll(first=8), LineageError)
