"""Cutting and filling masks."""

from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.core import Mask, PromptError
from microsam_nb.core.editing import gap_at, split, touching, without_holes
from microsam_nb.core.raster import stroke

IMAGE = (3, 60, 80)


def block(y, x, height, width, plane=0, planes=1):
    return Mask((plane, y, x), np.ones((planes, height, width), bool))


def whole(parts):
    """All parts in one volume, numbered from 1; they must not overlap."""
    out = np.zeros(IMAGE, int)
    for number, part in enumerate(parts, start=1):
        dense = part.dense(IMAGE)
        assert not out[dense].any()
        out[dense] = number
    return out


def test_a_line_cuts_an_object_in_two():
    mask = block(10, 10, 20, 30)
    parts = split(mask, ((5, 20.5), (40, 20.5)), 0, IMAGE)
    assert [part.area for part in parts] == sorted((part.area for part in parts), reverse=True)
    assert np.array_equal(whole(parts) > 0, mask.dense(IMAGE))
    assert [part.box.shape for part in parts] in ([(1, 20, 19), (1, 20, 11)], [(1, 20, 20), (1, 20, 10)])


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("slope", [1, -1, 0.3, -3])
def test_slanted_lines_cut_too(slope, shift):
    """Pixels that touch by their corners do not hold the parts together, wherever the line lies in them."""
    mask = block(10, 10, 31, 31)
    middle = np.array([25.5 + shift, 25.5])
    way = np.array([slope, 1.0]) / np.hypot(slope, 1) * 40
    parts = split(mask, (tuple(middle - way), tuple(middle + way)), 0, IMAGE)
    assert len(parts) == 2
    assert min(part.area for part in parts) > 400
    assert np.array_equal(whole(parts) > 0, mask.dense(IMAGE))


@pytest.mark.parametrize("line", [((5, 20), (20, 20)), ((2, 2), (2, 70)), ((30, 5), (30, 70)), ((15, 15),)])
def test_a_line_that_does_not_cut_through_leaves_the_object(line):
    mask = block(10, 10, 20, 30)
    assert split(mask, line, 0, IMAGE) == [mask]


def test_a_line_in_another_plane_leaves_the_object():
    mask = block(10, 10, 20, 30, plane=1)
    assert split(mask, ((5, 20), (40, 20)), 0, IMAGE) == [mask]


def test_a_volume_is_cut_straight_through_from_the_drawn_plane():
    mask = block(10, 10, 20, 30, planes=3)
    parts = split(mask, ((5, 25), (40, 25)), 1, IMAGE)
    numbered = whole(parts)
    assert np.array_equal(numbered > 0, mask.dense(IMAGE))
    assert np.array_equal(numbered[0], numbered[1])
    assert np.array_equal(numbered[2], numbered[1])


def test_islands_that_the_line_leaves_alone_stay_with_the_largest_part():
    bitmap = block(10, 10, 20, 30).dense(IMAGE) | block(50, 60, 3, 3).dense(IMAGE)
    parts = split(Mask.crop(bitmap), ((5, 15.5), (40, 15.5)), 0, IMAGE)
    assert len(parts) == 2
    assert parts[0].holds(0, 51, 61)
    assert np.array_equal(whole(parts) > 0, bitmap)


def test_a_line_back_and_forth_makes_several_parts():
    mask = block(10, 10, 20, 60)
    parts = split(mask, ((5, 20.5), (35, 20.5), (35, 40.5), (5, 40.5)), 0, IMAGE)
    assert len(parts) == 3
    assert np.array_equal(whole(parts) > 0, mask.dense(IMAGE))


def test_a_line_outside_the_image_is_refused():
    with pytest.raises(PromptError, match="Draw it inside"):
        split(block(10, 10, 20, 30), ((-5, -5), (-5, 70)), 0, IMAGE)


def test_holes_are_filled_plane_by_plane():
    bitmap = np.ones((2, 9, 9), bool)
    bitmap[0, 3:5, 3:6] = False
    bitmap[1, 0:4, 4] = False  # open to the outside
    filled = without_holes(Mask((0, 4, 4), bitmap))
    assert filled.bitmap[0].all()
    assert np.array_equal(filled.bitmap[1], bitmap[1])
    assert filled.start == (0, 4, 4)


def ring(size, hole, middle):
    blocked = np.zeros((1, size, size), bool)
    y, x = middle
    blocked[0, y - hole // 2 - 2 : y + hole // 2 + 2, x - hole // 2 - 2 : x + hole // 2 + 2] = True
    blocked[0, y - hole // 2 : y + hole // 2, x - hole // 2 : x + hole // 2] = False
    return blocked


@pytest.mark.parametrize("hole", [2, 100, 255, 700])
def test_a_gap_is_found_and_little_is_looked_at(hole):
    blocked, asked = ring(3000, hole, (1500, 1400)), []

    def look(box):
        asked.append(box.shape)
        return blocked[box.slices]

    gap = gap_at(look, 0, 1500, 1400, blocked.shape)
    side = 2 * (hole // 2)
    assert gap.area == side**2
    assert gap.start == (0, 1500 - hole // 2, 1400 - hole // 2)
    assert max(shape[1] for shape in asked) <= max(256, 4 * hole)


@pytest.mark.parametrize(
    ("blocked", "place", "remedy"),
    [
        (np.zeros((1, 30, 30), bool), (5, 5), "close the gap first"),
        (np.ones((1, 30, 30), bool), (5, 5), "Click into a hole"),
        (ring(9000, 8500, (4500, 4500)), (4500, 4500), "draw the object with the brush"),
    ],
    ids=["open", "no gap", "too large"],
)
def test_what_is_no_gap(blocked, place, remedy):
    with pytest.raises(PromptError) as error:
        gap_at(lambda box: blocked[box.slices], 0, *place, blocked.shape)
    assert remedy in error.value.remedy


@pytest.mark.parametrize(
    ("points", "width", "pixels"),
    [
        (((5, 5),), 1, 1),
        (((5.5, 5.5),), 1, 1),
        (((-2.0, 10.0),), 8, 18),  # the way lies outside, the brush does not
        (((-3.0, -3.0), (-3.0, 200.0)), 8.0, 80),
        (((59.5, 79.5),), 100, None),
    ],
)
def test_a_brush_is_clipped_at_the_border(points, width, pixels):
    mask = stroke(points, width, 1, IMAGE)
    assert mask.start[0] == 1
    assert min(mask.start) >= 0
    assert all(stop <= size for stop, size in zip(mask.box.stop, IMAGE, strict=True))
    if pixels is not None:
        yy, xx = np.indices(IMAGE[1:]) + 0.5
        if len(points) == 1:
            near = (yy - points[0][0]) ** 2 + (xx - points[0][1]) ** 2 <= (width / 2) ** 2
            near |= (np.floor(yy) == np.floor(points[0][0])) & (np.floor(xx) == np.floor(points[0][1]))
            assert mask.area == near.sum()
        else:
            assert mask.area == pixels


@pytest.mark.parametrize(
    ("points", "plane"), [(((-9, 10),), 0), (((70, 90), (80, 99)), 0), (((5, 5),), 3), (((5, 5),), -1)]
)
def test_a_brush_wholly_outside_is_refused(points, plane):
    with pytest.raises(PromptError, match="Draw inside the image"):
        stroke(points, 8, plane, IMAGE)


def test_crumbs_of_a_cut_stay_with_their_neighbour():
    """A line that leaves the object, comes back over a corner, and chips off two pixels."""
    own = np.zeros((40, 40), bool)
    own[2:38, 2:38] = True
    mask = Mask.crop(own)
    parts = split(mask, ((20.0, 0.0), (20.0, 39.0), (34.0, 39.5), (39.5, 34.0)), 0, (1, 40, 40))
    assert len(parts) == 2
    assert sum(part.area for part in parts) == mask.area


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ([block(10, 10, 5, 5)], True),
        ([block(10, 10, 5, 5), block(10, 15, 5, 5)], True),
        ([block(10, 10, 5, 5), block(15, 15, 5, 5)], True),
        ([block(10, 10, 5, 5), block(10, 16, 5, 5)], False),
        ([block(10, 10, 5, 5), block(10, 20, 5, 5), block(12, 15, 1, 5)], True),
        ([block(10, 10, 5, 5), block(10, 10, 5, 5, plane=1)], True),
        ([block(10, 10, 5, 5), block(10, 10, 5, 5, plane=2)], False),
        ([block(0, 0, 9, 9), block(50, 70, 9, 9)], False),
    ],
)
def test_masks_touch_by_sides_and_corners(masks, expected):
    assert touching(masks) is expected


def test_boxes_that_meet_are_not_enough_to_touch():
    ring = np.ones((1, 11, 11), bool)
    ring[0, 1:10, 1:10] = False
    assert not touching([Mask((0, 10, 10), ring), block(14, 14, 3, 3)])
