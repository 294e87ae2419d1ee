from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.core import BoxPrompt, Candidate, LabelledImage, Mask, Point
from microsam_nb.engine.evaluation import evaluate_prompts, protocol
from microsam_nb.engine.evaluation.protocol import box_of, deepest_point, overlap


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
    assert score.box.shape == score.click.shape == (5,)
    assert ((score.box >= 0) & (score.box <= 1)).all()


def test_a_perfect_answer_scores_one(random_nano, drawn, monkeypatch):
    def oracle(model, embedding, prompts):
        for (prompt,) in prompts:
            y = prompt.y if isinstance(prompt, Point) else (prompt.y0 + prompt.y1) / 2
            x = prompt.x if isinstance(prompt, Point) else (prompt.x0 + prompt.x1) / 2
            number = drawn.labels[int(y), int(x)]
            assert number > 0
            yield Candidate(Mask.crop(drawn.labels == number), 1.0, "oracle")

    monkeypatch.setattr(protocol, "predict_many", oracle)
    (score,) = evaluate_prompts(random_nano, [drawn])
    assert score.box.tolist() == score.click.tolist() == [1, 1, 1, 1]
