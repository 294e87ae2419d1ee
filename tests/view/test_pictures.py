"""Pictures of images: channels, windows, resolutions."""

import numpy as np
import pytest

from microsam_nb.core import Image
from microsam_nb.session import Browsing, Channel
from microsam_nb.view import Look, Pictures, Raster, Stain, compose
from microsam_nb.view import raster as rasters
from microsam_nb.view.channels import COLOURS, rgb_of, within
from microsam_nb.view.pictures import _halved, is_rgb
from microsam_nb.view.raster import overview, whole

NOISE = np.random.default_rng(0)


def picture(image, look=None, step=1):
    return Pictures(image).part(look or Look(), whole(step, image.shape[1:]))


def assembled(pictures, look, shape):
    full = overview(shape)
    out = np.zeros((full.height, full.width, 3), np.uint8)
    for part, pixels in pictures.overview(look):
        out[part.top : part.bottom, part.left : part.right] = pixels if pixels.ndim == 3 else pixels[..., None]
    return out


# compose


def test_stains_add_up_and_stay_white():
    pixels = np.array([[[0, 0], [100, 0]], [[0, 50], [100, 50]]], np.uint16)
    out = compose(pixels, [Stain(0, 0, 100, (255, 0, 255)), Stain(1, 0, 50, (0, 255, 128))])
    assert out.dtype == np.uint8
    assert out.tolist() == [[[0, 0, 0], [255, 0, 255]], [[0, 255, 128], [255, 255, 255]]]


def test_a_white_stain_is_grey():
    pixels = np.array([[0, 5], [10, 20]], np.uint16)
    assert compose(pixels, [Stain(0, 0, 10)]).tolist() == [[0, 128], [255, 255]]
    assert compose(pixels, []).tolist() == [[0, 0], [0, 0]]
    assert compose(pixels, [Stain(0, 7, 7)]).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint32, np.uint64, np.float16, np.float64])
def test_any_dtype_becomes_a_picture(dtype):
    pixels = np.array([[0, 1], [1, 0]], dtype)
    assert compose(pixels, [Stain(0, 0, 1, (0, 255, 0))])[..., 1].tolist() == [[0, 255], [255, 0]]


def test_pixels_that_are_no_number_are_black_or_white():
    pixels = np.array([[np.nan, np.inf], [-np.inf, 1.0]])
    assert compose(pixels, [Stain(0, 0, 1, (255, 0, 0))])[..., 0].tolist() == [[0, 255], [0, 255]]
    hidden = np.ma.masked_array(np.ones((1, 2), np.uint16), [[True, False]])
    assert compose(hidden, [Stain(0, 0, 1)]).tolist() == [[0, 255]]


def test_colours_are_read_or_refused():
    assert rgb_of("#0A80ff") == (10, 128, 255)
    for wrong in ("red", "#12345", "#12345g", ""):
        with pytest.raises(ValueError, match="give it as '#rrggbb'"):
            rgb_of(wrong)


def test_a_window_without_a_number_is_the_channels_own():
    assert within(None, None, (1.0, 2.0)) == (1, 2)
    assert within(5, None, (1.0, 2.0)) == (5, 2)
    assert within(float("nan"), float("inf"), (1.0, 2.0)) == (1, 2)


# An image's own way.


def test_grey_is_shown_as_the_model_sees_it():
    image = Image(NOISE.integers(100, 4000, (20, 30)).astype(np.uint16))
    assert np.array_equal(picture(image), image.shown())


def test_a_photograph_is_shown_as_it_is():
    pixels = NOISE.integers(30, 90, (8, 9, 3)).astype(np.uint8)
    assert np.array_equal(picture(Image(pixels)), pixels)
    assert not np.array_equal(picture(Image(pixels), Look(as_model=True)), pixels)
    assert np.array_equal(picture(Image(pixels), Look(as_model=True)), Image(pixels).shown())
    with_alpha = np.dstack([pixels, np.full((8, 9), 255, np.uint8)])
    assert np.array_equal(picture(Image(with_alpha)), pixels)


def test_a_photograph_with_a_channel_hidden():
    pixels = NOISE.integers(30, 90, (8, 9, 3)).astype(np.uint8)
    look = Look(channels=(Channel(visible=False),))
    assert np.array_equal(picture(Image(pixels), look), pixels * np.array([0, 1, 1], np.uint8))


def test_four_stains_of_8_bits_are_no_photograph():
    pixels = NOISE.integers(0, 255, (8, 9, 4)).astype(np.uint8)
    assert not is_rgb(Image(pixels))
    assert is_rgb(Image(pixels[..., :3]))
    assert not is_rgb(Image(pixels[..., :3].astype(np.uint16)))


def test_stains_have_windows_and_colours_of_their_own():
    pixels = np.zeros((10, 12, 7), np.uint16)
    for c in range(7):
        pixels[c, :, c] = 10 ** min(c, 4) + 10
    image = Image(pixels, "yxc")
    out = picture(image)
    for c in range(7):
        assert out[c, 0].tolist() == list(rgb_of(COLOURS[c])), "faint stains are as bright as strong ones"
    assert not out[9].any()


def test_chosen_channels():
    pixels = np.zeros((4, 4, 2), np.float32)
    pixels[:2, :, 0], pixels[:, :2, 1] = 1, 4
    channels = (Channel(colour="#ff0000", low=0, high=2), Channel(visible=False))
    out = picture(Image(pixels, "yxc"), Look(channels=channels))
    assert out[0, 0].tolist() == [128, 0, 0]
    assert out[3, 0].tolist() == [0, 0, 0]


def test_look_of_browsing_ignores_channels_when_it_is_the_models():
    channels = (Channel(visible=False),)
    assert Look.of(Browsing(channels=channels)) == Look(0, channels)
    assert Look.of(Browsing(channels=channels, as_model=True)) == Look(0, (), True)


# Resolutions.


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.uint64, np.float32, bool])
def test_coarse_pixels_are_means(dtype):
    pixels = NOISE.integers(0, 2 if dtype is bool else 100, (7, 10)).astype(dtype)
    out = _halved(pixels)
    padded = np.pad(pixels.astype(float), [(0, 1), (0, 0)], mode="edge")
    means = padded.reshape(4, 2, 5, 2).mean((1, 3))
    assert np.abs(out.astype(float) - means).max() <= (0.5 if out.dtype.kind in "iu" else 1e-6)


@pytest.mark.parametrize("shape", [(300, 500), (257, 64, 3), (130, 300, 2)])
@pytest.mark.parametrize("whole_side", [16, 64])
@pytest.mark.parametrize("as_model", [True, False])
def test_an_overview_comes_in_parts_that_make_up_the_plane(shape, whole_side, as_model, monkeypatch):
    monkeypatch.setattr(rasters, "WHOLE", whole_side)
    monkeypatch.setattr("microsam_nb.view.pictures._STRIP", 5000)
    y, x = np.indices(shape[:2])
    pixels = ((y // 3 + x // 5) % 200).astype(np.uint8)
    image = Image(pixels if len(shape) == 2 else np.stack([pixels] * shape[2], -1), axes="yxc"[: len(shape)])
    look, pictures = Look(as_model=as_model), Pictures(image)
    assert len(list(pictures.overview(look))) > 1
    out = assembled(pictures, look, shape[:2])
    step = int(overview(shape[:2]).step)
    full = pictures.part(look, whole(1, shape[:2]))
    full = full if full.ndim == 3 else np.repeat(full[..., None], 3, -1)
    # Within the range of the pixels that each one stands for.
    for row, column in ((0, 0), (3, 1), (out.shape[0] - 1, out.shape[1] - 1)):
        cell = full[row * step : (row + 1) * step, column * step : (column + 1) * step].reshape(-1, 3).astype(int)
        assert (out[row, column] >= cell.min(0) - 1).all()
        assert (out[row, column] <= cell.max(0) + 1).all()


class Counting:
    """Lazy pixels that count what is read."""

    def __init__(self, pixels, levels=()):
        self.pixels, self.shape, self.dtype, self.levels = pixels, pixels.shape, pixels.dtype, levels
        self.read = 0

    def __getitem__(self, key):
        out = self.pixels[key]
        self.read += out.size
        return out


def test_another_contrast_reads_nothing_again():
    source = Counting(NOISE.integers(0, 4000, (300, 300)).astype(np.uint16))
    pictures = Pictures(Image(source, "yx"))
    raster = Raster(1, 10, 10, 50, 50)
    first = pictures.part(Look(), raster)
    before = assembled(pictures, Look(), (300, 300))
    read = source.read
    brighter = Look(channels=(Channel(low=0, high=1000),))
    assert (assembled(pictures, brighter, (300, 300)) >= before).all()
    assert source.read == read
    pictures.part(Look(), raster)
    read = source.read
    assert (pictures.part(brighter, raster) >= first).all()
    assert source.read == read


def test_a_part_reads_only_that_part():
    source = Counting(np.broadcast_to(np.arange(20_000, dtype=np.uint16) % 300, (20_000, 20_000)))
    pictures = Pictures(Image(source, "yx"))
    pictures.windows(0)
    source.read = 0
    out = pictures.part(Look(), Raster(1, 19_950, 19_900, 50, 100))
    assert out.shape == (50, 100)
    assert source.read == 5000
    out = pictures.part(Look(), Raster(16, 0, 0, 1250, 1250))
    assert out.shape == (1250, 1250)
    assert source.read < 7_000_000


def test_smaller_copies_are_used():
    full = NOISE.integers(0, 255, (400, 400)).astype(np.uint16)
    small = Counting(full.reshape(100, 4, 100, 4).mean((1, 3)).astype(np.uint16))
    source = Counting(full, (small,))
    image = Image(source, "yx")
    pictures = Pictures(image)
    pictures.windows(0)
    source.read = 0
    out = pictures.part(Look(), whole(4, (400, 400)))
    assert source.read == 0
    assert np.array_equal(out, compose(small.pixels, [Stain(0, *image.contrast_of(0)[0])]))


def test_all_planes_of_a_volume_have_the_same_black_and_white():
    pixels = np.random.default_rng(0).integers(0, 20, (20, 32, 32)).astype(np.uint8)
    pixels[8:12, 8:24, 8:24] = 200
    made = Pictures(Image(pixels, "zyx"))
    assert len({made.windows(plane) for plane in range(20)}) == 1
    ((low, high),) = made.windows(0)
    assert low < 5
    assert high > 150, "an empty plane would be stretched to noise"


def test_planes_that_cannot_be_read_do_not_count(monkeypatch):
    image = Image(np.random.default_rng(0).integers(0, 200, (3, 16, 16)).astype(np.uint8), "zyx")
    region = Image.region

    def broken(self, index, *more):
        if index < 2:
            raise OSError("gone")
        return region(self, index, *more)

    monkeypatch.setattr(Image, "region", broken)
    ((low, high),) = Pictures(image).windows(0)
    assert low < 20
    assert high > 180
