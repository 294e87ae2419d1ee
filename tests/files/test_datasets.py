"""Tiny folders of the structures in which public data sets come."""

from __future__ import annotations

import json
import sys

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as Picture
from scipy.io import savemat

from microsam_nb.core import FileError, SettingsError
from microsam_nb.files.datasets import DATA_SETS, data_set, find_parts, read_part

RNG = np.random.default_rng(0)
PLANE = RNG.integers(0, 255, (8, 9), dtype=np.uint8)
TRUTH = np.zeros((8, 9), np.uint16)
TRUTH[1:3, 1:4], TRUTH[5:7, 4:8] = 1, 2
STACK, VOLUME = np.stack([PLANE] * 3), np.stack([TRUTH] * 3)
COLOURS = np.stack([PLANE, PLANE // 2, PLANE // 3], -1)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels)


def hdf5(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, one in arrays.items():
            file[name.replace("__", "/")] = one


def coco(folder):
    """LIVECell: two images in one folder of which the file of the split names one."""
    for name in ("A172_1", "A172_2"):
        write(folder / "images" / "livecell_train_val_images" / f"{name}.tif", PLANE)
    square = [{"id": 1, "image_id": 7, "category_id": 1, "iscrowd": 0, "area": 12, "bbox": [1, 1, 3, 4],
               "segmentation": [[1, 1, 4, 1, 4, 5, 1, 5]]}]  # fmt: skip
    about = {"images": [{"id": 7, "file_name": "A172_2.tif", "height": 8, "width": 9}], "annotations": square}
    (folder / "livecell_coco_val.json").write_text(json.dumps({**about, "categories": [{"id": 1, "name": "cell"}]}))
    return "livecell", "val", 1, (1, 8, 9), 1


def pairs(folder):
    write(folder / "test" / "images" / "a.tif", PLANE)
    write(folder / "test" / "masks" / "a.tif", TRUTH)
    write(folder / "test" / "images" / "without_labels.tif", PLANE)
    return "dsb", "test", 1, (1, 8, 9), 2


def suffixes(folder):
    write(folder / "Tuning" / "images" / "cell_1.tif", COLOURS)
    write(folder / "Tuning" / "labels" / "cell_1_label.tiff", TRUTH)
    return "neurips-cellseg", "val", 1, (1, 8, 9), 2


def movie(folder):
    write(folder / "PhC" / "01" / "t003.tif", PLANE)
    write(folder / "PhC" / "01" / "t004.tif", PLANE)
    write(folder / "PhC" / "01_GT" / "SEG" / "man_seg004.tif", TRUTH)
    return "ctc", "all", 1, (1, 8, 9), 2


def volume(folder):
    hdf5(folder / "root_test" / "one.h5", raw=STACK, label=VOLUME)
    return "plantseg-root", "test", 1, (3, 8, 9), 2


def channels_first(folder):
    hdf5(folder / "val" / "one.h5", raw=np.stack([PLANE] * 4), labels=TRUTH)
    return "hpa", "val", 1, (1, 8, 9), 2


def many_in_one(folder):
    images = np.stack([COLOURS] * 2).transpose(3, 0, 1, 2)
    hdf5(folder / "pannuke_fold_3.h5", images=images, labels__instances=np.stack([TRUTH] * 2))
    return "pannuke", "test", 2, (1, 8, 9), 2


def two_files(folder):
    hdf5(folder / "Image" / "val" / "one.h5", main=STACK)
    hdf5(folder / "Label" / "val" / "one.h5", main=VOLUME)
    return "nucmm-m", "val", 1, (3, 8, 9), 2


def npz(folder):
    truth = np.stack([TRUTH, TRUTH > 0], -1)
    meta = np.array([["name"], [None]], object)
    np.savez(folder / "tissuenet_v1.1_test.npz", X=np.stack([COLOURS[..., :2]] * 2), y=np.stack([truth] * 2), meta=meta)
    return "tissuenet", "test", 2, (1, 8, 9), 2


def matlab(folder):
    images = folder / "lizard_images1" / "Lizard_Images1"
    images.mkdir(parents=True)
    Picture.fromarray(COLOURS).save(images / "a.png")
    labels = folder / "lizard_labels" / "Lizard_Labels" / "Labels"
    labels.mkdir(parents=True)
    savemat(labels / "a.mat", {"inst_map": TRUTH})
    return "lizard", "test", 1, (1, 8, 9), 2


def planes(folder):
    """Lucchi: planes 2 and 10, of which the labels say only what is foreground."""
    for name in (2, 10):
        write(folder / "Lucchi++" / "Test_In" / f"mask{name:04}.tif", PLANE + (name == 10))
        write(folder / "Lucchi++" / "Test_Out" / f"{name}.tif", (255 * (TRUTH > 0)).astype(np.uint8))
    return "lucchi", "test", 1, (2, 8, 9), 2


def group(folder):
    one = zarr.open_group(folder / "cell_1" / "cell_1.zarr", mode="w")
    for key, pixels in {"volumes/raw": STACK, "volumes/labels/mito": VOLUME}.items():
        one.create_array(key, data=pixels)
    return "asem-mito", "all", 1, (3, 8, 9), 2


KINDS = (coco, pairs, suffixes, movie, volume, channels_first, many_in_one, two_files, npz, matlab, planes, group)


@pytest.mark.parametrize("made", KINDS, ids=lambda one: one.__name__)
def test_every_structure_is_read(made, tmp_path):
    name, split, count, shape, objects = made(tmp_path)
    parts = find_parts(data_set(name), tmp_path, split)
    assert len(parts) == count
    assert len({one.name for one in parts}) == count
    for part in parts:
        image, labels = read_part(part)
        assert image.shape == labels.shape == shape
        assert len(np.unique(labels)) == objects + 1
        if made is not coco:
            assert np.array_equal(labels[-1] > 0, TRUTH > 0)
    assert len(find_parts(data_set(name), tmp_path, split, limit=1)) == 1


def test_all_data_sets_of_the_paper_are_there():
    assert len(DATA_SETS) == 27
    for one in DATA_SETS.values():
        assert one.splits
        assert one.layouts
        assert one.source.startswith("https://")
        assert one.size
        assert one.licence


def test_another_folder_is_told_what_was_expected(tmp_path):
    with pytest.raises(FileError, match=r"no image.*Expected below it: root_test/\*\.h5"):
        find_parts(data_set("plantseg-root"), tmp_path, "test")
    with pytest.raises(FileError, match="Download CREMI"):
        find_parts(data_set("cremi"), tmp_path / "nowhere", "all")
    with pytest.raises(FileError, match=r"no labels for the split 'test'.*--split val or train"):
        find_parts(data_set("hpa"), tmp_path, "test")


def test_missing_labels_are_said(tmp_path):
    write(tmp_path / "test" / "images" / "a.tif", PLANE)
    with pytest.raises(FileError, match=r"1 image but no labels of them.*test/masks/\*\.tif"):
        find_parts(data_set("dsb"), tmp_path, "test")
    hdf5(tmp_path / "root_test" / "one.h5", raw=STACK)
    with pytest.raises(FileError, match="1 image but no labels of them"):
        find_parts(data_set("plantseg-root"), tmp_path, "test")
    hdf5(tmp_path / "root_test" / "two.h5", label=VOLUME)
    part = find_parts(data_set("plantseg-root"), tmp_path, "test")[0]
    with pytest.raises(FileError, match=r"no array 'raw'.*Check that it is complete"):
        read_part(part)


def test_without_h5py_it_is_said_what_to_install(tmp_path, monkeypatch):
    volume(tmp_path)
    part = find_parts(data_set("plantseg-root"), tmp_path, "test")[0]
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(FileError, match="pip install h5py"):
        read_part(part)


def test_the_nearest_name_is_named():
    with pytest.raises(SettingsError, match="Did you mean livecell"):
        data_set("LiveCel")
