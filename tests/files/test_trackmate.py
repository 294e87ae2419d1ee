"""Tracks as files of TrackMate."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from geff.convert import from_trackmate_xml_to_geff
from geff.core_io import read_to_memory
from hypothesis import given, settings
from hypothesis import strategies as st
from track_movies import family, tracks_of

from microsam_nb.core import FileError, Lineage, Tracks, VoxelSize
from microsam_nb.files.tracks import read_trackmate, write_trackmate

SPOT = '<Spot ID="{}" name="ID{}" FRAME="{}" POSITION_X="{}" POSITION_Y="{}" POSITION_Z="0.0" RADIUS="1.5" {}</Spot>'
IMAGE = '<ImageData width="20" height="10" nframes="3" pixelwidth="0.5" pixelheight="0.5" />'


def foreign(tmp_path, spots="", edges="", filtered='<TrackID TRACK_ID="4" />', image=IMAGE):
    """A file by other hands, with calibration: 11 goes on as 12, which divides into 13 and 14; 15 is alone."""
    places = ((11, 0, 2, 2), (12, 1, 2.5, 2), (13, 2, 2, 1), (14, 2, 2, 3.5), (15, 2, 8, 2))
    spots = spots or "".join(SPOT.format(key, key, t, x, y, 'VISIBILITY="1">') for key, t, x, y in places)
    links = edges or "".join(f'<Edge SPOT_SOURCE_ID="{a}" SPOT_TARGET_ID="{b}" />' for a, b in LINKS)
    path = tmp_path / "movie.xml"
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><TrackMate version="7.6.1"><Log>a &amp; b</Log><Model spatialunits="µm">'
        f'<AllSpots nspots="5"><SpotsInFrame frame="0">{spots}</SpotsInFrame></AllSpots><AllTracks>'
        f'<Track name="Track_4" TRACK_ID="4">{links}</Track></AllTracks><FilteredTracks>{filtered}</FilteredTracks>'
        f"</Model><Settings>{image}</Settings></TrackMate>",
        encoding="utf-8",
    )
    return path


LINKS = ((11, 12), (12, 13), (14, 12))  # the last is backwards, as TrackMate may write it


@pytest.mark.parametrize("voxel", [None, VoxelSize(1.0, 0.65, 0.33), VoxelSize(None, 100, 200, "nm")])
def test_there_and_back(tmp_path, voxel):
    path = write_trackmate(tmp_path / "movie.xml", family(), voxel=voxel)
    assert read_trackmate(path) == family()
    assert [one.name for one in tmp_path.iterdir()] == ["movie.xml"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_families(tmp_path_factory, seed):
    tracks = tracks_of(seed)
    path = write_trackmate(tmp_path_factory.mktemp("any") / "movie.xml", tracks)
    assert read_trackmate(path) == tracks
    assert read_trackmate(path, labels=tracks.labels) == tracks


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_outlines_of_any_shape(tmp_path_factory, seed):
    """All but the holes and lesser parts of an object comes back."""
    from scipy import ndimage

    mask = np.random.default_rng(seed).random((9, 11)) < 0.5
    parts, _ = ndimage.label(mask, np.ones((3, 3)))
    if parts.any():
        mask = ndimage.binary_fill_holes(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))
    tracks = Tracks(mask[None].astype(np.uint32) * 7)
    path = write_trackmate(tmp_path_factory.mktemp("any") / "movie.xml", tracks)
    assert read_trackmate(path) == tracks


def test_an_object_in_the_hole_of_another(tmp_path):
    labels = np.zeros((1, 20, 20), np.uint32)
    labels[0, 2:18, 2:18], labels[0, 5:15, 5:15], labels[0, 8:12, 8:12] = 1, 0, 2
    found = read_trackmate(write_trackmate(tmp_path / "movie.xml", Tracks(labels)))
    assert (found.labels == 2).sum() == 16
    assert (found.labels == 1).sum() == 240, "without its hole"


@pytest.mark.filterwarnings("ignore:Missing tag", "ignore:No image path")
def test_another_reader_finds_the_same_spots_and_edges(tmp_path):
    path = write_trackmate(tmp_path / "movie.xml", family())
    from_trackmate_xml_to_geff(path, tmp_path / "movie.geff")
    data = read_to_memory(str(tmp_path / "movie.geff"))
    tracks, x, y = (data["node_props"][n]["values"] for n in ("MICROSAM_TRACK", "POSITION_X", "POSITION_Y"))
    rows = family().places()
    assert sorted(tracks.tolist()) == rows[:, 0].tolist()
    assert sorted(zip(x.tolist(), y.tolist(), strict=True)) == sorted(map(tuple, (rows[:, [3, 2]] - 0.5).tolist()))
    assert len(data["edge_ids"]) == len(rows) - 3, "two families and a spot alone"


def test_what_trackmate_needs_to_open_a_file(tmp_path):
    path = write_trackmate(tmp_path / "movie.xml", family(), image=tmp_path / 'a & "b".tif')
    root = ElementTree.parse(path).getroot()
    assert root.tag == "TrackMate"
    image = root.find("Settings/ImageData").attrib
    assert (image["filename"], image["folder"]) == ('a & "b".tif', str(tmp_path))
    assert (image["width"], image["height"], image["nframes"]) == ("14", "12", "5")
    needed = ("InitialSpotFilter", "SpotFilterCollection", "TrackFilterCollection", "DetectorSettings",
              "TrackerSettings", "AnalyzerCollection")  # fmt: skip
    assert all(root.find(f"Settings/{name}") is not None for name in needed)
    spot = root.find("Model/AllSpots/SpotsInFrame/Spot")
    assert len(spot.text.split()) == 2 * int(spot.get("ROI_N_POINTS"))
    assert not spot.text.startswith(" ")
    declared = {one.get("feature") for one in root.iterfind("Model/FeatureDeclarations/SpotFeatures/Feature")}
    assert set(spot.attrib) - {"ID", "name", "ROI_N_POINTS"} == declared


def test_spots_of_others_become_discs(tmp_path):
    tracks = read_trackmate(foreign(tmp_path))
    assert tracks.labels.shape == (3, 10, 20)
    assert tracks.spans == {1: (0, 1), 2: (2, 2), 3: (2, 2), 4: (2, 2)}
    assert tracks.lineage == Lineage({1: (2, 3), 4: ()})
    assert tracks.labels[0, 4].tolist() == [0] + [1] * 7 + [0] * 12, "middle at pixel 4, radius 3"
    assert read_trackmate(foreign(tmp_path), shape=(4, 12, 20)).labels.shape == (4, 12, 20)
    assert read_trackmate(foreign(tmp_path, image="")).labels.shape == (3, 6, 10)


def test_outlines_of_others(tmp_path):
    text = 'VISIBILITY="1" ROI_N_POINTS="4">-1 -0.5 1 -0.5 1 0.5\n -1 0.5'
    tracks = read_trackmate(foreign(tmp_path, SPOT.format(1, 1, 0, 3.25, 2.25, text), "<Edge2 />"))
    rows, columns = np.nonzero(tracks.labels[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 5, 5, 8)


def test_what_is_filtered_out_is_not_read(tmp_path):
    assert read_trackmate(foreign(tmp_path, filtered="")).spans == {1: (2, 2)}, "only the spot without track"
    spots = SPOT.format(1, 1, 0, 2, 2, 'VISIBILITY="0">') + SPOT.format(2, 2, 0, 7, 2, 'VISIBILITY="1">')
    assert len(read_trackmate(foreign(tmp_path, spots, "<Edge2 />")).present) == 1


def test_the_pixels_of_labels(tmp_path):
    tracks = family()
    path = write_trackmate(tmp_path / "movie.xml", tracks, voxel=VoxelSize(None, 0.5, 0.5))
    other = tracks.labels.copy()
    for plane in other:
        plane[:] = np.unique(plane, return_inverse=True)[1].reshape(plane.shape)
    assert read_trackmate(path, labels=other) == tracks


def test_links_that_were_changed_since(tmp_path):
    """Numbers of tracks that no longer say the same as the links are forgotten."""
    path = write_trackmate(tmp_path / "movie.xml", family())
    text = path.read_text()
    cut = next(line for line in text.splitlines() if line.startswith("<Edge") and 'SPOT_SOURCE_ID="9"' in line)
    path.write_text(text.replace(cut, ""))
    tracks = read_trackmate(path)
    assert list(tracks.present) == [1, 2, 3, 4, 5, 6]


def test_a_mother_of_one_daughter_goes_on(tmp_path):
    labels = np.zeros((2, 3, 3), np.uint32)
    labels[0, 1, 1], labels[1, 1, 1] = 1, 2
    path = write_trackmate(tmp_path / "movie.xml", Tracks(labels, Lineage({1: (2,)})))
    assert read_trackmate(path).spans == {1: (0, 1)}


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 3, 3)])
def test_movies_without_cells(tmp_path, shape):
    empty = Tracks(np.zeros(shape, np.uint32))
    assert read_trackmate(write_trackmate(tmp_path / "movie.xml", empty)) == empty


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"edges": '<Edge SPOT_SOURCE_ID="11" SPOT_TARGET_ID="99" />'}, "'99'.*Save it again"),
        ({"edges": '<Edge SPOT_SOURCE_ID="11" />'}, "SPOT_TARGET_ID.*Save it again"),
        ({"edges": '<Edge SPOT_SOURCE_ID="13" SPOT_TARGET_ID="14" />'}, "later frame"),
        ({"spots": SPOT.format(1, 1, 0, "NaN", 1, ">"), "edges": "<Edge2 />"}, "Save it again"),
        ({"spots": SPOT.format(1, 1, 0, "a", 1, ">"), "edges": "<Edge2 />"}, "Save it again"),
        ({"spots": SPOT.format(1, 1, 0, 1, 1, 'ROI_N_POINTS="4">1 2 3'), "edges": "<Edge2 />"}, "Save it again"),
        ({"spots": SPOT.format(1, 1, 0, 1, 90, ">"), "edges": "<Edge2 />"}, "Give the shape"),
        ({"spots": '<Spot ID="1" />', "edges": "<Edge2 />"}, "Save it again"),
        ({"image": '<ImageData pixelwidth="0" pixelheight="0" />'}, "Save it again"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, changes, remedy):
    with pytest.raises(FileError, match=remedy):
        read_trackmate(foreign(tmp_path, **changes))


def test_merged_tracks_and_planes(tmp_path):
    spots = "".join(SPOT.format(key, key, t, x, 2, ">") for key, t, x in ((1, 0, 2), (2, 0, 7), (3, 1, 4)))
    edges = '<Edge SPOT_SOURCE_ID="1" SPOT_TARGET_ID="3" /><Edge SPOT_SOURCE_ID="2" SPOT_TARGET_ID="3" />'
    with pytest.raises(FileError, match="do not merge"):
        read_trackmate(foreign(tmp_path, spots, edges))
    with pytest.raises(FileError, match="one plane"):
        read_trackmate(foreign(tmp_path, spots.replace('Z="0.0"', 'Z="3.0"', 1), edges))


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "Save it again"),
        ("track_id,t,y,x", "Save it again"),
        ('<?xml version="1.0"?><TrackMate><Model>', "Save it again"),
        ("<Tracks><particle /></Tracks>", "not as an export"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><TrackMate>&b;</TrackMate>', "document type.*Save it again"),
    ],
)
def test_files_of_something_else(tmp_path, text, remedy):
    (tmp_path / "movie.xml").write_text(text)
    with pytest.raises(FileError, match=remedy):
        read_trackmate(tmp_path / "movie.xml")


def test_no_file_and_no_space(tmp_path, monkeypatch):
    with pytest.raises(FileError, match="Check the name"):
        read_trackmate(tmp_path / "movie.xml")
    path = write_trackmate(tmp_path / "movie.xml", family())
    before = path.read_text()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("microsam_nb.files.tracks.trackmate_out._settings", full)
    with pytest.raises(FileError, match="space left"):
        write_trackmate(path, family())
    assert path.read_text() == before
    assert [one.name for one in tmp_path.iterdir()] == ["movie.xml"]
