import pickle

import dask.array as da
import numpy as np
import pytest
import zarr

from microsam_nb.core import Contrast, Image, ImageError, LabelledImage, VoxelSize


def ramp(*shape, dtype=np.uint8):
    return (np.arange(np.prod(shape)) % 251).reshape(shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "axes", "planes", "channels"),
    [
        ((8, 9), "yx", (1, 8, 9), 0),
        ((8, 9, 3), "yxc", (1, 8, 9), 3),
        ((8, 9, 4), "yxc", (1, 8, 9), 4),
        ((5, 8, 9), "zyx", (5, 8, 9), 0),
        ((3, 8, 9), "zyx", (3, 8, 9), 0),
        ((5, 8, 9, 2), "zyxc", (5, 8, 9), 2),
        ((5, 8, 9, 3), "zyxc", (5, 8, 9), 3),
    ],
)
def test_axes_are_guessed(shape, axes, planes, channels):
    image = Image(ramp(*shape))
    assert image.axes == axes
    assert image.shape == planes
    assert image.channels == channels


def test_a_colour_picture_is_never_a_stack():
    pixels = ramp(8, 9, 3)
    image = Image(pixels)
    assert image.shape == (1, 8, 9)
    assert np.array_equal(image.plane(0), pixels)
    assert image.shown().shape == (8, 9, 3)


@pytest.mark.parametrize(
    ("shape", "axes", "planes"),
    [
        ((8, 9, 3), "zyx", (8, 9, 3)),
        ((7, 8, 9), "tyx", (7, 8, 9)),
        ((7, 8, 9, 3), "tyxc", (7, 8, 9)),
        ((8, 9, 1), "yxc", (1, 8, 9)),
        ((8, 9, 2), "YXC", (1, 8, 9)),
    ],
)
def test_axes_can_be_said(shape, axes, planes):
    image = Image(ramp(*shape), axes=axes)
    assert image.shape == planes
    assert image.axes == axes.lower()


@pytest.mark.parametrize(
    ("shape", "axes", "remedy"),
    [
        ((8, 9), "xy", "Use one of: yx, yxc"),
        ((8, 9), "zyx", "Name 2 axes"),
        ((5, 8, 9), "yx", "pick one plane"),
        ((2, 3, 8, 9), "", "name the axes"),
        ((1, 2, 3, 8, 9), "", "Pick one plane"),
        ((8, 9), 5, "Use one of"),
    ],
)
def test_wrong_axes_say_which_fit(shape, axes, remedy):
    with pytest.raises(ImageError) as error:
        Image(ramp(*shape), axes=axes)
    assert remedy in error.value.remedy


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (None, "numpy array"),
        ("cells.tif", "path of an image file"),
        (b"cells", "numpy array"),
        ([], "numpy array"),
        ([[1, 2], [3]], "numpy array"),
        (5, "at least the axes y and x"),
        ([1, 2, 3], "at least the axes y and x"),
        (np.zeros((4, 4), complex), "real number type"),
        (np.full((4, 4), "a"), "real number type"),
        (np.full((4, 4), None), "real number type"),
        ({"pixels": 1}, "real number type"),
        (np.zeros((4, 4), "M8[s]"), "real number type"),
        (np.zeros((0, 9)), "read or cropped"),
        (np.zeros((5, 0, 9)), "read or cropped"),
        (np.full((4, 4), np.nan), "computed"),
        (np.full((4, 4), np.inf, np.float16), "computed"),
    ],
)
def test_what_is_no_image_says_what_to_give(value, remedy):
    with pytest.raises(ImageError) as error:
        Image(value)
    assert remedy in error.value.remedy


def test_pixels_are_stored_as_given():
    pixels = ramp(8, 9, dtype=np.uint16)
    assert Image(pixels).pixels is pixels


def test_a_list_of_rows_is_an_image():
    assert Image([[0, 1], [1, 0]]).shown().tolist() == [[0, 255], [255, 0]]


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("lazy", [False, True])
def test_masked_pixels_are_black_and_do_not_count(dtype, lazy):
    data = np.full((20, 20), 7, dtype)
    data[:2, :2] = [[1000, 1100], [1200, 1255]]
    mask = data == 7
    pixels = np.ma.masked_array(data, mask)
    image = Image(da.from_array(pixels) if lazy else pixels, contrast=Contrast(0, 100))
    assert image.shown()[:2, :2].tolist() == [[0, 100], [200, 255]]
    assert not image.shown()[mask].any()
    other = np.ma.masked_array(np.where(mask, 60000, data), mask)
    assert Image(other).fingerprint() == image.fingerprint(), "what is hidden does not matter"
    assert Image(pixels.filled(0)).fingerprint() != image.fingerprint(), "but that it is hidden"


def test_masked_pixels_of_two_channels_are_black():
    pixels = np.ma.masked_less(np.stack([ramp(8, 9), ramp(8, 9)], -1) + 100, 110)
    shown = Image(pixels, "yxc").shown()
    assert not shown[0].any()
    assert not shown[1, 0].any()
    assert shown[-1, -1].tolist() == [255, 255, 0]


def test_some_nan_is_allowed():
    pixels = np.array([[np.nan, 1.0], [2.0, 3.0]])
    assert Image(pixels).shown()[0, 0] == 0


@pytest.mark.parametrize("view", [np.s_[::2, ::3], np.s_[::-1], np.s_[:, ::-1]])
def test_pixels_in_any_memory_order(view):
    pixels = ramp(12, 18)[view]
    image, plain = Image(pixels), Image(np.ascontiguousarray(pixels))
    assert np.array_equal(image.shown(), plain.shown())
    assert image.fingerprint() == plain.fingerprint()


def test_read_only_pixels_are_fine_and_not_written():
    pixels = ramp(8, 9)
    before = pixels.copy()
    pixels.flags.writeable = False
    image = Image(pixels)
    image.shown()
    image.fingerprint()
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("side", [1024, 2048])
def test_a_large_colour_picture_shows_every_channel(side):
    pixels = np.zeros((side, side, 3), np.uint16)
    pixels[: side // 2] = 10, 300, 900
    shown = Image(pixels).shown()
    assert shown[0, 0].tolist() == [3, 85, 255]
    assert not shown[-1].any()


def test_planes_of_a_stack():
    pixels = ramp(4, 8, 9)
    image = Image(pixels)
    assert np.array_equal(image.plane(2), pixels[2])
    assert image.shown(3).shape == (8, 9)


def test_one_channel_is_grey_and_alpha_is_dropped():
    pixels = ramp(8, 9, 4)
    assert Image(pixels[..., :1], axes="yxc").shown().shape == (8, 9)
    assert np.array_equal(Image(pixels).shown(), Image(pixels[..., :3]).shown())


def test_two_channels_are_red_and_green_each_with_its_own_window():
    pixels = np.zeros((8, 9, 2), np.uint16)
    pixels[:, :4, 0] = 10
    pixels[:, 4:, 1] = 60000
    shown = Image(pixels, axes="yxc", contrast=Contrast(0, 100)).shown()
    assert shown[0, 0].tolist() == [255, 0, 0]
    assert shown[0, 8].tolist() == [0, 255, 0]


def test_three_channels_share_one_window():
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = 200, 100
    shown = Image(pixels, contrast=Contrast(0, 100)).shown()
    assert shown[0, 0].tolist() == [255, 128, 0]


def test_the_fingerprint_knows_pixels_shape_and_dtype():
    pixels = ramp(6, 8)
    other = pixels.copy()
    other[3, 3] ^= 1
    prints = {
        Image(one).fingerprint()
        for one in (pixels, other, pixels.reshape(8, 6), pixels.astype(np.uint16), pixels[None])
    }
    assert len(prints) == 5
    assert Image(pixels.copy(), name="other", contrast=Contrast(5, 95)).fingerprint() == Image(pixels).fingerprint()


def test_labels_must_have_the_size_of_their_image():
    with pytest.raises(ImageError) as error:
        LabelledImage(ramp(8, 9), np.zeros((9, 8), np.int32))
    assert "same height and width" in error.value.remedy
    assert LabelledImage(ramp(8, 9, 3), np.zeros((8, 9), np.int32)).group == ""


class Watched:
    """A lazy array that counts what is read of it."""

    def __init__(self, pixels):
        self.pixels, self.asked = pixels, []
        self.shape, self.dtype = pixels.shape, pixels.dtype

    def __getitem__(self, key):
        self.asked.append(key)
        return self.pixels[key]

    def __array__(self, *_, **__):
        raise AssertionError("the whole array was loaded")


def as_zarr(pixels):
    return zarr.array(pixels, chunks=(1, *pixels.shape[1:]))


def as_memmap(pixels, path):
    out = np.memmap(path, pixels.dtype, "w+", shape=pixels.shape)
    out[:] = pixels
    return out


@pytest.mark.parametrize("kind", ["zarr", "dask", "memmap", "watched"])
@pytest.mark.parametrize(("shape", "axes"), [((4, 8, 9), "tyx"), ((4, 8, 9, 3), ""), ((8, 9), ""), ((8, 9, 3), "")])
def test_lazy_pixels_are_like_those_in_memory(tmp_path, kind, shape, axes):
    pixels = ramp(*shape, dtype=np.float32)
    makers = {"zarr": as_zarr, "dask": da.from_array, "watched": Watched}
    kept = as_memmap(pixels, tmp_path / "a") if kind == "memmap" else makers[kind](pixels)
    lazy, plain = Image(kept, axes), Image(pixels, axes)
    assert lazy.pixels is kept
    assert lazy.lazy
    assert not plain.lazy
    assert (lazy.shape, lazy.axes, lazy.channels) == (plain.shape, plain.axes, plain.channels)
    for index in range(plain.shape[0]):
        assert type(lazy.plane(index)) in (np.ndarray, np.memmap)
        assert np.array_equal(lazy.plane(index), plain.plane(index))
        assert np.array_equal(lazy.shown(index), plain.shown(index))
    assert lazy.fingerprint() == plain.fingerprint()


def test_making_an_image_reads_nothing_and_a_plane_only_itself():
    watched = Watched(np.full((5, 8, 9), np.nan))
    image = Image(watched)
    assert (image.shape, image.reading[:16]) == ((5, 8, 9), "Read as 5 planes")
    assert watched.asked == []
    assert not image.shown(3).any(), "a plane without a finite pixel is black"
    assert watched.asked == [3]


def test_a_lazy_image_of_nan_is_told_when_it_is_read():
    image = Image(da.full((8, 9), np.nan))
    with pytest.raises(ImageError) as error:
        image.plane()
    assert "computed" in error.value.remedy


def test_masked_pixels_in_a_lazy_array_stay_masked():
    pixels = np.ma.masked_equal(ramp(4, 8, 9), 5)
    plane = Image(da.from_array(pixels)).plane(0)
    assert np.array_equal(np.ma.filled(plane, 0), pixels[0].filled(0))
    assert np.array_equal(np.ma.getmaskarray(plane), pixels[0].mask)


def test_a_lazy_array_that_fails_names_the_plane():
    class Broken(Watched):
        def __getitem__(self, key):
            raise OSError("chunk is gone")

    with pytest.raises(ImageError) as error:
        Image(Broken(ramp(5, 8, 9)), name="cells").plane(2)
    assert "Plane 2 of cells cannot be read (chunk is gone)" in error.value.what
    assert "file is there and whole" in error.value.remedy


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (da.zeros((0, 9)), "read or cropped"),
        (da.zeros(9), "at least the axes y and x"),
        (da.zeros((4, 4), dtype=complex), "real number type"),
        (da.from_array(np.ones((9, 5)))[da.from_array(np.arange(9)) > 3], "compute_chunk_sizes"),
        (zarr.zeros((2, 3, 4, 5, 6)), "name the axes"),
    ],
)
def test_wrong_lazy_arrays_are_refused(value, remedy):
    with pytest.raises(ImageError) as error:
        Image(value)
    assert remedy in error.value.remedy


def test_a_huge_image_is_neither_copied_nor_loaded():
    huge = np.broadcast_to(np.float32(1), (3, 10**6, 10**6))
    image = Image(huge)
    assert image.pixels is huge
    assert image.shape == (3, 10**6, 10**6)
    assert Image(da.zeros((10**4, 10**6, 10**6))).shape == (10**4, 10**6, 10**6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, bool])
def test_the_smallest_image(dtype):
    image = Image(np.ones((1, 1), dtype))
    assert image.shape == (1, 1, 1)
    assert image.shown().tolist() == [[0]]


@pytest.mark.parametrize(("planes", "index"), [(4, 4), (4, -1), (1, 1)])
def test_a_plane_that_is_not_there(planes, index):
    image = Image(ramp(planes, 8, 9) if planes > 1 else ramp(8, 9))
    with pytest.raises(ImageError) as error:
        image.plane(index)
    assert error.value.remedy == f"Choose a plane from 0 to {planes - 1}."


@pytest.mark.parametrize(
    ("shape", "axes", "said"),
    [
        ((8, 9), "", "Read as one plane of 8 x 9 pixels, axes 'yx'."),
        ((5, 8, 9), "tyx", "Read as 5 frames (t) of 8 x 9 pixels, axes 'tyx'."),
        (
            (8, 9, 3),
            "",
            "Read as one plane of 8 x 9 pixels with 3 channels, axes 'yxc', guessed from the shape (8, 9, 3); "
            "say axes='zyx' or axes='tyx' if not.",
        ),
        (
            (5, 8, 9, 1),
            "",
            "Read as 5 planes (z) of 8 x 9 pixels with 1 channel, axes 'zyxc', guessed from the shape (5, 8, 9, 1); "
            "say axes='tyxc' if not.",
        ),
    ],
)
def test_the_reading_says_what_was_guessed_and_how_to_say_otherwise(shape, axes, said):
    assert Image(ramp(*shape), axes).reading == said


def test_channels_that_come_first_are_told_how_to_come_last():
    assert Image(ramp(3, 8, 9)).reading.endswith("Channels come last: np.moveaxis(pixels, 0, -1).")
    assert "moveaxis" not in Image(ramp(7, 8, 9)).reading


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ((0.5, 0.1, 0.2), VoxelSize(0.5, 0.1, 0.2)),
        ([0.1, 0.2], VoxelSize(None, 0.1, 0.2)),
        (np.array([2, 1, 1], np.uint8), VoxelSize(2, 1, 1)),
        (VoxelSize(1, 2, 3, "nm"), VoxelSize(1, 2, 3, "nm")),
        (None, None),
    ],
)
def test_voxel_sizes(given, size):
    assert Image(ramp(5, 8, 9), voxel_size=given).voxel_size == size


@pytest.mark.parametrize(
    "given", [0.5, (1,), (1, 2, 3, 4), "0.1", (0, 1, 1), (1, -1, 1), (1, float("nan"), 1), ("a", 1, 1), (1, None, 1)]
)
def test_a_wrong_voxel_size_shows_a_right_one(given):
    with pytest.raises(ImageError) as error:
        Image(ramp(5, 8, 9), voxel_size=given)
    assert "for example voxel_size=(0.5, 0.1, 0.1)" in error.value.remedy


def test_anisotropy_is_the_distance_of_planes_in_pixels():
    assert VoxelSize(2, 0.5, 0.5).anisotropy == 4
    assert VoxelSize(None, 0.5, 0.5).anisotropy == 1


def test_an_error_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(ImageError("What.", "Remedy.")))
    assert (type(error), error.what, error.remedy, str(error)) == (ImageError, "What.", "Remedy.", "What. Remedy.")
