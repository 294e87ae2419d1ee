"""Parts of planes: equal to the whole, and nothing else is read for them; levels, samples and what is remembered."""

from __future__ import annotations

from functools import cache

import dask.array as da
import imageio.v2
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as Picture

from microsam_nb.core import Contrast, Image, ImageError, image
from microsam_nb.core.pixels import block_side, levels_of, sample_blocks

PARTS = [(0, 0, 60, 70), (10, 20, 31, 47), (59, 69, 60, 70), (0, 5, 60, 6)]


def noise(*shape, dtype=np.uint16):
    return np.random.default_rng(0).integers(0, 200 if dtype == np.uint8 else 60000, shape).astype(dtype)


class Watched:
    """A lazy array that counts the values read of it, as if a file stored it value by value."""

    def __init__(self, pixels, levels=()):
        self.pixels, self.read, self.levels = pixels, 0, levels
        self.shape, self.dtype = pixels.shape, pixels.dtype

    def __getitem__(self, key):
        found = self.pixels[key]
        self.read += found.size
        return found

    def __array__(self, *_, **__):
        raise AssertionError("the whole array was loaded")


def mapped(pixels, folder):
    out = np.memmap(folder / "pixels", pixels.dtype, "w+", shape=pixels.shape)
    out[:] = pixels
    return out


def chunks(pixels):
    return tuple(min(side, max(16, max(pixels.shape) // 4)) for side in pixels.shape)


KINDS = {
    "numpy": lambda pixels, folder: pixels,
    "dask": lambda pixels, folder: da.from_array(pixels, chunks=chunks(pixels)),
    "zarr": lambda pixels, folder: zarr.array(pixels, chunks=chunks(pixels)),
    "memmap": mapped,
    "watched": lambda pixels, folder: Watched(pixels),
}
FORMS = [((60, 70), "yx"), ((60, 70, 3), "yxc"), ((3, 60, 70), "zyx"), ((2, 60, 70, 2), "tyxc"), ((60, 70, 6), "yxc")]


@pytest.fixture
def all_large(monkeypatch):
    """Every plane counts as a large one."""
    monkeypatch.setattr(image, "LARGE", 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "axes"), FORMS)
@pytest.mark.parametrize("step", [1, 3])
def test_parts_equal_those_of_the_whole(tmp_path, kind, shape, axes, step):
    pixels = noise(*shape)
    plain, lazy = Image(pixels, axes), Image(KINDS[kind](pixels, tmp_path), axes)
    last = plain.shape[0] - 1
    plane, shown = plain.plane(last), plain.shown(last)
    for y0, x0, y1, x1 in PARTS:
        part = lazy.region(last, y0, x0, y1, x1, step)
        assert part.dtype == pixels.dtype
        assert np.array_equal(part, plane[y0:y1:step, x0:x1:step])
        assert np.array_equal(lazy.shown_region(last, y0, x0, y1, x1, step), shown[y0:y1:step, x0:x1:step])
    assert np.array_equal(lazy.overview(last, step), shown[::step, ::step])
    assert lazy.shown_shape == shown.shape


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # numpy's own fill value of masked float16
@pytest.mark.parametrize("dtype", ["?", "i1", "u4", "f2", "f4", "f8", ">u2"])
@pytest.mark.parametrize("lazy", [False, True])
def test_parts_are_stretched_alike_whatever_the_type(dtype, lazy):
    pixels = (np.random.default_rng(1).random((60, 70)) * 100).astype(dtype)
    masked = np.ma.masked_array(pixels, np.random.default_rng(2).random((60, 70)) < 0.05)
    masked.mask[:20, :20] = False
    for one in (pixels, masked):
        plain = Image(one)
        found = Image(da.from_array(one, chunks=20) if lazy else one)
        for y0, x0, y1, x1 in [*PARTS, (0, 0, 20, 20)]:
            assert np.array_equal(found.shown_region(0, y0, x0, y1, x1), plain.shown()[y0:y1, x0:x1])
            part = found.region(0, y0, x0, y1, x1)
            assert np.array_equal(np.ma.getmaskarray(part), np.ma.getmaskarray(one)[y0:y1, x0:x1])


def test_nan_and_infinity_in_parts():
    pixels = np.random.default_rng(1).random((60, 70))
    pixels[3], pixels[4], pixels[5] = np.nan, np.inf, -np.inf
    found = Image(pixels)
    assert np.array_equal(found.shown_region(0, 2, 1, 30, 40), found.shown()[2:30, 1:40])
    assert not found.shown_region(0, 3, 0, 4, 70).any(), "a part without a finite pixel is black"


@pytest.mark.parametrize(
    "part", [(-1, 0, 5, 5), (0, 0, 61, 5), (0, 0, 5, 71), (5, 0, 5, 5), (0, 6, 5, 5), (0, 0, 5, 5, 0)]
)
def test_parts_that_are_not_there_say_what_is(part):
    found = Image(noise(60, 70))
    for ask in (found.region, found.shown_region):
        with pytest.raises(ImageError) as error:
            ask(0, *part)
        assert error.value.remedy == "Choose 0 <= y0 < y1 <= 60, 0 <= x0 < x1 <= 70 and a step of at least 1."
        with pytest.raises(ImageError) as error:
            ask(1, 0, 0, 5, 5)
        assert error.value.remedy == "Choose a plane from 0 to 0."


def test_only_the_part_is_read():
    watched = Watched(noise(3, 600, 700))
    found = Image(watched)
    found.region(1, 10, 20, 30, 50)
    assert watched.read == 20 * 30
    found.region(1, 0, 0, 600, 700, 100)
    assert watched.read == 20 * 30 + 6 * 7


def test_of_many_channels_only_those_shown_are_read():
    watched = Watched(noise(60, 70, 40))
    found = Image(watched, "yxc")
    assert "40 channels (the first three are shown)" in found.reading
    assert np.array_equal(found.shown(), Image(watched.pixels[..., :3]).shown())
    found.shown_region(0, 0, 0, 60, 70)
    assert watched.read == 2 * 60 * 70 * 3


@pytest.mark.parametrize("shape", [(60, 70), (60, 70, 2), (60, 70, 4)])
def test_the_contrast_of_a_plane_is_found_once(monkeypatch, shape):
    seen = []
    window = Contrast.window
    monkeypatch.setattr(Contrast, "window", lambda self, pixels: seen.append(pixels.shape) or window(self, pixels))
    found = Image(noise(*shape))
    first = found.shown()
    for _ in range(3):
        found.shown_region(0, 5, 5, 9, 9)
        assert np.array_equal(found.shown(), first)
    assert len(seen) == len(found.contrast_of(0)) == (2 if shape[-1] == 2 else 1)


# Large planes


def test_a_large_plane_is_one_of_more_than_64_mi_values():
    assert not Image(np.broadcast_to(np.uint8(1), (8192, 8192))).large
    assert Image(np.broadcast_to(np.uint8(1), (8192, 8193))).large
    assert Image(np.broadcast_to(np.uint8(1), (5000, 5000, 3))).large
    assert not Image(np.broadcast_to(np.uint8(1), (5000, 5000, 1)), "yxc").large
    assert not Image(np.broadcast_to(np.uint8(1), (100, 5000, 5000))).large


@cache
def bright_corner(channels):
    """Noise with a brighter part, and its contrast: that of every value, and that of a sample."""
    pixels = np.random.default_rng(3).normal(1000, 100, (1500, 1200, *channels)).astype(np.uint16)
    pixels[300:900, 200:700] += 5000
    pixels.flags.writeable = False
    contrasts = []
    for large in (1 << 40, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(image, "LARGE", large)
            contrasts.append(Image(pixels, "yxc"[: pixels.ndim]).contrast_of(0))
    return pixels, *contrasts


@pytest.mark.usefixtures("all_large")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [(), (1,), (2,), (3,), (4,), (6,)])
def test_the_contrast_of_a_large_plane_is_about_that_of_all_of_it(tmp_path, kind, channels):
    pixels, true, of_sample = bright_corner(channels)
    found = Image(KINDS[kind](pixels, tmp_path), "yxc"[: pixels.ndim])
    sampled = found.contrast_of(0)
    for (low, high), (true_low, true_high) in zip(sampled, true, strict=True):
        assert low == pytest.approx(true_low, abs=20)
        assert high == pytest.approx(true_high, abs=60)
    assert sampled == of_sample, "however it is stored"
    assert np.array_equal(found.shown_region(0, 5, 6, 400, 500), found.shown()[5:400, 6:500])


@pytest.mark.usefixtures("all_large")
def test_a_large_plane_is_sampled_once_for_contrast_and_hashes():
    watched = Watched(noise(2000, 3000))
    found = Image(watched)
    found.contrast_of(0)
    once = watched.read
    assert once <= 1 << 20
    found.trace(0)
    found.shown_region(0, 0, 0, 10, 10)
    assert watched.read == once + 100


@pytest.mark.usefixtures("all_large")
@pytest.mark.parametrize("pyramid", [False, True])
def test_sparse_large_planes_are_not_black(pyramid):
    pixels = np.full((3000, 4000), 7, np.uint16)
    assert not Image(pixels).shown_region(0, 0, 0, 50, 50).any(), "all one value is black"
    taken = np.zeros(pixels.shape, bool)
    for y0, x0, y1, x1 in sample_blocks(*pixels.shape):
        taken[y0:y1, x0:x1] = True
    pixels[~taken] = 50
    found = Image(Watched(pixels, [pixels[::4, ::4]] if pyramid else ()))
    assert found.shown_region(0, 0, 0, 3000, 4000)[~taken].all()
    assert not found.shown_region(0, 0, 0, 3000, 4000)[taken].any()


@pytest.mark.usefixtures("all_large")
def test_an_overview_comes_in_parts():
    pixels = noise(3000, 5000, dtype=np.uint8)
    found = Image(Watched(pixels))
    parts = list(found.overview_parts(0, 7))
    assert len(parts) > 1
    assert found.overview(0, 7).shape == (429, 715)
    assert np.array_equal(found.overview(0, 7), found.shown()[::7, ::7])
    assert found.overview(0, 10_000).shape == (1, 1)


# Levels


def pyramid(pixels, *shrinks):
    """Levels of other values than the plane, so that a test sees where a pixel comes from."""
    levels = tuple(pixels[..., ::n, ::n] // 2 for n in shrinks)
    return Watched(pixels, levels)


def test_levels_are_read_instead_of_the_plane():
    watched = pyramid(noise(2, 60, 70), 2, 4)
    found = Image(watched)
    assert [level.shrink for level in found.levels] == [2, 4]
    plane = found.plane(1)
    watched.read = 0
    for step, shrink in ((2, 2), (3, 2), (4, 4), (8, 4), (9, 4), (12, 4)):
        for y0, x0, y1, x1 in PARTS:
            part = found.region(1, y0, x0, y1, x1, step)
            rows, columns = (np.arange(a, b, step) // shrink * shrink for a, b in ((y0, y1), (x0, x1)))
            assert np.array_equal(part, plane[rows][:, columns] // 2)
    assert watched.read == 0
    assert np.array_equal(found.region(1, 3, 4, 9, 9), plane[3:9, 4:9]), "but not for every pixel"


def test_a_level_may_lack_its_last_row():
    pixels = noise(61, 71)
    for small in (pixels[:-1:2, :-1:2], pixels[::2, ::2]):
        found = Image(Watched(pixels, (small,)))
        assert [level.shrink for level in found.levels] == [2]
        assert found.region(0, 0, 0, 61, 71, 2).shape == (31, 36)
        assert np.array_equal(found.region(0, 0, 0, 60, 70, 2), pixels[:60:2, :70:2])
        assert found.overview(0, 4).shape == (16, 18)


@pytest.mark.parametrize(
    "levels",
    [
        (),
        None,
        "yx",
        [noise(3, 30, 35)],
        [noise(40, 40)],
        [noise(60, 70)],
        [noise(30, 70)],
        [noise(30, 35, dtype=np.uint8)],
        [3],
    ],
)
def test_what_is_no_level_is_left_out(levels):
    assert levels_of(Watched(noise(60, 70), levels), "yx") == ()


# Samples


@pytest.mark.parametrize("shape", [(20_000, 20_000), (961, 961), (100, 5_000_000), (5_000_000, 3), (1, 10**9)])
def test_samples_are_small_and_everywhere(shape):
    blocks = list(sample_blocks(*shape))
    assert len(blocks) > 100
    assert sum((y1 - y0) * (x1 - x0) for y0, x0, y1, x1 in blocks) <= 960 * 960
    for y0, x0, y1, x1 in blocks:
        assert 0 <= y0 < y1 <= shape[0]
        assert 0 <= x0 < x1 <= shape[1]
        if shape == (20_000, 20_000):
            assert y0 // 256 == (y1 - 1) // 256, "each in one chunk"
            assert x0 // 256 == (x1 - 1) // 256
    longest = int(np.argmax(shape))
    starts = sorted({block[longest] for block in blocks})
    assert max(np.diff([0, *starts, shape[longest]])) < shape[longest] / 5


def test_a_small_plane_is_its_own_sample():
    assert list(sample_blocks(960, 960)) == [(0, 0, 960, 960)]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (None, (1024, 1024)),
        ((512, 640), (1024, 1280)),
        ((6, 20_000), (1026, 4096)),
        (((700, 700, 50), (2000,)), (1400, 2000)),
        ((1, 2, 3), (1024, 1024)),
    ],
)
def test_blocks_are_whole_chunks(stored, expected):
    one = Watched(noise(60, 70))
    one.chunks = stored
    assert block_side(one, "yx") == expected


# Hashes


def test_the_fingerprint_of_a_huge_image_reads_a_sample():
    row = np.arange(9000, dtype=np.uint16)
    pixels = np.broadcast_to(row, (20, 9000, 9000))
    watched = Watched(pixels)
    found = Image(watched)
    assert found.fingerprint() == Image(pixels).fingerprint(), "in memory or not"
    assert 0 < watched.read <= 8 * 960 * 960
    read = watched.read
    assert found.fingerprint() == found.fingerprint()
    assert watched.read == read, "once"
    others = [
        np.broadcast_to(row + np.uint16(1), (20, 9000, 9000)),
        np.broadcast_to(row.astype(np.int16), (20, 9000, 9000)),
        np.broadcast_to(row, (20, 9001, 9000)),
    ]
    assert len({Image(one).fingerprint() for one in others} | {found.fingerprint()}) == 4


def test_up_to_64_mib_every_pixel_counts(monkeypatch):
    monkeypatch.setattr(image, "_HASHED", 1200 * 1000)
    pixels = np.zeros((1200, 1000), np.uint8)
    y0, x0, y1, x1 = next(iter(sample_blocks(1200, 1000)))
    beside, inside = pixels.copy(), pixels.copy()
    beside[y1, x1], inside[y0, x0] = 1, 1
    assert Image(beside).fingerprint() != Image(pixels).fingerprint()
    monkeypatch.setattr(image, "_HASHED", 1200 * 1000 - 1)
    assert Image(beside).fingerprint() == Image(pixels).fingerprint(), "a pixel between the blocks"
    assert Image(inside).fingerprint() != Image(pixels).fingerprint()


# Inputs


def test_arrays_of_other_libraries(tmp_path):
    pixels = noise(20, 30, 3, dtype=np.uint8)
    Picture.fromarray(pixels).save(tmp_path / "a.png")
    found = Image(imageio.v2.imread(tmp_path / "a.png"))
    assert np.array_equal(found.shown(), Image(pixels).shown())
    assert found.fingerprint() == Image(pixels).fingerprint()


@pytest.mark.parametrize(("shape", "axes"), [((20, 30), "yx"), ((20, 30, 3), "yxc"), ((4, 20, 30), "zyx")])
def test_pages_and_series_of_tifffile(tmp_path, shape, axes):
    pixels = noise(*shape, dtype=np.uint8)
    named = {"imagej": True, "metadata": {"axes": "ZYX"}} if axes == "zyx" else {}
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb" if axes == "yxc" else "minisblack", **named)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        series, page = Image(file.series[0]), Image(file.pages[0])
        assert (series.axes, page.axes) == (axes, axes.removeprefix("z"))
        assert np.array_equal(series.pixels, pixels)
        assert np.array_equal(page.pixels, pixels[0] if axes == "zyx" else pixels)
