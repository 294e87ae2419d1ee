from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.core import BoxPrompt, Candidate, LabelError, LabelledImage, Mask, Point
from microsam_nb.engine.evaluation import (
    accuracies,
    evaluate_prompts,
    mean_segmentation_accuracy,
    overlaps,
    protocol,
)
from microsam_nb.engine.evaluation.protocol import box_of, correction, deepest_point, overlap


def square(y0, x0, y1, x1):
    return Mask((0, y0, x0), np.ones((1, y1 - y0, x1 - x0), bool))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (square(10, 10, 20, 20), 1.0),
        (square(10, 10, 20, 15), 0.5),
        (square(15, 10, 25, 20), 1 / 3),
        (square(12, 12, 14, 14), 0.04),
        (square(0, 0, 30, 30), 1 / 9),
        (square(40, 40, 50, 50), 0.0),
        (square(20, 10, 30, 20), 0.0),
        (Mask.crop(np.zeros((9, 9), bool)), 0.0),
        (Mask.crop(np.zeros((9, 9), bool), (0, 90, 90)), 0.0),
    ],
)
def test_overlap_of_masks_anywhere(found, expected):
    assert overlap(square(10, 10, 20, 20), found) == pytest.approx(expected)
    assert overlap(found, square(10, 10, 20, 20)) == pytest.approx(expected)


def test_overlap_counts_pixels_not_boxes():
    bitmap = np.tri(10, dtype=bool)[None]
    assert overlap(Mask((0, 5, 5), bitmap), Mask((0, 5, 5), ~bitmap)) == 0
    assert overlap(Mask((0, 5, 5), bitmap), square(5, 5, 15, 15)) == pytest.approx(0.55)


def test_the_deepest_point_of_a_square_is_its_middle():
    assert deepest_point(square(10, 20, 15, 25)) == Point(0, 12.5, 22.5)
    assert deepest_point(Mask((4, 10, 20), np.ones((1, 1, 1), bool))) == Point(4, 10.5, 20.5)


def test_the_deepest_point_of_a_c_lies_in_it():
    bitmap = np.ones((1, 21, 21), bool)
    bitmap[0, 5:16, 5:] = False
    point = deepest_point(Mask((0, 100, 200), bitmap))
    assert bitmap[0, int(point.y) - 100, int(point.x) - 200]


def test_the_box_is_tight():
    assert box_of(square(10, 20, 15, 29)) == BoxPrompt(0, 10, 20, 15, 29)


def test_scores_of_a_random_model(random_nano, drawn):
    labels = drawn.labels.copy()
    labels[0, :5] = 9  # fewer than 12 pixels: left out
    labels[90:96, 0:6] = 1  # apart from the rest of object 1: an object of its own
    empty = LabelledImage(drawn.pixels, np.zeros_like(drawn.labels), "g", "empty")
    (score,) = evaluate_prompts(random_nano, [empty, LabelledImage(drawn.pixels, labels, "g", "n")])
    assert (score.group, score.name) == ("g", "n")
    assert score.box.shape == (5,)
    assert score.clicks.shape == (5, 5)
    assert ((score.clicks >= 0) & (score.clicks <= 1)).all()


def test_a_perfect_answer_scores_one(random_nano, drawn, monkeypatch):
    def oracle(model, embedding, prompts, previous=None):
        for prompt, *_ in prompts:
            y = prompt.y if isinstance(prompt, Point) else (prompt.y0 + prompt.y1) / 2
            x = prompt.x if isinstance(prompt, Point) else (prompt.x0 + prompt.x1) / 2
            number = drawn.labels[int(y), int(x)]
            assert number > 0
            yield Candidate(Mask.crop(drawn.labels == number), 1.0, "oracle")

    monkeypatch.setattr(protocol, "predict_many", oracle)
    (score,) = evaluate_prompts(random_nano, [drawn])
    assert score.box.tolist() == [1, 1, 1, 1]
    assert score.clicks.tolist() == [[1] * 5] * 4


def test_a_correction_lies_deep_in_the_larger_error():
    truth = square(10, 10, 30, 30)
    missed = correction(truth, square(10, 10, 30, 20))
    assert missed.positive
    assert (20 <= missed.x < 30, 10 <= missed.y < 30) == (True, True)
    extra = correction(truth, square(10, 10, 30, 60))
    assert not extra.positive
    assert (30 <= extra.x < 60, 10 <= extra.y < 30) == (True, True)
    assert correction(truth, truth) == deepest_point(truth)
    assert correction(truth, Mask.crop(np.zeros((9, 9), bool))) == deepest_point(truth)


def test_clicks_correct_what_is_wrong(random_nano, drawn, monkeypatch):
    """An engine that finds a square around every positive click gets better with every click."""

    def squares(model, embedding, prompts, previous=None):
        for own in prompts:
            canvas = np.zeros((1, *embedding.original_size), bool)
            for p in own:
                y, x = int(getattr(p, "y", 0)), int(getattr(p, "x", 0))
                canvas[0, max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] |= True
            yield Candidate(Mask.crop(canvas), 1.0, "squares")

    monkeypatch.setattr(protocol, "predict_many", squares)
    (score,) = evaluate_prompts(random_nano, [drawn], clicks=4)
    assert (np.diff(score.clicks.mean(0)) > 0).all()


class TestMatching:
    truth = np.repeat([[1, 1, 1, 1, 0, 2, 2, 2, 2, 0]], 10, axis=0)

    def test_the_same_is_perfect_whatever_the_ids(self):
        other = np.where(self.truth == 1, 900, np.where(self.truth == 2, 5, 0))
        assert overlaps(self.truth, other).tolist() == [[0, 1], [1, 0]]
        assert accuracies(self.truth, other).tolist() == [1] * 10

    def test_half_an_object_counts_at_low_thresholds(self):
        found = self.truth.copy()
        found[:5] = np.where(found[:5] == 1, 0, found[:5])
        # Object 1 reaches an IoU of 0.5: matched at the first threshold only; object 2 at all.
        assert accuracies(self.truth, found).tolist() == pytest.approx([1] + [1 / 3] * 9)
        assert mean_segmentation_accuracy(self.truth, found) == pytest.approx((1 + 9 / 3) / 10)

    def test_merged_split_and_missing(self):
        merged = (self.truth > 0).astype(int)
        assert accuracies(self.truth, merged)[0] == pytest.approx(1 / 2)
        assert accuracies(self.truth, np.zeros_like(self.truth)).tolist() == [0] * 10
        assert accuracies(np.zeros_like(self.truth), self.truth).tolist() == [0] * 10
        assert accuracies(np.zeros((4, 4), int), np.zeros((4, 4), int)).tolist() == [1] * 10

    def test_other_shapes_are_refused(self):
        with pytest.raises(LabelError, match="same image"):
            overlaps(self.truth, self.truth[1:])
