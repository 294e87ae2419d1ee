import numpy as np
import pytest

from microsam_nb.core import Image
from microsam_nb.view.histogram import histograms


def test_every_pixel_of_a_small_image_counts():
    pixels = np.random.default_rng(0).integers(3, 200, (60, 70)).astype(np.uint8)
    (found,) = histograms(Image(pixels), 0)
    assert found.counts.sum() == pixels.size
    assert found.edges[0] <= 3
    assert found.edges[-1] >= pixels.max()


def test_whole_numbers_make_no_comb():
    pixels = np.tile(np.arange(0, 200, dtype=np.uint8), (50, 1))
    (found,) = histograms(Image(pixels), 0)
    assert len(np.unique(found.counts[:-1])) == 1


def test_nan_and_masked_pixels_do_not_count():
    pixels = np.ones((10, 10))
    pixels[0] = np.nan
    pixels[1] = np.inf
    (found,) = histograms(Image(np.ma.masked_array(pixels, pixels == 5)), 0)
    assert found.counts.sum() == 80
    hidden = np.ma.masked_array(np.arange(100.0).reshape(10, 10), np.arange(100).reshape(10, 10) >= 50)
    (found,) = histograms(Image(hidden), 0)
    assert found.counts.sum() == 50
    assert found.edges[-1] <= 50


def test_channels_have_their_own():
    pixels = np.zeros((20, 20, 2), np.uint16)
    pixels[..., 1] = 3000 + np.arange(20)
    first, second = histograms(Image(pixels), 0)
    assert first.edges[-1] < 3000 <= second.edges[-1]


def test_of_a_huge_plane_only_a_sample_is_read():
    class Huge:
        shape, dtype, ndim = (60_000, 60_000), np.dtype(np.uint16), 2
        read = 0

        def __getitem__(self, key):
            rows, columns = (range(*k.indices(60_000)) for k in key)
            Huge.read += len(rows) * len(columns)
            return (np.asarray(rows)[:, None] + np.asarray(columns)).astype(np.uint16)

    (found,) = histograms(Image(Huge()), 0)
    assert 100_000 < found.counts.sum() <= 2_000_000
    assert Huge.read <= 4_000_000


@pytest.mark.parametrize("value", [0, 255])
def test_a_flat_image_has_a_range(value):
    (found,) = histograms(Image(np.full((5, 5), value, np.uint8)), 0)
    assert found.edges[-1] > found.edges[0]
    assert found.counts.sum() == 25
