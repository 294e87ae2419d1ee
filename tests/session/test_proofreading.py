"""Correcting objects: taken apart, removed by a lasso, filled, smoothed, grown, numbered anew."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import disk
from hypothesis import given, settings
from hypothesis import strategies as st
from loose import NEVER, Loose, check_index, kill

from microsam_nb.core import LabelError, Lineage, MicrosamError, ObjectInfo, PromptError
from microsam_nb.session import (
    BeginDaughters,
    DeleteInside,
    Describe,
    FillHoles,
    Grow,
    Improve,
    KeepLargest,
    LoadLabels,
    Redo,
    Relabel,
    Reparent,
    Select,
    Session,
    SetPlane,
    Smooth,
    SplitAt,
    Undo,
)

SIZE = (40, 60)


def loaded(labels, *, movie=False):
    labels = np.asarray(labels)
    labels = labels if labels.ndim == 3 else labels[None]
    session = Session(labels.shape, movie=movie)
    session.handle(LoadLabels.of(labels))
    return session


def done(session, action):
    """Carry an action out, and see that one undo brings back every bit and redo makes them again."""
    before = session.snapshot(), dict(session.infos), session.state
    session.handle(action)
    after, said = (session.snapshot(), dict(session.infos), session.state), session.notice.text
    check_index(session.labels)
    session.handle(Undo())
    assert np.array_equal(session.snapshot(), before[0])
    assert (dict(session.infos), session.state.next_id, session.state.lineage) == (
        before[1], before[2].next_id, before[2].lineage,
    )  # fmt: skip
    session.handle(Redo())
    assert np.array_equal(session.snapshot(), after[0])
    assert (dict(session.infos), session.state.lineage) == (after[1], after[2].lineage)
    session.say(said)
    return after[0]


def touching_pair():
    labels = np.zeros(SIZE, int)
    labels[disk(SIZE, 20, 15, 10) | disk(SIZE, 20, 33, 9)] = 3
    labels[disk(SIZE, 20, 52, 5)] = 4
    return labels


# Taken apart.


@pytest.mark.parametrize("points", [(), ((20.5, 14.5),), ((14, 13), (20.5, 34.5))])
def test_an_object_is_taken_apart_at_its_waist(points):
    session = loaded(touching_pair())
    session.handle(Describe(3, "cell", "A"))
    after = done(session, SplitAt(3, points))[0]
    assert np.array_equal(after > 0, touching_pair() > 0)
    assert (after[20, 15], after[20, 34], after[20, 52]) == (3, 5, 4)
    assert session.infos == {3: ObjectInfo(None, "cell", "A"), 5: ObjectInfo(None, "", "A")}
    assert session.state.next_id == 6
    assert session.notice.text == "Object 3 is cut into 2; 1 new."


@pytest.mark.parametrize(
    ("action", "remedy"),
    [
        (SplitAt(4), "draw a line"),
        (SplitAt(9), "number of a committed object"),
        (SplitAt(3, ((20, 15), (20, 52))), "Click on each of its parts"),
        (SplitAt(3, ((20, 15), (20, 30)), plane=1), "Click on each of its parts"),
        (SplitAt(3, ((20.2, 15), (20.4, 15))), "Click once on each part"),
        (DeleteInside(((0, 55), (0, 60), (39, 60), (39, 55))), "Draw around the larger part"),
        (FillHoles((3, 4)), "encloses background"),
        (FillHoles(()), "pick tool"),
        (FillHoles((3, 9)), "number of a committed object"),
        (FillHoles((3,), 1), "from 0 to 0"),
        (Smooth((4,), 0), "up to 200 pixels"),
        (Smooth((4,), -2), "up to 200 pixels"),
        (Smooth((4,), float("nan")), "up to 200 pixels"),
        (Smooth((4,), 9), "smaller radius"),
        (Grow((4,), 0), "up to 200 pixels"),
        (Grow((4,), -9), "Shrink by fewer pixels"),
        (Grow((4,), 1e9), "up to 200 pixels"),
        (KeepLargest((3, 4)), "several parts"),
    ],
)
def test_what_is_refused_changes_nothing(action, remedy):
    session = loaded(touching_pair())
    before = session.snapshot(), session.state
    with pytest.raises(MicrosamError) as error:
        session.handle(action)
    assert remedy in error.value.remedy
    assert np.array_equal(session.snapshot(), before[0])
    assert session.state is before[1]


# By a lasso.


def test_a_lasso_deletes_what_is_mostly_inside():
    labels = np.zeros(SIZE, int)
    labels[5:10, 5:10], labels[5:10, 14:24], labels[5:10, 30:34] = 1, 2, 3
    session = loaded(labels)
    # All of 1, six tenths of 2, half of 3.
    after = done(session, DeleteInside(((0, 0), (0, 20), (20, 20), (20, 0))))
    assert set(np.unique(after)) == {0, 3}
    assert session.notice.text == "2 objects are deleted. Ctrl-Z takes it back."
    with pytest.raises(PromptError, match="larger part"):
        session.handle(DeleteInside(((0, 20), (0, 32), (20, 32), (20, 20))))


def test_a_lasso_in_a_volume_takes_objects_whole():
    labels = np.zeros((3, *SIZE), int)
    labels[:, 5:10, 5:10] = 1
    labels[1, 5:10, 11:15] = 2
    labels[0, 5:10, 11:35] = 2
    session = loaded(labels)
    after = done(session, DeleteInside(((0, 0), (0, 20), (20, 20), (20, 0)), plane=1))
    assert not after.any()


# Outlines.


def test_holes_are_filled_but_not_over_others():
    labels = np.zeros(SIZE, int)
    labels[5:25, 5:25] = 1
    labels[8:20, 8:20] = 0
    labels[10:12, 10:12] = 2
    session = loaded(labels)
    after = done(session, FillHoles((1,)))[0]
    wanted = labels.copy()
    wanted[8:20, 8:20][labels[8:20, 8:20] == 0] = 1
    assert np.array_equal(after, wanted)


def test_smoothing_says_what_was_too_thin():
    labels = np.zeros(SIZE, int)
    labels[5:25, 5:25] = 1
    labels[14, 25:30] = 1
    labels[30, 5:55] = 2
    session = loaded(labels)
    after = done(session, Smooth((1, 2), 3))[0]
    assert not (after[:, 26:] == 1).any()
    assert np.array_equal(after == 2, labels == 2)
    assert session.notice.text == "Object 1 is smoothed. Object 2 stays where thinner than that."


def test_growing_stops_at_others_and_shares_what_is_between():
    labels = np.zeros(SIZE, int)
    labels[10:20, 10:20], labels[10:20, 24:34], labels[10:20, 35:40] = 1, 2, 3
    session = loaded(labels)
    after = done(session, Grow((1, 2), 3))[0]
    assert np.array_equal(after == 3, labels == 3)
    assert (after[15, 7:22] == 1).all()
    assert (after[15, 22:35] == 2).all()
    assert not after[15, :7].any()
    assert not after[:7].any()


def test_shrinking_keeps_what_would_vanish():
    labels = np.zeros(SIZE, int)
    labels[:10, 10:20], labels[30:33, 30:33] = 1, 2
    session = loaded(labels)
    after = done(session, Grow((1, 2), -2))[0]
    assert np.array_equal(after == 2, labels == 2)
    wanted = np.zeros(SIZE, bool)
    # The border of the image is none of the object.
    wanted[:8, 12:18] = True
    assert np.array_equal(after == 1, wanted)
    assert "Object 2 would vanish and stays." in session.notice.text


def test_crumbs_are_dropped():
    labels = np.zeros((2, *SIZE), int)
    labels[0, 5:10, 5:10] = labels[1, 9:12, 9:12] = 1
    labels[1, 20:22, 20:22] = 1
    session = loaded(labels)
    after = done(session, KeepLargest((1,)))
    labels[1, 20:22] = 0
    assert np.array_equal(after, labels)


def test_what_is_done_by_hand_has_no_score():
    session = loaded(touching_pair())
    session.infos[4] = ObjectInfo(0.9, "b")
    done(session, Grow((4,), 1))
    assert session.infos[4] == ObjectInfo(None, "b")


# Planes.


def test_one_plane_of_a_volume_can_be_meant():
    labels = np.zeros((3, *SIZE), int)
    labels[:, 5:20, 5:20] = 1
    session = loaded(labels)
    after = done(session, Grow((1,), 2, plane=1))
    assert [int((one > 0).sum()) for one in after] == [225, 225 + 4 * 2 * 15 + 4, 225]
    session.handle(Grow((1,), 1, plane=0))
    labels[2] = 0
    with pytest.raises(LabelError, match="Go to a plane where it is"):
        loaded(labels).handle(Grow((1,), 1, plane=2))


def movie():
    labels = np.zeros((4, *SIZE), int)
    labels[:] = touching_pair()
    session = Session(labels.shape, movie=True)
    session.handle(LoadLabels.of(labels))
    return session, labels


@pytest.mark.parametrize(
    "action",
    [
        SplitAt(3, (), 2),
        DeleteInside(((0, 0), (0, 60), (40, 60), (40, 0)), 2),
        Smooth((3, 4), 2, 2),
        Smooth((3, 4), 2),
        Grow((3, 4), 1.5),
        Grow((3, 4), -1.5),
    ],
)
def test_in_a_movie_only_this_frame_changes(action):
    session, labels = movie()
    session.handle(SetPlane(2))
    after = done(session, action)
    assert (after[2] != labels[2]).any()
    assert np.array_equal(after[[0, 1, 3]], labels[[0, 1, 3]])
    assert set(session.state.lineage) == set(session.labels)


def test_a_track_that_is_not_in_this_frame_is_refused():
    session, _ = movie()
    session.handle(DeleteInside(((0, 0), (0, 60), (40, 60), (40, 0)), 0))
    for action in (Grow((3,), 1), FillHoles((3,), 0), SplitAt(3)):
        with pytest.raises(LabelError, match="Go to a frame where it is"):
            session.handle(action)


# Numbers.


def test_numbers_without_gaps_and_what_is_said_follows():
    labels = np.zeros(SIZE, int)
    labels[5:10, 5:10], labels[5:10, 20:25], labels[20:30, 20:25] = 7, 4, 900000
    session = loaded(labels)
    session.handle(Describe(7, "seven"))
    session.handle(Describe(900000, None, "last"))
    session.handle(Select((7,)))
    session.handle(Improve(4))
    after = done(session, Relabel())[0]
    assert np.array_equal(after, np.select([labels == 4, labels == 7, labels == 900000], [1, 2, 3]))
    assert session.infos == {2: ObjectInfo(name="seven"), 3: ObjectInfo(category="last")}
    assert (session.state.next_id, session.state.target, session.selected) == (4, 1, ())
    with pytest.raises(LabelError, match="nothing to do"):
        session.handle(Relabel())


def test_the_lineage_follows_the_numbers():
    labels = np.zeros((4, *SIZE), int)
    labels[:2, 5:10, 5:10], labels[2:, 5:10, 5:10], labels[2:, 20:25, 20:25] = 9, 4, 12
    session = Session(labels.shape, movie=True)
    session.handle(LoadLabels.of(labels))
    session.handle(Reparent(4, 9))
    session.handle(BeginDaughters(9, 2))
    done(session, Relabel())
    assert session.state.lineage == Lineage({1: (), 2: (1,), 3: ()})
    assert session.state.mother == 2


def test_without_objects_there_is_nothing_to_number():
    with pytest.raises(LabelError, match="nothing to do"):
        Session((1, *SIZE)).handle(Relabel())


# Random scripts.

numbers = st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple)
places = st.tuples(st.floats(0, 15), st.floats(0, 17))
levels = st.one_of(st.none(), st.integers(0, 2))
actions = st.one_of(
    st.builds(SplitAt, st.integers(1, 9), st.lists(places, max_size=3).map(tuple), st.integers(0, 2)),
    st.builds(DeleteInside, st.lists(places, min_size=3, max_size=5).map(tuple), st.integers(0, 2)),
    st.builds(FillHoles, numbers, levels),
    st.builds(Smooth, numbers, st.sampled_from([1.0, 1.5, 3.0]), levels),
    st.builds(Grow, numbers, st.sampled_from([-2.0, -1.0, 1.0, 2.5]), levels),
    st.builds(KeepLargest, numbers, levels),
    st.just(Relabel()),
    st.just(Undo()),
    st.just(Redo()),
    st.builds(SetPlane, st.integers(0, 2)),
)


def rectangles(chance, shape):
    labels = np.zeros(shape, int)
    for number in range(1, 8):
        p, y, x = (int(chance.integers(0, n)) for n in shape)
        height, width = chance.integers(2, 9, 2)
        labels[p : p + int(chance.integers(1, 4)), y : y + height, x : x + width] = number
    return labels


def meant(action):
    """The objects that an action may change, None for any."""
    if isinstance(action, SplitAt):
        return {action.label}
    return set(action.labels) if hasattr(action, "labels") else None


@settings(max_examples=150)
@given(st.integers(0, 2**16), st.sampled_from(["image", "volume", "movie"]), st.lists(actions, min_size=3, max_size=12))
def test_random_scripts(tmp_path_factory, seed, kind, script):
    """Nothing else changes, undo restores every bit, and a replay of the journal gives the same."""
    shape = (1 if kind == "image" else 3, 16, 18)
    folder = tmp_path_factory.mktemp("script")
    session = Session(shape, Loose(folder), NEVER, movie=kind == "movie")
    session.handle(LoadLabels.of(rectangles(np.random.default_rng(seed), shape)))
    for action in script:
        before, state, infos = session.snapshot(), session.state, dict(session.infos)
        frame = state.browsing.plane
        refused = None
        try:
            session.handle(action)
        except MicrosamError as error:
            refused = error
        if refused is not None:
            assert refused.remedy
            assert np.array_equal(session.snapshot(), before)
            assert (session.state, dict(session.infos)) == (state, infos)
        if refused is not None or isinstance(action, Undo | Redo | SetPlane):
            continue
        after = session.snapshot()
        check_index(session.labels)
        allowed(action, before, after, meant(action), state.next_id)
        if kind == "movie" and not isinstance(action, Relabel):
            plane = getattr(action, "plane", None)
            changed = np.flatnonzero((before != after).any((1, 2)))
            assert set(changed.tolist()) <= {frame if plane is None else plane}
            assert set(session.state.lineage) == set(session.labels)
        session.handle(Undo())
        assert np.array_equal(session.snapshot(), before)
        assert dict(session.infos) == infos
        session.handle(Redo())
        assert np.array_equal(session.snapshot(), after)
    ended = session.snapshot(), dict(session.infos), session.state
    kill(session)
    again = Session(shape, Loose(folder), NEVER, movie=kind == "movie")
    assert np.array_equal(again.snapshot(), ended[0])
    assert (dict(again.infos), again.state) == ended[1:]
    kill(again)


def allowed(action, before, after, labels, free):
    """What an action may do to pixels."""
    changed = before != after
    lost, won = before[changed], after[changed]
    ids = set(np.unique(before).tolist()), set(np.unique(after).tolist())
    if isinstance(action, Relabel):
        assert np.array_equal(before > 0, after > 0)
        assert sorted(ids[1] - {0}) == list(range(1, len(ids[0] - {0}) + 1))
    elif isinstance(action, SplitAt):
        assert set(np.unique(lost).tolist()) == labels
        assert (won >= free).all()
        assert ids[0] <= ids[1]
    elif isinstance(action, DeleteInside):
        assert not won.any()
    else:
        # Free pixels are won, own ones lost; no object comes or goes.
        assert ids[0] == ids[1]
        assert np.isin(lost, [0, *labels]).all()
        assert np.isin(won, [0, *labels]).all()
        assert ((lost == 0) | (won == 0)).all()
        if isinstance(action, FillHoles) or (isinstance(action, Grow) and action.pixels > 0):
            assert not lost.any()
        if isinstance(action, KeepLargest) or (isinstance(action, Grow) and action.pixels < 0):
            assert not won.any()
