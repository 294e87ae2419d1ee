"""Outlines and back, and against shapely."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from microsam_nb.files.formats.filling import fill
from microsam_nb.files.formats.outlines import trace

CASES = {
    "one pixel": ["1"],
    "a bar": ["111"],
    "two that touch": ["1122", "1122"],
    "a hole": ["111", "101", "111"],
    "another object in the hole": ["111", "121", "111"],
    "two parts": ["101"],
    "parts that touch at a corner": ["10", "01"],
    "corner the other way": ["01", "10"],
    "two objects around a corner": ["12", "21"],
    "a ring closed at a corner": ["0110", "1001", "1011", "1110"],
    "holes that touch at a corner": ["1111", "1011", "1101", "1111"],
    "holes in a row of corners": ["11111", "10111", "11011", "11101", "11111"],
    "an island in a hole": ["11111", "10001", "10101", "10001", "11111"],
    "a comb": ["10101", "11111"],
    "nothing": ["00"],
}


def drawn(rows):
    return np.array([[int(one) for one in row] for row in rows], np.uint32)


def check(labels):
    found = trace(labels)
    assert sorted(found) == np.unique(labels[labels > 0]).tolist()
    for number, parts in found.items():
        mask = fill(parts, 0, (1, *labels.shape))
        assert np.array_equal(mask.dense((1, *labels.shape))[0], labels == number)
        polygons = [shapely.Polygon(part[0], part[1:]) for part in parts]
        whole = shapely.MultiPolygon(polygons)
        assert whole.is_valid, shapely.is_valid_reason(whole)
        assert whole.area == (labels == number).sum()
        for one in polygons:
            # (y, x) turned round: clockwise on screen is anticlockwise in a plane whose y points upwards.
            assert not one.exterior.is_ccw
            assert all(ring.is_ccw for ring in one.interiors)


@pytest.mark.parametrize("name", CASES)
def test_outlines_hold_exactly_the_object(name):
    check(drawn(CASES[name]))


@given(arrays.arrays(np.uint32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
def test_outlines_of_anything(labels):
    check(labels)


def test_corners_only_and_the_place_of_the_first_pixel():
    parts = trace(np.ones((2, 3), bool), corner=(10, 20))[1]
    assert [ring.tolist() for part in parts for ring in part] == [[[10, 20], [10, 23], [12, 23], [12, 20]]]


def test_large_numbers():
    labels = np.array([[2**32 - 1, 70_000]], np.uint32)
    assert sorted(trace(labels)) == [70_000, 2**32 - 1]


SQUARE = np.array([(0, 0), (0, 4), (4, 4), (4, 0)], float)


@pytest.mark.parametrize(
    ("parts", "pixels"),
    [
        ([[SQUARE]], 16),
        ([[SQUARE + 0.4]], 16),
        ([[SQUARE, SQUARE / 2]], 12),
        ([[SQUARE], [SQUARE + 2]], 28),
        ([[SQUARE - 2]], 4),
        ([[SQUARE + 6]], 4),
        ([[SQUARE / 100 + 3]], 1),
        ([[SQUARE + 100]], 0),
        ([[SQUARE[:2] + 1]], 0),
        ([], 0),
    ],
)
def test_what_a_shape_covers(parts, pixels):
    assert fill(parts, 1, (2, 8, 8)).area == pixels
    assert fill(parts, 2, (2, 8, 8)).area == 0


def test_no_numbers():
    with pytest.raises(ValueError, match="no number"):
        fill([[SQUARE * np.nan]], 0, (1, 8, 8))


def test_neighbours_with_slanted_lines_leave_no_gap():
    rng = np.random.default_rng(0)
    middle = rng.uniform(0, 20, (5, 2))
    left = np.array([(0, 0), *sorted(middle.tolist()), (20, 0)])
    right = np.array([(0, 0), *sorted(middle.tolist()), (20, 0), (20, 20), (0, 20)])
    square = np.array([(0, 0), (20, 0), (20, 20), (0, 20)], float)
    one, other, both = (fill([[ring]], 0, (1, 20, 20)).dense((1, 20, 20)) for ring in (left, right, square))
    assert np.array_equal(one ^ other, both)
