import numpy as np
import pytest

from microsam_nb.core import Contrast, Image, ImageError, LabelledImage


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
        ((8, 9, 7), "yxc", "axes='zyx'"),
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


def test_masked_pixels_are_zero():
    pixels = np.ma.masked_array([[9.0, 2.0], [3.0, 4.0]], [[True, False], [False, False]])
    assert Image(pixels).pixels.tolist() == [[0, 2], [3, 4]]


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
