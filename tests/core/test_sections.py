"""Objects taken apart into planes and put together again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsam_nb.core import Mask, Section
from microsam_nb.core.sections import kept, planes_of, replaced, section_at

SHAPE = (5, 4, 6)
EMPTY = Mask.crop(np.zeros((3, 3)))
volumes = st.integers(0, 2**31).map(lambda seed: np.random.default_rng(seed).random(SHAPE) < 0.15)
some_planes = st.sets(st.integers(0, 4))


def flat(plane, y=1, x=1, side=2):
    return Mask((plane, y, x), np.ones((1, side, side), bool))


def test_numbers_of_a_section_pass_the_journal():
    one = Section(np.int64(0), np.int32(3), flat(3), np.float32(0.5), np.float64(0.25))
    assert [type(value) for value in (one.place, one.plane, one.agreement, one.score)] == [int, int, float, float]


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ((0, 3, flat(2), 0.5, 0.5), "section_at"),
        ((0, 3, Mask((3, 0, 0), np.ones((2, 2, 2), bool)), 0.5, 0.5), "section_at"),
        ((0, 3, flat(3), 1.5, 0.5), "clip it"),
        ((0, 3, flat(3), 0.5, float("nan")), "clip it"),
        ((-1, 3, flat(3), 0.5, 0.5), "from 0"),
    ],
)
def test_sections_that_make_no_sense(values, remedy):
    with pytest.raises(ValueError, match=remedy):
        Section(*values)


def test_where_the_object_is_not_a_section_is_empty():
    assert Section(0, 3, EMPTY, 0, 0).mask.area == 0


def test_a_gap_between_planes_has_no_section():
    mask = replaced(flat(1), (), [flat(3)])
    assert planes_of(mask) == (1, 3)
    assert section_at(mask, 1) == flat(1)
    assert section_at(mask, 2).area == section_at(mask, 0).area == section_at(mask, 9).area == 0
    assert planes_of(EMPTY) == ()


def test_what_stays_as_it_is_is_not_copied():
    mask, part = replaced(flat(1), (), [flat(3)]), flat(1, 0, 0)
    assert replaced(mask, {2}) is mask
    assert kept(mask, {1, 3}) is mask
    assert replaced(flat(1), {1}, [part]) is part
    assert replaced(None, (), [part]) is part
    assert replaced(None, {1}).area == 0


@given(volumes, volumes, some_planes)
def test_slices_are_replaced_as_in_whole_volumes(own, other, planes):
    parts = [Mask.crop(other[plane], (plane, 0, 0)) for plane in sorted(planes)]
    wanted = own.copy()
    wanted[sorted(planes)] = other[sorted(planes)]
    mask = replaced(Mask.crop(own), planes, parts)
    assert mask == Mask.crop(wanted)
    assert mask.box == Mask.crop(wanted).box
    assert planes_of(mask) == tuple(np.flatnonzero(wanted.any((1, 2))))


@given(volumes, some_planes)
def test_planes_are_kept_as_in_whole_volumes(own, planes):
    wanted = own.copy()
    wanted[[plane for plane in range(5) if plane not in planes]] = False
    assert np.array_equal(kept(Mask.crop(own), planes).dense(SHAPE), wanted)
