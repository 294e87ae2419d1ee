"""The queue of proofreading: what is planted comes first, and is told in plain words."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import disk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from microsam_nb.core import LabelError, ObjectInfo
from microsam_nb.core.suspects import suspects

SIZE = (160, 200)


@pytest.fixture
def discs():
    """Thirty discs of nearly one size, 1 to 30, in five rows."""
    labels = np.zeros(SIZE, np.uint32)
    chance = np.random.default_rng(0)
    for row in range(5):
        for column in range(6):
            spot = disk(SIZE, 16 + 30 * row, 16 + 32 * column, chance.uniform(9, 11))
            labels[spot] = 1 + 6 * row + column
    return labels


def picture(labels):
    return np.where(labels > 0, 180, 20) + np.random.default_rng(1).normal(0, 5, labels.shape)


def first(labels, image=None, infos=None):
    found = suspects(labels, infos or {}, image)
    assert [one.suspicion for one in found] == sorted((one.suspicion for one in found), reverse=True)
    assert all(0 <= one.suspicion <= 1 for one in found)
    assert sorted(one.label for one in found) == sorted(set(np.unique(labels).tolist()) - {0})
    return found[0]


def merged(labels):
    labels[disk(SIZE, 16, 32, 7) & (labels == 0)] = 1
    labels[labels == 2] = 1
    return 1


def halved(labels):
    own = labels == 14
    own[:, :48] = False
    labels[own] = 31
    return 14


def bitten(labels):
    labels[disk(SIZE, 76, 86, 9) & (labels == 15)] = 0
    return 15


def ragged(labels):
    chance = np.random.default_rng(3)
    own = disk(SIZE, 76, 80, 11) & (chance.random(SIZE) < 0.7)
    labels[labels == 15] = 0
    labels[own | disk(SIZE, 76, 80, 5)] = 15
    return 15


def holed(labels):
    labels[disk(SIZE, 76, 80, 3)] = 0
    return 15


def tiny(labels):
    labels[labels == 20] = 0
    labels[disk(SIZE, 106, 48, 3)] = 20
    return 20


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (merged, "may be several objects"),
        (halved, "a long border with object"),
        (bitten, "outline"),
        (ragged, "a ragged outline"),
        (holed, "a hole"),
        (tiny, "times smaller than usual"),
    ],
)
@pytest.mark.parametrize("seen", [False, True])
def test_what_is_wrong_comes_first_and_says_why(discs, spoil, words, seen):
    image = picture(discs) if seen else None
    wrong = spoil(discs)
    found = first(discs, image)
    assert found.label in ({14, 31} if spoil is halved else {wrong})
    assert any(words in reason for reason in found.reasons), found


def test_objects_as_usual_are_not_suspicious(discs):
    assert max(one.suspicion for one in suspects(discs, {}, picture(discs))) < 0.5


def test_a_low_score_is_suspicious(discs):
    infos = {n: ObjectInfo(0.93) for n in range(1, 31)} | {7: ObjectInfo(0.4), 8: ObjectInfo(None, "by hand")}
    found = first(discs, infos=infos)
    assert found.label == 7
    assert "a predicted score of 0.40" in found.reasons


def test_holes_that_many_have_are_usual(discs):
    few, many = discs.copy(), discs.copy()
    for number in range(1, 31):
        y, x = (int(one.mean()) for one in (discs == number).nonzero())
        many[y - 1 : y + 2, x - 1 : x + 2] = 0
        if number == 9:
            few[y - 1 : y + 2, x - 1 : x + 2] = 0
    assert first(few).label == 9
    assert "a hole" in first(few).reasons
    assert max(one.suspicion for one in suspects(many, {})) < 0.5


def test_what_the_border_cuts_off_is_not_too_small(discs):
    labels = discs[10:, 10:]
    assert not any("smaller" in reason for one in suspects(labels, {}) for reason in one.reasons)


def test_each_frame_of_a_movie_is_judged_by_itself(discs):
    movie = np.stack([discs] * 4)
    bitten(movie[2])
    found = suspects(movie, {}, movie=True)
    assert (found[0].label, found[0].plane) == (15, 2)
    assert len(found) == 30


def test_an_object_of_a_volume_is_shown_where_it_is_largest(discs):
    volume = np.stack([discs, discs, discs])
    volume[0][volume[0] == 9] = 0
    volume[1][disk(SIZE, 46, 80, 14)] = 9
    (one,) = (one for one in suspects(volume, {}) if one.label == 9)
    assert one.plane == 1


@pytest.mark.parametrize("shape", [(160, 200, 3), (2, 160, 200), (160, 199)])
def test_an_image_of_another_shape_is_refused(discs, shape):
    with pytest.raises(LabelError, match="Give one channel"):
        suspects(discs, {}, np.zeros(shape))


def test_labels_that_are_none_are_refused(discs):
    with pytest.raises(LabelError, match="Convert them"):
        suspects(discs.astype(float), {})


@given(
    arrays(np.uint16, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 5)),
    st.booleans(),
    st.booleans(),
)
def test_any_labels_are_ranked(labels, movie, seen):
    image = np.random.default_rng(0).normal(size=labels.shape) if seen else None
    found = suspects(labels, {1: ObjectInfo(0.5)}, image, movie=movie)
    assert sorted(one.label for one in found) == sorted(set(np.unique(labels).tolist()) - {0})
    assert all(np.isfinite(one.suspicion) and 0 <= one.suspicion <= 1 for one in found)
    assert all((labels[one.plane] == one.label).any() for one in found)
    assert found == suspects(labels, {1: ObjectInfo(0.5)}, image, movie=movie)
