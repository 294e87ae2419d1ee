import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from microsam_nb.core import Contrast, ImageError, SettingsError

FULL = Contrast(0, 100)


@pytest.mark.parametrize(
    "dtype", ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "longdouble", ">u2", ">f4"]
)
def test_any_real_dtype_reaches_black_and_white(dtype):
    ramp = np.array([[0, 1], [1, 0]], dtype)
    assert FULL.stretch(ramp).tolist() == [[0, 255], [255, 0]]
    assert FULL.stretch(ramp).dtype == np.uint8


def test_a_ramp_is_stretched_linearly():
    out = FULL.stretch(np.arange(256, dtype=np.uint16) * 100 + 7)
    assert out.tolist() == list(range(256))


@pytest.mark.parametrize("dtype", [np.uint32, np.int64, np.float64])
def test_a_small_range_on_a_large_offset_keeps_its_steps(dtype):
    values = np.arange(256).astype(dtype) + dtype(4_000_000_000)
    assert FULL.stretch(values).tolist() == list(range(256))


def test_signed_and_negative_values():
    assert FULL.stretch(np.array([-128, 0, 127], np.int8)).tolist() == [0, 128, 255]


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_constant_image_is_black(value):
    assert not FULL.stretch(np.full((3, 4), value, np.uint16)).any()


def test_a_sparse_image_does_not_turn_black():
    pixels = np.zeros((100, 100), np.uint16)
    pixels[5, 5] = 900
    out = Contrast().stretch(pixels)
    assert out[5, 5] == 255
    assert out.sum() == 255


def test_a_large_sparse_image_does_not_turn_black():
    pixels = np.zeros((2000, 2001), np.uint16)
    pixels.reshape(-1)[3] = 900  # not among the sampled pixels
    assert Contrast().stretch(pixels).max() == 255


def test_percentiles_of_a_large_image_are_those_of_a_sample():
    pixels = np.random.default_rng(0).integers(0, 1000, (1500, 1501)).astype(np.uint16)
    low, high = Contrast(10, 90).window(pixels)
    assert low == pytest.approx(100, abs=5)
    assert high == pytest.approx(900, abs=5)


def test_nan_is_black_and_infinities_are_the_ends():
    values = np.array([0.0, 1.0, np.nan, np.inf, -np.inf, 0.5])
    assert FULL.stretch(values).tolist() == [0, 255, 0, 255, 0, 128]


def test_nothing_finite_is_black():
    assert not Contrast().stretch(np.full((2, 2), np.nan)).any()


def test_outliers_are_clipped():
    values = np.concatenate([np.linspace(0, 1, 1000), [1e6, -1e6]])
    out = Contrast(1, 99).stretch(values)
    assert out[-2:].tolist() == [255, 0]
    assert out[500] == pytest.approx(128, abs=4)


@given(arrays(st.sampled_from([np.float32, np.float64]), array_shapes(max_side=5)))
def test_any_float_array_gives_uint8_of_its_shape(values):
    out = Contrast().stretch(values)
    assert out.shape == values.shape
    assert out.dtype == np.uint8


@given(arrays(np.int32, st.integers(2, 30)))
def test_order_is_kept(values):
    out = Contrast().stretch(values)
    order = np.argsort(values, kind="stable")
    assert (np.diff(out[order].astype(int)) >= 0).all()


@pytest.mark.parametrize(("low", "high"), [(50, 50), (60, 40), (-1, 50), (0, 101), (float("nan"), 50)])
def test_percentiles_out_of_order_say_what_is_allowed(low, high):
    with pytest.raises(SettingsError) as error:
        Contrast(low, high)
    assert error.value.remedy == "Choose 0 <= low < high <= 100."


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int64, np.float16, np.float32, np.float64])
def test_masked_pixels_are_black_and_do_not_count(dtype):
    pixels = np.ma.masked_array(np.array([[1, 2, 3, 100]], dtype), [[False, False, False, True]])
    assert FULL.stretch(pixels).tolist() == [[0, 128, 255, 0]]
    assert FULL.stretch(np.ma.masked_array(pixels.data)).tolist() == [[0, 3, 5, 255]]


def test_the_widest_floats():
    big = np.finfo(np.float64).max
    assert FULL.stretch(np.array([-big, 0, big])).tolist() == [0, 128, 255]


@pytest.mark.parametrize("shape", [(0, 5), (0,), ()])
def test_empty_and_single_values(shape):
    out = Contrast().stretch(np.ones(shape))
    assert out.shape == shape
    assert not out.any()


@pytest.mark.parametrize("value", [np.ones((2, 2), complex), np.array([["a", "b"]]), np.array([None, 1])])
def test_what_has_no_intensity_is_refused(value):
    with pytest.raises(ImageError) as error:
        Contrast().stretch(value)
    assert "real number type" in error.value.remedy


@pytest.mark.parametrize("side", [1024, 2048, 1732])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_every_channel_of_a_large_image_counts(side, channels):
    scale = np.array([1, 10, 60, 100][:channels])
    noise = np.random.default_rng(0).integers(0, 100, (side, side, 1))
    pixels = (noise * scale).astype(np.uint16)
    low, high = Contrast(1, 99).window(pixels)
    want = np.percentile(pixels, [1, 99])
    assert low == pytest.approx(want[0], abs=2)
    assert high == pytest.approx(want[1], rel=0.02)


def test_every_column_of_a_large_image_counts():
    pixels = np.zeros((2048, 1024), np.uint8)
    pixels[:, 1::2] = 200
    pixels[:, ::4] = 100
    assert Contrast().window(pixels) == (0, 200)
