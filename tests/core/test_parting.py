"""Objects taken apart at their waists."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import disk
from hypothesis import given
from hypothesis import strategies as st

from microsam_nb.core import Mask, PromptError
from microsam_nb.core.parting import part

SHAPE = (60, 90)


def whole(parts, shape):
    out = np.zeros(shape, int)
    for number, one in enumerate(parts, start=1):
        dense = one.dense(shape)
        assert not out[dense].any()
        out[dense] = number
    return out


def two(gap=26, radius=14, other=12):
    return disk(SHAPE, 30, 30, radius) | disk(SHAPE, 30, 30 + gap, other)


@pytest.mark.parametrize(("gap", "count"), [(22, 2), (24, 2), (6, 1), (0, 1)])
def test_a_waist_is_found(gap, count):
    bitmap = two(gap)
    parts = part(Mask.crop(bitmap), (), 0)
    assert len(parts) == count
    assert np.array_equal(whole(parts, (1, *SHAPE))[0] > 0, bitmap)
    if count == 2:
        assert parts[0].area > parts[1].area
        assert parts[0].holds(0, 30, 30)
        assert parts[1].holds(0, 30, 30 + gap)


@pytest.mark.parametrize("first", [(30, 30), (20, 25), (40.5, 24.5), (18, 30)])
def test_points_need_not_be_in_the_middle(first):
    parts = part(Mask.crop(two()), (first, (31, 62)), 0)
    assert len(parts) == 2
    numbers = whole(parts, (1, *SHAPE))[0]
    assert numbers[int(first[0]), int(first[1])] != numbers[31, 62]
    # The waist lies about there.
    assert len(np.unique(numbers[:, :40])) == 2
    assert len(np.unique(numbers[:, 47:])) == 2


def test_without_a_waist_points_share_by_what_is_nearest():
    bitmap = disk(SHAPE, 30, 40, 20)
    numbers = whole(part(Mask.crop(bitmap), ((30.5, 32.5), (30.5, 48.5)), 0), (1, *SHAPE))[0]
    left, right = numbers[30, 32], numbers[30, 48]
    assert left != right
    assert (numbers[:, :40][bitmap[:, :40]] == left).all()
    assert (numbers[:, 41:][bitmap[:, 41:]] == right).all()


def test_three_points_on_two_hills_are_three_parts():
    parts = part(Mask.crop(two()), ((25, 25), (35, 33), (31, 60)), 0)
    assert len(parts) == 3
    numbers = whole(parts, (1, *SHAPE))[0]
    assert len({numbers[25, 25], numbers[35, 33], numbers[31, 60]}) == 3


def test_islands_are_objects_of_their_own_but_crumbs_are_not():
    bitmap = disk(SHAPE, 20, 20, 10) | disk(SHAPE, 40, 60, 10)
    bitmap[5, 80] = True
    parts = part(Mask.crop(bitmap), (), 0)
    assert len(parts) == 2
    assert sum(one.area for one in parts) == bitmap.sum()


def test_a_volume_is_cut_where_it_is_narrow_also_between_planes():
    planes = [9, 11, 12, 11, 8, 11, 12, 10]
    bitmap = np.stack([disk(SHAPE, 30, 40, radius) for radius in planes])
    parts = part(Mask.crop(bitmap), (), 0)
    assert len(parts) == 2
    numbers = whole(parts, bitmap.shape)
    assert np.array_equal(numbers > 0, bitmap)
    assert numbers[1, 30, 40] != numbers[6, 30, 40]


def test_points_in_a_plane_cut_the_whole_volume():
    bitmap = np.stack([two()] * 3)
    numbers = whole(part(Mask.crop(bitmap), ((30, 30), (30, 56)), 1), bitmap.shape)
    assert np.array_equal(numbers > 0, bitmap)
    for plane in numbers:
        assert plane[30, 30] == numbers[1, 30, 30] != plane[30, 56]


@pytest.mark.parametrize(
    ("points", "remedy"),
    [
        (((30, 30), (2, 2)), "Click on each of its parts"),
        (((30, 30), (float("nan"), 2)), "Click on each of its parts"),
        (((30.1, 30.1), (30.9, 30.9)), "Click once on each part"),
    ],
)
def test_points_that_cannot_be(points, remedy):
    with pytest.raises(PromptError) as error:
        part(Mask.crop(two()), points, 0)
    assert remedy in error.value.remedy


@given(st.data())
def test_every_point_gets_a_part_of_its_own_and_no_pixel_is_lost(data):
    seed = data.draw(st.integers(0, 2**16))
    chance = np.random.default_rng(seed)
    shape = (int(chance.integers(1, 4)), 20, 22)
    bitmap = np.zeros(shape, bool)
    for _ in range(4):
        p, y, x = (int(chance.integers(0, n)) for n in shape)
        bitmap[p:, y : y + int(chance.integers(1, 12)), x : x + int(chance.integers(1, 12))] = True
    plane = int(np.flatnonzero(bitmap.any((1, 2)))[0])
    spots = np.argwhere(bitmap[plane])
    count = data.draw(st.integers(0, min(4, len(spots))))
    points = tuple((float(y) + 0.5, float(x) + 0.5) for y, x in chance.permutation(spots)[:count])
    parts = part(Mask.crop(bitmap), points, plane)
    assert np.array_equal(whole(parts, shape) > 0, bitmap)
    assert [one.area for one in parts] == sorted((one.area for one in parts), reverse=True)
    if count > 1:
        assert len(parts) == count
        assert all(sum(one.holds(plane, *point) for point in points) == 1 for one in parts)
