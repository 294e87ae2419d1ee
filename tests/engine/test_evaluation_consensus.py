"""Several annotators of one image."""

from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.core import LabelError
from microsam_nb.engine.evaluation import mean_segmentation_accuracy
from microsam_nb.engine.evaluation.consensus import agreement, consensus


@pytest.fixture
def pair():
    """Two squares that touch."""
    labels = np.zeros((24, 40), np.int64)
    labels[4:20, 4:20], labels[4:20, 20:36] = 70_000, 3
    return labels


def test_the_consensus_of_one_is_what_he_drew(pair):
    assert mean_segmentation_accuracy(pair, consensus([pair])) == 1


def test_who_is_alone_with_a_mistake_is_outvoted(pair):
    merged, shifted = (pair > 0).astype(int), np.roll(pair, 1, axis=0)
    alone = pair.copy()
    alone[21:24, 37:40] = 9
    found = consensus([pair, shifted, merged, alone, pair])
    assert found.shape == pair.shape
    assert mean_segmentation_accuracy(pair, found) == 1


def test_most_say_that_two_are_one(pair):
    merged = (pair > 0).astype(int)
    assert len(np.unique(consensus([merged, merged, pair]))) == 2


def test_volumes_have_a_consensus_in_3d(pair):
    volume = np.stack([pair] * 4)
    found = consensus([volume, volume, np.roll(volume, 1, axis=2)])
    assert mean_segmentation_accuracy(volume, found) == 1


def test_agreement_two_at_a_time_and_of_every_object(pair):
    half = np.where(pair == 3, 0, pair)
    found = agreement([pair, pair, half])
    assert found.msa == pytest.approx(np.array([[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]]))
    assert found.f1[0] == pytest.approx([1, 1, 2 / 3])
    assert found.objects[0] == {3: 0.5, 70_000: 1.0}
    assert found.objects[2] == {70_000: 1.0}


@pytest.mark.parametrize(
    ("ask", "remedy"),
    [
        (lambda one: consensus([]), "one annotator at least"),
        (lambda one: consensus([one, one[1:]]), "labels of one image"),
        (lambda one: consensus([one], 1.0), "from 0 to below 1"),
        (lambda one: consensus([one / 2]), "whole numbers"),
        (lambda one: agreement([one]), "two annotators"),
    ],
)
def test_what_cannot_be_compared_is_said(pair, ask, remedy):
    with pytest.raises(LabelError, match=remedy):
        ask(pair)
