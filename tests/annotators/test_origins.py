"""Where the image of a project lies: kept by every door that is given a path, and found again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from microsam_nb import annotate_2d, annotate_3d, annotate_series, annotate_tracks
from microsam_nb.annotators.projects import image_of
from microsam_nb.core import FileError
from microsam_nb.session.story import read_story

STACK = np.arange(3 * 30 * 32, dtype=np.uint16).reshape(3, 30, 32)
COLOURED = np.arange(30 * 32 * 3, dtype=np.uint16).reshape(3, 30, 32)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder of images, beside the one where somebody works."""
    folder = tmp_path / "data"
    folder.mkdir()
    tifffile.imwrite(folder / "plane.tif", STACK[0])
    tifffile.imwrite(folder / "stack.tif", STACK, photometric="minisblack", metadata={"axes": "ZYX"})
    tifffile.imwrite(folder / "stained.tif", COLOURED, photometric="minisblack", metadata={"axes": "CYX"})
    np.save(folder / "plain.npy", STACK)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder


def project_of(door, *arguments, **more):
    one = door(*arguments, **more)
    folder = one.annotator.project.folder if door is annotate_series else one.project.folder
    one.close()
    return folder


@pytest.mark.parametrize(
    ("door", "name", "more"),
    [
        (annotate_2d, "plane.tif", {"name": "another name"}),
        (annotate_2d, "stained.tif", {}),
        (annotate_3d, "stack.tif", {}),
        (annotate_3d, "stained.tif", {"axes": "zyx"}),
        (annotate_tracks, "stack.tif", {}),
        (annotate_tracks, "plain.npy", {}),
    ],
)
def test_every_door_keeps_where_its_image_lies(data, door, name, more):
    folder = project_of(door, data / name, **more)
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["origin"] == {"absolute": str(data / name), "relative": f"../../data/{name}"}
    story = read_story(folder)
    image, path = image_of(story, None)
    assert (path, image.source) == (data / name, data / name)
    assert image.fingerprint() == story.image
    assert image.axes == meta["axes"]


def test_a_series_keeps_it_for_each_of_its_images(data, tmp_path):
    folder = project_of(annotate_series, [data / "plane.tif", data / "stack.tif"], tmp_path / "out" / "deep")
    assert image_of(read_story(folder), None)[1] == data / "plane.tif"


def test_project_and_image_are_moved_together_or_alone(data, tmp_path):
    project_of(annotate_2d, data / "plane.tif", name="another name")
    away = tmp_path / "away"
    away.mkdir()
    (tmp_path / "work").rename(away / "work")
    (moved,) = (away / "work").glob("*.msam")
    assert image_of(read_story(moved), None)[1] == data / "plane.tif"
    data.rename(away / "data")
    assert image_of(read_story(moved), None)[1] == away / "data" / "plane.tif"


def test_opened_from_another_place_it_is_looked_for_there(data, tmp_path):
    folder = project_of(annotate_2d, data / "plane.tif", name="another name", project="p.msam")
    (data / "plane.tif").rename(tmp_path / "renamed.tif")
    project_of(annotate_2d, tmp_path / "renamed.tif", project=folder)
    assert image_of(read_story(folder), None)[1] == tmp_path / "renamed.tif"
    # An array says nothing new.
    project_of(annotate_2d, STACK[0], project=folder)
    assert image_of(read_story(folder), None)[1] == tmp_path / "renamed.tif"


def test_what_is_said_without_an_image(data):
    folder = project_of(annotate_2d, data / "plane.tif", name="another name")
    for change, why in (
        (lambda: tifffile.imwrite(data / "plane.tif", STACK[1]), "has changed since"),
        (lambda: (data / "plane.tif").write_bytes(b"nothing"), "cannot be read"),
        ((data / "plane.tif").unlink, "is gone from"),
    ):
        change()
        with pytest.raises(FileError, match=why) as error:
            image_of(read_story(folder), None)
        assert "--image" in error.value.remedy
    folder = project_of(annotate_2d, STACK[0], project="array.msam")
    with pytest.raises(FileError, match=r"from an array.*--image"):
        image_of(read_story(folder), None)


@pytest.mark.parametrize("origin", [None, [], "x", {}, {"absolute": 5}, {"relative": None}])
def test_a_damaged_origin_is_none(data, origin):
    folder = project_of(annotate_2d, data / "plane.tif")
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "origin": origin}))
    (data / "plane.tif").rename(folder.parent / "plane.tif")
    assert image_of(read_story(folder), None)[1] == folder.parent / "plane.tif"
