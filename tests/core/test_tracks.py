"""Cells followed through a movie."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsam_nb.core import LabelError, Lineage, LineageError, Tracks
from microsam_nb.core.tracks import middles, shared


def family():
    """Four frames: track 1 divides into 2 and 4 after frame 1, track 7 is missing in frame 2."""
    labels = np.zeros((4, 8, 10), np.uint32)
    labels[:2, 1:3, 1:5] = 1
    labels[2:, 1:3, 1:3] = 2
    labels[2:, 1:3, 3:5] = 4
    labels[[0, 1, 3], 5:8, 6:9] = 7
    return Tracks(labels, Lineage({1: (2, 4)}))


def test_when_tracks_are_there():
    tracks = family()
    assert tracks.spans == {1: (0, 1), 2: (2, 3), 4: (2, 3), 7: (0, 3)}
    assert tracks.gaps == {7: (2,)}
    assert tracks.present[7] == (0, 1, 3)
    assert list(tracks.lineage) == [1, 2, 4, 7], "tracks without relatives are added"


def test_where_tracks_are():
    rows = family().places()
    assert rows.shape == (9, 5)
    assert rows[0].tolist() == [1, 0, 2, 3, 8], "rows 1 and 2, columns 1 to 4: the middle of the pixels' corners"
    assert rows[:, 0].tolist() == [1, 1, 2, 2, 4, 4, 7, 7, 7]


def test_labels_are_a_read_only_copy():
    own = np.ones((2, 3, 3), np.uint32)
    tracks = Tracks(own)
    own[:] = 5
    assert tracks.labels.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        tracks.labels[0, 0, 0] = 3


def test_equal_and_from_another_process():
    tracks = family()
    again = pickle.loads(pickle.dumps(tracks))
    assert again == tracks
    assert hash(again) == hash(tracks)
    assert not again.labels.flags.writeable
    assert Tracks(tracks.labels) != tracks
    assert tracks != 3


@pytest.mark.parametrize("shape", [(0, 4, 4), (1, 4, 4), (3, 4, 4), (2, 0, 0)])
def test_movies_without_cells(shape):
    tracks = Tracks(np.zeros(shape, np.uint32))
    assert (tracks.spans, tracks.gaps, len(tracks.lineage)) == ({}, {}, 0)
    assert tracks.places().shape == (0, 5)
    assert tracks.numbered() == tracks


def test_one_frame_is_a_movie():
    assert Tracks(np.eye(4, dtype=np.uint8)).spans == {1: (0, 0)}


def test_large_numbers_of_small_images():
    labels = np.zeros((1, 2, 2), np.uint32)
    labels[0, 1] = 2**32 - 1, 9
    tracks = Tracks(labels)
    assert list(tracks.present) == [9, 2**32 - 1]
    assert tracks.numbered().labels[0, 1].tolist() == [2, 1]


def test_what_is_no_labels():
    with pytest.raises(LabelError, match="whole numbers"):
        Tracks(np.zeros((2, 3, 3), float))


def test_a_lineage_of_tracks_without_pixels():
    with pytest.raises(LineageError, match=r"Track 3 .* no pixels.*remove\(3\)"):
        Tracks(np.ones((2, 3, 3), np.uint32), Lineage({1: (), 3: ()}))


@pytest.mark.parametrize(("first", "good"), [(0, False), (1, False), (2, True)])
def test_daughters_begin_after_their_mother(first, good):
    labels = np.zeros((4, 3, 3), np.uint32)
    labels[:2, 0] = 1
    labels[first:, 2] = 2
    if good:
        assert Tracks(labels, Lineage({1: (2,)})).lineage.parent(2) == 1
        return
    with pytest.raises(LineageError, match=r"mother 1 is there until frame 1.*cut\(2\)"):
        Tracks(labels, Lineage({1: (2,)}))


def test_numbers_in_the_order_of_beginning():
    labels = np.zeros((3, 2, 3), np.uint32)
    labels[:2, 0, 0] = 9
    labels[2, 0, 1] = 4
    labels[2, 0, 2] = 3
    tracks = Tracks(labels, Lineage({9: (3, 4)})).numbered()
    assert tracks.spans == {1: (0, 1), 2: (2, 2), 3: (2, 2)}
    assert tracks.lineage == Lineage({1: (2, 3)})
    assert tracks.labels[2, 0].tolist() == [0, 3, 2]


def test_links_make_tracks():
    frames = np.zeros((4, 3, 3), np.uint32)
    frames[0, 0, 0] = 40  # goes on as 7, which divides; one daughter is missing for a frame
    frames[1, 0, 0] = 7
    frames[2, 0, 1] = 3
    frames[3, 0, 1], frames[3, 2, 2] = 5, 6
    frames[3, 1, 1] = 1
    tracks = Tracks.from_links(frames, [((0, 40), (1, 7)), ((1, 7), (2, 3)), ((1, 7), (3, 6)), ((2, 3), (3, 5))])
    assert tracks.spans == {1: (0, 1), 2: (2, 3), 3: (3, 3), 4: (3, 3)}
    assert tracks.lineage == Lineage({1: (2, 4), 3: ()})
    assert tracks.labels[3].tolist() == [[0, 2, 0], [0, 3, 0], [0, 0, 4]]


def test_links_over_gaps_and_twice():
    frames = np.zeros((3, 2, 2), np.uint32)
    frames[0, 0, 0] = frames[2, 0, 0] = 1
    tracks = Tracks.from_links(frames, [((0, 1), (2, 1))] * 2)
    assert tracks.gaps == {1: (1,)}


@pytest.mark.parametrize(
    ("links", "remedy"),
    [
        ([((0, 1), (1, 3))], "have pixels"),
        ([((1, 1), (0, 1))], "later frame"),
        ([((0, 1), (0, 2))], "later frame"),
        ([((0, 1), (1, 1)), ((0, 2), (1, 1))], "do not merge"),
    ],
)
def test_links_that_make_no_tracks(links, remedy):
    frames = np.zeros((2, 2, 2), np.uint32)
    frames[:, 0] = 1, 2
    with pytest.raises(LineageError, match=remedy):
        Tracks.from_links(frames, links)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 9))
def test_links_of_tracks_make_the_same_tracks(seed, count, most):
    labels = np.random.default_rng(seed).integers(0, most, (count, 4, 5), np.uint32)
    tracks = Tracks(labels)
    links = [((a, track), (b, track)) for track, at in tracks.present.items() for a, b in pairwise(at)]
    assert Tracks.from_links(labels, links) == tracks.numbered()


def test_middles_and_common_pixels_of_planes():
    chance = np.random.default_rng(4)
    for most in (3, 40, 2**32):  # few objects, many, and numbers that are too large to count
        first, second = chance.integers(0, most, (2, 9, 11), np.uint32)
        first[chance.random(first.shape) < 0.3] = 0
        ids, sizes, places = middles(first)
        assert ids.tolist() == np.unique(first[first > 0]).tolist()
        for number, size, place in zip(ids, sizes, places, strict=True):
            at = np.argwhere(first == number)
            assert size == len(at)
            assert place == pytest.approx(at.mean(axis=0) + 0.5)
        both = (first > 0) & (second > 0)
        pairs, counts = np.unique(np.stack([first[both], second[both]]), axis=1, return_counts=True)
        a, b, common = shared(first, second)
        assert [a.tolist(), b.tolist()] == pairs.tolist()
        assert common.tolist() == counts.tolist()
    empty = np.zeros((0, 4), np.uint32)
    assert [len(some) for some in (*middles(empty), *shared(empty, empty))] == [0] * 6


def test_read_only_labels_are_not_copied():
    own = np.ones((2, 3, 3), np.uint32)
    view = own[:]
    view.flags.writeable = False
    assert not np.shares_memory(Tracks(view).labels, own), "own can still be written to"
    own.flags.writeable = False
    assert np.shares_memory(Tracks(own).labels, own)


def test_without_some_tracks():
    labels = np.zeros((3, 4, 6), np.uint32)
    labels[0, 0, 0], labels[1:, 0, 0], labels[1:, 2, 2], labels[:, 3, 5] = 1, 2, 3, 9
    tracks = Tracks(labels, Lineage({1: (2, 3)}))
    rest = tracks.without([1, 9])
    assert rest.spans == {2: (1, 2), 3: (1, 2)}
    assert not rest.lineage.parents, "daughters stay, without mother"
    with pytest.raises(LineageError, match="Add it first"):
        tracks.without([4])
    nothing = Tracks(np.zeros((0, 4, 4), np.uint32))
    assert nothing.without([]) == nothing
