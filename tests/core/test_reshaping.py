"""Outlines smoothed, grown and shrunk, crumbs dropped, against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from microsam_nb.core import Box, Mask
from microsam_nb.core.reshaping import around, attached, depth, grown, largest_part, shrunk, smoothed

IMAGE = (2, 14, 16)
WHOLE = Box((0, 0, 0), IMAGE)
EIGHT = np.ones((3, 3), bool)
bitmaps = arrays(bool, IMAGE, elements=st.booleans())
#: Objects of a few blocks, which discs leave something of.
blocks = st.lists(st.tuples(*(st.integers(0, n - 1) for n in IMAGE), st.integers(1, 9), st.integers(1, 9)), min_size=1)


def drawn(spots):
    out = np.zeros(IMAGE, bool)
    for plane, y, x, height, width in spots:
        out[plane, y : y + height, x : x + width] = True
    return out


shapes = st.one_of(bitmaps.filter(np.any), blocks.map(drawn))


def disc(radius):
    n = int(radius)
    yy, xx = np.mgrid[-n : n + 1, -n : n + 1]
    return yy**2 + xx**2 <= radius**2


def parts(section):
    return ndimage.label(section, EIGHT)[1]


@given(bitmaps)
def test_depth_is_measured_in_the_plane(inside):
    found = depth(inside)
    for own, far in zip(inside, found, strict=True):
        if own.all():
            assert (far >= 1e6).all()
        else:
            assert np.allclose(far, ndimage.distance_transform_edt(own))


@given(shapes, st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_shrinking_takes_what_a_disc_around_the_outside_meets(inside, pixels):
    left = shrunk(Mask.crop(inside), pixels, IMAGE).dense(IMAGE)
    n = int(pixels)
    for own, found in zip(inside, left, strict=True):
        # Beyond the border it goes on as at the border.
        wide = np.pad(own, n, mode="edge")
        wanted = ~ndimage.binary_dilation(~wide, disc(pixels))[n:-n, n:-n]
        assert np.array_equal(found, wanted & own)


@given(shapes, st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_smoothing_neither_deletes_nor_takes_apart(inside, radius):
    new, thin = smoothed(Mask.crop(inside), radius, IMAGE)
    dense = new.dense(IMAGE)
    for own, found in zip(inside, dense, strict=True):
        assert own.any() == found.any()
        assert parts(found) <= parts(own)
    assert 0 <= thin <= sum(own.any() for own in inside)


def test_what_is_smooth_stays_at_the_border_too():
    inside = np.zeros(IMAGE, bool)
    inside[0, :6, :9] = True
    new, thin = smoothed(Mask.crop(inside), 1, IMAGE)
    assert thin == 0
    assert new.dense(IMAGE)[0, :5, :8].all()
    assert (new.dense(IMAGE) ^ inside).sum() <= 1


def test_a_spike_goes_and_a_dent_is_filled():
    inside = np.zeros((1, 30, 30), bool)
    inside[0, 8:22, 8:22] = True
    inside[0, 14, 22:28] = True
    inside[0, 14, 8:12] = False
    new, thin = smoothed(Mask.crop(inside), 2, (1, 30, 30))
    found = new.dense((1, 30, 30))[0]
    assert thin == 0
    assert not found[:, 23:].any()
    assert found[14, 11]


def test_what_is_too_thin_for_the_disc_stays():
    inside = np.zeros((2, 30, 30), bool)
    inside[0, 10, 5:25] = True
    inside[1, 5:25, 5:25] = True
    mask = Mask.crop(inside)
    new, thin = smoothed(mask, 3, (2, 30, 30))
    assert thin == 1
    assert np.array_equal(new.dense((2, 30, 30))[0], inside[0])


def test_a_bridge_is_not_taken_away():
    inside = np.zeros((1, 30, 40), bool)
    inside[0, 5:20, 5:15] = inside[0, 5:20, 25:35] = True
    inside[0, 12, 15:25] = True
    new, thin = smoothed(Mask.crop(inside), 2, (1, 30, 40))
    assert thin == 1
    assert parts(new.dense((1, 30, 40))[0]) == 1


@given(st.lists(shapes, min_size=1, max_size=3), bitmaps, st.sampled_from([1.0, 1.5, 2.0, 4.0]))
def test_growing_takes_free_pixels_that_are_near(owns, others, pixels):
    numbers = np.zeros(IMAGE, int)
    for label, own in enumerate(owns, start=1):
        numbers[own] = label
    masks = {n: Mask.crop(numbers == n) for n in range(1, len(owns) + 1) if (numbers == n).any()}
    taken = others | (numbers > 0)
    found = grown(masks, pixels, taken, WHOLE)
    assert set(found) == set(masks)
    seen = np.zeros(IMAGE, bool)
    for label, mask in found.items():
        dense, own = mask.dense(IMAGE), numbers == label
        assert not (dense & seen).any()
        seen |= dense
        assert dense[own].all()
        assert not (dense & taken & ~own).any()
        for new, old, whole in zip(dense, own, numbers, strict=True):
            wide = ndimage.binary_dilation(old, disc(pixels)) if old.any() else old
            assert not (new & ~wide).any()
            assert np.array_equal(attached(new[None], old[None])[0], new)
            if not others.any() and len(masks) == 1:
                assert np.array_equal(new, wide), whole


def test_growing_does_not_jump_over_a_wall():
    own = Mask((0, 5, 4), np.ones((1, 4, 3), bool))
    wall = np.zeros(IMAGE, bool)
    wall[0, :, 8] = True
    found = grown({3: own}, 6, wall | own.dense(IMAGE), WHOLE)[3].dense(IMAGE)
    assert not found[:, :, 8:].any()
    assert found[0, 5:9, 7].all()


def test_a_full_plane_can_be_shrunk_and_grown():
    full = Mask((0, 0, 0), np.ones(IMAGE, bool))
    assert shrunk(full, 5, IMAGE) == full
    assert grown({1: full}, 5, full.bitmap, WHOLE)[1] == full
    assert smoothed(full, 3, IMAGE) == (full, 0)


@pytest.mark.parametrize(("gap", "left"), [((0, 0), 0), ((1, 1), 1), ((1, 3), 1)])
def test_the_largest_part_is_kept(gap, left):
    inside = np.zeros(IMAGE, bool)
    inside[0, 2:6, 2:6] = True
    corner = 6 + gap[0] - 1 if gap == (0, 0) else 6 + gap[0]
    inside[0, corner : corner + 2, 6 + gap[1] : 8 + gap[1]] = True
    found, others = largest_part(Mask.crop(inside))
    assert others == left
    assert found.area == (16 if left else inside.sum())


def test_a_box_leaves_a_margin_inside_the_image():
    masks = [Mask((0, 2, 3), np.ones((1, 2, 2), bool)), Mask((1, 8, 9), np.ones((1, 2, 2), bool))]
    assert around(masks, 3, IMAGE) == Box((0, 0, 0), (2, 13, 14))
