"""Drawn shapes to pixels: by centre, exact at the edge of the image, thin ones too."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsam_nb.core import BoxPrompt, Ellipse, Mask, MaskPrompt, Polygon, PromptError, Scribble, rasterise
from microsam_nb.core.raster import union

SHAPE = (2, 12, 16)


def picture(shape, image=SHAPE):
    mask = rasterise(shape, image)
    assert mask.start[0] == shape.plane
    return mask.dense(image)[shape.plane]


def rows(text):
    return np.array([[c == "#" for c in line] for line in text.split()])


def centres(height, width):
    return np.indices((height, width)) + 0.5


def rectangle(y0, x0, y1, x1, plane=0):
    return Polygon(plane, ((y0, x0), (y0, x1), (y1, x1), (y1, x0)))


def test_a_polygon_holds_the_pixels_whose_centres_it_holds():
    found = picture(Polygon(1, ((0, 0), (0, 6), (6, 0))), (2, 6, 7))
    expected = rows("#####.. ####... ###.... ##..... #...... .......")
    # The centres on the slanted edge (y + x = 6) lie on the outline: the pixel left of it is not inside.
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("box", [(0, 0, 12, 16), (2, 3, 9, 4), (11, 0, 12, 16), (0, 15, 12, 16), (5, 5, 6, 6)])
def test_a_rectangle_on_the_grid_is_exact_to_the_edge_of_the_image(box):
    y0, x0, y1, x1 = box
    expected = np.zeros(SHAPE[1:], bool)
    expected[y0:y1, x0:x1] = True
    assert np.array_equal(picture(rectangle(*box)), expected)
    assert np.array_equal(
        picture(rectangle(y0 - 0.5 * (y0 == 0), x0 - 9 * (x0 == 0), y1, x1 + 7 * (x1 == 16))), expected
    )


def test_the_full_image_may_be_drawn_around():
    assert picture(rectangle(-1e6, -5, 1e6, 999)).all()
    assert picture(Ellipse(0, -100, -100, 200, 200)).all()


@given(
    st.lists(st.tuples(st.floats(-3, 15), st.floats(-3, 19)), min_size=3, max_size=9),
    st.integers(-2, 2),
    st.integers(-2, 2),
)
def test_a_polygon_winds_around_its_pixels_and_moves_with_them(points, dy, dx):
    image = (1, 40, 40)
    points = tuple((y + 12.0, x + 10.0) for y, x in points)
    try:
        found = picture(Polygon(0, points), image)
    except PromptError:
        return
    yy, xx = centres(40, 40)
    turns, nearest = np.zeros((40, 40)), np.full((40, 40), np.inf)
    for (ay, ax), (by, bx) in zip(points, (*points[1:], points[0]), strict=True):
        angle = np.arctan2(by - yy, bx - xx) - np.arctan2(ay - yy, ax - xx)
        turns += (angle + math.pi) % (2 * math.pi) - math.pi
        length = max((by - ay) ** 2 + (bx - ax) ** 2, 1e-12)
        along = np.clip(((yy - ay) * (by - ay) + (xx - ax) * (bx - ax)) / length, 0, 1)
        nearest = np.minimum(nearest, np.hypot(yy - ay - along * (by - ay), xx - ax - along * (bx - ax)))
    sure = nearest > 1e-6
    inside = np.abs(turns) > 1
    if (inside & sure).any():
        assert np.array_equal(found[sure], inside[sure])
    # Steps of 1/8 keep the coordinates exact when they are moved.
    exact = tuple((round(y * 8) / 8, round(x * 8) / 8) for y, x in points)
    try:
        here = picture(Polygon(0, exact), image)
    except PromptError:
        return
    there = picture(Polygon(0, exact).moved(dy, dx), image)
    assert np.array_equal(np.roll(here, (dy, dx), (0, 1)), there)


@given(st.floats(8, 24), st.floats(8, 24), st.floats(1.5, 7), st.integers(3, 40), st.floats(0, 6.3))
def test_the_area_of_a_polygon_differs_by_less_than_its_outline(y, x, radius, corners, turn):
    angles = turn + np.arange(corners) * 2 * math.pi / corners
    points = tuple((y + radius * math.sin(a), x + radius * math.cos(a)) for a in angles)
    found = rasterise(Polygon(0, points), (1, 32, 32)).area
    area = corners / 2 * radius**2 * math.sin(2 * math.pi / corners)
    outline = 2 * corners * radius * math.sin(math.pi / corners)
    assert abs(found - area) <= outline * math.sqrt(0.5) + 1


@given(st.lists(st.tuples(st.floats(0, 12), st.floats(2, 14)), min_size=1, max_size=6))
def test_two_sides_of_a_line_share_no_pixel_and_leave_none(line):
    line = sorted((y, x) for y, x in line)
    if len({y for y, _ in line}) < len(line):
        return
    left = Polygon(0, ((-1, -1), (-1, 8), *line, (13, 8), (13, -1)))
    right = Polygon(0, ((-1, 17), (-1, 8), *line, (13, 8), (13, 17)))
    assert np.array_equal(picture(left), ~picture(right))


@given(st.lists(st.tuples(st.floats(0, 12), st.floats(0, 16)), min_size=3, max_size=7))
def test_the_direction_and_the_first_vertex_do_not_matter(points):
    points = tuple(points)
    try:
        one = rasterise(Polygon(0, points), SHAPE)
    except PromptError:
        return
    assert rasterise(Polygon(0, points[::-1]), SHAPE) == one
    assert rasterise(Polygon(0, points[1:] + points[:1]), SHAPE) == one


def test_a_lasso_that_crosses_itself_has_no_hole():
    star = [(6 + 5 * math.sin(a), 8 + 5 * math.cos(a)) for a in np.arange(5) * 4 * math.pi / 5]
    found = picture(Polygon(0, tuple(star)))
    assert found[5:7, 7:9].all()


@pytest.mark.parametrize(
    "points",
    [
        ((2, 3.6), (9, 3.6), (9, 3.9), (2, 3.9)),
        ((2, 3.6), (9, 3.9), (9, 3.8)),
        ((2.5, 3.7), (8.5, 3.7), (6, 3.7)),
    ],
)
def test_a_polygon_thinner_than_a_pixel_becomes_its_line(points):
    expected = np.zeros(SHAPE[1:], bool)
    expected[2:9, 3] = True
    assert np.array_equal(picture(Polygon(0, points)), expected)


def test_a_thin_polygon_at_the_last_column():
    found = picture(rectangle(0, 15.7, 12, 16))
    assert found[:, 15].all()
    assert found.sum() == 12


@given(st.floats(6, 26), st.floats(6, 26), st.floats(0.6, 5), st.floats(0.6, 5))
def test_an_ellipse_is_where_its_formula_says(y, x, ry, rx):
    found = picture(Ellipse(0, y - ry, x - rx, y + ry, x + rx), (1, 32, 32))
    yy, xx = centres(32, 32)
    value = ((yy - y) / ry) ** 2 + ((xx - x) / rx) ** 2
    sure = np.abs(value - 1) > 1e-9
    if (value[sure] < 1).any():
        assert np.array_equal(found[sure], value[sure] < 1)
        assert abs(found.sum() - math.pi * ry * rx) <= 2 * math.pi * max(ry, rx) + 1


@pytest.mark.parametrize(("box", "pixels"), [((3.6, 2, 3.9, 7), 5), ((0, 15.6, 12, 16), 12), ((4.1, 4.1, 4.2, 4.2), 1)])
def test_a_thin_ellipse_survives(box, pixels):
    assert rasterise(Ellipse(0, *box), SHAPE).area == pixels


def test_an_ellipse_fills_the_box_it_was_dragged_in():
    mask = rasterise(Ellipse(1, 10, 14, 2, 4), SHAPE)
    assert mask.box.start == (1, 2, 4)
    assert mask.box.stop == (2, 10, 14)


def test_a_scribble_of_width_one_is_a_line_without_gaps():
    found = picture(Scribble(0, ((1.5, 1.5), (9.5, 14.5))))
    assert found[1, 1]
    assert found[9, 14]
    from skimage.measure import label

    assert label(found, connectivity=1).max() == 1
    assert 20 <= found.sum() <= 30


@given(
    st.lists(st.tuples(st.floats(0, 11.9), st.floats(0, 15.9)), min_size=1, max_size=4), st.sampled_from([0, 1, 2.5, 5])
)
def test_a_scribble_covers_its_line_and_half_its_width(points, width):
    found = picture(Scribble(1, tuple(points), width))
    yy, xx = centres(*SHAPE[1:])
    distance = np.full(SHAPE[1:], np.inf)
    ends = list(pairwise(points)) or [(points[0], points[0])]
    for (ay, ax), (by, bx) in ends:
        length = max((by - ay) ** 2 + (bx - ax) ** 2, 1e-300)
        along = np.clip(((yy - ay) * (by - ay) + (xx - ax) * (bx - ax)) / length, 0, 1)
        distance = np.minimum(distance, np.hypot(yy - ay - along * (by - ay), xx - ax - along * (bx - ax)))
    assert found[distance < width / 2 - 1e-6].all()
    assert not found[distance > max(width / 2, math.sqrt(0.5)) + 1e-6].any()
    within = [(y, x) for y, x in points if 1e-6 < y % 1 < 1 - 1e-6 and 1e-6 < x % 1 < 1 - 1e-6]
    assert all(found[int(y), int(x)] for y, x in within)


def test_a_scribble_may_leave_the_image():
    found = picture(Scribble(0, ((-1e6, 4.5), (1e6, 4.5)), 3))
    assert found[:, 3:6].all()
    assert found.sum() == 36


def test_a_mask_is_its_own_raster():
    mask = Mask((1, 3, 4), np.ones((1, 2, 2), bool))
    assert rasterise(MaskPrompt(mask), SHAPE) == mask


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        (rectangle(20, 2, 30, 9), "Draw it inside"),
        (rectangle(1, 2, 5, 9, plane=2), "Draw it inside"),
        (Scribble(0, ((-1, 5), (-2, -3), (14, -3))), "Draw it on the object"),
        (Polygon(0, ((-9, 5), (5, -11), (-20, -20))), "Draw it on the object"),
        (Ellipse(0, -30, -30, 2, 2), "Draw it on the object"),
    ],
)
def test_a_shape_beside_the_image_is_refused(shape, remedy):
    with pytest.raises(PromptError) as error:
        rasterise(shape, SHAPE)
    assert remedy in error.value.remedy


def test_a_box_is_no_shape_to_rasterise_by_mistake():
    assert not isinstance(BoxPrompt(0, 1, 1, 2, 2), Ellipse)
    assert not isinstance(Ellipse(0, 1, 1, 2, 2), BoxPrompt)
    assert Ellipse(0, 1, 1, 2, 2) != BoxPrompt(0, 1, 1, 2, 2)


def test_union_of_masks():
    one, other = Mask((0, 1, 1), np.ones((1, 2, 2), bool)), Mask((0, 2, 4), np.ones((1, 1, 3), bool))
    both = union([one, other])
    assert np.array_equal(both.dense(SHAPE), one.dense(SHAPE) | other.dense(SHAPE))
    assert union([]).area == 0


def test_a_small_shape_on_a_huge_image_is_cheap():
    image = (1, 10**7, 10**7)
    assert rasterise(rectangle(9e6, 9e6, 9e6 + 5, 9e6 + 4), image).area == 20
    assert rasterise(Scribble(0, ((9e6, 9e6), (9e6 + 5, 9e6 + 4)), 2), image).area > 5
