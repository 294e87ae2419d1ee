"""Measures of segmentations: beside the peer's numbers, and in situations whose answer is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from microsam_nb.core import LabelError
from microsam_nb.engine.evaluation import (
    THRESHOLDS,
    Scores,
    accuracies,
    boundaries,
    mean_segmentation_accuracy,
    overlaps,
    pooled,
    score,
)
from microsam_nb.engine.evaluation.boundaries import outlines

#: What elf.evaluation, which micro-sam evaluates with, says of ``random_pair(seed)``: mSA, SA50, SA75, precision,
#: recall and F1 at 0.5, and Dice. Made with mean_segmentation_accuracy(found, truth, return_accuracies=True),
#: matching(found, truth) and dice_score(found, truth).
PEER = {
    0: (0.0, 0, 0, 0, 0, 0, 0.6546712802617146),
    1: (0.27059705000881473, 0.8461538461538461, 0.09090909090909091, *[0.9166666666666666] * 3, 0.8531746030899628),
    2: (0.05111989459815547, 0.3333333333333333, 0, 0.5, 0.5, 0.5, 0.7262813521563488),
    3: (0.9047619047619048, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9700564971477386),
    5: (0.02909090909090909, 0.2, 0, *[0.3333333333333333] * 3, 0.6535433070008474),
    6: (0.17190476190476192, 0.6, 0, 0.75, 0.75, 0.75, 0.8758573387902656),
    8: (0.0, 0, 0, 0, 0, 0, 0.08142493637640905),
    9: (0.23074979114452798, 0.8333333333333334, 0.1, *[0.9090909090909091] * 3, 0.8952451708434159),
    11: (0.08530020703933747, 0.3333333333333333, 0, 0.5, 0.5, 0.5, 0.7565858797938266),
}


def random_pair(seed):
    """Twelve boxes with random numbers in a plane or (seeds that 3 divides) a volume, and what was found of them."""
    rng = np.random.default_rng(seed)

    def draw(count, shape):
        out = np.zeros(shape, np.int64)
        for _ in range(count):
            corner = [rng.integers(0, side - 3) for side in shape]
            size = [rng.integers(3, 12) for _ in shape]
            # The order of the random numbers is that of the table.
            out[tuple(slice(a, a + b) for a, b in zip(corner, size, strict=True))] = int(rng.integers(1, 1000))
        return out

    shape = (40, 50) if seed % 3 else (8, 20, 24)
    truth = draw(12, shape)
    found = np.roll(truth, int(rng.integers(0, 3)), -1) * (rng.random(shape) > 0.05)
    return truth, draw(9, shape) if seed % 4 == 0 else found


@pytest.mark.parametrize("seed", PEER)
def test_the_measures_are_those_of_micro_sam(seed):
    truth, found = random_pair(seed)
    own = score(truth, found)
    ours = (own.msa, own.sa50, own.sa75, own.precision(), own.recall(), own.f1(), own.dice)
    assert ours == pytest.approx(PEER[seed], abs=1e-9)
    assert mean_segmentation_accuracy(truth, found) == pytest.approx(own.msa, abs=1e-12)


def test_a_tie_at_a_threshold_counts_as_in_micro_sam():
    """An IoU of 3/5 misses the peer's third threshold, which is a little more than 0.6."""
    truth, found = np.ones((1, 5), int), np.array([[1, 1, 1, 0, 0]])
    assert THRESHOLDS[2] > 0.6
    assert accuracies(truth, found).tolist() == [1, 1] + [0] * 8


def test_large_numbers_and_volumes_are_compared_as_a_whole():
    volume = np.zeros((3, 6, 6), np.int64)
    volume[:, :3, :3] = 4_000_000_000
    volume[0, 4:, 4:] = 7
    split = volume.copy()
    split[2] *= 0  # the object lacks its last plane: an IoU of 2/3 in 3D
    assert overlaps(volume, split).tolist() == pytest.approx(np.array([[1, 0], [0, 2 / 3]]))
    assert score(volume, split).sa75 == pytest.approx(1 / 3)


def test_labels_that_cannot_be_compared_say_why():
    with pytest.raises(LabelError, match="whole numbers"):
        score(np.zeros((4, 4)), np.zeros((4, 4)))
    with pytest.raises(LabelError, match="same image"):
        score(np.zeros((4, 4), int), np.zeros((4, 5), int))
    with pytest.raises(LabelError, match=r"0\.50, 0\.55"):
        score(np.ones((4, 4), int), np.ones((4, 4), int)).f1(0.52)


def test_nothing_where_there_is_nothing_is_perfect_and_something_is_not():
    nothing, something = np.zeros((8, 8), int), np.zeros((8, 8), int)
    something[2:5, 2:5] = 3
    perfect, wrong, missed = score(nothing, nothing), score(nothing, something), score(something, nothing)
    measures = [(s.msa, s.precision(), s.recall(), s.f1(), s.dice, s.outline.f1) for s in (perfect, wrong, missed)]
    assert measures == [(1, 1, 1, 1, 1, 1), (0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0)]
    assert perfect.outline.distance == 0
    assert math.isnan(missed.outline.distance)


def test_pooled_scores_are_those_of_one_large_image():
    pairs = [random_pair(seed) for seed in (1, 2, 5)]
    truth, found = (
        np.concatenate([pair[k] + 2000 * i * (pair[k] > 0) for i, pair in enumerate(pairs)]) for k in (0, 1)
    )
    # Outlines differ where two images were put together: these are pooled for themselves.
    together, whole = pooled(score(*pair) for pair in pairs), score(truth, found)
    assert (together.matched, together.truth, together.found) == (whole.matched, whole.truth, whole.found)
    assert together.dice == whole.dice
    with pytest.raises(LabelError, match="one image at least"):
        pooled([])


def test_scores_pass_through_json():
    own = score(*random_pair(1))
    assert Scores.from_dict(json.loads(json.dumps(own.as_dict()))) == own


class TestBoundaries:
    square = np.zeros((40, 40), int)
    square[10:30, 10:30] = 1

    def test_outlines_lie_inside_objects_and_between_those_that_touch(self):
        labels = np.repeat([[0, 1, 1, 1, 2, 2, 2, 0]], 5, axis=0)
        assert outlines(labels)[2].tolist() == [False, True, False, True, True, False, True, False]
        assert outlines(np.ones((5, 5), int)).sum() == 0

    def test_a_shift_is_measured_in_pixels_and_in_units(self):
        moved = np.roll(self.square, 3, axis=1)
        far = boundaries(self.square, moved)
        near = boundaries(self.square, moved, tolerance=3)
        # Two sides lie 3 pixels from the other outline, but for their ends; top and bottom mostly on it.
        assert 0.4 < far.f1 < 0.6
        assert near.f1 == 1
        assert 1 < far.distance < 2
        assert boundaries(self.square, moved, spacing=(0.5, 0.5)).distance == pytest.approx(far.distance / 2)

    def test_distances_of_spheres_that_grow_by_two(self):
        zyx = np.indices((31, 31, 31)) - 15
        ball, larger = ((zyx**2).sum(0) <= r * r for r in (8, 10))
        assert boundaries(ball.astype(int), larger.astype(int)).distance == pytest.approx(2, abs=0.2)

    def test_an_image_without_a_partner_does_not_dilute_the_distance(self):
        moved, nothing = np.roll(self.square, 3, axis=1), np.zeros_like(self.square)
        one = score(self.square, moved)
        both = pooled([one, score(self.square, nothing)])
        assert both.outline.distance == one.outline.distance
        assert both.outline.f1 < one.outline.f1
