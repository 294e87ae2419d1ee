from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from microsam_nb.core import FileError, Image
from microsam_nb.files import volumes
from microsam_nb.files.volumes import Lazy, open_image


@pytest.fixture
def stack():
    return np.random.default_rng(0).integers(0, 60000, (5, 40, 30)).astype(np.uint16)


@pytest.fixture
def large(monkeypatch):
    """Every file counts as a large one."""
    monkeypatch.setattr(volumes, "_SMALL", 0)


def write(path, pixels, kind):
    if kind == "npy":
        path = path.with_suffix(".npy")
        np.save(path, pixels)
        return path
    options = {
        "plain": {},
        "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
        "packed": {"compression": "zlib"},
        "tiled": {"tile": (16, 16), "compression": "zlib"},
        "bigtiff": {"bigtiff": True, "compression": "zlib"},
    }[kind]
    path = path.with_suffix(".tif")
    tifffile.imwrite(path, pixels, photometric="minisblack", **options)
    return path


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("kind", ["plain", "imagej", "packed", "tiled", "bigtiff", "npy"])
def test_large_files_are_read_plane_by_plane(tmp_path, stack, kind):
    found = open_image(write(tmp_path / "a", stack, kind))
    assert isinstance(found, (Lazy, np.memmap))
    assert found.shape == stack.shape
    assert found.dtype == stack.dtype
    for index in (4, 0, 2):
        assert np.array_equal(found[index], stack[index])
    assert np.array_equal(np.asarray(found), stack)


def test_small_files_are_simply_read(tmp_path, stack):
    for kind in ("packed", "npy"):
        found = open_image(write(tmp_path / "a", stack, kind))
        assert type(found) is np.ndarray
        assert np.array_equal(found, stack)


@pytest.mark.usefixtures("large")
def test_only_the_plane_asked_for_is_read(tmp_path, stack, monkeypatch):
    zarr.create_array(tmp_path / "a.zarr", data=stack, chunks=(1, 40, 30))
    for plane in (0, 1, 3, 4):
        (tmp_path / "a.zarr" / "c" / str(plane) / "0" / "0").write_bytes(b"torn")
    assert np.array_equal(open_image(tmp_path / "a.zarr")[2], stack[2])


@pytest.mark.usefixtures("large")
def test_a_pyramid_gives_its_full_resolution(tmp_path, stack):
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        out.write(stack[0], subifds=1, tile=(16, 16))
        out.write(stack[0, ::2, ::2], subfiletype=1, tile=(16, 16))
    assert np.array_equal(np.asarray(open_image(tmp_path / "a.tif")), stack[0])


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("shape", [(5, 2, 40, 30), (1, 40, 30), (40, 30, 3), (1, 1)])
def test_large_and_small_files_have_the_same_axes(tmp_path, monkeypatch, shape, compression):
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression=compression, photometric="minisblack")
    small = open_image(tmp_path / "a.tif")
    monkeypatch.setattr(volumes, "_SMALL", 0)
    large = open_image(tmp_path / "a.tif")
    assert large.shape == small.shape
    assert np.array_equal(np.asarray(large), small)


@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_array(tmp_path, stack, version):
    zarr.create_array(tmp_path / "a.zarr", data=stack, chunks=(1, 20, 30), zarr_format=version)
    found = open_image(tmp_path / "a.zarr")
    assert found.shape == (5, 40, 30)
    assert np.array_equal(found[4], stack[4])
    assert np.array_equal(found[1:3], stack[1:3])


def ome(path, pixels, axes, old):
    group = zarr.open_group(path, mode="w", zarr_format=2 if old else 3)
    scales = [
        {"axes": [{"name": name} for name in axes], "datasets": [{"path": "s0"}, {"path": "s1"}], "version": "0.4"}
    ]
    group.attrs.update({"multiscales": scales} if old else {"ome": {"version": "0.5", "multiscales": scales}})
    group.create_array("s0", data=pixels)
    group.create_array("s1", data=pixels[..., ::2, ::2])


@pytest.mark.parametrize("old", [True, False], ids=["0.4", "0.5"])
@pytest.mark.parametrize(
    ("axes", "shape", "opened", "names"),
    [
        ("tczyx", (1, 1, 5, 40, 30), (5, 40, 30), "zyx"),
        ("tczyx", (1, 3, 5, 40, 30), (5, 40, 30, 3), "zyxc"),
        ("tczyx", (5, 1, 1, 40, 30), (5, 40, 30), "tyx"),
        ("cyx", (2, 40, 30), (40, 30, 2), "yxc"),
        ("tczyx", (1, 1, 1, 1, 30), (1, 30), "yx"),
    ],
)
def test_ome_zarr(tmp_path, old, axes, shape, opened, names):
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    ome(tmp_path / "a.zarr", pixels, axes, old)
    found = open_image(tmp_path / "a.zarr")
    assert (found.shape, found.axes, found.ndim) == (opened, names, len(opened))
    plain = pixels.squeeze() if opened != (1, 30) else pixels[0, 0, 0]
    truth = np.moveaxis(plain, axes[-plain.ndim :].index("c"), -1) if names.endswith("c") and axes == "cyx" else plain
    if names == "zyxc":
        truth = np.moveaxis(plain, 0, -1)
    assert np.array_equal(np.asarray(found), truth)
    assert np.array_equal(found[0], truth[0])
    half = open_image(tmp_path / "a.zarr", "s1")
    assert half.shape[names.index("x")] == 15


def test_which_array_of_a_group(tmp_path, stack):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    with pytest.raises(FileError) as error:
        open_image(tmp_path / "a.zarr")
    assert "--key" in error.value.remedy
    group.create_array("raw", data=stack)
    assert open_image(tmp_path / "a.zarr").shape == stack.shape
    group.create_array("labels", data=stack)
    with pytest.raises(FileError) as error:
        open_image(tmp_path / "a.zarr")
    assert "labels, raw" in error.value.what
    assert "--key" in error.value.remedy
    assert open_image(tmp_path / "a.zarr", "raw").shape == stack.shape
    with pytest.raises(FileError) as error:
        open_image(tmp_path / "a.zarr", "none")
    assert "Check the key" in error.value.remedy


def test_time_and_depth_at_once(tmp_path):
    ome(tmp_path / "a.zarr", np.zeros((2, 1, 3, 8, 8), np.uint8), "tczyx", old=False)
    with pytest.raises(FileError) as error:
        open_image(tmp_path / "a.zarr")
    assert "one time point" in error.value.remedy


def test_rubbish(tmp_path, large):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text("{")
    with pytest.raises(FileError) as error:
        open_image(tmp_path / "a.zarr")
    assert "complete" in error.value.remedy
    for name in ("a.tif", "a.npy"):
        (tmp_path / name).write_bytes(b"II*\0rubbish")
        with pytest.raises(FileError) as error:
            open_image(tmp_path / name)
        assert "Save it again" in error.value.remedy
    with pytest.raises(FileError):
        open_image(tmp_path / "none.tif")


def tiff(path, pixels, kind, axes):
    if kind == "planar":
        tifffile.imwrite(path, pixels, photometric="rgb", planarconfig="separate")
    else:
        tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": axes}, **{kind: True})
    return path


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize(
    ("kind", "axes", "shape", "read"),
    [
        ("planar", "SYX", (3, 40, 30), "yxc"),
        ("imagej", "CYX", (3, 40, 30), "yxc"),
        ("imagej", "CYX", (2, 40, 30), "yxc"),
        ("imagej", "TYX", (3, 40, 30), "tyx"),
        ("imagej", "TYX", (5, 40, 3), "tyx"),
        ("imagej", "ZYX", (5, 40, 3), "zyx"),
        ("imagej", "TCYX", (5, 2, 40, 30), "tyxc"),
        ("ome", "ZCYX", (5, 3, 40, 30), "zyxc"),
        ("ome", "CZYX", (3, 5, 40, 30), "zyxc"),
    ],
)
def test_the_axes_that_a_tiff_names(tmp_path, monkeypatch, size, kind, axes, shape, read):
    if size == "large":
        monkeypatch.setattr(volumes, "_SMALL", 0)
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    found = open_image(tiff(tmp_path / "a.tif", pixels, kind, axes))
    image = Image(found)
    channel = next((i for i, name in enumerate(axes) if name in "CS"), None)
    truth = pixels if channel is None else np.moveaxis(pixels, channel, -1)
    assert image.axes == read
    assert image.lazy == (size == "large")
    assert type(image.pixels) is not volumes.Named
    assert np.array_equal(np.asarray(image.pixels), truth)
    assert "as the file names them" in image.reading
    if len(shape) == 3:  # what the user says counts, in the order of the file
        said = Image(found, "zyx")
        assert (said.shape, said.named) == (shape, False)
        assert np.array_equal(said.plane(1), pixels[1])
    elif channel is not None:
        assert Image(found, "zyxc").axes == "zyxc"


@pytest.mark.parametrize(
    ("axes", "shape", "read"),
    [("cyx", (3, 40, 30), "yxc"), ("tyx", (4, 40, 30), "tyx"), ("zyx", (40, 30, 3), "zyx"), ("yx", (40, 3), "yx")],
)
def test_the_axes_that_ome_zarr_names(tmp_path, axes, shape, read):
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    ome(tmp_path / "a.zarr", pixels, axes, old=False)
    image = Image(open_image(tmp_path / "a.zarr"))
    assert (image.axes, image.guessed, image.named) == (read, False, True)
    truth = np.moveaxis(pixels, 0, -1) if read == "yxc" else pixels
    assert np.array_equal(image.plane(), truth[0] if read[0] in "zt" else truth)
    if axes == "cyx":
        assert np.array_equal(Image(open_image(tmp_path / "a.zarr"), "zyx").plane(2), pixels[2])


def test_many_channels_that_a_file_names_are_no_planes(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 40, 30)).astype(np.uint8)
    ome(tmp_path / "a.zarr", pixels, "cyx", old=False)
    for path in (tmp_path / "a.zarr", tiff(tmp_path / "a.tif", pixels, "imagej", "CYX")):
        image = Image(open_image(path))
        assert (image.axes, image.channels, image.shape) == ("yxc", 5, (1, 40, 30))
        assert np.array_equal(image.shown(), Image(np.moveaxis(pixels[:3], 0, -1)).shown())
        assert Image(open_image(path), "zyx").shape == (5, 40, 30)


def test_times_and_planes_of_a_tiff(tmp_path):
    with pytest.raises(FileError) as error:
        open_image(tiff(tmp_path / "a.tif", np.zeros((2, 3, 8, 8), np.uint8), "ome", "TZYX"))
    assert "one time point" in error.value.remedy


def test_pages_without_names_are_guessed(tmp_path, stack):
    image = Image(open_image(write(tmp_path / "a", stack, "plain")))
    assert (image.axes, image.guessed) == ("zyx", True)
