"""annotate_tracks with the real engine on the drawn movie: followed, divided, linked, saved and opened again."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import tifffile

from microsam_nb import annotate_2d, annotate_3d, annotate_tracks
from microsam_nb.annotators import automatic, tracking
from microsam_nb.core import (
    FileError,
    ImageError,
    LabelError,
    Lineage,
    LineageError,
    ProjectError,
    SettingsError,
    Tracks,
)
from microsam_nb.engine.automatic import Progress
from microsam_nb.files.samples import dividing, dividing_tracks
from microsam_nb.files.tracks import read_tracks
from microsam_nb.session import (
    AddBox,
    AddPoint,
    BeginDaughters,
    Cancel,
    Commit,
    Delete,
    DeleteIn,
    EndDaughters,
    ExtendObject,
    LinkAll,
    Setting,
    Undo,
)

#: Where the first cell of the drawn movie is, and its daughters in frame 6.
MOTHER, DAUGHTERS = (40.5, 45.5), ((38.5, 62.5), (57.5, 46.5))


@pytest.fixture(scope="module")
def movie():
    return dividing()


@pytest.fixture(scope="module")
def truth():
    labels, daughters = dividing_tracks()
    return Tracks(labels, Lineage(daughters))


@pytest.fixture
def opened(movie):
    made = []

    def open_(*args, **options):
        made.append(annotate_tracks(*(args or (movie,)), **{"project": False, **options}))
        return made[-1]

    yield open_
    for one in made:
        one.close()


def follow(annotator, y, x, frame):
    annotator.session.handle(AddPoint(y, x, plane=frame))
    annotator.wait()
    annotator.session.handle(ExtendObject())
    annotator.wait()
    annotator.session.handle(Commit())
    return max(annotator.session.labels)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_cell_is_followed_until_it_divides_and_its_daughters_after_that(opened, truth, tmp_path):
    annotator = opened()
    assert annotator.session.state.browsing.plane == 0
    mother = follow(annotator, *MOTHER, 0)
    assert annotator.session.frames(mother)[:6] == (0, 1, 2, 3, 4, 5)
    annotator.session.handle(BeginDaughters(mother, 6))
    annotator.wait()
    for number in list(annotator.session.state.lineage.children(mother)):
        # What of it was followed further is no daughter here: both are clicked.
        annotator.session.handle(Delete((number,)))
    for y, x in DAUGHTERS:
        follow(annotator, y, x, 6)
    annotator.session.handle(EndDaughters())
    tracks = annotator.tracks
    first, second = tracks.lineage.children(mother)
    for own, true in ((mother, 1), (first, 12), (second, 13)):
        shared = [f for f in tracks.present[own] if f in truth.present[true]]
        assert len(shared) > 0.7 * len(truth.present[true])
        assert np.mean([iou(tracks.labels[f] == own, truth.labels[f] == true) for f in shared]) > 0.7
    folder = annotator.save(tmp_path / "cells_RES")
    assert read_tracks(folder) == tracks
    again = opened(tracks=folder)
    assert again.tracks == tracks


def test_all_cells_are_found_and_linked_in_one_step(opened, truth):
    annotator = opened()
    annotator.session.handle(AddPoint(*MOTHER))
    annotator.wait()
    annotator.session.handle(LinkAll((Setting("gap", 2.0), Setting("min_size", 20.0))))
    annotator.wait(300)
    tracks = annotator.tracks
    assert "tracks" in annotator.session.notice.text
    assert 15 <= len(tracks.present) <= 24
    assert sum(len(some) == 2 for some in tracks.lineage.daughters.values()) >= 3
    covered = np.mean([(tracks.labels[truth.labels == one] > 0).mean() for one in truth.present])
    assert covered > 0.85
    annotator.session.handle(Undo())
    assert annotator.session.labels.count() == 0
    assert len(annotator.session.state.prompts) == 1


@pytest.mark.parametrize("segment", [True, False], ids=["while objects are found", "while they are linked"])
def test_linking_can_be_left(opened, truth, monkeypatch, segment):
    begun, gate, taken, ended = threading.Event(), threading.Event(), [], threading.Event()

    def held(plain):
        """Stop before the second step, until the gate is opened."""

        def steps(*args, **more):
            try:
                for step in plain(*args, **more):
                    taken.append(step)
                    yield step
                    begun.set()
                    gate.wait(20)
            finally:
                ended.set()

        return steps

    def frames(segmenter, settings, out):
        yield from (Progress(frame, len(out), "planes") for frame in range(len(out)))

    monkeypatch.setattr(automatic, "segment_planes", held(frames))
    if not segment:
        monkeypatch.setattr(tracking, "link_stepwise", held(tracking.link_stepwise))
    annotator = opened(tracks=truth)
    annotator.wait()
    annotator.session.handle(LinkAll(segment=segment))
    assert begun.wait(20)
    annotator.session.handle(Cancel())
    assert annotator.session.work is None
    gate.set()
    annotator.wait(300)
    # What was begun is given up where it was, not only unheard.
    assert ended.wait(20)
    assert len(taken) <= 2
    assert annotator.session.work is None
    assert np.array_equal(annotator.labels, truth.labels)
    # Once more, and not left: then it is done, so that leaving it made the difference.
    annotator.session.handle(LinkAll(segment=False))
    annotator.wait(300)
    assert annotator.session.can_undo
    assert "Ctrl-Z" in annotator.session.notice.text
    annotator.session.handle(Undo())
    assert np.array_equal(annotator.labels, truth.labels)


def test_a_setting_that_is_no_setting_is_said(opened):
    annotator = opened()
    annotator.wait()
    annotator.session.handle(LinkAll((Setting("gap", -3.0),)))
    annotator.wait()
    assert annotator.session.notice.error
    assert "gap" in annotator.session.notice.text


def test_committed_objects_are_linked(opened, truth):
    # Numbered anew in every frame.
    chance = np.random.default_rng(0)
    shuffled = np.zeros_like(truth.labels)
    for frame, plane in enumerate(truth.labels):
        ids = np.unique(plane[plane > 0])
        for own, new in zip(ids, chance.permutation(len(ids)) + 1, strict=True):
            shuffled[frame][plane == own] = new
    by_labels = opened(labels=shuffled)
    assert abs(len(by_labels.tracks.present) - len(truth.present)) <= 1
    assert len(by_labels.tracks.lineage.parents) >= 6
    as_given = opened(tracks=shuffled)
    assert len(as_given.tracks.present) == len(np.unique(shuffled)) - 1
    as_given.session.handle(LinkAll(segment=False))
    as_given.wait()
    assert as_given.tracks == by_labels.tracks
    as_given.session.handle(Undo())
    assert np.array_equal(as_given.labels, shuffled)


def test_one_lineage_is_linked_around_the_others(opened, truth):
    annotator = opened(tracks=truth)
    session = annotator.session
    first = min(truth.lineage)
    others = [track for track in truth.present if track != first]
    session.handle(LinkAll(segment=False, only=(first,)))
    annotator.wait()
    assert all(np.array_equal(annotator.tracks.labels == one, truth.labels == one) for one in others)
    assert f"{len(others)} are kept." in session.notice.text
    session.handle(Undo())
    assert annotator.tracks == truth


@pytest.mark.parametrize("name", ["cells_RES", "cells.zarr", "cells.xml"])
def test_tracks_are_saved_and_opened_in_every_format(opened, truth, tmp_path, name):
    annotator = opened(tracks=truth)
    where = annotator.save(tmp_path / name)
    assert "19 tracks are saved" in annotator.session.notice.text
    again = opened(tracks=where)
    if name.endswith(".xml"):
        # Outlines: not to the pixel.
        assert len(again.tracks.present) == len(truth.present)
        assert len(again.tracks.lineage.parents) == 8
    else:
        assert again.tracks.numbered() == truth.numbered()
    labels = annotator.save(tmp_path / "labels.tif")
    assert opened(tracks=labels).tracks.present == truth.present
    with pytest.raises(FileError, match=r"\.zarr \(GEFF\)"):
        annotator.save(tmp_path / "cells.foo")
    assert np.array_equal(tifffile.imread(labels), truth.labels)


def test_tracks_with_gaps_are_split_in_a_folder_of_the_challenge_and_that_is_said(opened, truth, tmp_path):
    annotator = opened(tracks=truth)
    session = annotator.session
    long = [track for track, frames in truth.present.items() if len(frames) > 3]
    for count, track in enumerate(long[:2], start=1):
        session.handle(DeleteIn(track, truth.present[track][1]))
        where = annotator.save(tmp_path / f"{count}_RES")
        told = "1 track with gaps is split there" if count == 1 else "2 tracks with gaps are split there"
        assert told in session.notice.text
        assert read_tracks(where) == annotator.tracks
    annotator.save(tmp_path / "cells.zarr")
    assert "split" not in session.notice.text


def test_a_project_keeps_the_family(opened, movie, truth, tmp_path):
    folder = tmp_path / "p.msam"
    first = opened(tracks=truth, project=folder)
    first.session.handle(BeginDaughters(2, 8))
    kept = first.tracks
    first.close()
    again = opened(project=folder)
    assert again.tracks == kept
    assert again.session.state.mother == 2
    other = opened(project=folder, tracks=truth)
    assert "tracks= was used when the project was made" in other._status.warning.value
    assert other.tracks == kept
    other.close()
    with pytest.raises(ProjectError, match="annotate_tracks"):
        annotate_3d(movie, axes="zyx", project=folder)


def test_a_project_that_holds_work_is_opened_without_linking_again(opened, movie, truth, tmp_path, monkeypatch):
    folder = tmp_path / "p.msam"
    first = opened(tracks=truth, project=folder)
    first.close()

    def link(*_):
        raise AssertionError("It takes long, and nobody needs it.")

    monkeypatch.setattr("microsam_nb.engine.link.link", link)
    again = opened(labels=truth.labels, project=folder)
    assert again.tracks == truth
    assert "The labels given were not loaded: p.msam holds work already." in again._status.warning.value


def test_what_is_no_movie_is_refused(movie, truth):
    with pytest.raises(ImageError, match="annotate_2d"):
        annotate_tracks(movie[0])
    with pytest.raises(ImageError, match="annotate_tracks"):
        annotate_3d(movie, axes="tyx")
    with pytest.raises(ImageError, match="annotate_tracks"):
        annotate_2d(movie, axes="tyx")
    with pytest.raises(SettingsError, match="one of them"):
        annotate_tracks(movie, labels=truth.labels, tracks=truth)
    with pytest.raises(LabelError, match="made for this"):
        annotate_tracks(movie, tracks=Tracks(truth.labels[:4]), project=False)
    with pytest.raises(LabelError):
        annotate_tracks(movie, tracks=truth.labels[:, :20], project=False)
    with pytest.raises(LineageError, match="two mothers"):
        annotate_tracks(movie, tracks=Tracks(truth.labels, Lineage({1: (12,), 3: (12,)})), project=False)


def test_in_an_empty_frame_nothing_is_found_and_nothing_goes_through_it(opened, movie):
    pixels = movie.copy()
    pixels[3] = 0
    annotator = opened(pixels)
    annotator.session.handle(AddPoint(*MOTHER, plane=3))
    annotator.wait()
    assert annotator.session.state.proposal is None
    assert "Nothing was found here" in annotator.session.notice.text
    annotator.session.handle(Undo())
    follow(annotator, *MOTHER, 0)
    assert annotator.session.frames(1) == (0, 1, 2)


def test_one_frame_is_a_movie(opened, movie):
    annotator = opened(movie[:1])
    annotator.session.handle(AddBox(30, 33, 52, 58))
    annotator.wait()
    annotator.session.handle(Commit())
    assert annotator.tracks.present == {1: (0,)}
    assert annotator.labels.shape == (1, 160, 200)
