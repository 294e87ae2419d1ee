from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from torch.nn import functional as F

from microsam_nb.core import BoxPrompt, Image, Mask, ModelError, Point, PromptError
from microsam_nb.engine import (
    Embedding,
    encode,
    load_model,
    open_store,
    predict,
    predict_logits,
    predict_many,
    predict_stepwise,
)
from microsam_nb.engine.decode import decode
from microsam_nb.engine.prompting import gather, to_frame
from microsam_nb.engine.upsample import upsample

pytestmark = pytest.mark.usefixtures("exact")


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(2).integers(0, 256, (400, 512, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def embedding(random_nano, picture):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("microsam_nb.engine.precision.fast_dtype", lambda device: torch.float32)
        # Without the pixels nano answers from the whole plane, as segment-anything does.
        return replace(encode(random_nano, picture), pixels=None)


@pytest.fixture(scope="module")
def plain(random_nano):
    """The same weights without what is nano's own: the best of four answers, and no mask far from the box."""
    return replace(random_nano, spec=replace(random_nano.spec, architecture="vit_b"))


@pytest.fixture(scope="module")
def predictor(random_nano, picture):
    own = SamPredictor(random_nano.sam)
    own.set_image(picture)
    return own


def same(mask, logits):
    """The mask equals logits > 0, but where the logits are too close to 0 to tell."""
    sure = np.abs(logits) > 1e-3
    found = mask.dense((1, *logits.shape))[0]
    assert sure.mean() > 0.9
    assert np.array_equal(found[sure], (logits > 0)[sure])


@pytest.mark.parametrize(("y", "x"), [(100.5, 200.5), (0, 0), (399.9, 511.9), (33.25, 480.75)])
def test_one_point_agrees_with_segment_anything(plain, embedding, predictor, y, x):
    found = predict(plain, embedding, [Point(0, y, x)])
    logits, scores, _ = predictor.predict(
        point_coords=np.array([[x - 0.5, y - 0.5]]), point_labels=np.array([1]), return_logits=True
    )
    best = scores.argmax()
    assert found.score == pytest.approx(float(np.clip(scores[best], 0, 1)), abs=1e-3)
    assert found.origin == "points"
    same(found.mask, logits[best])


def test_nano_gives_the_best_of_four(random_nano, embedding):
    asked = gather([Point(0, 100, 200)], embedding.original_size)
    sparse = to_frame([asked], embedding, random_nano.frame, random_nano.device)
    position = random_nano.sam.prompt_encoder.get_dense_pe()
    with torch.no_grad():
        _, scores = decode(random_nano.sam, embedding.features, position, sparse)
    found = predict(random_nano, embedding, [Point(0, 100, 200)])
    assert found.score == pytest.approx(float(scores.max().clamp(0, 1)), abs=1e-3)


def test_one_box_agrees_with_segment_anything(plain, embedding, predictor):
    found = predict(plain, embedding, [BoxPrompt(0, 50, 60, 200, 300)])
    logits, scores, _ = predictor.predict(box=np.array([60, 50, 300, 200]), multimask_output=False, return_logits=True)
    assert found.score == pytest.approx(float(np.clip(scores[0], 0, 1)), abs=1e-3)
    assert found.origin == "box"
    same(found.mask, logits[0])


def test_points_and_a_box_agree_with_segment_anything(plain, embedding, predictor):
    prompts = [Point(0, 100.5, 150.5), BoxPrompt(0, 50, 60, 200, 300), Point(0, 60.5, 70.5, positive=False)]
    found = predict(plain, embedding, prompts)
    logits, scores, _ = predictor.predict(
        point_coords=np.array([[150, 100], [70, 60]]),
        point_labels=np.array([1, 0]),
        box=np.array([60, 50, 300, 200]),
        multimask_output=False,
        return_logits=True,
    )
    assert found.score == pytest.approx(float(np.clip(scores[0], 0, 1)), abs=1e-3)
    same(found.mask, logits[0])


@pytest.fixture
def unfilled(monkeypatch):
    """Masks as they are decoded: those of random weights are full of pinholes."""
    monkeypatch.setattr("microsam_nb.engine.answer._filled", lambda mask: mask)


@pytest.mark.usefixtures("unfilled")
def test_a_lone_negative_point_gets_the_single_answer(random_nano, embedding, predictor):
    found = predict(random_nano, embedding, [Point(0, 100.5, 200.5, positive=False)])
    logits, _, _ = predictor.predict(
        point_coords=np.array([[200, 100]]), point_labels=np.array([0]), multimask_output=False, return_logits=True
    )
    same(found.mask, logits[0])


def test_many_equal_one_by_one(random_nano, embedding):
    random = np.random.default_rng(0)
    objects = []
    for i in range(40):
        y, x = random.uniform(10, 380), random.uniform(10, 500)
        point, box = Point(0, y, x, positive=i % 5 != 4), BoxPrompt(0, y - 9, x - 9, y + 9, x + 9)
        objects.append([[point], [box], [point, box], [point, point]][i % 4])
    together = predict_many(random_nano, embedding, objects)
    assert len(together) == 40
    for i in (0, 1, 2, 3, 4, 19, 33, 34, 39):
        alone = predict(random_nano, embedding, objects[i])
        assert alone.origin == together[i].origin
        assert alone.score == pytest.approx(together[i].score, abs=1e-4)
        difference = alone.mask.dense((1, 400, 512)) ^ together[i].mask.dense((1, 400, 512))
        assert difference.mean() < 1e-3


def test_nothing_asked_nothing_answered(random_nano, embedding):
    assert predict_many(random_nano, embedding, []) == []


def test_the_mask_lies_in_the_plane_of_its_prompts(random_nano, embedding):
    found = predict(random_nano, embedding, [Point(7, 100, 200)])
    assert found.mask.area > 0
    assert found.mask.start[0] == 7
    flat = predict(random_nano, embedding, [Point(0, 100, 200)]).mask
    assert np.array_equal(found.mask.bitmap, flat.bitmap)


@pytest.mark.parametrize(
    ("prompts", "remedy"),
    [
        ([], "Click on an object or draw a box"),
        ([Point(0, 400, 5)], "Click inside: y from 0 to 400, x from 0 to 512."),
        ([Point(0, 5, -1)], "Click inside"),
        ([Point(0, float("nan"), 5)], "in pixels"),
        ([Point(-1, 5, 5)], "Click inside"),
        ([Point(0, 5, 5), Point(1, 5, 5)], "one plane at a time"),
        ([BoxPrompt(0, 1, 1, 9, 9), BoxPrompt(0, 2, 2, 8, 8)], "Keep one box"),
        ([BoxPrompt(0, 500, 1, 600, 9)], "Draw it inside"),
        ([BoxPrompt(0, 5, 5, 5.5, 9)], "larger box"),
    ],
)
def test_wrong_prompts_say_what_to_do(random_nano, embedding, prompts, remedy):
    with pytest.raises(PromptError) as error:
        predict(random_nano, embedding, prompts)
    assert remedy in error.value.remedy


def stretched(logits, embedding, frame):
    """segment-anything's postprocess_masks."""
    x = F.interpolate(logits[None, None], (frame, frame), mode="bilinear", align_corners=False)
    x = x[..., : embedding.input_size[0], : embedding.input_size[1]]
    return F.interpolate(x, embedding.original_size, mode="bilinear", align_corners=False)[0, 0]


SIZES = [
    ((512, 512), (512, 512)),
    ((400, 512), (400, 512)),
    ((100, 200), (256, 512)),
    ((900, 700), (512, 398)),
    ((64, 48), (512, 384)),
    ((3, 7), (219, 512)),
    ((1200, 5), (512, 2)),
    ((1, 1), (512, 512)),
    ((5000, 2), (512, 1)),
    ((2, 300), (3, 512)),
]


@pytest.mark.parametrize(("original", "input_size"), SIZES)
@pytest.mark.parametrize("kind", ["noise", "blob", "pixel", "corners", "full"])
def test_cropped_scaling_equals_the_two_interpolations(original, input_size, kind):
    random = torch.Generator().manual_seed(len(kind) + original[0])
    logits = torch.randn(128, 128, generator=random)
    if kind != "noise":
        place = {"blob": (40, 60, 20, 35), "pixel": (5, 6, 7, 8), "corners": (0, 1, 0, 1), "full": (0, 128, 0, 128)}
        y0, y1, x0, x1 = place[kind]
        smooth = F.avg_pool2d(logits.abs()[None], 3, 1, 1)[0]
        logits = -1 - smooth
        logits[y0:y1, x0:x1] = 1 + smooth[y0:y1, x0:x1]
        if kind == "corners":
            logits[-1, -1] = 2.0
    embedding = Embedding(torch.zeros(1), original, input_size)
    found = upsample(logits, embedding, 512, 3)
    expected = stretched(logits, embedding, 512)
    sure = (expected.abs() > 1e-4).numpy()
    dense = np.zeros(original, bool)
    if found.area:
        assert found.start[0] == 3
        dense = Mask((0, *found.start[1:]), found.bitmap).dense((1, *original))[0]
    assert np.array_equal(dense[sure], (expected > 0).numpy()[sure])
    if kind == "full":
        assert dense.all()


def test_nothing_above_zero_is_an_empty_mask():
    found = upsample(-torch.ones(64, 64), Embedding(torch.zeros(1), (100, 100), (512, 512)), 512, 0)
    assert found.area == 0


@pytest.mark.usefixtures("unfilled")
def test_nano_keeps_to_the_box(random_nano, plain, embedding):
    """Random weights scatter their mask over the whole image; of it only the box and a tenth around it is left."""
    box = BoxPrompt(0, 100, 200, 200, 300)
    whole = predict(plain, embedding, [box]).mask.dense((1, 400, 512))
    kept = predict(random_nano, embedding, [box]).mask.dense((1, 400, 512))
    around = np.zeros_like(whole)
    around[:, 90:210, 190:310] = True
    assert np.array_equal(kept, whole & around)
    assert (whole & ~around).any()


def test_logits_of_an_answer_are_a_prompt(random_nano, embedding, predictor):
    masks, scores = predict_logits(random_nano, embedding, [Point(0, 100.5, 200.5)])
    assert masks.shape == (4, 128, 128)
    assert scores.shape == (4,)
    again, _ = predict_logits(random_nano, embedding, [Point(0, 100.5, 200.5)], logits=masks[2])
    theirs = predictor.predict(
        point_coords=np.array([[200, 100]]),
        point_labels=np.array([1]),
        mask_input=masks[2:3].numpy(),
        multimask_output=True,
    )[2]
    np.testing.assert_allclose(again[1:].numpy(), theirs, rtol=1e-3, atol=5e-3)
    assert not np.allclose(again.numpy(), masks.numpy(), atol=1e-2)
    with pytest.raises(PromptError, match="that the same model gave"):
        predict_logits(random_nano, embedding, [Point(0, 100.5, 200.5)], logits=masks[2, :64])


def test_an_embedding_of_another_model_is_refused(random_nano, embedding):
    for features in (embedding.features[:, :-1], embedding.features[..., :-1], torch.zeros(0)):
        with pytest.raises(ModelError) as error:
            predict(random_nano, replace(embedding, features=features), [Point(0, 5, 5)])
        assert error.value.remedy.startswith("Encode the plane with this model")


@pytest.mark.parametrize("previous", [[], [None], [None] * 3])
def test_as_many_previous_masks_as_objects(random_nano, embedding, previous):
    with pytest.raises(PromptError) as error:
        predict_many(random_nano, embedding, [[Point(0, 5, 5)]] * 2, previous=previous)
    assert error.value.remedy.startswith("Give one for each object")


def test_pinholes_are_filled_and_true_holes_stay():
    from microsam_nb.engine.answer import _filled

    ring = np.ones((1, 40, 40), bool)
    ring[0, 3:5, 3:5] = False
    ring[0, 15:25, 15:25] = False
    filled = _filled(Mask((0, 7, 9), ring))
    assert filled.start == (0, 7, 9)
    assert filled.bitmap[0, 3:5, 3:5].all()
    assert not filled.bitmap[0, 15:25, 15:25].any()
    open_side = np.ones((1, 9, 9), bool)
    open_side[0, 0, 4] = False
    assert _filled(Mask((0, 0, 0), open_side)) == Mask((0, 0, 0), open_side)


@pytest.mark.parametrize("size", [None, 9.0, 30.0])
@pytest.mark.parametrize("stored", [False, True])
def test_the_last_step_is_the_answer(drawn, size, stored):
    model = load_model("nano", "cpu")
    image = Image(drawn.pixels, name="discs")
    source = open_store(None, model, image) if stored else encode(model, image.shown())
    for prompts, previous in (
        ([Point(0, 24.0, 26.0)], None),
        ([Point(0, 70.0, 40.0), Point(0, 5.0, 5.0, False)], None),
        ([BoxPrompt(0, 50, 20, 90, 60)], None),
        ([Point(0, 70.0, 47.0)], Mask((0, 60, 30), np.ones((1, 20, 10), bool))),
    ):
        *early, (last, final) = predict_stepwise(model, source, prompts, previous=previous, size=size)
        expected = predict(model, source, prompts, previous=previous, size=size)
        assert final
        assert not any(done for _, done in early)
        assert last.mask == expected.mask
        assert last.score == pytest.approx(expected.score, abs=1e-4)


def test_steps_refuse_at_once(random_nano):
    with pytest.raises(PromptError, match="above 0"):
        predict_stepwise(random_nano, encode(random_nano, np.zeros((32, 32), np.uint8)), [Point(0, 5, 5)], size=-1.0)
