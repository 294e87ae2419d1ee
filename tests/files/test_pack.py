import numpy as np
import pytest
import tifffile

from microsam_nb.core import FileError
from microsam_nb.files.pack import read_pack


@pytest.fixture
def pack(tmp_path):
    rows = ["path_image,path_label,split,kind,source,modality"]

    def add(name, split, kind, pixels, labels):
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels)
        tifffile.imwrite(tmp_path / f"{name}_l.tif", labels)
        rows.append(f"{name}.tif,{name}_l.tif,{split},{kind},lab,light")

    labels = np.arange(72, dtype=np.uint16).reshape(8, 9)
    add("one", "train", "2d", np.full((8, 9), 7, np.uint8), labels)
    add("two", "test", "2d", np.full((8, 9, 3), 8, np.uint8), labels)
    stack = np.stack([labels, labels + 1])
    add("deep", "train", "3d", (stack * 3).astype(np.uint16), stack)
    add("film", "train", "2dt", (stack * 5).astype(np.uint16), stack)
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_only_the_split_is_read(pack):
    (one,) = read_pack(pack, "train")
    assert (one.name, one.group) == ("one", "lab | light")
    assert one.pixels.tolist() == np.full((8, 9), 7).tolist()
    assert one.labels.dtype == np.int32
    assert np.array_equal(one.labels, np.arange(72).reshape(8, 9))
    (two,) = read_pack(pack, "test")
    assert two.pixels.shape == (8, 9, 3)
    assert read_pack(pack, "val") == []


def test_volumes_and_movies_become_planes(pack):
    found = read_pack(pack, "train", kinds=("3d", "2dt"))
    assert [one.name for one in found] == ["deep:0", "deep:1", "film:0", "film:1"]
    assert np.array_equal(found[1].pixels, found[1].labels * 3)
    assert np.array_equal(found[2].pixels, found[2].labels * 5)
    assert np.array_equal(found[1].labels, np.arange(72).reshape(8, 9) + 1)


def test_all_kinds_at_once(pack):
    assert len(read_pack(pack, "train", kinds=("2d", "3d", "2dt"))) == 5


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(FileError) as error:
        read_pack(tmp_path / "none", "train")
    assert "folder of a data pack" in error.value.remedy
