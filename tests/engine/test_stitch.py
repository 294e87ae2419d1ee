"""3D objects from planes: overlaps, gaps, the solver, streaming."""

from __future__ import annotations

import itertools
import sys
from types import ModuleType

import numpy as np
import pytest
from scipy import ndimage

from microsam_nb.core import LabelError, ModelError, SettingsError
from microsam_nb.engine.automatic import stitch as module
from microsam_nb.engine.automatic.gaps import close_gaps
from microsam_nb.engine.automatic.stitch import Stitching, StitchSettings, stitch


def plane(*rectangles, shape=(30, 40)):
    """Draw rectangles (y, x, height, width), numbered from 1."""
    labels = np.zeros(shape, np.int32)
    for number, (y, x, height, width) in enumerate(rectangles, 1):
        labels[y : y + height, x : x + width] = number
    return labels


def canonical(labels):
    """Number the objects by their first appearance: equal arrays are equal partitions."""
    present, first, which = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(np.where(present == 0, -1, first)))
    return (order + (present[0] != 0))[which].reshape(labels.shape)


def discs(random, planes=12, objects=15, missing=0.2, side=60):
    """Discs that wander from plane to plane; some are missing in a plane. None touch in a plane."""
    y, x = np.indices((side, side))
    places = random.uniform(4, side - 4, (objects, 2))
    volume = np.zeros((planes, side, side), np.int32)
    for one in volume:
        places += random.normal(0, 1, places.shape)
        taken = np.zeros((side, side), bool)
        for number, (cy, cx) in enumerate(places, 1):
            disc = np.hypot(y - cy, x - cx) < 5
            if random.random() > missing and not (ndimage.binary_dilation(disc, np.ones((3, 3))) & taken).any():
                one[disc] = number
                taken |= disc
    return volume


def tangled(seed):
    """Random labels without any shape: many objects compete for each other, and the solver's answers differ."""
    random = np.random.default_rng(seed)
    return random.integers(0, random.integers(3, 30), (random.integers(2, 8), 8, 8))


# Two objects of one plane and two of the next: each has its partner, one wrong pair overlaps enough to attract by
# itself, the other speaks against it.
DOUBTFUL = np.array([[[1] * 10 + [2] * 10], [[1] * 9 + [2] + [1] * 3 + [2] * 7]])


def test_objects_above_each_other_become_one():
    volume = stitch([plane((2, 2, 8, 8), (15, 20, 9, 9)), plane((15, 21, 9, 9), (3, 2, 8, 8))])
    assert volume.dtype == np.uint32
    assert volume.shape == (2, 30, 40)
    assert volume[0, 2, 2] == volume[1, 9, 9] == 1
    assert volume[0, 15, 20] == volume[1, 23, 29] == 2
    assert volume.max() == 2


def test_planes_that_show_nothing_above_each_other_are_not_joined():
    assert stitch([plane((2, 2, 8, 8)), plane((2, 10, 8, 8))]).max() == 2
    # Nothing joins objects across an empty plane.
    assert stitch([plane((2, 2, 8, 8)), plane(), plane((2, 2, 8, 8))]).max() == 2


@pytest.mark.parametrize(("shared", "objects"), [(26, 2), (27, 1)])
def test_overlap_that_just_joins(shared, objects):
    """The threshold of micro-sam, 0.2684, for two objects of 100 pixels."""
    first, second = np.zeros((2, 1, 200), int)
    first[:, :100] = 1
    second[:, 100 - shared : 200 - shared] = 1
    assert stitch([first, second]).max() == objects


def test_a_small_object_joins_a_large_one_in_both_directions():
    """Peer: overlap counts for the earlier plane only, so large before small stays apart."""
    small, large = plane((10, 10, 5, 5)), plane((5, 5, 20, 20))
    assert stitch([small, large]).max() == 1
    assert stitch([large, small]).max() == 1


def test_a_reversed_stack_has_the_same_objects():
    for seed, beta, background in itertools.product(range(100), (0.2, 0.5), (0.3, 1.0)):
        volume, settings = tangled(seed), StitchSettings(beta=beta, background=background)
        forward, backward = stitch(volume, settings), stitch(volume[::-1], settings)[::-1]
        assert np.array_equal(canonical(forward), canonical(backward)), seed


def test_the_solver_itself_depends_on_the_direction(monkeypatch):
    """Otherwise the test above could not fail."""

    def one_way(planes, uv, weights):
        clusters = module._solve(len(planes), uv, weights)
        return clusters[uv[:, 0]] == clusters[uv[:, 1]]

    monkeypatch.setattr(module, "_kept_both_ways", one_way)
    with pytest.raises(AssertionError):
        test_a_reversed_stack_has_the_same_objects()


def test_an_answer_is_as_good_as_the_solver_of_one_direction(monkeypatch):
    """Unless both directions tie, joining gains at least what the solver gains alone."""
    gains = []
    solve = module._solve

    def spy(count, uv, weights):
        clusters = solve(count, uv, weights)
        gains.append(weights[clusters[uv[:, 0]] == clusters[uv[:, 1]]].sum())
        return clusters

    monkeypatch.setattr(module, "_solve", spy)
    random = np.random.default_rng(0)
    for _ in range(50):
        uv = np.array([(a, b) for a in range(9) for b in range(9, 18) if random.random() < 0.5])
        weights = random.normal(0, 2, len(uv))
        gains.clear()
        kept = module._kept_both_ways(np.repeat([0, 1], 9), uv, weights)
        clusters = module._connected(18, uv[kept])
        joined = clusters[uv[:, 0]] == clusters[uv[:, 1]]
        assert len(gains) == 2
        assert weights[joined].sum() >= max(gains) - 1e-6


@pytest.mark.parametrize(("beta", "objects"), [(0.01, 1), (0.3, 1), (0.5, 1), (0.7, 2), (0.99, 2)])
def test_higher_beta_joins_less(beta, objects):
    """Peer: beta has no effect."""
    pair = [plane((0, 0, 10, 20)), plane((0, 12, 10, 20))]  # 40 % shared
    assert stitch(pair, StitchSettings(beta=beta)).max() == objects


@pytest.mark.parametrize(("background", "objects"), [(1.0, 2), (0.5, 2), (0.1, 1), (0.0, 1)])
def test_background_may_count_less(background, objects):
    pair = [plane((0, 0, 10, 20)), plane((0, 18, 10, 20))]  # 10 % shared, the rest faces background
    assert stitch(pair, StitchSettings(background=background)).max() == objects


def test_background_counts_less_for_both_objects():
    """A tenth of a small object and a fiftieth of a large one: each faces background with all the rest."""
    small, large = plane((0, 0, 10, 10)), plane((0, 9, 25, 20))
    for pair in ([small, large], [large, small]):
        stitching = Stitching()
        for one in pair:
            stitching.add(one)
        shares = module._weights(np.concatenate(stitching._edges), StitchSettings(background=0.0))
        # Nothing is left but what both share: as good as a perfect overlap.
        assert shares == pytest.approx(1 + np.log(0.999 / 0.001))


def test_other_objects_count_whatever_background_does():
    pair = [plane((0, 0, 10, 20), (0, 20, 10, 20)), plane((0, 0, 10, 18), (0, 18, 10, 22))]
    for background in (0.0, 1.0):
        volume = stitch(pair, StitchSettings(background=background))
        assert volume.max() == 2
        assert volume[1, 0, 19] == volume[0, 0, 20]


def test_branches_are_one_object():
    volume = stitch([plane((2, 2, 10, 30)), plane((2, 2, 10, 12), (2, 20, 10, 12))])
    assert volume.max() == 1


def test_speaking_against_a_pair_cuts_what_would_hold_together():
    volume = stitch(DOUBTFUL)
    assert volume.max() == 2
    assert volume[1, 0, 0] == volume[0, 0, 0]
    assert volume[1, 0, 19] == volume[0, 0, 19]
    # Without the one pixel that speaks against it, the overlap of a third joins all.
    apart = DOUBTFUL.copy()
    apart[1, 0, 9] = 0
    assert stitch(apart).max() == 1


def test_planes_without_background():
    """Peer: the first number of a plane without background is dropped."""
    full = np.where(np.arange(12) < 6, 1, 2) * np.ones((5, 1), int)
    volume = stitch([full, full, full])
    assert np.array_equal(volume, [full] * 3)
    assert np.array_equal(stitch([np.ones((4, 4), int)] * 3), np.ones((3, 4, 4)))


def test_one_plane_no_plane_and_empty_planes():
    assert np.array_equal(stitch([plane((2, 2, 8, 8), (15, 20, 9, 9))])[0], plane((2, 2, 8, 8), (15, 20, 9, 9)))
    assert stitch([]).shape == (0, 0, 0)
    assert stitch(np.zeros((0, 5, 6), int)).shape == (0, 5, 6)
    assert stitch(np.zeros((3, 0, 6), int)).shape == (3, 0, 6)
    for gap in (0, 2):
        empty = stitch([plane()] * 4, StitchSettings(gap_closing=gap))
        assert empty.shape == (4, 30, 40)
        assert not empty.any()
    assert np.array_equal(Stitching().solve(), [0])


def test_objects_of_too_few_planes_are_left_out():
    long, short = (2, 2, 8, 8), (15, 20, 9, 9)
    planes = [plane(short, long), plane(long), plane(long)]
    for extent, objects in ((1, 2), (2, 1), (3, 1), (4, 0)):
        volume = stitch(planes, StitchSettings(min_extent=extent))
        assert volume.max() == objects
        assert (volume[:, 2, 2] > 0).all() == (objects > 0)


def test_numbers_follow_the_first_appearance():
    planes = [plane((20, 30, 5, 5)), plane((20, 30, 5, 5), (2, 2, 5, 5)), plane((2, 2, 5, 5), (10, 10, 5, 5))]
    volume = stitch(planes)
    assert [volume[0, 20, 30], volume[1, 2, 2], volume[2, 10, 10]] == [1, 2, 3]
    for seed in range(20):
        volume = stitch(tangled(seed))
        present = np.unique(volume[volume > 0])
        planes_of = [np.flatnonzero((volume == number).any((1, 2))) for number in present]
        assert np.array_equal(present, np.arange(1, len(present) + 1))
        # Sorted by plane, and no object skips a plane.
        assert sorted(p[0] for p in planes_of) == [p[0] for p in planes_of]
        assert all((np.diff(p) == 1).all() for p in planes_of)


def test_numbers_of_a_plane_may_have_holes_and_any_width():
    for dtype in (np.uint8, np.int16, np.uint16, np.int64, np.uint64):
        top = np.iinfo(dtype).max
        volume = stitch([np.array([[0, 7, top, top]], dtype)] * 2)
        assert np.array_equal(volume, [[[0, 1, 2, 2]]] * 2)


def test_more_objects_than_sixteen_bits_can_number():
    many = np.arange(1, 70_001).reshape(200, 350)
    volume = stitch([many, many])
    assert volume.max() == 70_000
    assert np.array_equal(volume[0], many)
    assert np.array_equal(volume[1], many)
    apart = stitch([many, np.zeros_like(many), many])
    assert apart.max() == 140_000


# --- streaming ---


def test_streaming_gives_what_arrays_in_memory_give():
    settings = StitchSettings(gap_closing=1, min_extent=2)
    volume = discs(np.random.default_rng(3))
    stitching = Stitching()
    unique = [stitching.add(one) for one in close_gaps(iter(volume), settings.gap_closing)]
    table = stitching.solve(settings)
    assert np.array_equal(table[np.stack(unique)], stitch(volume, settings))
    assert np.array_equal(stitch(list(volume), settings), stitch(volume, settings))


def test_numbers_of_streamed_planes_are_unique():
    stitching = Stitching()
    first, second = (stitching.add(plane((2, 2, 8, 8), (15, 20, 9, 9))) for _ in range(2))
    assert first.dtype == second.dtype == np.uint32
    assert [set(np.unique(one)) for one in (first, second)] == [{0, 1, 2}, {0, 3, 4}]
    assert np.array_equal(stitching.solve(), [0, 1, 2, 1, 2])


def test_other_settings_and_more_planes_after_an_answer():
    stitching = Stitching()
    stitching.add(plane((0, 0, 10, 20)))
    stitching.add(plane((0, 12, 10, 20)))
    assert list(stitching.solve()) == [0, 1, 1]
    assert list(stitching.solve(StitchSettings(beta=0.9))) == [0, 1, 2]
    assert list(stitching.solve(StitchSettings(min_extent=3))) == [0, 0, 0]
    stitching.add(plane((0, 12, 10, 20)))
    assert list(stitching.solve(StitchSettings(min_extent=3))) == [0, 1, 1, 1]
    assert stitching.solve().dtype == np.uint32


def test_older_planes_are_forgotten():
    stitching = Stitching()
    for _ in range(20):
        stitching.add(np.ones((500, 500), np.uint8))
    assert sum(edges.nbytes for edges in stitching._edges) < 2000
    assert stitching._before[0].shape == (500, 500)


# --- gaps ---


def peer_closing(volume, gap):
    """Close gaps as micro-sam does it, planes numbered for themselves."""
    closed = ndimage.binary_closing(volume > 0, np.ones((3, 1, 1)), gap)
    out = volume.copy()
    for z in range(gap, len(volume) - gap):
        parts, count = ndimage.label(closed[z], np.ones((3, 3)))
        for part in range(1, count + 1):
            touched = np.unique(volume[z][(parts == part) & (volume[z] > 0)])
            if len(touched) < 2:
                out[z][parts == part] = touched[0] if len(touched) else out[z].max() + 1
    return out


@pytest.mark.parametrize("gap", [1, 2, 3, 5, 7])
def test_gaps_are_closed_as_a_whole_volume_would_be(gap):
    for seed in range(5):
        volume = discs(np.random.default_rng(seed))
        expected = peer_closing(volume, gap)
        assert gap > 6 or (expected != volume).any()
        closed = list(close_gaps(iter(volume), gap))
        assert len(closed) == len(volume)
        for ours, theirs in zip(closed, expected, strict=True):
            assert ours.dtype == np.uint32
            assert np.array_equal(canonical(ours), canonical(theirs))


def test_a_gap_is_filled_where_both_sides_show_the_object():
    square = (2, 2, 8, 8)
    planes = [plane(square), plane(square), plane(), plane(square), plane(square)]
    assert stitch(planes).max() == 2
    volume = stitch(planes, StitchSettings(gap_closing=1))
    assert np.array_equal(volume, [plane(square)] * 5)


@pytest.mark.parametrize(("missing", "gap", "objects"), [(2, 1, 1), (3, 1, 2), (4, 2, 1), (5, 2, 2)])
def test_gaps_of_up_to_twice_the_setting(missing, gap, objects):
    shown = [plane((2, 2, 8, 8))] * 4
    volume = stitch(shown + [plane()] * missing + shown, StitchSettings(gap_closing=gap))
    assert volume.max() == objects
    assert volume[4:-4].any() == (objects == 1)


def test_the_first_and_last_planes_of_a_stack_keep_their_gaps():
    square = plane((2, 2, 8, 8))
    planes = [plane(), square, plane(), square, square, plane(), square, plane()]
    filled = [bool(one.any()) for one in close_gaps(planes, 2)]
    assert filled == [False, True, True, True, True, True, True, False]
    # Two planes at each end are out of reach, whatever lies beyond.
    planes = [square, plane(), square, square, plane(), square]
    assert [bool(one.any()) for one in close_gaps(planes, 2)] == [True, False, True, True, False, True]
    assert [bool(one.any()) for one in close_gaps(planes, 1)] == [True] * 6


def test_an_empty_plane_at_the_border_does_not_mix_up_numbers():
    """Peer: the running number starts again after it, and objects that never met are one."""
    planes = [plane((2, 2, 8, 8)), plane(), plane((18, 25, 8, 8)), plane((18, 25, 8, 8)), plane()]
    for gap in (1, 2):
        volume = stitch(planes, StitchSettings(gap_closing=gap))
        assert volume.max() == 2
        assert volume[0, 2, 2] != volume[2, 18, 25]
        assert volume[2, 18, 25] == volume[3, 18, 25] > 0


def test_new_and_kept_objects_of_a_plane_have_different_numbers():
    """A filled part between two objects leaves them as they are, another is a new object beside them."""
    wide, lone = (2, 2, 8, 20), (20, 30, 6, 6)
    around = plane(wide, lone)
    middle = plane((2, 2, 8, 8), (2, 14, 8, 8))
    closed = list(close_gaps([around, middle, around], 1))[1]
    assert np.array_equal(closed > 0, plane((2, 2, 8, 8), (2, 14, 8, 8), lone) > 0)
    assert len({closed[2, 2], closed[2, 14], closed[20, 30]}) == 3


def test_an_object_in_two_pieces_stays_one_when_gaps_are_closed():
    pieces = plane((2, 2, 8, 8), (2, 20, 8, 8)) > 0
    around = plane((2, 2, 9, 8), (2, 20, 8, 9))
    closed = list(close_gaps([around, pieces.astype(int), around], 1))[1]
    assert closed.max() == 1
    assert np.array_equal(closed > 0, around > 0)


def test_gap_closing_holds_few_planes_and_changes_none():
    taken = 0

    def source():
        nonlocal taken
        for one in volume:
            taken += 1
            yield one

    volume = discs(np.random.default_rng(0))
    before = volume.copy()
    closing = close_gaps(source(), 2)
    next(closing)
    assert taken == 5
    next(closing)
    assert taken == 6
    list(closing)
    assert np.array_equal(volume, before)


# --- errors ---


@pytest.mark.parametrize("gap", [0, 1])
@pytest.mark.parametrize(
    ("planes", "remedy"),
    [
        ([np.ones((3, 4)), np.ones((3, 4))], "whole numbers"),
        ([np.ones((3, 4), bool)], "whole numbers"),
        ([np.full((3, 4), -1)], "from 0"),
        ([np.ones((3, 4), int), np.ones((4, 3), int)], "one shape"),
        ([np.ones(12, int)], "(y, x)"),
        (np.ones((2, 3, 4, 3), int), "(y, x)"),
    ],
)
def test_labels_that_are_none(planes, remedy, gap):
    with pytest.raises(LabelError) as error:
        stitch(planes, StitchSettings(gap_closing=gap))
    assert remedy in error.value.remedy


def test_a_refused_plane_leaves_the_others_as_they_were():
    stitching = Stitching()
    stitching.add(plane((2, 2, 8, 8)))
    with pytest.raises(LabelError):
        stitching.add(np.ones((3, 4), int))
    stitching.add(plane((2, 2, 8, 8)))
    assert list(stitching.solve()) == [0, 1, 1]


def test_more_objects_than_numbers(monkeypatch):
    monkeypatch.setattr(module, "_LARGEST", 3)
    stitching = Stitching()
    stitching.add(plane((2, 2, 8, 8), (15, 20, 9, 9)))
    with pytest.raises(LabelError) as error:
        stitching.add(plane((2, 2, 8, 8), (15, 20, 9, 9)))
    assert "fewer planes" in error.value.remedy


@pytest.mark.parametrize(
    ("wrong", "bounds"),
    [({"beta": 0.0}, "0.01"), ({"background": 1.5}, "1.0"), ({"gap_closing": 11}, "10"), ({"min_extent": 0}, "1 to")],
)
def test_settings_have_bounds(wrong, bounds):
    with pytest.raises(SettingsError) as error:
        StitchSettings(**wrong)
    assert bounds in error.value.remedy


# --- solvers ---


@pytest.fixture
def fake_nifty(monkeypatch):
    """The graph library's names; its solver cuts everything. Returns what it was asked."""
    asked = []

    class Graph:
        def __init__(self, count):
            self.count = count

        def insertEdges(self, uv):
            self.uv = uv

    class Objective:
        def __init__(self, graph, weights):
            asked.append((graph.count, graph.uv.tolist(), weights.tolist()))
            self.count = graph.count

        def kernighanLinFactory(self, warmStartGreedy):
            return "kernighan-lin" if warmStartGreedy else "cold"

        def multicutDecomposerFactory(self, submodelFactory, fallthroughFactory, numberOfThreads):
            assert submodelFactory == fallthroughFactory == "kernighan-lin"
            return self

        def create(self, objective):
            return self

        def optimize(self):
            return np.arange(self.count, dtype=np.uint64)

    modules = {name: ModuleType(name) for name in ("nifty", "nifty.graph", "nifty.graph.opt")}
    modules["nifty.graph.opt.multicut"] = multicut = ModuleType("nifty.graph.opt.multicut")
    modules["nifty.graph"].undirectedGraph = Graph
    multicut.multicutObjective = Objective
    for name, one in modules.items():
        monkeypatch.setitem(sys.modules, name, one)
    return asked


def test_nifty_solves_where_it_is_installed(fake_nifty):
    assert stitch(DOUBTFUL).max() == 4
    count, uv, weights = fake_nifty[0]
    assert count == 4
    assert uv == [[0, 2], [0, 3], [1, 2], [1, 3]]
    assert np.sign(weights).tolist() == [1, -1, 1, 1]


def test_another_library_named_nifty_is_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "nifty", ModuleType("nifty"))
    assert stitch(DOUBTFUL).max() == 2


def test_without_a_solver(monkeypatch):
    monkeypatch.setitem(sys.modules, "nifty", None)
    monkeypatch.setitem(sys.modules, "bioimage_cpp.graph", None)
    with pytest.raises(ModelError) as error:
        stitch(DOUBTFUL)
    assert error.value.remedy == "pip install bioimage-cpp"
