import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from microsam_nb.core import Box, Mask

volumes = arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=7))


def test_crop_keeps_only_the_box_of_the_true_pixels():
    array = np.zeros((6, 8), np.uint8)
    array[2:4, 3:6] = 7
    mask = Mask.crop(array, (4, 10, 20))
    assert mask.start == (4, 12, 23)
    assert mask.bitmap.shape == (1, 2, 3)
    assert mask.box == Box((4, 12, 23), (5, 14, 26))
    assert mask.area == 6


def test_a_mask_of_nothing_is_empty_and_stays_where_it_was():
    mask = Mask.crop(np.zeros((4, 5), bool), (2, 1, 1))
    assert mask.area == 0
    assert mask.box.empty
    assert mask.start == (2, 1, 1)
    assert not mask.dense((3, 9, 9)).any()


def test_the_bitmap_is_an_own_read_only_copy():
    source = np.ones((1, 2, 2), bool)
    mask = Mask((0, 0, 0), source)
    source[:] = False
    assert mask.area == 4
    with pytest.raises(ValueError, match="read-only"):
        mask.bitmap[0, 0, 0] = False


@pytest.mark.parametrize("bad", [np.ones((2, 2), bool), np.ones((1, 2, 2), np.uint8)])
def test_a_wrong_bitmap_names_the_way_to_make_one(bad):
    with pytest.raises(ValueError, match=r"use Mask\.crop"):
        Mask((0, 0, 0), bad)


@given(volumes)
def test_crop_then_dense_gives_the_array_back(array):
    assert np.array_equal(Mask.crop(array).dense(array.shape), array)


@given(volumes, st.tuples(*[st.integers(0, 99)] * 3))
def test_json_round_trip_through_text(array, start):
    mask = Mask.crop(array, start)
    back = Mask.from_json(json.loads(json.dumps(mask.to_json())))
    assert back == mask
    assert hash(back) == hash(mask)
    assert back.bitmap.dtype == bool
    assert back.bitmap.shape == mask.bitmap.shape


def test_json_of_a_large_mask_is_compact():
    array = np.zeros((1000, 1000), bool)
    array[100:900, 100:900] = True
    assert len(json.dumps(Mask.crop(array).to_json())) < 2000


def test_masks_differ_by_place_and_by_pixels():
    one = Mask((0, 0, 0), np.ones((1, 1, 2), bool))
    assert one == Mask((0, 0, 0), np.ones((1, 1, 2), bool))
    assert one != Mask((0, 0, 1), np.ones((1, 1, 2), bool))
    assert one != Mask((0, 0, 0), np.ones((1, 2, 1), bool))
    assert one != "mask"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": [1, 9, 9]}, "1 bytes for 81 pixels"),
        ({"shape": [1, -2, -2]}, "1 bytes for 4 pixels"),
        ({"shape": [2, 2]}, "not enough values"),
        ({"bits": "eJw="}, "damaged"),
        ({"bits": "%"}, "damaged"),
        ({"start": [0, 0]}, "not enough values"),
    ],
)
def test_damaged_json_is_refused(change, said):
    whole = Mask((0, 1, 2), np.ones((1, 2, 2), bool)).to_json()
    assert Mask.from_json(whole).area == 4
    with pytest.raises(ValueError, match=said):
        Mask.from_json({**whole, **change})
