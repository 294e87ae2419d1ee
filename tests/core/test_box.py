import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsam_nb.core import Box

edges = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(sorted)
boxes = st.tuples(edges, edges, edges).map(
    lambda e: Box(tuple(a for a, _ in e), tuple(b for _, b in e)),
)


def test_a_box_is_half_open():
    box = Box((0, 2, 3), (1, 5, 7))
    assert box.shape == (1, 3, 4)
    volume = np.zeros((2, 8, 9), bool)
    volume[box.slices] = True
    assert volume.sum() == 12
    assert volume[0, 2, 3]
    assert not volume[0, 5, 3]
    assert not volume[0, 2, 7]


@pytest.mark.parametrize("stop", [(0, 5, 7), (1, 2, 7), (1, 5, 3)])
def test_a_box_without_pixels_is_empty(stop):
    assert Box((0, 2, 3), stop).empty


def test_a_box_that_stops_before_it_starts_says_to_swap():
    with pytest.raises(ValueError, match="swap them"):
        Box((0, 5, 0), (1, 2, 3))


@given(boxes, boxes)
def test_a_union_holds_both_and_nothing_smaller_does(a, b):
    canvas = np.zeros((9, 9, 9), bool)
    canvas[a.slices] = canvas[b.slices] = True
    union = a.union(b)
    assert union == b.union(a) or (a.empty and b.empty)
    if not canvas.any():
        assert union.empty
        return
    hits = np.argwhere(canvas)
    assert union == Box(tuple(hits.min(0)), tuple(hits.max(0) + 1))
