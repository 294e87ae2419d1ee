"""Folders of the Cell Tracking Challenge: there and back, checked by the challenge's own rules, and broken ones."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from microsam_nb.core import FileError
from microsam_nb.core.lineage import Lineage
from microsam_nb.core.tracks import Tracks
from microsam_nb.files.tracks import read_ctc, write_ctc


@pytest.fixture
def tracks():
    labels = np.zeros((5, 20, 24), np.uint32)
    labels[:2, 2:6, 2:6] = 1
    labels[2:, 2:6, 2:5] = 2
    labels[2:4, 8:12, 2:5] = 3
    labels[[0, 1, 4], 14:18, 14:20] = 7
    return Tracks(labels, Lineage({1: (2, 3)}))


def test_there_and_back(tmp_path, tracks):
    folder = write_ctc(tmp_path / "01_RES", tracks)
    assert read_ctc(folder) == tracks
    # The challenge knows no gaps: what comes after one is a track that descends from the first part.
    assert (folder / "res_track.txt").read_text() == "1 0 1 0\n2 2 4 1\n3 2 3 1\n7 0 1 0\n8 4 4 7\n"
    assert sorted(one.name for one in folder.glob("*.tif"))[0] == "mask000.tif"
    assert tifffile.imread(folder / "mask000.tif").dtype == np.uint16


def test_the_metrics_package_finds_it_valid(tmp_path, tracks):
    metrics = pytest.importorskip("ctc_metrics")
    folder = write_ctc(tmp_path / "01_RES", tracks)
    assert metrics.validate_sequence(str(folder))["Valid"] == 1


def test_a_ground_truth_is_read_as_well(tmp_path, tracks):
    folder = write_ctc(tmp_path / "TRA", tracks)
    (folder / "res_track.txt").rename(folder / "man_track.txt")
    for one in folder.glob("mask*.tif"):
        one.rename(folder / one.name.replace("mask", "man_track"))
    assert read_ctc(folder) == tracks


def test_writing_again_replaces_the_result(tmp_path, tracks):
    folder = write_ctc(tmp_path, tracks)
    other = Tracks(np.where(tracks.labels == 7, 0, tracks.labels), tracks.lineage.remove(7))
    assert read_ctc(write_ctc(folder, other)) == other


def test_a_folder_with_more_frames_is_not_mixed_up(tmp_path, tracks):
    write_ctc(tmp_path, tracks)
    with pytest.raises(FileError, match="Choose an empty folder"):
        write_ctc(tmp_path, Tracks(tracks.labels[:2]))
    assert read_ctc(tmp_path) == tracks


def test_more_tracks_than_fit_16_bits(tmp_path):
    labels = np.zeros((1, 4, 4), np.uint32)
    labels[0, 0, 0] = 70_000
    with pytest.raises(FileError, match="Number the tracks from 1"):
        write_ctc(tmp_path / "out", Tracks(labels))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("1 0 1", "Write four whole numbers"),
        ("1 0 1 x", "Write four whole numbers"),
        ("1 0 1 0\n1 0 1 0", "Keep one of its lines"),
        ("1 0 1 0\n2 2 4 1\n3 2 3 1\n7 0 0 0\n8 4 4 7", "Write the table anew"),
        ("1 0 1 0\n2 2 4 1\n3 2 3 1\n7 0 1 0\n8 4 4 7\n9 0 0 0", "Take it out of the table"),
        ("1 0 1 3\n2 2 4 1\n3 2 3 1\n7 0 1 0\n8 4 4 7", "Choose a mother that is no descendant"),
    ],
)
def test_tables_that_do_not_fit_say_why(tmp_path, tracks, line, remedy):
    folder = write_ctc(tmp_path, tracks)
    (folder / "res_track.txt").write_text(line + "\n")
    with pytest.raises(FileError, match=remedy):
        read_ctc(folder)


def test_missing_and_broken_frames_say_which(tmp_path, tracks):
    folder = write_ctc(tmp_path, tracks)
    (folder / "mask002.tif").rename(tmp_path / "elsewhere")
    with pytest.raises(FileError, match="Frame 2 is missing"):
        read_ctc(folder)
    (folder / "mask002.tif").write_bytes(b"no image")
    with pytest.raises(FileError, match=r"mask002\.tif cannot be read"):
        read_ctc(folder)
    tifffile.imwrite(folder / "mask002.tif", np.zeros((3, 3), np.uint16))
    with pytest.raises(FileError, match="all of one size"):
        read_ctc(folder)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(FileError, match=r"res_track\.txt or man_track\.txt"):
        read_ctc(tmp_path)


def test_a_track_with_two_gaps_that_divides_afterwards(tmp_path):
    labels = np.zeros((8, 10, 10), np.uint32)
    labels[[0, 2, 3, 5], 4, 4] = 1
    labels[6:, 2, 2], labels[6:, 7, 7] = 2, 3
    tracks = Tracks(labels, Lineage({1: (2, 3)}))
    folder = write_ctc(tmp_path, tracks)
    assert (folder / "res_track.txt").read_text() == "1 0 0 0\n2 6 7 5\n3 6 7 5\n4 2 3 1\n5 5 5 4\n"
    assert read_ctc(folder) == tracks
