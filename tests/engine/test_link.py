"""Objects of single frames become tracks: movement, divisions, gaps, what comes and goes."""

from __future__ import annotations

import sys
import types

import networkx as nx
import numpy as np
import pytest

from microsam_nb.core import LabelError, Lineage, ModelError, SettingsError, Tracks
from microsam_nb.engine.link import Kept, Linker, LinkSettings, link, link_stepwise

SIZE = 80


def frame(*places, seed=0):
    """Discs of radius 5 at (y, x), numbered at random."""
    out = np.zeros((SIZE, SIZE), np.uint32)
    rows, columns = np.ogrid[:SIZE, :SIZE]
    numbers = np.random.default_rng(seed).permutation(np.arange(1, 50))
    for number, (y, x) in zip(numbers, places, strict=False):
        out[(rows - y) ** 2 + (columns - x) ** 2 <= 25] = number
    return out


def at(tracks, t, y, x):
    return int(tracks.labels[t, y, x])


def test_cells_that_move_keep_their_track_whatever_their_numbers():
    frames = [frame((20, 20 + 3 * t), (60, 60 - 2 * t), seed=t) for t in range(6)]
    tracks = link(frames)
    assert len(tracks.spans) == 2
    assert len({at(tracks, t, 20, 20 + 3 * t) for t in range(6)}) == 1
    assert np.array_equal(tracks.labels > 0, np.stack(frames) > 0)


def test_a_cell_that_divides_has_two_daughters():
    frames = [frame((40, 40), seed=t) for t in range(3)]
    frames += [frame((40, 34 - t), (40, 46 + t), seed=9 + t) for t in range(3)]
    tracks = link(frames)
    (mother,) = tracks.lineage.roots
    assert len(tracks.lineage.children(mother)) == 2
    assert tracks.spans[mother] == (0, 2)


def test_without_divisions_a_daughter_is_a_track_of_her_own():
    frames = [frame((40, 40), seed=t) for t in range(3)]
    frames += [frame((40, 34 - t), (40, 46 + t), seed=9 + t) for t in range(3)]
    tracks = link(frames, LinkSettings(division=False))
    assert not any(tracks.lineage.children(track) for track in tracks.lineage)


def test_a_frame_in_which_a_cell_is_missing_is_a_gap():
    frames = [frame((30, 30), seed=t) for t in range(2)] + [frame()] + [frame((30, 32), seed=t) for t in range(5, 7)]
    assert link(frames).gaps == {1: (2,)}
    assert len(link(frames, LinkSettings(gap=0)).spans) == 2


def test_cells_come_and_go_and_jump_no_further_than_they_may():
    frames = [frame((10, 10)), frame((10, 11), (70, 70), seed=1), frame((70, 70), seed=2)]
    tracks = link(frames)
    assert len(tracks.spans) == 2
    assert sorted(tracks.spans.values()) == [(0, 1), (1, 2)]


def test_short_tracks_are_left_out_but_no_daughters():
    frames = [frame((40, 40), seed=t) for t in range(3)] + [frame((40, 34), (40, 46), (10, 10), seed=9)]
    tracks = link(frames, LinkSettings(min_length=2))
    assert len(tracks.spans) == 3
    assert at(tracks, 3, 10, 10) == 0


def test_tracks_are_numbered_from_one_in_the_order_in_which_they_begin():
    frames = [frame(), frame((20, 20), seed=3), frame((20, 21), (60, 60), seed=4)]
    spans = link(frames).spans
    assert spans == {1: (1, 2), 2: (2, 2)}


@pytest.mark.parametrize("count", [1, 4])
def test_empty_movies_and_single_frames(count):
    assert link([frame()] * count).spans == {}
    assert len(link([frame((20, 20), (60, 60))]).spans) == 2


def test_objects_of_one_pixel():
    frames = np.zeros((3, 9, 9), np.uint8)
    frames[:, 4, 4] = (3, 8, 1)
    assert link(frames).spans == {1: (0, 2)}


def test_what_is_no_movie_is_refused():
    with pytest.raises(LabelError, match=r"Give labels \(frames, y, x\), all of one size"):
        link([np.zeros((4, 4), int), np.zeros((5, 4), int)])
    with pytest.raises(LabelError, match="whole numbers"):
        link([np.zeros((4, 4))])
    with pytest.raises(SettingsError, match=r"Choose a value from 0\.05"):
        LinkSettings(distance=0.0)


def test_what_is_no_movie_says_what_is_one():
    for wrong in ([], np.zeros((0, 4, 4), int), [np.zeros((2, 4, 4), int)]):
        with pytest.raises(LabelError, match=r"Give labels \(frames, y, x\)"):
            link(wrong)


def bar(x, width, number=1):
    out = np.zeros((40, 80), np.uint32)
    out[10:20, x : x + width] = number
    return out


def test_cells_that_overlap_belong_together_however_long_they_are():
    """A long cell grows by half at one end; its middle moves by more than a cell that is typical does."""
    frames = [bar(2, 50, 5), bar(2, 76, 3)]
    for frame in frames:
        frame[30:33, ::8] = np.arange(10, 20)  # typical cells
    assert len(link(frames, LinkSettings(distance=0.5)).spans) == 11


def test_overlap_outweighs_distance():
    """In the second frame one object covers the cell, another has its middle nearer."""
    first, second = np.zeros((40, 40), np.uint32), np.zeros((40, 40), np.uint32)
    first[10:30, 10:30] = 1
    second[8:36, 10:26] = 1
    second[10:30, 28:31] = 2
    by_overlap = link([first, second], LinkSettings(division=False))
    assert at(by_overlap, 0, 12, 12) == at(by_overlap, 1, 12, 12)


def test_the_distance_may_be_given_in_pixels():
    frames = [frame((20, 20)), frame((20, 45), seed=1)]
    assert len(link(frames).spans) == 2
    assert len(link(frames, LinkSettings(distance_px=26.0)).spans) == 1
    assert len(link(frames, LinkSettings(distance=2.6)).spans) == 1


def test_two_cells_that_are_one_object_for_a_frame_are_no_division():
    apart, merged = frame((40, 34), (40, 46)), frame((40, 34), (40, 46))
    merged[merged > 0] = 7
    merged[38:43, 36:45] = 7
    tracks = link([apart, apart, merged, apart, apart])
    assert len(tracks.spans) == 2
    assert not tracks.lineage.parents
    assert list(tracks.gaps.values()) == [(2,)]


def test_what_comes_in_beside_a_cell_is_no_daughter():
    frames = [frame((30, 30)), frame((30, 30)), *[frame((30, 30), (30, 44), seed=t) for t in range(3)]]
    assert not link(frames).lineage.parents


def test_a_false_object_beside_a_cell_is_no_daughter():
    frames = [frame((30, 30), seed=t) for t in range(6)]
    frames[2][30:33, 38:41] = 99
    tracks = link(frames)
    assert not tracks.lineage.parents
    assert sorted(tracks.spans.values()) == [(0, 5), (2, 2)]


def test_a_higher_cost_finds_fewer_divisions():
    frames = [frame((40, 40), seed=t) for t in range(3)]
    frames += [frame((40, 34 - t), (40, 46 + t), seed=9 + t) for t in range(3)]
    assert not link(frames, LinkSettings(division_cost=10.0)).lineage.parents


def test_empty_frames_at_both_ends_and_between():
    frames = [frame(), frame((20, 20)), frame((20, 21)), frame(), frame()]
    assert link(frames).spans == {1: (1, 2)}


def test_more_objects_than_pairs_of_32_bits_can_name():
    """Pairs of rows are counted as one number, which has to hold the square of all objects."""
    plane = np.zeros((2 * 110, 2 * 110), np.uint32)
    plane[::2, ::2] = np.arange(1, 110**2 + 1).reshape(110, 110)
    tracks = link([np.roll(plane, t % 2, axis=1) for t in range(5)])
    assert len(tracks.spans) == 110**2
    assert set(tracks.spans.values()) == {(0, 4)}
    assert at(tracks, 0, 40, 40) == at(tracks, 1, 40, 41) == at(tracks, 4, 40, 40)


def test_numbers_as_large_as_they_get():
    frames = np.zeros((2, 9, 9), np.uint32)
    frames[0, 4, 4], frames[1, 4, 4] = 2**32 - 1, 2**31
    assert link(frames).spans == {1: (0, 1)}


def test_steps_count_the_frames_and_the_last_has_the_tracks():
    frames = [frame((20, 20 + t), seed=t) for t in range(4)]
    steps = list(link_stepwise(frames))
    assert [step.done for step in steps[:3]] == [1, 2, 3]
    assert {step.done for step in steps[3:-1]} == {3}, "gaps and divisions can be stopped too"
    assert len(steps) > 8
    assert steps[-1].done == 4
    assert {step.total for step in steps} == {4}
    assert [step.tracks is None for step in steps] == [True] * (len(steps) - 1) + [False]
    assert steps[-1].tracks == link(frames)


@pytest.mark.parametrize("seed", range(4))
def test_every_object_gets_one_track_and_no_pixel_is_lost(seed):
    chance = np.random.default_rng(seed)
    frames = [frame(*chance.uniform(0, SIZE, (int(chance.integers(0, 9)), 2)), seed=t) for t in range(6)]
    tracks = link(frames, LinkSettings(gap=2))
    for t, labels in enumerate(frames):
        assert np.array_equal(tracks.labels[t] > 0, labels > 0)
        pairs = np.unique(np.stack([labels[labels > 0], tracks.labels[t][labels > 0]]), axis=1)
        assert len(pairs[0]) == len(set(pairs[0])) == len(set(pairs[1])), "one to one"


class _Trackastra:
    """Answers as trackastra does: a graph of nodes with time and label, and relabelled masks."""

    asked: tuple = ()

    @classmethod
    def from_pretrained(cls, name, device=None):
        if name != "general_2d":
            raise ValueError(name)
        return cls()

    def track(self, images, masks, mode):
        type(self).asked = images.shape, mode
        graph = nx.DiGraph()
        for node, (time, label) in enumerate([(0, 3), (1, 5), (1, 6)]):
            graph.add_node(node, time=time, label=label)
        graph.add_edges_from([(0, 1), (0, 2)])
        return graph, masks


@pytest.fixture
def labelled():
    labels = np.zeros((2, 8, 8), np.uint32)
    labels[0, 3:5, 3:5], labels[1, 2, 3], labels[1, 5, 3], labels[1, 7, 7] = 3, 5, 6, 9
    return labels


def test_trackastra_links_where_it_is_installed(monkeypatch, labelled):
    monkeypatch.setitem(sys.modules, "trackastra", types.ModuleType("trackastra"))
    monkeypatch.setitem(sys.modules, "trackastra.model", types.SimpleNamespace(Trackastra=_Trackastra))
    tracks = link(labelled, LinkSettings(linker=Linker.TRACKASTRA), np.zeros(labelled.shape, np.uint8))
    assert dict(tracks.lineage.daughters) == {1: (2, 3), 2: (), 3: (), 4: ()}
    assert _Trackastra.asked == ((2, 8, 8), "greedy")
    link(labelled, LinkSettings(linker=Linker.TRACKASTRA, division=False), np.zeros(labelled.shape, np.uint8))
    assert _Trackastra.asked[1] == "greedy_nodiv"


@pytest.mark.parametrize("frames", [np.zeros((3, 8, 8), np.uint32), np.ones((1, 8, 8), np.uint32)])
def test_trackastra_is_not_asked_where_there_is_nothing_to_link(monkeypatch, frames):
    monkeypatch.setitem(sys.modules, "trackastra", types.ModuleType("trackastra"))
    monkeypatch.setitem(sys.modules, "trackastra.model", types.SimpleNamespace(Trackastra=None))
    tracks = link(frames, LinkSettings(linker=Linker.TRACKASTRA), np.zeros(frames.shape))
    assert np.array_equal(tracks.labels, frames)


def test_trackastra_that_cannot_be_used(monkeypatch, labelled):
    settings, images = LinkSettings(linker=Linker.TRACKASTRA), np.zeros(labelled.shape)
    with pytest.raises(LabelError, match=r"Give images \(frames, y, x\)"):
        link(labelled, settings)
    with pytest.raises(LabelError, match=r"Give images \(frames, y, x\)"):
        link(labelled, settings, images[:1])
    monkeypatch.setitem(sys.modules, "trackastra", None)
    with pytest.raises(ModelError, match="pip install trackastra"):
        link(labelled, settings, images)

    class Offline:
        from_pretrained = classmethod(lambda cls, *_, **__: (_ for _ in ()).throw(OSError("no network")))

    monkeypatch.setitem(sys.modules, "trackastra", types.ModuleType("trackastra"))
    monkeypatch.setitem(sys.modules, "trackastra.model", types.SimpleNamespace(Trackastra=Offline))
    with pytest.raises(ModelError, match="Check the connection"):
        link(labelled, settings, images)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_merged_cells_for_as_many_frames_as_a_gap_has(count):
    """Both move while they are one object; each is found again on its side."""
    apart = [frame((40, 34), (40, 46), seed=t) for t in range(2)]
    merged = []
    for _ in range(count):
        one = frame((40, 34), (40, 46))
        one[one > 0] = 7
        one[38:43, 36:45] = 7
        merged.append(one)
    frames = [*apart, *merged, frame((39, 34), (41, 46), seed=8), frame((39, 34), (41, 46), seed=9)]
    tracks = link(frames, LinkSettings(gap=2))
    if count > 2:
        assert len(tracks.spans) == 4
        return
    assert len(tracks.spans) == 2
    assert at(tracks, 0, 40, 34) == at(tracks, -1, 40, 34)
    assert at(tracks, 0, 40, 46) == at(tracks, -1, 40, 46)


def test_three_cells_that_are_merged_one_after_the_other():
    places = [(40, 28), (40, 40), (40, 52)]
    apart = frame(*places)
    two, three = frame(*places), frame(*places)
    two[:, :46][two[:, :46] > 0] = 60
    two[38:43, 30:40] = 60
    three[three > 0] = 60
    three[38:43, 30:50] = 60
    tracks = link([apart, apart, two, three, apart, apart], LinkSettings(gap=2))
    assert len(tracks.spans) == 3
    for y, x in places:
        assert at(tracks, 0, y, x) == at(tracks, -1, y, x)


@pytest.mark.parametrize("seed", range(20))
def test_objects_at_random_are_linked_whatever_the_settings(seed):
    chance = np.random.default_rng(seed)
    frames = np.zeros((8, 24, 24), np.uint32)
    for plane in frames:
        for number in range(int(chance.integers(0, 9))):
            y, x, h, w = *chance.integers(0, 20, 2), *chance.integers(1, 9, 2)
            plane[y : y + h, x : x + w] = number + 1
    settings = LinkSettings(
        gap=int(chance.integers(0, 5)), distance=float(chance.uniform(0.1, 4)), overlap=float(chance.uniform(0, 1)),
        division=bool(chance.integers(0, 2)), division_cost=float(chance.choice([0, 0.5, 1, 2])),
    )  # fmt: skip
    assert np.array_equal(link(frames, settings).labels > 0, frames > 0)


def around(tracks, only=(), first=0, free=None):
    """What is linked anew of these tracks, whose objects are found as they are."""
    kept = Kept.of(tracks, only, first, tracks.lineage.free_id if free is None else free)
    *_, last = link_stepwise(tracks.labels, LinkSettings(), kept=kept)
    return last.tracks


@pytest.fixture
def two_cells():
    """Two cells that stay where they are for eight frames; from frame 4 on a false track goes from one to the other."""
    frames = np.stack([frame((20, 20), (20, 60))] * 8)
    left, right = frames[0, 20, 20], frames[0, 20, 60]
    labels = np.zeros_like(frames)
    labels[:4][frames[:4] == left], labels[:4][frames[:4] == right] = 1, 2
    labels[4:][frames[4:] == left], labels[4:][frames[4:] == right] = 2, 3
    return labels


def test_from_a_frame_on_what_was_before_stays_and_goes_on(two_cells):
    tracks = around(Tracks(two_cells, Lineage({1: (3,)})), first=4)
    assert np.array_equal(tracks.labels[:4], two_cells[:4])
    assert (at(tracks, 7, 20, 20), at(tracks, 7, 20, 60)) == (1, 2)
    assert dict(tracks.lineage.daughters) == {1: (), 2: ()}


def test_only_one_lineage_is_linked_and_others_are_in_its_way(two_cells):
    labels = two_cells.copy()
    labels[:, 60, 40] = 9
    # Track 2 is right, whoever made it so; 3 is to be linked anew, and gets a number of its own.
    tracks = around(Tracks(labels), only=(1, 3))
    assert np.array_equal(tracks.labels == 2, labels == 2)
    assert np.array_equal(tracks.labels == 9, labels == 9)
    assert set(tracks.present) == {2, 9, 10, 11}
    assert tracks.spans[10] == (0, 3)


def test_a_kept_track_that_divides_later_is_a_mother():
    frames = [frame((40, 40))] * 4 + [frame((40, 34 - t), (40, 46 + t), seed=9 + t) for t in range(3)]
    first = link(frames, LinkSettings(division=False))
    tracks = around(first, first=4)
    (mother,) = tracks.lineage.roots
    assert (mother, len(tracks.lineage.children(mother))) == (at(first, 0, 40, 40), 2)


@pytest.fixture
def division():
    """A cell whose daughters lie so far from it in frame 4, and so near to another, that no linker finds them."""
    frames = [frame((40, 20), (40, 60))] * 4 + [frame((10, 20), (70, 20), (40, 60), seed=t) for t in range(3)]
    found = link(frames, LinkSettings(division=False, distance=0.5))
    mother, other = at(found, 0, 40, 20), at(found, 0, 40, 60)
    daughters = at(found, 4, 10, 20), at(found, 4, 70, 20)
    return Tracks(found.labels, Lineage({mother: daughters, other: ()}))


def test_a_division_in_the_first_frame_that_is_linked_is_kept(division):
    (mother,) = (one for one, some in division.lineage.daughters.items() if some)
    assert division.spans[mother] == (0, 3)
    tracks = around(division, first=4)
    assert set(tracks.lineage.children(mother)) == {at(tracks, 4, 10, 20), at(tracks, 4, 70, 20)}
    assert tracks.spans[mother] == (0, 3)
    assert {tracks.spans[one] for one in tracks.lineage.children(mother)} == {(4, 6)}
    assert tracks.spans[at(tracks, 0, 40, 60)] == (0, 6)
    assert not around(division, first=3).lineage.children(mother), "what comes later is found again, or not"
    assert len(around(division, first=5).lineage.children(mother)) == 2, "what was before is as it was"


def test_a_division_of_which_only_one_daughter_is_found_is_told(division):
    (mother,) = (one for one, some in division.lineage.daughters.items() if some)
    kept = Kept.of(division, (), 4, 10)
    others = [*division.labels[:4], *[frame((12, 20), (40, 60), seed=t) for t in range(3)]]
    *_, last = link_stepwise(others, LinkSettings(distance=0.5), kept=kept)
    assert kept.lost(last.tracks) == (mother,)
    *_, last = link_stepwise(division.labels, LinkSettings(), kept=kept)
    assert kept.lost(last.tracks) == ()


def test_objects_that_kept_tracks_have_already_are_left_out(two_cells):
    kept = Kept.of(Tracks(two_cells), (3,), 0, 10)
    *_, last = link_stepwise([frame((20, 21), (20, 59), (60, 60), seed=t) for t in range(8)], kept=kept)
    made = last.tracks
    assert made.spans == {1: (0, 3), 2: (0, 7), 10: (0, 7), 11: (4, 7)}, "3 anew, and a cell that nobody had"
