"""Which of many overlapping masks are kept, against torchvision and against dense references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import nms

from microsam_nb.core import Mask
from microsam_nb.engine.automatic.select import painted, suppress_boxes, suppress_masks

SIZE = (40, 50)


def random_boxes(random, count):
    start = random.integers(0, 60, (count, 2))
    return np.concatenate([start, start + random.integers(1, 40, (count, 2))], 1)


def rectangle(y, x, height, width):
    return Mask((0, y, x), np.ones((1, height, width), bool))


def blob(random):
    """A rectangle with holes, of 1 to 20 pixels a side."""
    height, width = random.integers(1, 21, 2)
    y, x = random.integers(0, SIZE[0] - height + 1), random.integers(0, SIZE[1] - width + 1)
    return Mask.crop(random.random((height, width)) < random.uniform(0.3, 1.1), (0, int(y), int(x)))


def greedy(masks, scores, threshold, over_smaller):
    """Non-maximum suppression on whole planes, pair by pair."""
    whole = [mask.dense((1, *SIZE))[0] for mask in masks]
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        if not whole[i].any():
            continue
        for j in kept:
            shared = np.count_nonzero(whole[i] & whole[j])
            smaller = min(whole[i].sum(), whole[j].sum())
            if shared / (smaller if over_smaller else np.count_nonzero(whole[i] | whole[j])) > threshold:
                break
        else:
            kept.append(int(i))
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_boxes_are_kept_as_torchvision_keeps_them(threshold):
    random = np.random.default_rng(int(threshold * 100))
    for count in (1, 2, 30, 300):
        boxes, scores = random_boxes(random, count), random.permutation(count).astype(np.float64)
        corners = torch.from_numpy(boxes[:, [1, 0, 3, 2]].astype(np.float64))
        expected = nms(corners, torch.from_numpy(scores), threshold)
        assert suppress_boxes(boxes, scores, threshold).tolist() == expected.tolist()


def test_of_equal_scores_the_first_is_kept():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [20, 20, 30, 30], [20, 20, 30, 30]])
    assert suppress_boxes(boxes, np.array([1, 1, 2, 2]), 0.5).tolist() == [2, 0]


def test_no_boxes():
    assert suppress_boxes(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def test_a_box_that_a_lost_box_covers_is_kept():
    """The middle one loses against the first; the last overlaps with the middle one only."""
    boxes = np.array([[0, 0, 10, 10], [0, 4, 10, 14], [0, 9, 10, 19]])
    assert suppress_boxes(boxes, np.array([3, 2, 1]), 0.3).tolist() == [0, 2]


@pytest.mark.parametrize("over_smaller", [False, True], ids=["iou", "over-smaller"])
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3, 0.5, 0.9, 1.0])
def test_masks_are_kept_as_on_whole_planes(threshold, over_smaller):
    random = np.random.default_rng(int(threshold * 100) + over_smaller)
    lost = 0
    for _ in range(8):
        masks = [blob(random) for _ in range(50)]
        masks += [masks[i] for i in range(5)]
        scores = random.integers(0, 30, len(masks)).astype(np.float64)
        expected = greedy(masks, scores, threshold, over_smaller)
        assert suppress_masks(masks, scores, threshold, over_smaller=over_smaller).tolist() == expected
        lost += len(masks) - len(expected)
    # Otherwise there is nothing to tell apart; at 1.0 nothing but empty masks goes.
    assert threshold == 1.0 or lost > 0


def test_a_mask_inside_a_larger_one_goes_by_the_smaller_area_only():
    masks, scores = [rectangle(0, 0, 20, 20), rectangle(5, 5, 5, 5)], np.array([0.9, 0.8])
    assert suppress_masks(masks, scores, 0.9).tolist() == [0, 1]
    assert suppress_masks(masks, scores, 0.9, over_smaller=True).tolist() == [0]


def test_masks_whose_boxes_alone_overlap_are_kept():
    triangle = np.tri(20, dtype=bool)
    masks = [Mask.crop(triangle), Mask.crop(~triangle)]
    assert suppress_masks(masks, np.array([0.9, 0.8]), 0.0).tolist() == [0, 1]


def test_overlap_equal_to_the_threshold_is_allowed():
    half = [rectangle(0, 0, 10, 10), rectangle(0, 0, 10, 5)]
    assert suppress_masks(half, np.array([1, 0.5]), 0.5).tolist() == [0, 1]
    assert suppress_masks(half, np.array([1, 0.5]), 0.49).tolist() == [0]


def test_empty_masks_are_never_kept():
    nothing = Mask((0, 0, 0), np.zeros((0, 0, 0), bool))
    assert suppress_masks([nothing, rectangle(3, 3, 2, 2), nothing], np.array([1, 0.5, 0]), 0.5).tolist() == [1]
    assert suppress_masks([], np.zeros(0), 0.5).tolist() == []


def test_masks_in_a_huge_plane_are_compared_on_crops():
    """A plane of 100,000 x 100,000 pixels as bool alone would take 10 GB."""
    far = 99_980
    masks = [rectangle(far, far, 20, 20), rectangle(far, far + 1, 20, 19), rectangle(0, 0, 20, 20)]
    assert suppress_masks(masks, np.array([0.5, 0.9, 0.7]), 0.8).tolist() == [1, 2]
    boxes = np.array([[far, far, far + 20, far + 20], [far, far + 1, far + 20, far + 20], [0, 0, 20, 20]])
    assert suppress_boxes(boxes, np.array([0.5, 0.9, 0.7]), 0.8).tolist() == [1, 2]


def test_common_pixels_are_counted_in_the_overlap_of_the_boxes():
    random = np.random.default_rng(5)
    for _ in range(200):
        one, other = blob(random), blob(random)
        whole = np.count_nonzero(one.dense((1, *SIZE)) & other.dense((1, *SIZE)))
        assert one.shared(other) == whole


def test_a_shared_pixel_goes_to_the_largest_or_to_the_smallest():
    masks = [rectangle(0, 0, 4, 4), rectangle(2, 2, 10, 10)]
    largest, smallest = (painted(masks, SIZE, larger_first=flag) for flag in (True, False))
    assert largest.dtype == np.uint32
    assert (largest[2, 2], smallest[2, 2]) == (2, 1)
    assert (largest[0, 0], largest[11, 11]) == (smallest[0, 0], smallest[11, 11]) == (1, 2)
    assert largest[20, 20] == 0


def test_of_equal_masks_one_is_left():
    """And numbers have no hole."""
    masks = [rectangle(0, 0, 4, 4), rectangle(0, 0, 4, 4), rectangle(9, 9, 2, 2)]
    for flag in (True, False):
        assert np.unique(painted(masks, SIZE, larger_first=flag)).tolist() == [0, 1, 2]


def test_masks_that_are_covered_get_no_number():
    masks = [rectangle(3, 3, 2, 2), rectangle(0, 0, 10, 10), rectangle(20, 20, 3, 3)]
    labels = painted(masks, SIZE)
    assert np.unique(labels).tolist() == [0, 1, 2]
    assert labels[3, 3] == labels[9, 9] == 1
    assert labels[20, 20] == 2
    assert np.unique(painted(masks, SIZE, larger_first=False)).tolist() == [0, 1, 2, 3]


def test_no_masks_are_painted_as_nothing():
    assert not painted([], SIZE).any()
    assert painted([], SIZE).shape == SIZE


def test_a_mask_without_pixels_is_painted_as_nothing():
    nothing = Mask.crop(np.zeros((3, 3), bool))
    assert not painted([nothing], SIZE).any()
    assert np.unique(painted([nothing, rectangle(1, 1, 2, 2)], SIZE)).tolist() == [0, 1]


def test_more_masks_than_16_bits_count_are_painted():
    masks = [rectangle(y, x, 1, 1) for y in range(260) for x in range(260)]
    labels = painted(masks, (260, 260))
    assert np.array_equal(labels, np.arange(1, 260 * 260 + 1).reshape(260, 260))
