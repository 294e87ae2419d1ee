"""A plane is corrected: what is computed again around it, and what becomes of the rest."""

from __future__ import annotations

from dataclasses import replace

from carrying import FREE, SIZE, column, disk, planes, same

from microsam_nb.core import Mask
from microsam_nb.core.sections import replaced
from microsam_nb.engine import Known

#: What overlaps by half may be the same.
HALF = replace(FREE, iou=0.5)


def gone(found):
    return sorted(plane for (_, plane), one in found.items() if not one.mask.area)


def until(last, radius=6):
    """A model that finds the object up to a plane."""
    return lambda plane, mask: disk(plane, 32, 32, radius) if plane <= last else None


def test_an_object_that_ends_earlier_after_a_correction_really_ends(carried):
    known = Known({5: disk(5, 32, 32, 6)}, column(2, 10), (5,))
    found, asked = carried(until(7), [known], HALF)
    assert gone(found) == [8, 9, 10]
    assert [plane for plane in planes(found) if found[0, plane].mask.area] == [0, 1, 2, 3, 4, 6, 7]
    assert max(plane for plane, _, _ in asked) == 8


def test_so_it_does_on_the_side_before(carried):
    known = Known({5: disk(5, 32, 32, 6)}, column(1, 8), (5,))
    found, _ = carried(lambda plane, mask: disk(plane, 32, 32, 6) if plane > 3 else None, [known], HALF, stops=(9,))
    assert gone(found) == [1, 2, 3]


def test_what_lies_beyond_a_stop_is_left_to_the_stop(carried):
    known = Known({5: disk(5, 32, 32, 6)}, column(5, 9), (5,))
    found, _ = carried(until(6), [known], HALF, stops=(4, 9))
    assert gone(found) == [7, 8]


def test_up_to_the_next_known_plane_it_cannot_end_and_comes_from_both(carried):
    seeds = {3: disk(3, 32, 32, 6), 9: disk(9, 32, 32, 10)}
    found, asked = carried(until(4), [Known(seeds, column(3, 11), (3,))], HALF, stops=(2,))
    assert not gone(found)
    # What the model no longer finds has the shape between the known planes, and is marked.
    assert planes(found) == [4, 5, 6, 7, 8]
    assert [found[0, plane].agreement for plane in (5, 6, 7, 8)] == [0, 0, 0, 0]
    assert found[0, 4].agreement > 0
    assert max(plane for plane, _, _ in asked) == 8
    areas = [found[0, plane].mask.area for plane in (5, 6, 7, 8)]
    assert disk(0, 32, 32, 6).area <= areas[0] < areas[-1] <= disk(0, 32, 32, 10).area


def test_what_lies_beyond_a_gap_stays_where_it_ends_as_before(carried):
    current = replaced(column(2, 10), (7,))
    found, _ = carried(until(6), [Known({5: disk(5, 32, 32, 6)}, current, (5,))], HALF, stops=(1,))
    assert gone(found) == []
    assert planes(found) == [2, 3, 4, 6]


def test_where_it_is_as_it_was_nothing_is_taken_away(carried):
    known = Known({5: disk(5, 32, 32, 6)}, column(2, 10), (5,))
    found, _ = carried(lambda plane, mask: disk(plane, 32, 32, 10), [known])
    assert not found


def test_one_object_of_several_ends_the_others_go_on(carried):
    def left(mask):
        return Mask((mask.start[0], mask.start[1], mask.start[2] - 20), mask.bitmap)

    objects = [
        Known({5: disk(5, 32, 32, 6)}, column(2, 10), (5,)),
        Known({5: left(disk(5, 32, 32, 6))}, left(column(2, 10)), (5,)),
    ]

    def rule(plane, mask):
        return None if plane > 6 and mask.start[2] > SIZE // 3 else same(plane, mask)

    found, _ = carried(rule, objects, HALF)
    assert gone(found) == [7, 8, 9, 10]
    assert all(found[1, plane].mask.area for plane in planes(found, 1))


def test_a_small_correction_costs_no_plane_where_the_model_fails(carried):
    known = Known({5: disk(5, 32, 32, 9)}, column(2, 10), (5,))
    found, _ = carried(lambda plane, mask: disk(plane, 32, 32, 8) if plane < 8 else disk(plane, 9, 9, 5), [known], HALF)
    # What was there goes on from what is corrected; it is marked.
    assert not gone(found)
    assert found[0, 8].mask == disk(8, 32, 32, 10)
    assert found[0, 8].agreement == 0
    assert 9 not in planes(found)


def test_what_somebody_had_kept_is_not_lost(carried):
    known = Known({5: disk(5, 32, 32, 4)}, column(2, 10), (5,), given=True)
    found, _ = carried(until(7, 4), [known], HALF)
    assert not gone(found)
    assert found[0, 8].mask == disk(8, 32, 32, 10)
    assert found[0, 8].agreement == 0
