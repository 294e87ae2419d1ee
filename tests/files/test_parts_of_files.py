"""Parts of planes in files: only the chunks that they lie in are read, and pyramids become levels."""

from __future__ import annotations

import gc
import os

import numpy as np
import pytest
import tifffile
import zarr

from microsam_nb.core import Image
from microsam_nb.files import volumes
from microsam_nb.files.volumes import Lazy, open_image


@pytest.fixture(autouse=True)
def _large(monkeypatch):
    """Every file counts as a large one."""
    monkeypatch.setattr(volumes, "_SMALL", 0)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 60000, shape).astype(np.uint16)


class Counted:
    """Counts the values that are read of an array."""

    def __init__(self, pixels):
        self.pixels, self.read = pixels, 0
        self.shape, self.dtype = pixels.shape, pixels.dtype

    def __getitem__(self, key):
        found = self.pixels[key]
        self.read += found.size
        return found


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("", (5, 40, 30)),
        ("zyx", (5, 40, 30)),
        ("tczyx", (1, 3, 5, 40, 30)),
        ("tczyx", (1, 1, 1, 40, 30)),
        ("cyx", (6, 40, 30)),
    ],
)
@pytest.mark.parametrize("moved", [True, False])
def test_indexing_is_that_of_the_whole_and_reads_no_more(axes, shape, moved):
    counted = Counted(noise(*shape))
    lazy = Lazy(counted, axes, moved=moved)
    whole = lazy[...]
    keys = [
        (),
        2,
        np.int64(1),
        slice(1, 3),
        (slice(None), slice(3, 20, 4)),
        (slice(1, 3), slice(2, 9), ...),
        (..., slice(2, 9)),
        (..., 1),
        (slice(-4, -1), slice(None, 5)),
        (slice(0, 2), ..., slice(0, 1)),
        (1,) * len(lazy.shape),
        slice(5, 5),
    ]
    for key in keys:
        counted.read = 0
        found = lazy[key]
        assert np.array_equal(found, whole[key])
        assert counted.read == found.size, key
    for key in (slice(None, None, -1), [0, 2], whole > 5, None):
        assert np.array_equal(lazy[key], whole[key]), "what numpy knows beside that"
    for key in (len(lazy), (0, 10**6), -1):
        with pytest.raises(IndexError):
            lazy[key]
    with pytest.raises(IndexError):
        lazy[(0,) * 9]


def test_parts_of_a_channel_in_the_middle():
    pixels = noise(5, 3, 40, 30)
    image = Image(Lazy(pixels, "zcyx"))
    assert image.axes == "zyxc"
    assert np.array_equal(image.region(2, 3, 4, 20, 21, 3), np.moveaxis(pixels[2], 0, -1)[3:20:3, 4:21:3])


def test_only_chunks_of_the_part_are_read(tmp_path):
    pixels = noise(2, 64, 64)
    zarr.create_array(tmp_path / "a.zarr", data=pixels, chunks=(1, 16, 16))
    for file in (tmp_path / "a.zarr" / "c").rglob("*"):
        if file.is_file() and file.relative_to(tmp_path / "a.zarr" / "c").parts != ("1", "1", "2"):
            file.write_bytes(b"torn")
    image = Image(open_image(tmp_path / "a.zarr"))
    assert image.pixels.chunks == (1, 16, 16)
    assert np.array_equal(image.region(1, 16, 32, 32, 48), pixels[1, 16:32, 32:48])


TIFFS = {
    "tiled": {"tile": (16, 16), "compression": "zlib"},
    "tiled, not compressed": {"tile": (16, 16)},
    "strips": {"rowsperstrip": 7, "compression": "zlib"},
    "one piece": {},
    "bigtiff": {"bigtiff": True, "tile": (16, 32)},
}


@pytest.mark.parametrize("kind", TIFFS)
@pytest.mark.parametrize(
    ("shape", "photometric"), [((70, 90), "minisblack"), ((70, 90, 3), "rgb"), ((3, 70, 90), "minisblack")]
)
def test_parts_of_tiff(tmp_path, kind, shape, photometric):
    pixels = noise(*shape)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=photometric, **TIFFS[kind])
    image, plain = Image(open_image(tmp_path / "a.tif")), Image(pixels)
    assert image.lazy
    last = plain.shape[0] - 1
    for part in ((0, 0, 70, 90), (13, 20, 40, 77), (69, 89, 70, 90)):
        for step in (1, 5):
            assert np.array_equal(image.region(last, *part, step), plain.region(last, *part, step))
            assert np.array_equal(image.shown_region(last, *part, step), plain.shown_region(last, *part, step))


def pyramid_tiff(path, pixels, count, **options):
    with tifffile.TiffWriter(path, **options) as out:
        out.write(pixels, subifds=count, tile=(16, 16), compression="zlib")
        for level in range(1, count + 1):
            out.write(pixels[:: 2**level, :: 2**level] // 2, subfiletype=1, tile=(16, 16), compression="zlib")


@pytest.mark.parametrize("shape", [(64, 48), (65, 49), (64, 48, 3)])
@pytest.mark.parametrize("ome", [False, True])
def test_levels_of_tiff(tmp_path, shape, ome):
    pixels = noise(*shape)
    pyramid_tiff(tmp_path / "a.tif", pixels, 2, ome=ome)
    image = Image(open_image(tmp_path / "a.tif"))
    assert [level.shrink for level in image.levels] == [2, 4]
    gc.collect()  # what is open stays open as long as the image is there
    whole = (0, 0, *shape[:2])
    assert np.array_equal(image.region(0, *whole), pixels)
    assert np.array_equal(image.region(0, *whole, 2), pixels[::2, ::2] // 2)
    assert np.array_equal(image.region(0, *whole, 8), pixels[::8, ::8] // 2)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files as Linux lists them")
def test_files_are_closed_with_the_image(tmp_path):
    pyramid_tiff(tmp_path / "a.tif", noise(64, 48), 2)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    image = Image(open_image(tmp_path / "a.tif"))
    image.region(0, 0, 0, 9, 9, 2)
    assert len(os.listdir("/proc/self/fd")) > before
    del image
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def ome_zarr(path, pixels, axes, sizes, listed=()):
    group = zarr.open_group(path, mode="w")
    paths = [f"s{i}" for i in range(len(sizes) + 1)]
    datasets = [{"path": one} for one in (*paths, *listed)]
    about = {"version": "0.5", "multiscales": [{"axes": [{"name": one} for one in axes], "datasets": datasets}]}
    group.attrs["ome"] = about
    group.create_array("s0", data=pixels)
    for one, step in zip(paths[1:], sizes, strict=True):
        planes = step[0] if len(step) > 2 else 1
        part = pixels[..., :: step[-2], :: step[-1]] // 2
        group.create_array(one, data=part[..., ::planes, :, :] if planes > 1 else part)


@pytest.mark.parametrize(
    ("axes", "shape"), [("yx", (64, 48)), ("cyx", (3, 64, 48)), ("tczyx", (1, 2, 4, 64, 48)), ("zyx", (4, 65, 49))]
)
def test_levels_of_ome_zarr(tmp_path, axes, shape):
    pixels = noise(*shape)
    ome_zarr(tmp_path / "a.zarr", pixels, axes, [(2, 2), (4, 4)], listed=["gone"])
    image = Image(open_image(tmp_path / "a.zarr"))
    assert [level.shrink for level in image.levels] == [2, 4]
    last = image.shape[0] - 1
    whole = (0, 0, *image.shape[1:])
    full = image.region(last, *whole)
    for step in (2, 4):
        assert np.array_equal(image.region(last, *whole, step), full[::step, ::step] // 2)
    assert np.array_equal(full, image.plane(last))
    if axes == "cyx":
        said = Image(open_image(tmp_path / "a.zarr"), "zyx")
        assert np.array_equal(said.region(2, *whole, 2), pixels[2, ::2, ::2] // 2)


def test_levels_with_fewer_planes_or_another_form_are_left_out(tmp_path):
    pixels = noise(4, 64, 48)
    ome_zarr(tmp_path / "a.zarr", pixels, "zyx", [(2, 2, 2), (1, 4), (4, 4)])
    assert [level.shrink for level in Image(open_image(tmp_path / "a.zarr")).levels] == [4]
    named = Image(open_image(tmp_path / "a.zarr", "s0"))
    assert named.levels == ()
