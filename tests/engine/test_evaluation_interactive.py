"""Prompts that are simulated again and again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from microsam_nb.core import BoxPrompt, Candidate, Image, LabelError, Mask, Point
from microsam_nb.engine.backbones.sam import FastEncoder
from microsam_nb.engine.evaluation import interactive
from microsam_nb.engine.evaluation.corrections import corrections
from microsam_nb.engine.evaluation.interactive import (
    InteractiveSettings,
    Start,
    evaluate_interactive,
    objects_of,
    painted,
)
from microsam_nb.engine.models import Model, ModelSpec


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


@pytest.fixture
def small_sam():
    """segment-anything's classes with random weights, and an encoder of one block in a frame of 64 pixels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = ImageEncoderViT(img_size=64, embed_dim=32, depth=1, num_heads=2, out_chans=256)
        prompts = PromptEncoder(embed_dim=256, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=16)
        two_way = TwoWayTransformer(depth=1, embedding_dim=256, mlp_dim=32, num_heads=8)
        sam = Sam(FastEncoder(encoder), prompts, MaskDecoder(transformer_dim=256, transformer=two_way))
    return Model(ModelSpec("small", "vit_b", "random"), sam.eval(), None, torch.device("cpu"), "fp32")


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


def test_a_sam_model_gets_its_own_logits_back_as_mask_prompts(monkeypatch, small_sam, drawn_image, drawn):
    given = []

    def gather(prompts, size, *, logits=None):
        given.append(logits)
        return gather_prompts(prompts, size, logits=logits)

    gather_prompts = interactive.gather
    monkeypatch.setattr(interactive, "gather", gather)
    settings = InteractiveSettings(Start.POINT, 1, True)
    told = evaluate_interactive(small_sam, drawn_image, drawn.labels, settings)
    count = len(told.iou)
    assert given[:count] == [None] * count
    assert len(given) == 2 * count
    height, width = small_sam.sam.prompt_encoder.mask_input_size
    assert all(tuple(one.shape[-2:]) == (height, width) for one in given[count:])
    untold = evaluate_interactive(small_sam, drawn_image, drawn.labels, InteractiveSettings(Start.POINT, 1))
    # The first answers are the same; the corrections know more.
    assert np.array_equal(told.iou[:, 0], untold.iou[:, 0])
    assert not np.array_equal(told.iou[:, 1], untold.iou[:, 1])


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
