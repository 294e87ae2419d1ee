"""Before and after: what became of objects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from microsam_nb.core import Box, LabelError
from microsam_nb.core.comparing import Difference, Kind, compare


def field(*boxes, shape=(20, 40)):
    out = np.zeros(shape, np.uint16)
    for number, (y, x, height, width) in boxes:
        out[y : y + height, x : x + width] = number
    return out


ONE, TWO = (1, (2, 2, 6, 6)), (2, (2, 10, 6, 6))


@pytest.mark.parametrize(
    ("before", "after", "kind", "old", "new", "iou"),
    [
        ([ONE], [ONE, TWO], Kind.NEW, (), (2,), 0),
        ([ONE, TWO], [TWO], Kind.GONE, (1,), (), 0),
        ([ONE], [(1, (2, 2, 6, 3))], Kind.CHANGED, (1,), (1,), 0.5),
        ([ONE], [(1, (2, 2, 6, 3)), (7, (2, 5, 6, 3))], Kind.SPLIT, (1,), (1, 7), 1),
        ([ONE, (2, (2, 8, 6, 6))], [(2, (2, 2, 6, 12))], Kind.MERGED, (1, 2), (2,), 1),
        ([ONE, TWO], [(2, (2, 2, 6, 14))], Kind.MERGED, (1, 2), (2,), 12 / 14),
        # A large piece of each is part of the other.
        ([(1, (2, 2, 6, 6)), (2, (2, 8, 6, 6))], [(1, (2, 2, 3, 12)), (2, (5, 2, 3, 12))], None, (), (), 0),
    ],
)
def test_what_became_of_objects(before, after, kind, old, new, iou):
    found = compare(field(*before), field(*after))
    if kind is None:
        # No pair shares more than half: all are gone, and others new.
        assert [one.kind for one in found] == [Kind.GONE, Kind.GONE, Kind.NEW, Kind.NEW]
        return
    (one,) = found
    assert (one.kind, one.before, one.after) == (kind, old, new)
    assert one.iou == pytest.approx(iou)


def test_several_that_exchanged_parts_are_one_difference():
    before = field((1, (2, 2, 6, 6)), (2, (2, 8, 6, 6)))
    after = field((1, (2, 2, 6, 2)), (2, (2, 4, 6, 8)))
    after[2:8, 12:14] = 3
    (one,) = compare(before, after)
    assert (one.kind, one.before, one.after) == (Kind.CHANGED, (1, 2), (1, 2, 3))
    assert one.box == Box((0, 2, 2), (1, 8, 14))


def test_other_numbers_are_no_difference():
    labels = field(ONE, TWO)
    assert compare(labels, labels * 300) == []
    assert compare(labels, labels) == []


def test_planes_belong_together():
    before = np.stack([field(ONE), field(ONE), field(ONE), field()])
    after = np.stack([field(), field(ONE), field(ONE), field(ONE)])
    assert compare(before, after) == [Difference(Kind.CHANGED, (1,), (1,), 1 / 2, Box((0, 2, 2), (4, 8, 8)))]


def test_labels_of_another_shape():
    with pytest.raises(LabelError, match="Compare labels of one image"):
        compare(np.zeros((3, 4), int), np.zeros((4, 3), int))


small = arrays(np.uint8, (2, 5, 6), elements=st.integers(0, 4))


@given(small, small)
def test_all_that_changed_is_reported_once(before, after):
    found = compare(before, after)
    for side, labels in (("before", before), ("after", after)):
        seen = [n for one in found for n in getattr(one, side)]
        assert len(seen) == len(set(seen))
        for number in set(np.unique(labels).tolist()) - {0} - set(seen):
            other = after if side == "before" else before
            own = labels == number
            (name,) = np.unique(other[own])
            assert np.array_equal(other == name, own)
    back = compare(after, before)
    swap = {Kind.NEW: Kind.GONE, Kind.GONE: Kind.NEW, Kind.SPLIT: Kind.MERGED, Kind.MERGED: Kind.SPLIT}
    assert {(swap.get(one.kind, one.kind), one.after, one.before, one.iou) for one in found} == {
        (one.kind, one.before, one.after, one.iou) for one in back
    }
