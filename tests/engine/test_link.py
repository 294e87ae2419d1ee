"""Objects of single frames become tracks: movement, divisions, gaps, what comes and goes."""

from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.core import LabelError, SettingsError
from microsam_nb.engine.link import LinkSettings, link

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
