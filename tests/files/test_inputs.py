from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from microsam_nb.core import FileError
from microsam_nb.files.inputs import find_images, name_results


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("b.tif", "a.PNG", "notes.txt", "day1/c.tif", "day2/c.tif", "day2/deep/d.npy"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    zarr.create_array(tmp_path / "v.zarr", data=np.zeros((2, 2)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["b.tif"], ["b.tif"]),
        (["b.tif", "./b.tif", "*.tif"], ["b.tif"]),
        (["."], ["a.PNG", "b.tif", "v.zarr"]),
        (["v.zarr"], ["v.zarr"]),
        (["*"], ["a.PNG", "b.tif", "v.zarr"]),
        (["**/*.tif"], ["b.tif", "day1/c.tif", "day2/c.tif"]),
        (["day2", "b.tif"], ["day2/c.tif", "b.tif"]),
        (["notes.txt"], ["notes.txt"]),
    ],
)
def test_files_folders_and_patterns(folder, names, found):
    assert find_images(names) == [Path(one) for one in found]


@pytest.mark.parametrize(
    ("name", "remedy"), [("none.tif", "Check the name"), ("*.gif", "Check the name"), ("empty", "Known are .tif")]
)
def test_names_that_stand_for_nothing(folder, name, remedy):
    (folder / "empty").mkdir()
    with pytest.raises(FileError) as error:
        find_images([name])
    assert remedy in error.value.remedy


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["x/a.tif", "x/b.tif"], ["a", "b"]),
        (["x/a.tif", "y/a.tif", "y/b.tif"], ["x-a.tif", "y-a.tif", "b"]),
        (["x/a.tif", "x/a.png"], ["a.tif", "a.png"]),
        (["x/a.tif", "x/A.tif"], None),
        (["1/x/a.tif", "2/x/a.tif"], ["1-x-a.tif", "2-x-a.tif"]),
        (["a-b/c.tif", "a/b-c.tif", "a/c.tif", "a/b/c.tif"], None),
    ],
)
def test_results_of_different_images_have_different_names(paths, names):
    found = name_results([Path(os.sep, "data", one) for one in paths])
    assert len({one.casefold() for one in found}) == len(paths)
    assert names is None or found == names
