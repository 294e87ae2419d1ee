import json
from typing import get_args

import numpy as np
import pytest

from microsam_nb.core import (
    BoxPrompt,
    Candidate,
    Ellipse,
    Mask,
    MaskPrompt,
    Point,
    Polygon,
    Prompt,
    PromptError,
    Scribble,
    Stop,
    prompt_from_json,
    prompt_to_json,
)
from microsam_nb.core.prompts import KINDS

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


MASK = Mask((1, 2, 3), np.array([[[True, False], [True, True]]]))
EVERY = [
    Point(1, 2.5, 3, positive=False),
    BoxPrompt(0, 1, 2, 3.5, 4),
    Ellipse(1, 1, 2, 3.5, 4),
    Polygon(0, ((1, 2), (3, 4.5), (5, 1))),
    Scribble(1, ((1, 2), (3, 4.5)), 2.5, positive=False),
    MaskPrompt(MASK),
    Stop(1),
]


@pytest.mark.parametrize("prompt", EVERY, ids=lambda p: type(p).__name__)
def test_every_kind_goes_through_json_text(prompt):
    prompt.check(SHAPE)
    assert prompt_from_json(json.loads(json.dumps(prompt_to_json(prompt)))) == prompt
    assert hash(prompt) == hash(prompt_from_json(prompt_to_json(prompt)))


def test_every_kind_has_a_word():
    assert {type(p) for p in EVERY} == set(KINDS.values()) == set(get_args(Prompt))


def test_numbers_of_numpy_become_plain_text():
    point = Point(np.int64(1), np.float32(2.5), np.float64(3), np.bool_(True))
    assert json.loads(json.dumps(prompt_to_json(point))) == {
        "kind": "point", "plane": 1, "y": 2.5, "x": 3.0, "positive": True
    }  # fmt: skip


def test_a_missing_plane_is_the_first():
    assert prompt_from_json({"kind": "point", "y": 1, "x": 2}) == Point(0, 1, 2)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"kind": "star"}, "there are point, box, ellipse, polygon, scribble, mask, stop"),
        ({"kind": "point", "y": 1, "x": 2, "z": 3}, "a point has no 'z'"),
        ({"kind": "point", "y": "1", "x": 2}, "not a number"),
        ({"kind": "point", "y": True, "x": 2}, "not a number"),
        ({"kind": "point", "plane": 1.5, "y": 1, "x": 2}, "not a whole number"),
        ({"kind": "point", "y": 1, "x": 2, "positive": 1}, "not true or false"),
    ],
)
def test_other_data_is_named(data, said):
    with pytest.raises(ValueError, match=said):
        prompt_from_json(data)


@pytest.mark.parametrize("kind", [Polygon, Scribble])
@pytest.mark.parametrize("points", [5, "abc", [1, 2, 3], [(1, 2, 3)] * 4, [("a", 1)] * 3, None])
def test_vertices_are_pairs(kind, points):
    with pytest.raises(PromptError) as error:
        kind(0, points)
    assert "[[y, x], [y, x], ...]" in error.value.remedy


@pytest.mark.parametrize("kind", [Polygon, Scribble])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e12])
def test_vertices_are_finite(kind, bad):
    with pytest.raises(PromptError) as error:
        kind(0, [(1, 2), (3, bad), (5, 5)])
    assert "in pixels" in error.value.remedy


def test_vertices_of_an_array_become_plain_and_the_closing_one_goes():
    polygon = Polygon(0, np.array([[1, 2], [1, 2], [3, 4], [5, 1], [1, 2]]))
    assert polygon == Polygon(0, ((1.0, 2.0), (3.0, 4.0), (5.0, 1.0)))
    hash(polygon)


@pytest.mark.parametrize("points", [[], [(1, 2)], [(1, 2), (3, 4)], [(1, 2), (3, 4), (1, 2)], [(1, 1)] * 5])
def test_a_polygon_needs_three_corners(points):
    with pytest.raises(PromptError) as error:
        Polygon(0, points)
    assert "Draw further" in error.value.remedy


@pytest.mark.parametrize(("points", "width", "remedy"), [([], 1, "Draw a line"), ([(1, 1)], -1, "width from 0"),
                                                         ([(1, 1)], float("nan"), "width from 0")])  # fmt: skip
def test_a_scribble_needs_a_line(points, width, remedy):
    with pytest.raises(PromptError) as error:
        Scribble(0, points, width)
    assert remedy in error.value.remedy


@pytest.mark.parametrize(
    ("prompt", "remedy"),
    [
        (Polygon(0, ((20, 1), (30, 1), (30, 9))), "Draw it inside: plane from 0 to 1, y from 0 to 10, x from 0 to 20."),
        (Polygon(2, ((1, 1), (3, 1), (3, 9))), "Draw it inside"),
        (Scribble(0, ((1, 20), (5, 30))), "Draw it inside"),
        (Scribble(-1, ((1, 1),)), "Draw it inside"),
        (Ellipse(0, 10, 2, 15, 9), "Draw it inside"),
        (Ellipse(0, 1, 2, 1, 9), "from corner to corner"),
        (Ellipse(0, 1, float("nan"), 1, 9), "in pixels"),
        (MaskPrompt(Mask((0, 9, 3), np.ones((1, 2, 2), bool))), "made for this image"),
        (MaskPrompt(Mask((0, -1, 3), np.ones((1, 2, 2), bool))), "made for this image"),
        (MaskPrompt(Mask((2, 1, 3), np.ones((1, 2, 2), bool))), "plane from 0 to 1"),
        (Stop(2), "plane from 0 to 1"),
        (Stop(-1), "plane from 0 to 1"),
    ],
)
def test_what_lies_outside_is_told_the_bounds(prompt, remedy):
    with pytest.raises(PromptError) as error:
        prompt.check(SHAPE)
    assert remedy in error.value.remedy


@pytest.mark.parametrize(
    ("bitmap", "remedy"), [(np.zeros((1, 2, 2), bool), "at least one pixel"), (np.ones((2, 2, 2), bool), "per plane")]
)
def test_a_mask_prompt_holds_pixels_of_one_plane(bitmap, remedy):
    with pytest.raises(PromptError) as error:
        MaskPrompt(Mask((0, 0, 0), bitmap))
    assert remedy in error.value.remedy


@pytest.mark.parametrize("prompt", EVERY, ids=lambda p: type(p).__name__)
def test_moving_there_and_back(prompt):
    moved = prompt.moved(4, -1)
    assert moved.plane == prompt.plane
    assert (moved == prompt) is isinstance(prompt, Stop)
    assert moved.moved(-4, 1) == prompt


@pytest.mark.parametrize(
    ("prompt", "remedy"),
    [
        (lambda: Point(0, "a", 1), "in pixels"),
        (lambda: Point(0, None, 1), "in pixels"),
        (lambda: Point(0, 10**400, 1), "in pixels"),
        (lambda: BoxPrompt(0, 1, None, 5, 5), "in pixels"),
        (lambda: BoxPrompt(0, 1, 2, "5", 5), "in pixels"),
        (lambda: Ellipse(0, 1, 2, [5], 5), "in pixels"),
        (lambda: Scribble(0, [(1, 1)], "wide"), "width from 0"),
        (lambda: Point(0.5, 1, 1), "whole number from 0 to 1"),
        (lambda: BoxPrompt("0", 1, 1, 5, 5), "whole number from 0 to 1"),
        (lambda: Polygon(None, ((1, 1), (5, 5), (1, 5))), "whole number from 0 to 1"),
        (lambda: MaskPrompt(np.ones((4, 4), bool)), "Mask.crop(array)"),
        (lambda: Stop(1.0), "whole number from 0 to 1"),
    ],
)
def test_values_of_a_wrong_type_are_named(prompt, remedy):
    with pytest.raises(PromptError) as error:
        prompt().check(SHAPE)
    assert remedy in error.value.remedy
