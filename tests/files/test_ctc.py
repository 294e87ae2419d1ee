"""Folders of the Cell Tracking Challenge."""

import warnings

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from track_movies import family, tracks_of

from microsam_nb.core import FileError, Lineage, Tracks
from microsam_nb.files.tracks import read_ctc, write_ctc


def is_valid(folder) -> bool:
    """What the checks of py-ctcmetrics say; they tell faults by warnings."""
    from ctc_metrics.scripts.validate import validate_sequence

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", "Empty frame")  # allowed
        return validate_sequence(str(folder), threads=1)["Valid"] == 1


def ground_truth(folder, name="man_track"):
    """A folder as the challenge gives it, by other hands: one track that divides."""
    folder.mkdir(parents=True)
    for frame in range(3):
        plane = np.zeros((4, 6), np.uint16)
        plane[1:3, 1:5] = [5, 5, 0, 0] if frame == 0 else [6, 6, 8, 8]
        tifffile.imwrite(folder / f"{name}{frame:03d}.tif", plane)
    (folder / "man_track.txt").write_text("5 0 0 0\n6 1 2 5\n8 1 2 5\n")
    return folder


def test_there_and_back(tmp_path):
    write_ctc(tmp_path / "01_RES", family())
    assert read_ctc(tmp_path / "01_RES") == family()
    assert [one.name for one in tmp_path.iterdir()] == ["01_RES"], "nothing is left beside it"


def test_the_folder_follows_the_rules_of_the_challenge(tmp_path):
    write_ctc(tmp_path / "01_RES", family())
    assert is_valid(tmp_path / "01_RES")
    names = sorted(one.name for one in (tmp_path / "01_RES").iterdir())
    assert names == [*(f"mask{frame:03d}.tif" for frame in range(5)), "res_track.txt"]
    plane = tifffile.imread(tmp_path / "01_RES" / "mask003.tif")
    assert plane.dtype == np.uint16
    lines = (tmp_path / "01_RES" / "res_track.txt").read_text().splitlines()
    assert lines == ["1 0 1 0", "2 2 4 1", "4 2 4 1", "7 0 1 0", "9 4 4 0", "10 3 4 7"], "7 comes back as 10"


def test_a_track_with_two_gaps_that_divides_afterwards(tmp_path):
    labels = np.zeros((8, 10, 10), np.uint32)
    labels[[0, 2, 3, 5], 4, 4] = 1
    labels[6:, 2, 2], labels[6:, 7, 7] = 2, 3
    tracks = Tracks(labels, Lineage({1: (2, 3)}))
    folder = write_ctc(tmp_path, tracks)
    assert (folder / "res_track.txt").read_text() == "1 0 0 0\n2 6 7 5\n3 6 7 5\n4 2 3 1\n5 5 5 4\n"
    assert read_ctc(folder) == tracks


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_families_with_gaps(tmp_path_factory, seed):
    tracks = tracks_of(seed)
    folder = tmp_path_factory.mktemp("any") / "01_RES"
    write_ctc(folder, tracks)
    assert read_ctc(folder) == tracks
    assert not tracks.present or is_valid(folder)


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 5, 6), (3, 3, 3), (1001, 1, 2)])
def test_movies_without_cells_and_of_any_length(tmp_path, shape):
    empty = Tracks(np.zeros(shape, np.uint32))
    write_ctc(tmp_path / "out", empty)
    assert read_ctc(tmp_path / "out") == empty


@pytest.mark.parametrize("layout", ["01_GT/TRA", "TRA", "01_RES"])
@pytest.mark.parametrize("name", ["man_track", "mask"])
def test_results_and_ground_truths(tmp_path, layout, name):
    ground_truth(tmp_path / layout, name)
    tracks = read_ctc(tmp_path / layout.split("/")[0])
    assert tracks.spans == {5: (0, 0), 6: (1, 2), 8: (1, 2)}
    assert tracks.lineage == Lineage({5: (6, 8)})


def test_frames_of_tracks_that_have_no_file(tmp_path):
    folder = ground_truth(tmp_path / "TRA")
    (folder / "man_track001.tif").unlink()
    with pytest.raises(FileError, match=r"frame 1, .* track 6 is in 1 to 2.*Copy all frames again"):
        read_ctc(folder)


def test_frames_without_file_and_tracks_are_empty(tmp_path):
    labels = np.zeros((5, 3, 3), np.uint32)
    labels[2, 0, 0], labels[4, 1, 1] = 1, 9
    folder = write_ctc(tmp_path / "out", Tracks(labels))
    for frame in (0, 1, 3):
        (folder / f"mask00{frame}.tif").unlink()
    assert read_ctc(folder) == Tracks(labels)


@pytest.mark.parametrize("plane", [np.full((4, 6), -5, np.int16), np.full((4, 6), 2**33, np.int64), np.ones((4, 6))])
def test_frames_that_are_no_labels(tmp_path, plane):
    folder = ground_truth(tmp_path / "TRA")
    tifffile.imwrite(folder / "man_track001.tif", plane)
    with pytest.raises(FileError, match=r"man_track001.tif .*whole numbers"):
        read_ctc(folder)


def test_tens_of_thousands_of_parts(tmp_path):
    """Every track is missing in every other frame; to join each part on its own would take minutes."""
    labels = np.zeros((21, 50, 50), np.uint32)
    labels[::2] = np.arange(1, 2501).reshape(50, 50)
    tracks = Tracks(labels)
    assert read_ctc(write_ctc(tmp_path / "out", tracks)) == tracks


def test_tabs_and_empty_lines(tmp_path):
    folder = ground_truth(tmp_path / "TRA")
    (folder / "man_track.txt").write_text("5\t0\t0\t0\n\n6\t1\t2\t5\r\n8  1 2 5")
    assert read_ctc(folder).lineage.parent(8) == 5


def test_an_earlier_result_is_replaced(tmp_path):
    write_ctc(tmp_path / "out", Tracks(np.ones((9, 2, 2), np.uint32)))
    write_ctc(tmp_path / "out", family())
    assert read_ctc(tmp_path / "out") == family()


@pytest.mark.parametrize("name", ["notes.txt", "t000.tif", "man_track.txt"])
def test_folders_of_others_are_left_alone(tmp_path, name):
    write_ctc(tmp_path / "out", family())
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(FileError, match="empty folder"):
        write_ctc(tmp_path / "out", Tracks(np.ones((1, 2, 2), np.uint32)))
    assert (tmp_path / "out" / name).read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_nothing_half_written(tmp_path, monkeypatch):
    write_ctc(tmp_path / "out", family())
    whole, count = tifffile.imwrite, []

    def full(*args, **kwargs):
        count.append(1)
        if len(count) == 3:
            raise OSError(28, "No space left on device")
        whole(*args, **kwargs)

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(FileError, match="space left"):
        write_ctc(tmp_path / "out", Tracks(np.ones((9, 2, 2), np.uint32)))
    assert [one.name for one in tmp_path.iterdir()] == ["out"]
    assert read_ctc(tmp_path / "out") == family()


@pytest.mark.parametrize("many", [False, True])
def test_more_than_16_bits(tmp_path, many):
    labels = np.zeros((1, 260, 260), np.uint32)
    labels[0, 0, 0] = 70_000
    if many:
        labels[0] = np.arange(1, 260 * 260 + 1).reshape(260, 260)
    with pytest.raises(FileError, match="such as geff" if many else "tracks.numbered"):
        write_ctc(tmp_path / "out", Tracks(labels))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("table", "remedy"),
    [
        ("5 0 0 0\n6 1 2 5\n", "says none.*Correct the table"),
        ("5 0 0 0\n6 1 2 5\n8 1 1 5\n", "Track 8 is in frames 1 to 2; man_track.txt says 1 to 1.*Correct the table"),
        ("5 0 0 0\n6 0 2 0\n8 1 2 5\n", "Track 6 .*Correct the table"),
        ("5 0 0 0\n6 1 2 5\n8 1 2 6\n", "mother 6 is there until frame 2.*Correct the table"),
        ("5 0 0 0\n6 1 2 5\n8 1 2 9\n", "Track 9 .*no pixels.*Correct the table"),
        ("5 0 0 0\n6 1 2 5\n8 1 2 5\n3 0 1 0\n", "Track 3 .*no pixels.*Correct the table"),
        ("5 0 0 0\n6 1 2 5\n8 1 two 5\n", "Line 3 .*four whole numbers"),
        ("5 0 0 0\n6 1 2\n8 1 2 5\n", "Line 2 .*four whole numbers"),
        ("5 0 0 0\n6 1 2 5\n6 1 2 5\n", "one line"),
        ("5 0 0 0\n6 2 1 5\n8 1 2 5\n", "not before the first"),
        ("-5 0 0 0\n", "from 1"),
    ],
)
def test_tables_that_do_not_fit(tmp_path, table, remedy):
    folder = ground_truth(tmp_path / "TRA")
    (folder / "man_track.txt").write_text(table)
    with pytest.raises(FileError, match=remedy):
        read_ctc(folder)


def test_folders_and_frames_that_cannot_be_read(tmp_path):
    with pytest.raises(FileError, match=r"res_track.txt or man_track.txt"):
        read_ctc(tmp_path)
    folder = ground_truth(tmp_path / "TRA")
    (folder / "man_track001.tif").write_bytes(b"II*\0torn")
    with pytest.raises(FileError, match=r"man_track001.tif .*(Copy it again|one plane each)"):
        read_ctc(folder)
    tifffile.imwrite(folder / "man_track001.tif", np.zeros((2, 4, 6), np.uint16))
    with pytest.raises(FileError, match="one plane each"):
        read_ctc(folder)
    for one in folder.glob("*.tif"):
        one.unlink()
    with pytest.raises(FileError, match=r"mask000\.tif"):
        read_ctc(folder)


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(FileError, match="empty folder"):
        write_ctc(tmp_path / "out", family())
