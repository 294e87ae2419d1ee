"""Prompts of every kind to points, boxes and mask logits in the model's frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from segment_anything.modeling import PromptEncoder
from segment_anything.utils.transforms import ResizeLongestSide

from microsam_nb.core import (
    BoxPrompt,
    Ellipse,
    Mask,
    MaskPrompt,
    Point,
    Polygon,
    PromptError,
    Scribble,
    SettingsError,
    Stop,
)
from microsam_nb.core.raster import clip_line
from microsam_nb.engine import Embedding
from microsam_nb.engine.decode import encode_prompts
from microsam_nb.engine.prompting import (
    SURE,
    Form,
    Gathered,
    PointsOf,
    RegionUse,
    batches,
    box_of,
    gather,
    mask_logits,
    points_of,
    to_frame,
)
from microsam_nb.engine.tiling import Window
from microsam_nb.engine.upsample import upsample

SIZE = (60, 80)
CPU = torch.device("cpu")


def made(original, inputs, cells=64):
    """An embedding whose mask prompts have ``cells`` cells per side."""
    return Embedding(torch.zeros(1, 2, cells // 4, cells // 4), original, inputs)


def rectangle(y0, x0, y1, x1, plane=0):
    return MaskPrompt(Mask((plane, y0, x0), np.ones((1, y1 - y0, x1 - x0), bool)))


def logits_of(dense, embedding, frame):
    return mask_logits(Mask.crop(dense), embedding, frame) > 0


# Gathering


def test_points_and_boxes_stay_as_they_are():
    prompts = [Point(3, 10.5, 20.5), BoxPrompt(3, -4, 5, 30, 99), Point(3, 1, 2, positive=False)]
    found = gather(prompts, SIZE)
    assert found.plane == 3
    assert found.points == (prompts[0], prompts[2])
    assert found.box == BoxPrompt(3, 0, 5, 30, 80)
    assert found.mask is None
    assert found.form == Form(2, True, False)


@pytest.mark.parametrize(
    ("prompts", "ambiguous"),
    [
        ([Point(0, 5, 5)], True),
        ([Scribble(0, ((5, 5),))], True),
        ([Point(0, 5, 5, positive=False)], False),
        ([Point(0, 5, 5), Point(0, 6, 6)], False),
        ([Point(0, 5, 5), BoxPrompt(0, 1, 1, 9, 9)], False),
        ([BoxPrompt(0, 1, 1, 9, 9)], False),
        ([rectangle(1, 1, 9, 9)], False),
    ],
)
def test_only_a_lone_positive_point_is_ambiguous(prompts, ambiguous):
    assert gather(prompts, SIZE).ambiguous is ambiguous


def test_earlier_logits_make_a_point_clear():
    assert not gather([Point(0, 5, 5)], SIZE, logits=torch.zeros(64, 64)).ambiguous


@pytest.mark.parametrize(
    "shape",
    [Ellipse(0, 10, 20, 30, 50), Polygon(0, ((10, 20), (10, 50), (30, 50), (30, 20))), rectangle(10, 20, 30, 50)],
)
def test_a_region_becomes_its_box_and_its_mask(shape):
    found = gather([shape], SIZE)
    assert found.box == BoxPrompt(0, 10, 20, 30, 50)
    assert found.mask.box.start == (0, 10, 20)
    assert found.form == Form(0, True, True)


def test_several_regions_are_one_and_a_box_holds_them_all():
    found = gather([rectangle(2, 3, 6, 7), rectangle(10, 20, 30, 40), BoxPrompt(0, 5, 1, 8, 9)], SIZE)
    assert found.mask.area == 16 + 400
    assert found.box == BoxPrompt(0, 2, 1, 30, 40)


def test_points_next_to_a_polygon_keep_their_place():
    """Rows stay rows: the peer swaps them here."""
    polygon = Polygon(0, ((10, 20), (10, 50), (30, 50), (30, 20)))
    points = [Point(0, 20.5, 40.5), Point(0, 5.5, 70.5, positive=False)]
    sparse = to_frame([gather([*points, polygon], SIZE)], made(SIZE, (60, 80)), 80, CPU)
    assert sparse.points.tolist() == [[[40, 20], [70, 5]]]
    assert sparse.labels.tolist() == [[1, 0]]
    assert sparse.boxes.tolist() == [[20, 10, 50, 30]]
    assert sparse.logits.shape == (1, 1, 64, 64)


def test_boxes_and_negative_points_of_many_objects():
    """The peer cannot do this in a batch."""
    objects = [gather([BoxPrompt(0, i, i, i + 9, i + 9), Point(0, 50, i, positive=False)], SIZE) for i in range(5)]
    assert list(batches(objects)) == [[0, 1, 2, 3, 4]]
    sparse = to_frame(objects, made(SIZE, SIZE), 80, CPU)
    assert sparse.boxes.shape == (5, 4)
    assert sparse.labels.tolist() == [[0]] * 5


@pytest.mark.parametrize(
    ("points", "count"),
    [(((5, 5),), 1), (((5, 5), (5, 7)), 1), (((5, 5), (5, 14)), 3), (((5, 5), (5, 45)), 5), (((5, 5),) * 3, 1)],
)
@pytest.mark.parametrize("positive", [True, False])
def test_a_scribble_becomes_points_spread_along_it(points, count, positive):
    found = gather([Scribble(2, points, 3, positive)], SIZE).points
    assert len(found) == count
    assert {p.positive for p in found} == {positive}
    assert {p.plane for p in found} == {2}
    columns = [p.x for p in found]
    length = points[-1][1] - 5
    assert columns == pytest.approx([5 + length * (i + 0.5) / count for i in range(count)], abs=0.6)
    assert {p.y for p in found} == {5}


@given(st.lists(st.tuples(st.floats(-20, 80), st.floats(-20, 100)), min_size=1, max_size=5))
def test_points_of_a_scribble_lie_on_it_and_in_the_image(line):
    scribble = Scribble(0, tuple(line))
    ends = [(*one, *other) for one, other in zip(line, line[1:] or line, strict=False)]
    parts = [(end, clip_line(*end, SIZE)) for end in ends]
    inside = sum((p[1] - p[0]) * np.hypot(e[2] - e[0], e[3] - e[1]) for e, p in parts if p is not None)
    if all(p is None for _, p in parts):
        with pytest.raises(PromptError, match="Draw it"):
            gather([scribble], SIZE)
    if inside < 1e-6:  # it touches the border at best
        return
    found = gather([scribble], SIZE).points
    assert 1 <= len(found) <= 5
    for p in found:
        assert 0 <= p.y < SIZE[0]
        assert 0 <= p.x < SIZE[1]
        near = np.inf
        for (ay, ax), (by, bx) in zip(line, line[1:] or line, strict=False):
            length = max((by - ay) ** 2 + (bx - ax) ** 2, 1e-300)
            along = np.clip(((p.y - ay) * (by - ay) + (p.x - ax) * (bx - ax)) / length, 0, 1)
            near = min(near, np.hypot(p.y - ay - along * (by - ay), p.x - ax - along * (bx - ax)))
        assert near < 1e-6


def test_many_scribbles_become_a_bounded_number_of_points():
    scribbles = [Scribble(0, ((i, 2), (i, 70))) for i in range(1, 51)]
    assert len(gather(scribbles[:4], SIZE).points) == 20
    assert len(gather(scribbles[:10], SIZE).points) == 10
    assert len(gather(scribbles, SIZE).points) == 50


def test_a_scribble_across_a_huge_distance_is_cheap():
    found = gather([Scribble(0, ((30, -1e8), (30, 1e8)))], SIZE).points
    assert found


@pytest.mark.parametrize(
    ("use", "form"),
    [
        (RegionUse(), Form(0, True, True)),
        (RegionUse(mask=False), Form(0, True, False)),
        (RegionUse(box=False), Form(0, False, True)),
        (RegionUse(box=False, mask=False, points=PointsOf.DEEPEST), Form(1, False, False)),
        (RegionUse(points=PointsOf.DEEPEST), Form(1, True, True)),
    ],
)
def test_how_a_region_is_used(use, form):
    assert gather([rectangle(10, 20, 30, 50)], SIZE, use).form == form


def test_the_box_of_a_region_grows_within_the_image():
    use = RegionUse(mask=False, box_extension=0.1)
    assert gather([rectangle(10, 20, 30, 50)], SIZE, use).box == BoxPrompt(0, 8, 17, 32, 53)
    assert gather([rectangle(0, 0, 60, 80)], SIZE, use).box == BoxPrompt(0, 0, 0, 60, 80)


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"box": False, "mask": False}, "Use its box, its mask or its points."),
        ({"box_extension": -0.1}, "from 0 to 1"),
        ({"box_extension": 3.0}, "from 0 to 1"),
        ({"points": "several"}, "none, deepest, several"),
    ],
)
def test_wrong_uses(wrong, remedy):
    with pytest.raises(SettingsError) as error:
        RegionUse(**wrong)
    assert remedy in error.value.remedy


@pytest.mark.parametrize(
    ("prompts", "remedy"),
    [
        ([], "Click on an object or draw a box"),
        ([Point(0, 5, 5), Scribble(1, ((5, 5),))], "one plane at a time"),
        ([BoxPrompt(0, 1, 1, 9, 9), BoxPrompt(0, 2, 2, 8, 8)], "Keep one box"),
        ([Stop(0)], "Leave it out here"),
        ([Point(0, 5, 5), Stop(0)], "Leave it out here"),
        ([Point(0, 60, 5)], "Click inside: y from 0 to 60, x from 0 to 80."),
        ([Ellipse(0, 90, 90, 99, 99)], "Draw it inside"),
        ([rectangle(50, 70, 61, 80)], "made for this image"),
        ([Polygon(-1, ((1, 1), (5, 5), (1, 5)))], "Draw it inside"),
        ([Scribble(0, ((-1, 5), (-1, 9), (5, -999)))], "Draw it on the object"),
        ([(5, 5)], "Give a list of points"),
    ],
)
def test_wrong_prompts_say_what_to_do(prompts, remedy):
    with pytest.raises(PromptError) as error:
        gather(prompts, SIZE)
    assert remedy in error.value.remedy


def test_a_region_says_more_than_earlier_logits():
    earlier = torch.ones(64, 64)
    assert gather([rectangle(1, 1, 9, 9)], SIZE, logits=earlier).logits is None
    assert gather([rectangle(1, 1, 9, 9)], SIZE, RegionUse(mask=False), earlier).logits is earlier


# Batches


def test_batches_hold_objects_of_one_form_each_once():
    kinds = [
        [Point(0, 5, 5)],
        [BoxPrompt(0, 1, 1, 9, 9)],
        [Point(0, 5, 5), Point(0, 6, 6)],
        [rectangle(1, 1, 9, 9)],
        [Point(0, 5, 5, positive=False)],
    ]
    objects = [gather(kinds[i % 5], SIZE) for i in range(60)]
    groups = list(batches(objects, most=7))
    assert sorted(i for group in groups for i in group) == list(range(60))
    assert all(len({objects[i].form for i in group}) == 1 for group in groups)
    assert max(map(len, groups)) == 7
    assert len(groups) == 4 + 2 + 2 + 2  # single points of either sign share a form
    assert list(batches([])) == []


# To the frame


def test_coordinates_become_x_and_y_with_a_scale_of_their_own():
    # 3 x 7 pixels become 219 x 512: rounding makes the two scales differ.
    embedding = made((3, 7), (219, 512))
    found = gather([Point(0, 1.5, 1.5), BoxPrompt(0, 0, 0, 3, 7)], (3, 7))
    sparse = to_frame([found], embedding, 512, CPU)
    torch.testing.assert_close(sparse.points, torch.tensor([[[512 / 7, 73.0]]]))
    assert sparse.boxes.tolist() == [[0, 0, 512, 219]]
    assert sparse.logits is None


def test_a_region_alone_needs_neither_points_nor_boxes():
    sparse = to_frame([gather([rectangle(1, 1, 9, 9)], SIZE, RegionUse(box=False))], made(SIZE, SIZE), 80, CPU)
    assert sparse.points is None
    assert sparse.labels is None
    assert sparse.boxes is None
    assert sparse.count == 1


@pytest.mark.parametrize("shape", [(63, 64), (1, 64, 64), (64,)])
def test_logits_of_another_model_are_refused(shape):
    found = gather([Point(0, 5, 5)], SIZE, logits=torch.zeros(shape))
    with pytest.raises(PromptError) as error:
        to_frame([found], made(SIZE, SIZE), 80, CPU)
    assert "same model gave" in error.value.remedy


def test_earlier_logits_and_regions_are_answered_together():
    earlier = torch.linspace(-1, 1, 64 * 64).reshape(64, 64)
    objects = [
        gather([BoxPrompt(0, 1, 1, 9, 9)], SIZE, logits=earlier),
        gather([rectangle(1, 1, 9, 9)], SIZE),
    ]
    assert list(batches(objects)) == [[0, 1]]
    sparse = to_frame(objects, made(SIZE, SIZE), 80, CPU)
    assert torch.equal(sparse.logits[0, 0], earlier)
    assert sparse.logits[1].unique().tolist() == pytest.approx([-SURE, SURE])


def test_objects_may_have_an_embedding_each():
    objects = [gather([Point(0, 10.5, 20.5), BoxPrompt(0, 0, 0, 30, 40), rectangle(0, 0, 3, 3)], SIZE)] * 2
    one, other = made(SIZE, (60, 80)), made(SIZE, (384, 512))
    both = to_frame(objects, [one, other], 512, CPU)
    for index, embedding in enumerate((one, other)):
        alone = to_frame(objects[:1], embedding, 512, CPU)
        assert torch.equal(both.points[index], alone.points[0])
        assert torch.equal(both.boxes[index], alone.boxes[0])
        assert torch.equal(both.logits[index], alone.logits[0])
    assert not torch.equal(both.boxes[0], both.boxes[1])
    with pytest.raises(ValueError, match="shorter"):
        to_frame(objects, [one], 512, CPU)


def test_prompts_move_into_a_window():
    prompts = [
        Point(5, 22.5, 33.5),
        Point(5, 1, 1, positive=False),
        BoxPrompt(5, 15, 25, 35, 70),
        rectangle(25, 35, 45, 60, 5),
    ]
    found = gather(prompts, SIZE).within(Window(20, 30, 40, 50))
    assert found.plane == 0
    assert found.points == (Point(0, 2.5, 3.5),)
    assert found.box == BoxPrompt(0, 0, 0, 20, 20)
    assert found.mask == Mask((0, 5, 5), np.ones((1, 15, 15), bool))


@given(
    arrays(bool, (6, 9)),
    st.tuples(st.integers(0, 50), st.integers(0, 65)),
    st.tuples(st.integers(0, 50), st.integers(0, 65)),
)
def test_a_mask_in_a_window_is_the_part_of_it(dense, place, corner):
    if not dense.any():
        return
    mask = Mask.crop(dense, (0, *place))
    window = Window(*corner, corner[0] + 10, corner[1] + 15)
    found = gather([MaskPrompt(mask)], SIZE).within(window)
    expected = mask.dense((1, *SIZE))[0][window.slices]
    assert (found.mask is None) == (not expected.any())
    if found.mask is not None:
        assert np.array_equal(found.mask.dense((1, 10, 15))[0], expected)
        assert found.box is not None


def test_what_lies_outside_a_window_is_gone():
    found = gather([Point(0, 5, 5), rectangle(1, 1, 9, 9)], SIZE, logits=torch.zeros(64, 64))
    assert found.within(Window(30, 30, 50, 50)).form == Form(0, False, False)
    assert found.within(Window(0, 30, 50, 50)).form == Form(0, False, False)
    assert found.within(Window(0, 0, 60, 80)).form == found.form


# Mask logits


def test_the_logits_are_those_of_a_probability_of_999_in_1000():
    assert pytest.approx(6.9068, abs=1e-4) == SURE


@given(arrays(bool, (64, 64)))
def test_at_the_scale_of_the_cells_a_mask_is_itself(dense):
    if dense.any():
        assert np.array_equal(logits_of(dense, made((64, 64), (512, 512)), 512), dense)


@given(arrays(bool, (9, 7)))
def test_enlarged_pixels_become_blocks_and_padding_is_background(dense):
    if dense.any():
        found = logits_of(dense, made((9, 7), (576, 448), cells=128), 1024)  # 8 cells per pixel
        expected = np.zeros((128, 128), bool)
        expected[:72, :56] = dense.repeat(8, 0).repeat(8, 1)
        assert np.array_equal(found, expected)


@given(arrays(bool, (37, 51)), st.sampled_from([(512, 372), (47, 64), (100, 333), (512, 512)]))
def test_every_pixel_is_near_an_object_cell_and_none_is_invented(dense, inputs):
    if not dense.any():
        return
    embedding = made((37, 51), inputs)
    found = logits_of(dense, embedding, 512)
    steps = [i / 512 * 64 / n for i, n in zip(inputs, (37, 51), strict=True)]
    near = ndimage.binary_dilation(found, np.ones((3, 3), bool))
    touched = np.zeros_like(found)
    for y, x in np.argwhere(dense):
        assert near[int((y + 0.5) * steps[0]), int((x + 0.5) * steps[1])]
        (a, b), (c, d) = (
            (int(i * s + 1e-9), int(np.ceil((i + 1) * s - 1e-9))) for i, s in zip((y, x), steps, strict=True)
        )
        touched[a : max(b, a + 1), c : max(d, c + 1)] = True
    assert not (found & ~touched).any()


@pytest.mark.parametrize("column", [0, 1, 100, 254, 255])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_line_one_pixel_wide_survives_shrinking_anywhere(column, transposed):
    dense = np.zeros((256, 256), bool)
    dense[:, column] = True
    expected = np.zeros((64, 64), bool)
    expected[:, column // 4] = True
    if transposed:
        dense, expected = dense.T, expected.T
    assert np.array_equal(logits_of(dense, made((256, 256), (512, 512)), 512), expected)


def test_a_single_pixel_of_a_large_image_survives():
    dense = np.zeros((1000, 600), bool)
    dense[999, 599] = True
    found = logits_of(dense, made((1000, 600), (512, 307)), 512)
    assert np.argwhere(found).tolist() == [[63, 38]]


def test_a_thin_tail_of_a_large_object_survives():
    dense = np.zeros((256, 256), bool)
    dense[100:160, 20:80] = True
    dense[130, 80:200] = True
    found = logits_of(dense, made((256, 256), (512, 512)), 512)
    assert found[25:40, 5:20].all()
    assert found[32, 21:50].all()
    assert found.sum() <= 15 * 15 + 30


def test_an_object_at_the_edge_reaches_the_edge():
    """100 columns become 51.2 of 64 cells: the last cell holds a fifth of a cell of image, all of it object."""
    dense = np.zeros((100, 80), bool)
    dense[:, 40:] = True
    embedding = made((100, 80), (512, 410))
    found = logits_of(dense, embedding, 512)
    assert found[:, 51].all()
    assert not found[:, 52:].any()


@pytest.mark.parametrize(
    ("size", "inputs"), [((60, 80), (384, 512)), ((500, 400), (512, 410)), ((128, 128), (512, 512))]
)
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.05, 0.9), (0.98, 0.02)])
def test_logits_and_answers_share_one_grid(size, inputs, place):
    """What is put to the model as logits comes back through the scaling of its answers."""
    yy, xx = np.indices(size) + 0.5
    dense = ((yy / size[0] - place[0]) / 0.25) ** 2 + ((xx / size[1] - place[1]) / 0.2) ** 2 <= 1
    embedding = made(size, inputs, cells=128)
    logits = torch.from_numpy(mask_logits(Mask.crop(dense), embedding, 512))
    back = upsample(logits, embedding, 512, 0).dense((1, *size))[0]
    assert (back & dense).sum() / (back | dense).sum() > 0.97


def test_a_large_mask_is_quick():
    mask = Mask((0, 0, 0), np.ones((1, 4000, 4000), bool))
    assert (mask_logits(mask, made((4000, 4000), (1024, 1024), 256), 1024) > 0).all()


def test_a_mask_with_points_and_a_box_is_what_segment_anything_encodes():
    torch.manual_seed(0)
    encoder = PromptEncoder(32, (16, 16), (512, 512), 4)
    transform = ResizeLongestSide(512)
    size = (333, 400)
    embedding = made(size, transform.get_preprocess_shape(*size, 512))
    found = gather([Ellipse(0, 100, 150, 250, 350), Point(0, 180, 222, positive=False)], size)
    sparse = to_frame([found], embedding, 512, CPU)
    points = torch.from_numpy(transform.apply_coords(np.array([[[221.5, 179.5]]]), size)).float()
    boxes = torch.from_numpy(transform.apply_boxes(np.array([[150, 100, 350, 250]]), size)).float()
    with torch.no_grad():
        tokens, dense = encode_prompts(encoder, sparse, torch.Size((16, 16)))
        expected = encoder((points, torch.zeros(1, 1)), boxes, sparse.logits)
    torch.testing.assert_close(tokens, expected[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(dense, expected[1])


# Points and boxes of a mask


@pytest.mark.parametrize(
    ("dense", "place"),
    [
        (np.ones((21, 41), bool), (10, 20)),
        (np.ones((1, 9), bool), (0, 4)),
        (np.ones((1, 1), bool), (0, 0)),
        (np.eye(5, dtype=bool), None),
    ],
)
def test_the_deepest_point_is_in_the_middle_even_without_a_rim(dense, place):
    (found,) = points_of(Mask.crop(dense, (4, 100, 200)), (999, 999), PointsOf.DEEPEST)
    y, x = int(found.y) - 100, int(found.x) - 200
    assert (found.plane, found.y % 1, found.x % 1, found.positive) == (4, 0.5, 0.5, True)
    assert dense[y, x]
    if place is not None:
        assert (y, x)[0] == place[0]
        assert 0 <= x < dense.shape[1]
        assert min(x, dense.shape[1] - 1 - x) >= min(place[0], place[1])


@given(arrays(bool, (12, 15)))
def test_points_of_any_mask_lie_in_it_and_beside_it(dense):
    if not dense.any():
        return
    mask = Mask.crop(dense, (0, 3, 4))
    found = points_of(mask, (18, 22))
    full = mask.dense((1, 18, 22))[0]
    assert found[0].positive
    assert len({(p.y, p.x) for p in found}) == len(found) <= 10
    for p in found:
        assert full[int(p.y), int(p.x)] == p.positive


def test_several_points_spread_over_a_long_object():
    mask = Mask((0, 20, 10), np.ones((1, 5, 60), bool))
    found = points_of(mask, SIZE)
    positive = sorted(p.x for p in found if p.positive)
    assert len(positive) == 5
    assert min(np.diff(positive)) >= 6
    assert any(not p.positive for p in found)


def test_an_object_that_fills_the_image_has_nothing_beside_it():
    found = points_of(Mask((0, 0, 0), np.ones((1, *SIZE), bool)), SIZE)
    assert all(p.positive for p in found)


def test_the_box_of_a_mask_is_exact():
    assert box_of(Mask((2, 59, 79), np.ones((1, 1, 1), bool)), SIZE) == BoxPrompt(2, 59, 79, 60, 80)


def test_gathered_prompts_are_values():
    with pytest.raises(AttributeError):
        Gathered(0, ()).plane = 1
