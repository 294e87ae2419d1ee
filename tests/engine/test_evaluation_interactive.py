"""Prompts that are simulated again and again."""

from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.core import BoxPrompt, Candidate, Image, LabelError, Mask, Point
from microsam_nb.engine.evaluation import interactive
from microsam_nb.engine.evaluation.corrections import corrections
from microsam_nb.engine.evaluation.interactive import (
    InteractiveSettings,
    Start,
    evaluate_interactive,
    objects_of,
    painted,
)


@pytest.fixture
def asked(monkeypatch):
    """A model that finds a square around every positive click, and half of what is in a box; what it was asked."""
    seen = []

    def predict_many(model, embedding, objects, *, previous=None):
        seen.append(([list(one) for one in objects], previous))
        out = []
        for own in objects:
            canvas = np.zeros((1, *embedding.original_size), bool)
            for p in own:
                if isinstance(p, BoxPrompt):
                    canvas[0, int(p.y0) : int(p.y1), int(p.x0) : int(p.x0 + p.x1) // 2] = True
                elif p.positive:
                    canvas[0, max(0, int(p.y) - 3) : int(p.y) + 4, max(0, int(p.x) - 3) : int(p.x) + 4] = True
            out.append(Candidate(Mask.crop(canvas), 1.0, "squares"))
        return out

    monkeypatch.setattr(interactive, "predict_many", predict_many)
    return seen


@pytest.mark.parametrize(("start", "kind"), [(Start.BOX, BoxPrompt), (Start.POINT, Point)])
def test_every_answer_is_corrected_by_two_clicks(asked, random_nano, drawn_image, drawn, start, kind):
    found = evaluate_interactive(random_nano, drawn_image, drawn.labels, InteractiveSettings(start, 3))
    assert (len(found.steps), found.iou.shape) == (4, (4, 4))
    assert found.iou[:, -1].mean() > found.iou[:, 0].mean()
    assert all(isinstance(own[0], kind) for own in asked[0][0])
    assert [len(asked[step][0][0]) for step in range(4)] == [1, 3, 5, 7]
    assert all([p.positive for p in own[1:]] == [True, False] * 3 for own in asked[3][0])
    assert all(previous is None for _, previous in asked)


def test_with_mask_prompts_the_model_knows_what_it_corrects(asked, random_nano, drawn_image, drawn):
    evaluate_interactive(random_nano, drawn_image, drawn.labels, InteractiveSettings(Start.BOX, 1, True))
    assert asked[0][1] is None
    assert [one.area > 0 for one in asked[1][1]] == [True] * 4


def test_clicks_lie_where_the_answer_is_wrong():
    truth, random = Mask((0, 10, 10), np.ones((1, 10, 10), bool)), np.random.default_rng(0)
    positive, negative = corrections(truth, Mask((0, 10, 15), np.ones((1, 10, 10), bool)), (40, 40), random)
    assert positive.positive
    assert (10 < positive.x < 15, 20 < negative.x < 25) == (True, True)
    # Nothing is wrong: one click into the object, one close beside it.
    positive, negative = corrections(truth, truth, (40, 40), random)
    assert 10 < positive.x < 20
    assert 7 < negative.x < 23
    assert not (10 < negative.x < 20 and 10 < negative.y < 20)
    whole = Mask((0, 0, 0), np.ones((1, 8, 8), bool))
    assert [p.positive for p in corrections(whole, whole, (8, 8), random)] == [True]


def test_objects_become_masks_and_labels_again():
    labels = np.zeros((2, 6, 6), np.uint32)
    labels[0, :2, :2], labels[:, 4:, 4:] = 4_000_000_000, 3
    masks = objects_of(labels)
    assert [one.area for one in masks] == [8, 4]
    assert np.array_equal(painted(masks, labels.shape) > 0, labels > 0)


def test_labels_that_do_not_fit_say_so(random_nano, drawn_image):
    with pytest.raises(LabelError, match="same planes"):
        evaluate_interactive(random_nano, drawn_image, np.ones((4, 4), int))
    with pytest.raises(LabelError, match="Leave this image out"):
        evaluate_interactive(random_nano, drawn_image, np.zeros((96, 96), int))
    with pytest.raises(LabelError, match="evaluate_volume"):
        evaluate_interactive(random_nano, Image(np.zeros((2, 8, 8)), "zyx"), np.ones((2, 8, 8), int))
