"""Tracks as GEFF, checked by its own package."""

import shutil

import geff
import numpy as np
import pytest
import zarr
from geff.convert import from_trackmate_xml_to_geff
from geff.core_io import read_to_memory, write_arrays
from geff.validate.data import ValidationConfig
from geff.validate.segmentation import graph_is_in_seg_bounds, has_seg_ids_at_time_points, has_valid_seg_id
from geff_spec import Axis, GeffMetadata, RelatedObject
from hypothesis import given, settings
from hypothesis import strategies as st
from track_movies import family, tracks_of

from microsam_nb.core import FileError, Lineage, Tracks, VoxelSize
from microsam_nb.files.tracks import read_geff, write_geff, write_trackmate

CHECKS = ValidationConfig(graph=True, tracklet=True, lineage=True, sphere=True, ellipsoid=True)


def foreign(path, edges=((3, 7), (7, 9), (7, 5)), related=None, directed=True, unit="pixel", declared=False, **props):
    """A graph by other hands: 3 goes on as 7, which divides into 9 and 5; frames 0, 1, 2, 2."""
    values = {"time": [0, 1, 2, 2], "row": [3.0, 3.0, 1.0, 6.0], "col": [4.0, 5.0, 4.0, 4.0], **props}
    about = GeffMetadata(
        directed=directed,
        axes=[Axis(name="time", type="time"), *(Axis(name=n, type="space", unit=unit) for n in ("row", "col"))],
        node_props_metadata={},
        edge_props_metadata={},
        related_objects=related,
        track_node_props={"tracklet": "track_id"} if declared else None,
        sphere="size" if "size" in props else None,
    )
    held = {name: {"values": np.array(some), "missing": None} for name, some in values.items()}
    nodes = np.array([3, 7, 9, 5], np.uint64)
    write_arrays(str(path), nodes, held, np.array(edges, np.uint64).reshape(-1, 2), {}, about)
    return path


def test_there_and_back(tmp_path):
    path = write_geff(tmp_path / "cells.zarr", family())
    assert read_geff(path) == family()
    assert read_geff(path / "tracks.geff") == family()
    assert [one.name for one in tmp_path.iterdir()] == ["cells.zarr"], "nothing is left beside it"


def test_the_validator_of_the_package_passes(tmp_path):
    path = write_geff(tmp_path / "cells.zarr", family()) / "tracks.geff"
    geff.validate_structure(str(path))
    data = read_to_memory(str(path), data_validation=CHECKS)
    assert data["metadata"].track_node_props == {"tracklet": "track_id"}
    labels = np.asarray(zarr.open(path / data["metadata"].related_objects[0].path, mode="r"))
    assert np.array_equal(labels, family().labels)
    ids, times = (data["node_props"][name]["values"] for name in ("track_id", "t"))
    assert has_valid_seg_id(data, "track_id")[0]
    assert has_seg_ids_at_time_points(labels, times.tolist(), ids.tolist())[0]
    assert graph_is_in_seg_bounds(data, labels)[0]


def test_the_package_reads_a_graph(tmp_path):
    graph, about = geff.read(str(write_geff(tmp_path / "cells.zarr", family()) / "tracks.geff"))
    assert graph.is_directed()
    assert len(graph) == len(family().places())
    first = next(node for _, node in graph.nodes(data=True) if node["track_id"] == 1 and node["t"] == 0)
    assert (first["y"], first["x"]) == (2, 3), "the middle of pixel 0 is 0"
    assert sum(1 for _, out in graph.out_degree if out == 2) == 1
    assert [axis.name for axis in about.axes] == ["t", "y", "x"]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_families(tmp_path_factory, seed):
    tracks = tracks_of(seed)
    path = write_geff(tmp_path_factory.mktemp("any") / "cells.zarr", tracks)
    assert read_geff(path) == tracks
    read_to_memory(str(path / "tracks.geff"), data_validation=CHECKS)


def test_a_mother_of_one_daughter(tmp_path):
    labels = np.zeros((2, 3, 3), np.uint32)
    labels[0, 1, 1], labels[1, 1, 1] = 1, 2
    tracks = Tracks(labels, Lineage({1: (2,)}))
    path = write_geff(tmp_path / "cells.zarr", tracks)
    assert read_geff(path) == tracks
    read_to_memory(str(path / "tracks.geff"), data_validation=CHECKS)


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 3, 3)])
def test_movies_without_cells(tmp_path, shape):
    empty = Tracks(np.zeros(shape, np.uint32))
    assert read_geff(write_geff(tmp_path / "cells.zarr", empty)) == empty


def test_an_earlier_result_is_replaced_and_others_are_left_alone(tmp_path):
    path = write_geff(tmp_path / "cells.zarr", Tracks(np.ones((9, 2, 2), np.uint32)))
    assert read_geff(write_geff(path, family())) == family()
    (path / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match="empty folder"):
        write_geff(path, family())
    with pytest.raises(FileError, match=r"ending in \.zarr"):
        write_geff(tmp_path / "cells.geff", family())


def test_nothing_half_written(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    path = write_geff(tmp_path / "cells.zarr", family())
    monkeypatch.setattr("geff.core_io.write_arrays", full)
    with pytest.raises(FileError, match="space left"):
        write_geff(path, Tracks(np.ones((9, 2, 2), np.uint32)))
    assert [one.name for one in tmp_path.iterdir()] == ["cells.zarr"]
    assert read_geff(path) == family()


def test_graphs_of_others_become_discs(tmp_path):
    tracks = read_geff(foreign(tmp_path / "a.geff"), radius=1, shape=(4, 9, 9))
    assert tracks.spans == {1: (0, 1), 2: (2, 2), 3: (2, 2)}
    assert tracks.lineage == Lineage({1: (2, 3)})
    assert tracks.labels[1, 3, 3:8].tolist() == [0, 1, 1, 1, 0]
    sized = read_geff(foreign(tmp_path / "b.geff", size=[2.0, 1.0, 1.0, 1.0]), shape=(4, 9, 9))
    assert sized.labels[0, 3].tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0]


def test_edges_without_direction_go_with_the_time(tmp_path):
    path = foreign(tmp_path / "a.geff", edges=((7, 3), (9, 7), (7, 5)), directed=False)
    assert read_geff(path, radius=1).lineage == Lineage({1: (2, 3)})


@pytest.mark.filterwarnings("ignore:Missing tag", "ignore:No image path")
def test_graphs_of_trackmate(tmp_path):
    """Their axes are x, y, z, and what is a frame is no axis."""
    tracks, size = family(), VoxelSize(None, 0.5, 0.25, "micrometer")
    write_trackmate(tmp_path / "a.xml", tracks, voxel=size)
    from_trackmate_xml_to_geff(tmp_path / "a.xml", tmp_path / "a.geff")
    found = read_geff(tmp_path / "a.geff", labels=tracks.labels, voxel=size)
    assert found == tracks.numbered()


@pytest.mark.parametrize("first", [0, 4])
def test_numbers_of_tracks(tmp_path, first):
    path = foreign(tmp_path / "a.geff", track_id=[first, first, first + 2, first + 1])
    shift = 1 if first == 0 else 0
    tracks = read_geff(path, radius=1)
    assert tracks.lineage == Lineage({first + shift: (first + 1 + shift, first + 2 + shift)})


def test_whole_families_that_others_call_a_track(tmp_path):
    path = foreign(tmp_path / "a.geff", track_id=[1, 1, 1, 1])
    assert read_geff(path, radius=1).lineage == Lineage({1: (2, 3)})


@pytest.mark.parametrize("shape", [(3, 9, 9), (3, 1, 1, 9, 9)])
@pytest.mark.parametrize("pyramid", [False, True])
def test_labels_of_others(tmp_path, shape, pyramid):
    labels = np.zeros((3, 9, 9), np.uint16)
    labels[0, 2:5, 3:6], labels[1, 2:5, 4:7] = 8, 3
    labels[2, 0:3, 3:6], labels[2, 5:8, 3:6] = 8, 2
    labels[2, 8, 8] = 30  # nobody's
    zarr.save(tmp_path / ("cells.zarr/0" if pyramid else "cells.zarr"), labels.reshape(shape))
    if pyramid:
        zarr.open_group(tmp_path / "cells.zarr", mode="a")
    related = [RelatedObject(type="labels", path="../cells.zarr", node_prop="seg")]
    tracks = read_geff(foreign(tmp_path / "a.geff", related=related, seg=[8, 3, 8, 2], unit="micrometer"))
    assert np.array_equal(tracks.labels > 0, (labels > 0) & (labels < 30))
    assert tracks.lineage == Lineage({1: (2, 3)})
    shutil.rmtree(tmp_path / "cells.zarr")
    with pytest.raises(FileError, match="Put them there"):
        read_geff(tmp_path / "a.geff")
    assert read_geff(tmp_path / "a.geff", labels=labels, voxel=VoxelSize(None, 1, 1)) == tracks


@pytest.mark.filterwarnings("ignore:.*geff-spec v1.2.1")
def test_labels_by_their_former_name(tmp_path):
    labels = np.zeros((3, 9, 9), np.uint16)
    labels[:, 2], labels[2, 6] = 8, 2
    zarr.save(tmp_path / "cells.zarr", labels)
    related = [RelatedObject(type="labels", path="../cells.zarr", label_prop="seg")]
    path = foreign(tmp_path / "a.geff", related=related, seg=[8, 8, 8, 2])
    assert np.array_equal(read_geff(path).labels > 0, labels > 0)


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"edges": ((7, 3),)}, "later frame"),
        ({"edges": ((3, 7), (3, 9), (7, 9))}, "do not merge"),
        ({"time": [0.0, 1.5, 2.0, 2.0]}, "package geff"),
        ({"time": [-1, 1, 2, 2]}, "package geff"),
        ({"track_id": [1, 1, 1, 1], "declared": True}, "one node per frame"),
        ({"track_id": [1, 2, 3, 4], "edges": ((3, 9), (7, 9))}, "Correct its edges"),
        ({"unit": "micrometer"}, "Give the size of a pixel"),
    ],
)
def test_graphs_that_hold_no_tracks(tmp_path, changes, remedy):
    with pytest.raises(FileError, match=remedy):
        read_geff(foreign(tmp_path / "a.geff", **changes), radius=1)


@pytest.mark.parametrize(("segments", "remedy"), [([8, 3, 8, 8], "has two nodes"), ([8, 3, 8, 9], "no pixels")])
def test_labels_that_do_not_fit(tmp_path, segments, remedy):
    labels = np.zeros((3, 9, 9), np.uint16)
    labels[:, 2], labels[1, 3], labels[2, 6] = 8, 3, 2
    zarr.save(tmp_path / "cells.zarr", labels)
    related = [RelatedObject(type="labels", path="../cells.zarr", node_prop="seg")]
    path = foreign(tmp_path / "a.geff", related=related, seg=segments)
    with pytest.raises(FileError, match=rf"{remedy}.*Give the labels"):
        read_geff(path)


def test_folders_that_hold_no_graph(tmp_path):
    with pytest.raises(FileError, match="Zarr folder that holds it"):
        read_geff(tmp_path / "none.zarr")
    with pytest.raises(FileError, match="no GEFF"):
        read_geff(tmp_path)
    foreign(tmp_path / "a.geff")
    foreign(tmp_path / "b.geff")
    with pytest.raises(FileError, match=r"a\.geff, b\.geff.*one graph"):
        read_geff(tmp_path)
    shutil.rmtree(tmp_path / "b.geff")
    shutil.rmtree(tmp_path / "a.geff" / "nodes")
    with pytest.raises(FileError, match="package geff"):
        read_geff(tmp_path)
