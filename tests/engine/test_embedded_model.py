"""The model that is shipped: what a user without network or GPU gets."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from microsam_nb.core import BoxPrompt, Image, Mask, Point
from microsam_nb.engine import encode, load_model, predict
from microsam_nb.engine.evaluation.protocol import box_of, deepest_point, overlap
from microsam_nb.engine.finding import EMBEDDED
from microsam_nb.files import samples


@pytest.fixture(scope="module")
def nano():
    return load_model("nano")


def test_it_is_small_and_has_a_card(nano):
    assert EMBEDDED.stat().st_size < 25 * 2**20
    card = (EMBEDDED.parent / "README.md").read_text()
    assert nano.spec.hash in card, "the card tells the scores of other weights"


def test_drawn_discs_are_found_by_box_and_by_click(nano, drawn, drawn_image):
    embedding = encode(nano, drawn_image.shown())
    scores = {"box": [], "click": []}
    for number in range(1, 5):
        truth = Mask.crop(drawn.labels == number)
        scores["box"].append(overlap(truth, predict(nano, embedding, [box_of(truth)]).mask))
        scores["click"].append(overlap(truth, predict(nano, embedding, [deepest_point(truth)]).mask))
    assert np.mean(scores["box"]) > 0.7
    assert np.mean(scores["click"]) > 0.7


def test_a_nucleus_of_the_sample_is_bluer_than_its_surroundings(nano):
    image = Image(samples.tissue())
    embedding = encode(nano, image.shown())
    for prompt in (Point(0, 104, 194), BoxPrompt(0, 94, 183, 115, 206)):
        mask = predict(nano, embedding, [prompt]).mask.dense((1, 256, 320))[0]
        assert mask[104, 194]
        assert 60 < mask.sum() < 900
        blue_over_red = image.pixels[..., 2].astype(float) - image.pixels[..., 0]
        # The membranes around it are stained brown.
        ring = binary_dilation(mask, iterations=3) & ~mask
        assert blue_over_red[mask].mean() > blue_over_red[ring].mean() + 15


def test_a_negative_point_takes_a_part_away(nano, drawn_image):
    embedding = encode(nano, drawn_image.shown())
    # A box around two discs; a negative point on the second.
    both = BoxPrompt(0, 10, 12, 42, 82)
    one = predict(nano, embedding, [both, Point(0, 24, 26, True), Point(0, 30, 70, False)]).mask.dense((1, 96, 96))[0]
    assert one[24, 26]
    assert not one[30, 70]


def test_predicted_quality_is_a_probability(nano, drawn_image):
    embedding = encode(nano, drawn_image.shown())
    assert 0 <= predict(nano, embedding, [Point(0, 24, 26)]).score <= 1
