"""Everything that users have in hand as an image."""

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as Picture

from microsam_nb.annotators.inputs import read_input, read_labels
from microsam_nb.core import FileError, Image, ImageError, LabelError

PIXELS = np.random.default_rng(0).integers(0, 250, (32, 40)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    tifffile.imwrite("a.tif", PIXELS)
    tifffile.imwrite(
        "sized.tif", PIXELS, imagej=True, resolution=(1 / 0.25, 1 / 0.25), metadata={"unit": "um", "axes": "YX"}
    )
    np.save("a.npy", PIXELS)
    Picture.fromarray(PIXELS).save("a.png")
    array = zarr.create_array("a.zarr", shape=PIXELS.shape, dtype=PIXELS.dtype)
    array[:] = PIXELS
    return tmp_path


def dask_array():
    import dask.array

    return dask.array.from_array(PIXELS, chunks=16)


def imageio_image():
    import imageio.v3

    return imageio.v3.imread("a.png")


def tiff_file():
    with tifffile.TiffFile("a.tif") as file:
        return file


def tiff_page():
    with tifffile.TiffFile("a.tif") as file:
        page = file.pages[0]
        page.asarray()
    return tifffile.TiffFile("a.tif")


KINDS = {
    "text": lambda: "a.tif",
    "path": lambda: __import__("pathlib").Path("a.png"),
    "home": lambda: "~/a.tif",
    "npy": lambda: "a.npy",
    "zarr folder": lambda: "a.zarr",
    "zarr": lambda: zarr.open_array("a.zarr", mode="r"),
    "numpy": lambda: PIXELS,
    "memmap": lambda: np.load("a.npy", mmap_mode="r"),
    "lists": lambda: PIXELS.tolist(),
    "dask": dask_array,
    "tifffile": lambda: tifffile.imread("a.tif"),
    "tifffile memmap": lambda: tifffile.memmap("a.tif", mode="r"),
    "open tiff": tiff_file,
    "imageio": imageio_image,
    "pil": lambda: Picture.open("a.png"),
    "Image": lambda: Image(PIXELS),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_kinds_of_images(folder, kind):
    found = read_input(KINDS[kind]())
    assert found.shape == (1, 32, 40)
    assert np.array_equal(found.plane(0), PIXELS)


def test_pages_of_an_open_tiff(folder):
    with tifffile.TiffFile("a.tif") as file:
        assert np.array_equal(read_input(file.pages[0]).plane(0), PIXELS)
        assert np.array_equal(read_input(file.series[0]).plane(0), PIXELS)


def test_masked_pixels_stay_masked():
    found = read_input(np.ma.masked_array(PIXELS, PIXELS > 200))
    assert np.ma.is_masked(found.plane(0))


def test_names_and_sizes_of_pixels_come_from_the_file(folder):
    found = read_input("sized.tif")
    assert found.name == "sized"
    assert found.voxel_size is not None
    assert found.voxel_size.x == pytest.approx(0.25)
    assert read_input("sized.tif", name="mine").name == "mine"


def test_what_is_large_stays_where_it_is(folder):
    assert read_input(KINDS["memmap"]()).lazy
    assert read_input(KINDS["dask"]()).lazy
    assert read_input(KINDS["zarr"]()).lazy


def test_pictures_with_a_palette_have_colours(folder):
    picture = Picture.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, 250, 10, 20])
    assert read_input(picture).plane(0)[0, 0].tolist() == [250, 10, 20]


@pytest.mark.parametrize(
    ("given", "error", "remedy"),
    [
        ("nowhere.zarr", FileError, "Check the name"),
        (b"bytes", ImageError, "path of an image file"),
        (object(), ImageError, "real number type"),
        ({"a": 1}, ImageError, "numpy array|real number"),
        (3.5, ImageError, "axes y and x"),
        (np.zeros((4, 4), "datetime64[s]"), ImageError, "real number type"),
        (np.array([["a", "b"]]), ImageError, "real number type"),
    ],
)
def test_what_is_no_image_is_refused_with_a_remedy(folder, given, error, remedy):
    with pytest.raises(error, match=remedy):
        read_input(given)


def test_a_group_names_its_arrays(folder):
    group = zarr.open_group("g.zarr", mode="w")
    group.create_array("cells", shape=(4, 4), dtype="u1")
    with pytest.raises(ImageError, match=r"group\['cells'\]"):
        read_input(group)


LABELS = (PIXELS > 120).astype(np.uint8)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LABELS,
        lambda: LABELS[None],
        lambda: LABELS.astype(float),
        lambda: LABELS.astype(bool),
        lambda: LABELS.tolist(),
        lambda: __import__("dask.array").array.from_array(LABELS),
    ],
)
def test_kinds_of_labels(make):
    found, source, _ = read_labels(make(), Image(PIXELS))
    assert np.array_equal(np.squeeze(found), LABELS)
    assert source == ""


def test_labels_from_files(folder):
    tifffile.imwrite("l.tif", LABELS)
    array = zarr.create_array("l.zarr", shape=LABELS.shape, dtype=LABELS.dtype)
    array[:] = LABELS
    for name in ("l.tif", "l.zarr"):
        found, source, _ = read_labels(name, Image(PIXELS))
        assert np.array_equal(found, LABELS)
        assert source == name
    with pytest.raises(LabelError, match="made for this image"):
        read_labels("l.tif", Image(PIXELS.T))
