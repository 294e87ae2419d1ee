"""What is written in any format is read again, and nothing half-written is left."""

import builtins
import errno
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from situations import INFOS, LABELS, candidates, image_of

from microsam_nb.core import FileError, LabelError, ObjectInfo
from microsam_nb.files.export import ENDINGS, check_objects_path, write_objects
from microsam_nb.files.formats import results
from microsam_nb.files.importing import read_objects

#: Endings whose files hold the pixels of objects.
WHOLE = (".tif", ".tiff", ".ome.zarr", ".zarr", ".zip", ".geojson", ".json")
#: Those that hold names and classes too.
TELLING = (".ome.zarr", ".zip", ".geojson", ".json")
FILES = (".tif", ".zip", ".geojson", ".json", ".csv")


def triple(labels):
    return labels.shape if labels.ndim == 3 else (1, *labels.shape)


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("ending", WHOLE)
def test_the_same_objects_come_back(tmp_path, ending, name):
    labels = LABELS[name]
    path = tmp_path / f"Zellen № 1{ending}"
    assert write_objects(path, labels) == path
    found = read_objects(path, triple(labels))
    assert found.labels.dtype == np.uint32
    assert np.array_equal(found.labels, labels.reshape(triple(labels)))
    assert (found.infos, found.hidden) == ({}, 0)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".zip", ".geojson", ".json"])
@given(arrays.arrays(np.uint32, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 3)))
def test_any_objects_come_back(tmp_path_factory, ending, labels):
    path = tmp_path_factory.mktemp("any") / f"a{ending}"
    write_objects(path, labels)
    assert np.array_equal(read_objects(path, triple(labels)).labels[0], labels)


@pytest.mark.parametrize("ending", TELLING)
@pytest.mark.parametrize("name", ["all at once", "a volume"])
def test_names_classes_and_scores_come_back(tmp_path, ending, name):
    labels = LABELS[name]
    path = write_objects(
        tmp_path / f"a{ending}", labels, infos=INFOS, scores={1: 0.1, 4: 0.25}, image=image_of(labels),
    )  # fmt: skip
    found = read_objects(path, triple(labels), name="Bild 1").infos
    assert found == {**INFOS, 4: ObjectInfo(0.25)}


@pytest.mark.parametrize("ending", [".zip", ".geojson", ".json"])
def test_candidates_are_written_and_are_no_objects(tmp_path, ending):
    labels = LABELS["all at once"]
    plain = write_objects(tmp_path / f"plain{ending}", labels)
    path = write_objects(tmp_path / f"a{ending}", labels, candidates=candidates(labels.shape))
    assert path.stat().st_size > plain.stat().st_size
    assert np.array_equal(read_objects(path, triple(labels)).labels[0], labels)


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("ending", [".zip", ".geojson", ".json", ".csv"])
def test_large_planes_are_written_part_by_part(tmp_path, ending, name, monkeypatch):
    whole = write_objects(tmp_path / f"whole{ending}", LABELS[name])
    monkeypatch.setattr(results, "_LARGE", 0)
    monkeypatch.setattr(results, "_BLOCK", 3)
    parts = write_objects(tmp_path / f"parts{ending}", LABELS[name])
    if ending == ".zip":
        assert np.array_equal(*(read_objects(path, triple(LABELS[name])).labels for path in (whole, parts)))
    else:
        assert whole.read_bytes() == parts.read_bytes()


class Planes:
    """A volume that is read plane by plane."""

    def __init__(self, labels):
        self.labels, self.shape = labels, labels.shape

    def __getitem__(self, index):
        assert isinstance(index, int)
        return self.labels[index]


@pytest.mark.parametrize("ending", WHOLE)
def test_a_volume_is_written_plane_by_plane(tmp_path, ending):
    labels = LABELS["a volume"]
    path = write_objects(tmp_path / f"a{ending}", Planes(labels))
    assert np.array_equal(read_objects(path, labels.shape).labels, labels)


@pytest.mark.parametrize("ending", FILES)
def test_an_interrupted_write_leaves_what_was_there(tmp_path, ending, monkeypatch):
    path = write_objects(tmp_path / f"a{ending}", LABELS["one object"])
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FileError, match="has space left") as error:
        write_objects(path, LABELS["all at once"])
    assert "No space left" in error.value.what
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".zip", ".geojson", ".json", ".ome.zarr"])
def test_a_stop_in_the_middle_leaves_what_was_there(tmp_path, ending):
    path = write_objects(tmp_path / f"a{ending}", LABELS["a volume"])

    class Stopped(Planes):
        def __getitem__(self, index):
            if index == 2:
                raise KeyboardInterrupt
            return self.labels[index]

    with pytest.raises(KeyboardInterrupt):
        write_objects(path, Stopped(LABELS["a volume"] * 2))
    assert np.array_equal(read_objects(path, LABELS["a volume"].shape).labels, LABELS["a volume"])
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_full_disk_while_a_zarr_is_written(tmp_path, monkeypatch):
    path = write_objects(tmp_path / "a.ome.zarr", LABELS["one object"])
    real = builtins.open

    def full(file, mode="r", *more, **options):
        if "x" in str(mode) or "w" in str(mode):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, mode, *more, **options)

    monkeypatch.setattr(Path, "open", lambda self, mode="r", *more, **options: full(self, mode, *more, **options))
    monkeypatch.setattr(Path, "write_bytes", lambda self, data: full(self, "wb"))
    with pytest.raises(FileError, match="space left"):
        write_objects(path, LABELS["all at once"])
    monkeypatch.undo()
    labels = LABELS["one object"]
    assert np.array_equal(read_objects(path, triple(labels)).labels[0], labels)
    assert [one.name for one in tmp_path.iterdir()] == ["a.ome.zarr"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_folder_that_may_not_be_written_to(tmp_path, ending, monkeypatch):
    real = open

    def refused(file, mode="r", *more, **options):
        if set("wxa+") & set(str(mode)):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(file, mode, *more, **options)

    def no_folder(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    # Root, as whom tests often run, may write everywhere.
    for module in (io, builtins):
        monkeypatch.setattr(module, "open", refused)
    monkeypatch.setattr(os, "mkdir", no_folder)
    with pytest.raises(FileError, match="that you may write to") as error:
        write_objects(tmp_path / f"a{ending}", LABELS["one object"])
    assert "Permission denied" in error.value.what
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", FILES)
def test_no_folder_and_a_folder_in_the_way(tmp_path, ending):
    (tmp_path / f"a{ending}").mkdir()
    for path in (tmp_path / "missing" / f"a{ending}", tmp_path / f"a{ending}"):
        with pytest.raises(FileError, match="folder"):
            write_objects(path, LABELS["one object"])
        with pytest.raises(FileError, match=r"folder|Name the file"):
            check_objects_path(path)


@pytest.mark.parametrize("name", ["a.docx", "a", "a.h5"])
def test_an_unknown_ending_is_told_all_that_are_known(tmp_path, name):
    for call in (lambda path: write_objects(path, LABELS["one object"]), check_objects_path):
        with pytest.raises(FileError) as error:
            call(tmp_path / name)
        assert all(ending in error.value.remedy for ending in ENDINGS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", WHOLE)
def test_labels_of_another_image(tmp_path, ending):
    path = write_objects(tmp_path / f"a{ending}", np.pad(LABELS["one object"], ((90, 0), (90, 0))))
    with pytest.raises((LabelError, FileError), match="for this image"):
        read_objects(path, (1, 20, 20))


@pytest.mark.parametrize("ending", [".zip", ".roi", ".geojson", ".json", ".tif", ".png", ".npy"])
def test_what_cannot_be_read(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    with pytest.raises(FileError, match="Check the name"):
        read_objects(path, (1, 4, 4))
    for content in (b"", b"no objects", b'{"annotations": 3, "features": [4]}', b"[[[["):
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"Save|Export|Give"):
            read_objects(path, (1, 4, 4))


def test_a_zip_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.txt", "text")
    with pytest.raises(FileError, match="ROI Manager"):
        read_objects(tmp_path / "a.zip", (1, 4, 4))


def test_a_table_has_no_pixels(tmp_path):
    path = write_objects(tmp_path / "a.csv", LABELS["one object"])
    with pytest.raises(FileError, match="Give labels"):
        read_objects(path, (1, 6, 7))
