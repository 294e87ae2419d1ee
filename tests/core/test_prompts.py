import numpy as np
import pytest

from microsam_nb.core import BoxPrompt, Candidate, Mask, Point, PromptError

SHAPE = (2, 10, 20)


@pytest.mark.parametrize(("plane", "y", "x"), [(0, 0, 0), (1, 9.99, 19.99), (0, 5, 0.5)])
def test_points_in_the_image_pass(plane, y, x):
    Point(plane, y, x).check(SHAPE)


@pytest.mark.parametrize(
    ("plane", "y", "x"), [(0, 10, 5), (0, 5, 20), (0, -0.1, 5), (0, 5, -0.1), (2, 5, 5), (-1, 5, 5)]
)
def test_a_point_outside_is_told_the_bounds(plane, y, x):
    with pytest.raises(PromptError) as error:
        Point(plane, y, x).check(SHAPE)
    assert error.value.remedy == "Click inside: plane from 0 to 1, y from 0 to 10, x from 0 to 20."


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_coordinates_must_be_finite(bad):
    with pytest.raises(PromptError) as error:
        Point(0, bad, 1).check(SHAPE)
    assert "in pixels" in error.value.remedy
    with pytest.raises(PromptError) as error:
        BoxPrompt(0, 1, 1, bad, 5).check(SHAPE)
    assert "in pixels" in error.value.remedy


def test_corners_of_a_box_come_in_any_order():
    box = BoxPrompt(0, 8, 3, 2, 9)
    assert (box.y0, box.x0, box.y1, box.x1) == (2, 3, 8, 9)
    assert BoxPrompt(0, 2, 9, 8, 3) == box


@pytest.mark.parametrize(
    "box", [(0, -5, 2, 0, 9), (0, 10, 2, 15, 9), (0, 2, -9, 8, 0), (0, 2, 20, 8, 30), (2, 1, 1, 5, 5), (-1, 1, 1, 5, 5)]
)
def test_a_box_outside_is_told_the_bounds(box):
    with pytest.raises(PromptError) as error:
        BoxPrompt(*box).check(SHAPE)
    assert error.value.remedy == "Draw it inside: plane from 0 to 1, y from 0 to 10, x from 0 to 20."


@pytest.mark.parametrize("box", [(0, 2, 2, 2.5, 9), (0, 2, 2, 8, 2), (0, -20, 2, 0.5, 9), (0, 2, 19.5, 8, 40)])
def test_a_box_without_a_pixel_in_the_image_asks_for_a_larger_one(box):
    with pytest.raises(PromptError) as error:
        BoxPrompt(*box).check(SHAPE)
    assert "larger box" in error.value.remedy


def test_a_box_that_reaches_beyond_the_image_is_clipped():
    box = BoxPrompt(1, -4, 5, 6, 33)
    box.check(SHAPE)
    clipped = box.clip(SHAPE)
    assert clipped == BoxPrompt(1, 0, 5, 6, 20)
    clipped.check(SHAPE)


@pytest.mark.parametrize("score", [-0.01, 1.01, float("nan")])
def test_a_score_outside_0_to_1_is_refused(score):
    with pytest.raises(ValueError, match="clip the predicted IoU"):
        Candidate(Mask((0, 0, 0), np.ones((1, 1, 1), bool)), score, "points")
