"""Formats of microscopes, with a package bioio that is not there and one that is drawn."""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import dask.array
import numpy as np
import pytest

from microsam_nb.annotators.inputs import read_input
from microsam_nb.core import FileError, Image, VoxelSize
from microsam_nb.files import readers
from microsam_nb.files.inputs import find_images
from microsam_nb.files.volumes import open_image

PIXELS = np.random.default_rng(0).integers(0, 60000, (4, 3, 5, 20, 30)).astype(np.uint16)  # t, c, z, y, x


class Drawn:
    """Stands for bioio.BioImage; counts the chunks that are read."""

    scenes = ("Series 1",)
    pixels, order = PIXELS[:1], "TCZYX"
    sizes = (2.0, 0.25, 0.5)
    read = 0

    def __init__(self, path, **options):
        if path.read_bytes() == b"damaged":
            raise OSError("damaged")
        self.options, self.scene = options, self.scenes[0]

    def set_scene(self, name):
        self.scene = name

    @property
    def dask_data(self):
        def count(block):
            type(self).read += 1
            return block

        one = self.pixels + self.scenes.index(self.scene)
        chunks = (1,) * (one.ndim - 2) + one.shape[-2:]
        if self.order.endswith("S"):
            chunks = (1, 1, 1, *one.shape[-3:])
        return dask.array.from_array(one, chunks=chunks).map_blocks(count, meta=np.empty((0,) * one.ndim, one.dtype))

    dims = property(lambda self: SimpleNamespace(order=self.order))
    physical_pixel_sizes = property(lambda self: SimpleNamespace(Z=self.sizes[0], Y=self.sizes[1], X=self.sizes[2]))


@pytest.fixture
def bioio(monkeypatch):
    """``bioio(pixels=..., order=...)`` installs a drawn package for this test."""

    def install(**options):
        kind = type("BioImage", (Drawn,), options)
        module = ModuleType("bioio")
        module.BioImage = kind
        monkeypatch.setitem(sys.modules, "bioio", module)
        monkeypatch.setattr(readers, "_there", lambda package: True)
        return kind

    return install


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "Zellen 1.nd2"
    path.write_bytes(b"some")
    return path


def test_a_stack_of_channels_is_read_plane_by_plane(bioio, file):
    kind = bioio()
    image = read_input(file)
    assert image.axes == "zyxc"
    assert image.voxel_size == VoxelSize(2.0, 0.25, 0.5)
    assert image.name == "Zellen 1"
    assert kind.read == 0
    assert np.array_equal(image.plane(3), np.moveaxis(PIXELS[0, :, 3], 0, -1))
    assert kind.read == 3


@pytest.mark.parametrize(
    ("pixels", "order", "axes", "sizes"),
    [
        (PIXELS[:, :1, :1], "TCZYX", "tyx", (None, 0.25, 0.5)),
        (PIXELS[:1, :1, :1], "TCZYX", "yx", (None, 0.25, 0.5)),
        (PIXELS[:1, :, :1], "TCZYX", "yxc", (None, 0.25, 0.5)),
        (np.moveaxis(PIXELS[:1], 1, -1)[:, None], "TCZYXS", "zyxc", (2.0, 0.25, 0.5)),
    ],
)
def test_axes(bioio, file, pixels, order, axes, sizes):
    bioio(pixels=pixels, order=order)
    image = read_input(file)
    assert image.axes == axes
    assert image.voxel_size == VoxelSize(*sizes)
    whole = np.stack([image.plane(i) for i in range(image.shape[0])])
    assert np.array_equal(whole.squeeze(), open_image(file)[...].squeeze())


@pytest.mark.parametrize("sizes", [(None, None, None), (1.0, 0.0, 0.5)])
def test_without_a_size_of_pixels(bioio, file, sizes):
    bioio(sizes=sizes)
    assert read_input(file).voxel_size is None


@pytest.mark.parametrize(
    ("pixels", "order", "remedy"),
    [(PIXELS, "TCZYX", "one time point"), (np.zeros((1, 3, 1, 4, 5, 3), np.uint8), "TCZYXS", "one channel by itself")],
)
def test_too_many_axes(bioio, file, pixels, order, remedy):
    bioio(pixels=pixels, order=order)
    with pytest.raises(FileError, match=remedy):
        read_input(file)


def test_a_file_with_several_images(bioio, file):
    bioio(scenes=("Series 1", "Series 2"))
    with pytest.raises(FileError, match="open_image") as error:
        read_input(file)
    assert "'Series 1', 'Series 2'" in error.value.what
    with pytest.raises(FileError, match="no image 'Series 3'"):
        open_image(file, "Series 3")
    lazy = open_image(file, "Series 2")
    image = read_input(lazy)
    assert np.array_equal(image.plane(0), np.moveaxis(PIXELS[0, :, 0], 0, -1) + 1)
    assert image.voxel_size == VoxelSize(2.0, 0.25, 0.5)


@pytest.mark.skipif(importlib.util.find_spec("bioio") is not None, reason="bioio is installed")
@pytest.mark.parametrize("ending", [".czi", ".nd2", ".lif", ".dv"])
def test_what_to_install(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    with pytest.raises(FileError, match="Check the name"):
        read_input(path)
    path.write_bytes(b"some")
    with pytest.raises(FileError, match=f"pip install bioio bioio-{ending[1:]};"):
        read_input(path)


def test_a_damaged_file(bioio, file):
    bioio()
    file.write_bytes(b"damaged")
    with pytest.raises(FileError, match="Save it as OME-TIFF"):
        read_input(file)


def test_planes_of_a_lif_are_asked_for_one_by_one(bioio, tmp_path):
    kind = bioio()
    (tmp_path / "a.LIF").write_bytes(b"some")
    assert Image(open_image(tmp_path / "a.LIF")).pixels._source._opened.options == {"chunk_dims": ["Y", "X", "S"]}
    assert kind.read == 0


def test_they_are_images_of_a_folder(tmp_path, file):
    (tmp_path / "notes.txt").write_text("no image")
    assert find_images([str(tmp_path)]) == [file]
