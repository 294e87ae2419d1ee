"""Masks that are there already, corrected by clicks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from microsam_nb.core import BoxPrompt, Image, Mask, MaskPrompt, Point, PromptError, Scribble
from microsam_nb.engine import correct_many, load_model, open_store
from microsam_nb.engine.correct import corrects

YES, NO = Point(0, 20.0, 20.0), Point(0, 20.0, 20.0, False)


@pytest.fixture(scope="module", autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def nano():
    return load_model("nano", device="cpu")


@pytest.fixture(scope="module")
def pair(nano):
    """Two bright discs of radius 14 that nearly touch, as a store, and each of them as bool (h, w)."""
    ys, xs = np.mgrid[:96, :96] + 0.5
    left, right = ((ys - 48) ** 2 + (xs - x) ** 2 < 14**2 for x in (33, 63))
    noise = np.random.default_rng(0).normal(0, 6, (96, 96))
    pixels = np.clip(40 + 120.0 * (left | right) + noise, 0, 255).astype(np.uint8)
    return open_store(None, nano, Image(pixels, "yx")), left, right


def fixed(nano, pair, mask, *prompts):
    """What prompts make of a mask (h, w), of the same form."""
    found = correct_many(nano, pair[0], [prompts], [Mask.crop(mask)])[0].mask
    return found.dense((1, *mask.shape))[0]


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def test_a_positive_click_adds_what_is_missing_and_keeps_the_rest(nano, pair):
    _, left, _ = pair
    half = left & (np.arange(96) < 31)
    assert iou(half, left) < 0.5
    found = fixed(nano, pair, half, Point(0, 48.5, 40.5))
    assert (found & half).sum() == half.sum()
    assert iou(found, left) > 0.85


def test_a_negative_click_takes_away_and_adds_nothing(nano, pair):
    _, left, right = pair
    found = fixed(nano, pair, left | right, Point(0, 48.5, 63.5, positive=False))
    assert not (found & ~(left | right)).any()
    assert iou(found, left) > 0.85


def test_a_click_on_what_is_right_leaves_it_there(nano, pair):
    _, left, _ = pair
    found = fixed(nano, pair, left, Point(0, 48.5, 33.5))
    assert (found & left).sum() == left.sum()
    assert iou(found, left) > 0.85


def test_a_positive_click_on_another_object_says_where_it_is(nano):
    ys, xs = np.mgrid[:96, :96] + 0.5
    here, there = ((ys - y) ** 2 + (xs - y) ** 2 < 13**2 for y in (28, 68))
    pixels = np.clip(40 + 120.0 * (here | there) + np.random.default_rng(0).normal(0, 6, (96, 96)), 0, 255)
    apart = open_store(None, nano, Image(pixels.astype(np.uint8), "yx")), here, there
    found = fixed(nano, apart, there, Point(0, 28.5, 28.5))
    assert not (found & there).any()
    assert iou(found, here) > 0.85


def test_the_newest_prompt_says_what_is_wrong_now(nano, pair):
    _, left, right = pair
    away, back = Point(0, 48.5, 63.5, positive=False), Scribble(0, ((48.5, 26.5), (48.5, 40.5)))
    less = fixed(nano, pair, left, back, away)
    more = fixed(nano, pair, left, away, back)
    assert not (less & ~left).any()
    assert (more & left).sum() == left.sum()
    assert iou(more, right) < 0.1


def test_what_a_mask_has_lost_altogether_is_asked_for_by_its_prompts_alone(nano, pair):
    _, left, _ = pair
    found = fixed(nano, pair, np.zeros_like(left), Point(0, 48.5, 33.5))
    assert iou(found, left) > 0.85


def test_several_masks_are_corrected_each_by_its_own_prompts(nano, pair):
    store, left, right = pair
    half, both = left & (np.arange(96) < 31), left | right
    clicks = [[Point(0, 48.5, 40.5)], [Point(0, 48.5, 33.5, positive=False)]]
    found = correct_many(nano, store, clicks, [Mask.crop(half), Mask.crop(both)])
    first, second = (one.mask.dense((1, 96, 96))[0] for one in found)
    assert iou(first, left) > 0.85
    assert iou(second, right) > 0.85


def test_masks_without_prompts_are_refused(nano, pair):
    with pytest.raises(PromptError, match="Give one for each object"):
        correct_many(nano, pair[0], [[YES]], [])


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ((YES,), False),
        ((MaskPrompt(Mask.crop(np.ones((4, 4), bool))),), False),
        ((MaskPrompt(Mask.crop(np.ones((4, 4), bool))), YES), True),
        ((MaskPrompt(Mask.crop(np.ones((4, 4), bool))), YES, NO), True),
        ((MaskPrompt(Mask.crop(np.ones((4, 4), bool))), BoxPrompt(0, 1, 1, 5, 5)), False),
        ((MaskPrompt(Mask.crop(np.ones((4, 4), bool))), Scribble(0, ((1, 1), (3, 3)))), True),
    ],
)
def test_only_clicks_and_strokes_after_a_mask_correct_it(nano, prompts, expected):
    assert corrects(nano, prompts) is expected


def test_other_models_read_masks_and_clicks_together():
    assert not corrects(SimpleNamespace(is_nano=False), (MaskPrompt(Mask.crop(np.ones((4, 4), bool))), YES))
