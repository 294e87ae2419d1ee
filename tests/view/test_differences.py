import numpy as np

from microsam_nb.core.comparing import Kind
from microsam_nb.view import Raster
from microsam_nb.view.differences import CHANGES, KIND_COLOURS, Comparison
from microsam_nb.view.overlays import fill_entries


def drawn():
    """What the view shows of every kind of change: 1 stays, 2 goes, 3 loses, 4 is split, 5 and 6 are merged."""
    before = np.zeros((1, 4, 60), np.uint32)
    for label in range(1, 7):
        before[0, :, 8 * label : 8 * label + 6] = label
    after = before.copy()
    after[before == 2] = 0
    after[0, :, 24:26] = 0
    after[0, :, 35:38] = 9
    after[after == 6] = 5
    after[0, :, 0:3] = 8
    return before, after


def test_every_kind_has_its_colour_and_its_count():
    before, after = drawn()
    found = Comparison.of(before, after)
    assert dict(found.counts) == {Kind.NEW: 1, Kind.GONE: 1, Kind.CHANGED: 1, Kind.SPLIT: 1, Kind.MERGED: 1}
    entries = fill_entries(found.source(0), Raster(1, 0, 0, 4, 60), CHANGES)[0]
    places = (1, 10, 18, 25, 28, 33, 36, 42, 50)
    colours = [tuple(CHANGES.table[entries[x]].tolist()) if entries[x] else None for x in places]
    new, gone, changed, split, merged = KIND_COLOURS.values()
    assert colours == [new, None, gone, changed, changed, split, split, merged, merged]
    # Neighbours of one kind keep a line between them.
    assert found.drawn[0, 0, 33] != found.drawn[0, 0, 36]


def test_what_is_the_same_is_not_drawn():
    before, _ = drawn()
    found = Comparison.of(before, before)
    assert found.differences == ()
    assert not found.drawn.any()
    assert Comparison.of(np.zeros_like(before), np.zeros_like(before)).differences == ()
