import numpy as np
import pytest
import tifffile

from microsam_nb.core import FileError
from microsam_nb.files.labels import write_label_stack, write_labels


@pytest.mark.parametrize(
    ("highest", "dtype"),
    [(0, np.uint16), (3, np.uint16), (65535, np.uint16), (65536, np.uint32), (2**32 - 1, np.uint32)],
)
@pytest.mark.parametrize("shape", [(7, 9), (3, 7, 9)])
def test_labels_come_back_in_the_smallest_type(tmp_path, highest, dtype, shape):
    labels = np.zeros(shape, np.uint32)
    labels[..., 2, 3] = 1
    labels[..., 5, 8] = highest
    write_labels(tmp_path / "out.tif", labels)
    back = tifffile.imread(tmp_path / "out.tif")
    assert back.dtype == dtype
    assert np.array_equal(back, labels)
    assert [p.name for p in tmp_path.iterdir()] == ["out.tif"]


@pytest.mark.parametrize(("shape", "axes"), [((7, 9), "YX"), ((3, 7, 9), "ZYX")])
def test_the_file_names_its_axes_and_is_compressed(tmp_path, shape, axes):
    write_labels(tmp_path / "out.TIFF", np.zeros(shape, np.uint32))
    with tifffile.TiffFile(tmp_path / "out.TIFF") as file:
        assert file.series[0].axes == axes
        assert file.pages[0].compression.name == "ADOBE_DEFLATE"


def test_an_earlier_file_is_replaced(tmp_path):
    path = tmp_path / "out.tif"
    write_labels(path, np.ones((4, 4), np.uint32))
    write_labels(path, np.full((2, 3), 7, np.uint32))
    assert tifffile.imread(path).tolist() == [[7, 7, 7], [7, 7, 7]]


@pytest.mark.parametrize("name", ["out.png", "out", "out.tif.gz"])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(FileError) as error:
        write_labels(tmp_path / name, np.zeros((4, 4), np.uint32))
    assert ".tif" in error.value.remedy
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("no folder")
    for folder in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(FileError) as error:
            write_labels(folder / "out.tif", np.zeros((4, 4), np.uint32))
        assert "folder that exists" in error.value.remedy
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_of_that_name_is_left_alone(tmp_path):
    (tmp_path / "out.tif").mkdir()
    with pytest.raises(FileError):
        write_labels(tmp_path / "out.tif", np.zeros((4, 4), np.uint32))
    assert [p.name for p in tmp_path.iterdir()] == ["out.tif"]


def test_a_full_disk_leaves_the_earlier_file_and_nothing_half_written(tmp_path, monkeypatch):
    path = tmp_path / "out.tif"
    write_labels(path, np.ones((4, 4), np.uint32))

    def full(name, data, **options):
        name.write_bytes(b"II*\0half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(FileError) as error:
        write_labels(path, np.zeros((4, 4), np.uint32))
    assert "No space left" in error.value.what
    assert tifffile.imread(path).sum() == 16
    assert [p.name for p in tmp_path.iterdir()] == ["out.tif"]


@pytest.mark.parametrize(("largest", "kind"), [(7, np.uint16), (70_000, np.uint32)])
def test_a_stack_written_plane_by_plane_is_what_would_be_written_at_once(tmp_path, largest, kind):
    volume = np.random.default_rng(0).integers(0, 8, (4, 30, 40)).astype(np.uint32)
    volume[2, 3, 4] = largest
    write_label_stack(tmp_path / "a.tif", iter(volume), volume.shape, largest)
    write_labels(tmp_path / "b.tif", volume)
    with tifffile.TiffFile(tmp_path / "a.tif") as one, tifffile.TiffFile(tmp_path / "b.tif") as other:
        assert one.series[0].axes == other.series[0].axes == "ZYX"
        found = one.asarray()
        assert np.array_equal(found, other.asarray())
    assert found.dtype == kind
    assert np.array_equal(found, volume)


def test_a_stack_that_fails_half_way_leaves_the_file_that_was_there(tmp_path):
    def planes():
        yield np.zeros((3, 4), np.uint32)
        raise OSError("gone")

    (tmp_path / "a.tif").write_text("before")
    with pytest.raises((FileError, OSError)):
        write_label_stack(tmp_path / "a.tif", planes(), (2, 3, 4), 1)
    assert (tmp_path / "a.tif").read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["a.tif"]
