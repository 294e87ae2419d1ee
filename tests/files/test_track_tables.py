"""Tracks as CSV tables for napari."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from track_movies import family, tracks_of

from microsam_nb.core import FileError, Lineage, Tracks
from microsam_nb.files.tracks import read_csv, write_csv
from microsam_nb.files.tracks.table import labels_path

FILES = ["tracks.csv", "tracks.graph.json", "tracks.labels.tif"]


def table(tmp_path, text, name="tracks.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_there_and_back_with_the_labels_of_every_frame(tmp_path):
    tracks = family()
    path = write_csv(tmp_path / "tracks.csv", tracks)
    other = tracks.labels.copy()
    for plane in other:  # as a segmentation numbers them
        plane[:] = np.unique(plane, return_inverse=True)[1].reshape(plane.shape)
    assert read_csv(path, labels=other) == tracks
    assert sorted(one.name for one in tmp_path.iterdir()) == FILES


@pytest.mark.parametrize("count", [1, 3])
def test_there_and_back_with_the_labels_beside(tmp_path, count):
    """Objects may be hollow, lie in each other, and have their middle on another."""
    labels = np.zeros((count, 20, 20), np.uint32)
    labels[:, 2:18, 2:18], labels[:, 5:15, 5:15], labels[:, 8:12, 8:12] = 70_000, 0, 2
    labels[0, 0, :], labels[0, :, 0], labels[0, 7, 7] = 5, 5, 9
    path = write_csv(tmp_path / "tracks.csv", Tracks(labels))
    assert read_csv(path) == Tracks(labels)
    assert sorted(one.name for one in tmp_path.iterdir()) == FILES


def test_a_table_that_was_changed_keeps_the_pixels_of_its_places(tmp_path):
    path = write_csv(tmp_path / "tracks.csv", family())
    lines = [line for line in path.read_text().splitlines() if not line.startswith("9,")]
    path.write_text("\n".join("70" + line[1:] if line.startswith("7,") else line for line in lines))
    found = read_csv(path)
    assert found.spans == {1: (0, 1), 2: (2, 4), 4: (2, 4), 70: (0, 4)}
    assert np.array_equal(found.labels == 70, family().labels == 7)


@pytest.mark.parametrize("name", ["movie.labels.tif", "movie.graph.json"])
def test_files_of_others_beside_are_left_alone(tmp_path, name):
    table(tmp_path, "mine", name)
    with pytest.raises(FileError, match="Choose another name"):
        write_csv(tmp_path / "movie.csv", family())
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [(name, "mine")]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_families(tmp_path_factory, seed):
    tracks = tracks_of(seed)
    path = write_csv(tmp_path_factory.mktemp("any") / "tracks.csv", tracks)
    assert read_csv(path) == read_csv(path, labels=tracks.labels) == tracks
    labels_path(path).unlink()
    discs = read_csv(path, shape=tracks.labels.shape)
    assert (discs.lineage, discs.present) == (tracks.lineage, tracks.present)


def test_napari_takes_the_first_four_columns_and_the_graph(tmp_path):
    path = write_csv(tmp_path / "tracks.csv", family())
    data = pd.read_csv(path)
    assert list(data)[:4] == ["track_id", "t", "y", "x"]
    assert data.to_numpy()[0, :4].tolist() == [1, 0, 2, 3], "the middle of pixel 0 is 0"
    assert json.loads((tmp_path / "tracks.graph.json").read_text()) == {"2": [1], "4": [1]}


def test_discs_without_labels(tmp_path):
    path = table(tmp_path, "track_id,t,y,x\n1,0,10,10\n1,1,10,12\n2,1,10,20\n")
    tracks = read_csv(path, radius=3)
    assert tracks.labels.shape == (2, 14, 24), "as far as the discs go"
    assert tracks.labels[0, 10, 7:15].tolist() == [1] * 7 + [0]
    assert np.count_nonzero(tracks.labels[0]) == 29
    assert read_csv(path, radius=3, shape=(5, 40, 40)).labels.shape == (5, 40, 40)


def test_touching_discs_share_the_pixels_between_them(tmp_path):
    tracks = read_csv(table(tmp_path, "track_id,t,y,x\n1,0,9,8\n2,0,9,16\n"), radius=6)
    assert tracks.labels[0, 9, 2:23].tolist() == [1] * 11 + [2] * 10, "the column in between goes to the first"


@pytest.mark.parametrize(
    "text",
    [
        "1,0,4,5\n1,1,4,6\n2,2,2,2\n",
        "1,0,3,4,5\n1,1,3,4,6\n2,2,3,2,2\n",
        "Frame;Particle;Y;X;note\n0;1;4;5;a\n1;1;4;6;\n2;2;2;2;b\n",
        "\ufefft,track_id,x,y,z\n0.0,1.0,5,4,2\n1,1,6,4,2\n\n2,2,2,2,2\n",
    ],
)
def test_tables_of_others(tmp_path, text):
    tracks = read_csv(table(tmp_path, text), radius=1, shape=(3, 9, 9))
    assert tracks.spans == {1: (0, 1), 2: (2, 2)}
    assert tracks.labels[1, 4, 6] == 1


@pytest.mark.parametrize("none", ["", "-1", "1"])
def test_mothers_of_the_column(tmp_path, none):
    text = f"track_id,t,y,x,parent\n1,0,4,5,{none}\n2,1,4,2,1\n3,1,4,8,1\n"
    assert read_csv(table(tmp_path, text), radius=1).lineage == Lineage({1: (2, 3)})


def test_tracks_from_zero_and_the_graph_beside(tmp_path):
    path = table(tmp_path, "track_id,t,y,x\n0,0,4,5\n1,1,4,2\n2,1,4,8\n")
    table(tmp_path, '{"1": [0], "2": 0}', "tracks.graph.json")
    assert read_csv(path, radius=1).lineage == Lineage({1: (2, 3)})


def test_tables_without_tracks(tmp_path):
    empty = Tracks(np.zeros((3, 4, 5), np.uint32))
    path = write_csv(tmp_path / "tracks.csv", empty)
    assert read_csv(path) == empty
    labels_path(path).unlink()
    assert read_csv(path, shape=(3, 4, 5)) == empty
    assert read_csv(path).labels.shape == (0, 0, 0)


def test_a_middle_beside_its_object(tmp_path):
    labels = np.zeros((1, 12, 12), np.uint32)
    labels[0, 2:10, 2:10] = 3
    labels[0, 3:9, 3:9] = 0
    tracks = Tracks(labels)
    assert read_csv(write_csv(tmp_path / "ring.csv", tracks), labels=labels) == tracks


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "Begin the file"),
        ("track_id,t,y\n1,0,4\n", "'x'.*Begin the file"),
        ("1,0,4\n", "no header.*Begin the file"),
        ("track_id,t,y,x\n1,0,4,five\n", "line 2 .*Write numbers"),
        ("track_id,t,y,x\n1,0,4,5\n1,1,4\n", "line 3 .*Write numbers"),
        ("track_id,t,y,x\n1,0.5,4,5\n", "Write numbers"),
        ("track_id,t,y,x\n-2,0,4,5\n", "Write numbers"),
        ("track_id,t,y,x\n1,0,,5\n", "Write numbers"),
        ("track_id,t,y,x\n1,0,nan,5\n", "Write numbers"),
        ("track_id,t,y,x\n1,inf,4,5\n", "Write numbers"),
        ("track_id,t,y,x\n1,0,4,5\n1,0,4,5\n", "Keep one of the lines"),
        ("track_id,t,z,y,x\n1,0,1,4,5\n1,1,2,4,5\n", "one plane"),
        ("track_id,t,y,x\n1,0,4,1e9\n", "in pixels"),
        ("track_id,t,y,x\n1,0,-4,5\n", "shape"),
        ("track_id,t,y,x\n1,0,4,5\n2,0,4,5\n", "smaller radius"),
        ("track_id,t,y,x,parent\n1,0,4,5,\n2,1,4,5,1\n2,2,4,5,3\n3,0,9,9,\n", "do not merge"),
        ("track_id,t,y,x,parent\n1,0,4,5,\n2,1,4,5,9\n", "no pixels.*Correct the column parent"),
        ("track_id,t,y,x,parent\n1,0,4,5,\n1,1,4,5,\n2,1,9,9,1\n", "mother 1 is there.*Correct the column"),
        ("track_id,t,y,x,parent\n1,0,4,5,2\n2,1,9,9,1\n", "Correct the column parent"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, text, remedy):
    with pytest.raises(FileError, match=remedy):
        read_csv(table(tmp_path, text), radius=1)


@pytest.mark.parametrize("graph", ["[1]", "{", '{"2": ["a"]}'])
def test_broken_graphs(tmp_path, graph):
    path = table(tmp_path, "track_id,t,y,x\n1,0,4,5\n2,1,4,5\n")
    table(tmp_path, graph, "tracks.graph.json")
    with pytest.raises(FileError, match="every daughter with its mother"):
        read_csv(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileError, match="Check the name"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "torn.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="comma-separated"):
        read_csv(tmp_path / "torn.csv")


@pytest.mark.parametrize(("y", "x"), [(1, 1), (4, 12)])
def test_labels_of_other_tracks(tmp_path, y, x):
    labels = np.zeros((1, 9, 15), np.uint32)
    labels[0, 3:6, 11:14] = 1
    path = table(tmp_path, f"track_id,t,y,x\n1,0,{y},{x}\n2,0,5,12\n")
    with pytest.raises(FileError, match="none to draw discs"):
        read_csv(path, labels=labels, radius=2)


@pytest.mark.parametrize("place", ["csv.writer", "json.dumps", "tifffile.imwrite"])
def test_an_earlier_table_stays_when_there_is_no_space(tmp_path, monkeypatch, place):
    path = write_csv(tmp_path / "tracks.csv", family())
    before = {one: one.read_bytes() for one in tmp_path.iterdir()}

    def full(*given, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place, full)
    with pytest.raises(FileError, match="space left"):
        write_csv(path, family().numbered())
    assert {one: one.read_bytes() for one in tmp_path.iterdir()} == before
