"""Layout of a lineage: rows, lines with gaps, places of tracks."""

from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.core import Lineage
from microsam_nb.view.tree import between, branches, elbows, family, gaps, runs, strokes, track_at

#: 1 divides into 2 and 3 in frame 4, 2 into 4, 5 and 6 in frame 8; 7 has a gap and no relatives.
LINEAGE = Lineage({1: (2, 3), 2: (4, 5, 6), 3: (), 4: (), 5: (), 6: (), 7: ()})
FRAMES = {
    1: (0, 1, 2, 3), 2: (4, 5, 6, 7), 3: (4, 5), 4: (8,), 5: (8, 9), 6: (9,), 7: (2, 3, 6, 8, 9),
}  # fmt: skip


@pytest.fixture
def shown():
    return branches(LINEAGE, FRAMES)


def same(found, wanted):
    """Compare points; a line that has less of them than others stays where it ends."""
    wanted = np.array(wanted, float)
    assert np.array_equal(found[: len(wanted)], wanted, equal_nan=True)
    assert (found[len(wanted) :] == wanted[-1]).all()


def test_mothers_lie_in_the_middle_of_their_daughters(shown):
    rows = {one.track: one.row for one in shown}
    assert rows == {4: 0, 5: 1, 6: 2, 2: 1, 3: 3, 1: 2, 7: 4}
    assert {one.track: one.mother for one in shown} == {1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 0}


def test_families_begin_with_the_earliest_and_daughters_too():
    late = Lineage({1: (), 2: (4, 3), 3: (), 4: ()})
    found = branches(late, {1: (5,), 2: (0,), 3: (1, 2), 4: (2,)})
    assert [one.track for one in found] == [2, 3, 4, 1]


def test_some_tracks_only(shown):
    found = branches(LINEAGE, FRAMES, {1, 2, 3})
    assert {one.track: one.row for one in found} == {2: 0, 3: 1, 1: 0.5}
    assert branches(LINEAGE, FRAMES, set()) == ()


def test_no_recursion_in_a_thousand_generations():
    deep = Lineage({i: (i + 1,) for i in range(1, 3000)} | {3000: ()})
    found = branches(deep, {i: (i,) for i in range(1, 3001)})
    assert {one.row for one in found} == {0}


def test_runs():
    assert runs(FRAMES[7]) == ((2, 3), (6, 6), (8, 9))
    assert runs((5,)) == ((5, 5),)
    assert runs(()) == ()


def test_lines_are_interrupted_in_gaps_which_have_lines_of_their_own(shown):
    x, y = strokes(shown)
    assert x.shape == y.shape == (7, 8)
    nan = np.nan
    same(x[0], [-0.4, 3.4])
    same(y[0], [2, 2])
    same(x[-1], [1.6, 3.4, nan, 5.6, 6.4, nan, 7.6, 9.4])
    same(y[-1], [4, 4, nan, 4, 4, nan, 4, 4])
    x, y = gaps(shown[-1:])
    same(x[0], [3.4, 5.6, nan, 6.4, 7.6])
    same(y[0], [4, 4, nan, 4, 4])
    assert strokes(())[0].shape == (0, 0)


def test_branches_leave_from_the_end_of_the_mother(shown):
    x, y = elbows(shown)
    assert len(x) == 1
    nan = np.nan
    # 1 to 2, then 2 to 4, in the order of the tracks.
    same(x[0][:8], [3.4, 3.6, 3.6, nan, 7.4, 7.6, 7.6, nan])
    same(y[0][:8], [2, 2, 1, nan, 1, 1, 0, nan])
    assert np.isnan(x[0]).sum() == 4
    alone = branches(LINEAGE, FRAMES, {2, 4, 5, 6, 1})
    assert np.isnan(elbows(alone)[0]).sum() == 3


def test_every_line_ends_in_a_point_as_bqplot_puts_a_label_there(shown):
    for x, y in (strokes(shown), gaps(shown[-1:]), elbows(shown)):
        assert np.isfinite(x[:, -1]).all()
        assert np.isfinite(y[:, -1]).all()
    assert elbows(branches(LINEAGE, FRAMES, {7}))[0].shape == (0, 0), "no line without a point"


def test_what_lies_at_a_place(shown):
    assert track_at(shown, 2.2, 2.3) == 1
    assert track_at(shown, 5, 3.5) == 3
    assert track_at(shown, 5, 4) == 7, "in a gap as well"
    assert track_at(shown, 9.4, 2) == 6
    assert track_at(shown, 1, 4) == 0
    assert track_at(shown, 5, 5) == 0


def test_a_family_is_all_that_descends_from_the_first_mother():
    assert family(LINEAGE, [5]) == {1, 2, 3, 4, 5, 6}
    assert family(LINEAGE, [7]) == {7}
    assert family(LINEAGE, [3, 7]) == set(range(1, 8))
    assert family(LINEAGE, []) == family(LINEAGE, [99]) == frozenset()


def test_what_crosses_some_rows_is_drawn_with_them():
    lineage = Lineage({1: (2, 3, 4), 5: ()})
    known = branches(lineage, {1: (0, 1), 2: (2,), 3: (2,), 4: (2,), 5: (1,)})
    assert [(one.track, one.row) for one in known] == [(1, 1.0), (2, 0.0), (3, 1.0), (4, 2.0), (5, 3.0)]
    assert [one.track for one in between(known, 2.5, 4)] == [5]
    assert [one.track for one in between(known, -0.5, 0.5)] == [1, 2, 3, 4], "all daughters, where the mother's line is"
