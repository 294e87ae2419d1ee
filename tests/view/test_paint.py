import io

import numpy as np
import pytest
from PIL import Image as Picture

from microsam_nb.view import colour_of, encode_entries, encode_image, palette
from microsam_nb.view.paint import LOSSLESS
from microsam_nb.view.palette import COLOURS, PROPOSAL, RIM, entries


def rgba(patch):
    return np.asarray(Picture.open(io.BytesIO(patch.data)).convert("RGBA"))


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
def test_images_travel_unchanged(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    back = np.asarray(Picture.open(io.BytesIO(encode_image(pixels).data)))
    assert np.array_equal(back, pixels)


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
def test_large_images_travel_nearly_unchanged(shape):
    smooth = (np.indices(shape)[:2].sum(0) * 3).astype(np.uint8)
    patch = encode_image(smooth, 3, 4, lossless=False)
    assert (patch.row, patch.column, patch.height, patch.width) == (3, 4, 30, 40)
    assert patch.data.startswith(b"\xff\xd8")
    back = np.asarray(Picture.open(io.BytesIO(patch.data)))
    assert back.shape == shape
    assert np.abs(back.astype(int) - smooth).max() <= 6


def test_a_million_pixels_are_lossless():
    side = int(LOSSLESS**0.5)
    assert encode_image(np.zeros((side, side), np.uint8)).data.startswith(b"\x89PNG")
    assert encode_image(np.zeros((side, side + 1), np.uint8)).data.startswith(b"\xff\xd8")


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, bool])
def test_other_pixels_are_not_cast_silently(dtype):
    with pytest.raises(TypeError, match="stretch their contrast first"):
        encode_image(np.ones((4, 4), dtype))


def test_an_empty_picture_has_no_bytes():
    assert encode_image(np.zeros((0, 5), np.uint8)).data == b""
    assert encode_entries(np.zeros((0, 5), np.uint8), palette()).data == b""


def test_every_entry_has_its_colour_and_the_rim_is_half_dark():
    crop = np.arange(256, dtype=np.uint8).reshape(16, 16)
    out = rgba(encode_entries(crop, palette())).reshape(-1, 4)
    assert np.array_equal(out[1:RIM, :3], palette()[1:RIM])
    assert (out[1:RIM, 3] == 255).all()
    assert out[0, 3] == 0
    assert out[RIM, :3].tolist() == [0, 0, 0]
    assert 100 < out[RIM, 3] < 200


@pytest.mark.parametrize("most", [1, 2, 3, 15, 16, 17, 254])
def test_few_colours_are_exact_too(most):
    crop = np.random.default_rng(most).integers(0, most + 1, (9, 13)).astype(np.uint8)
    out = rgba(encode_entries(crop, palette()))
    assert np.array_equal(out[crop > 0][:, :3], palette()[crop[crop > 0]])
    assert np.array_equal(out[..., 3] > 0, crop > 0)


def test_numbers_begin_again_after_the_last_colour():
    numbers = np.array([0, 1, COLOURS, COLOURS + 1, 2**32 - 1], np.uint32)
    assert entries(numbers).tolist() == [0, 1, COLOURS, 1, (2**32 - 2) % COLOURS + 1]
    for number in (1, 254, 300, 2**32 - 1):
        assert colour_of(number) == tuple(palette()[entries(np.array([number], np.uint32))[0]].tolist())


def seen_by(colours, kind):
    """Colours as people without one kind of cone see them (Viénot, Brettel, Mollon 1999), linear RGB."""
    cones = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    lms = (np.asarray(colours) / 255) ** 2.2 @ cones.T
    if kind == "protan":
        lms[:, 0] = 2.02344 * lms[:, 1] - 2.52581 * lms[:, 2]
    elif kind == "deutan":
        lms[:, 1] = 0.494207 * lms[:, 0] + 1.24827 * lms[:, 2]
    return np.clip(lms @ np.linalg.inv(cones).T, 0, 1) ** (1 / 2.2) * 255


@pytest.mark.parametrize("kind", ["all cones", "protan", "deutan"])
def test_neighbouring_numbers_differ_for_every_kind_of_colour_vision(kind):
    colours = seen_by(palette()[1 : COLOURS + 1], kind)
    gap = np.linalg.norm(np.diff(colours, axis=0), axis=1)
    assert gap.min() > 28
    assert len({tuple(c) for c in palette()[1:49].tolist()}) == 48


@pytest.mark.parametrize("ground", [(120, 80, 50), (230, 225, 220), (205, 140, 175), (128, 128, 128), (0, 0, 0)])
def test_the_first_colours_stand_out_from_stains_grey_and_black(ground):
    colours = palette()[1:9].astype(float)
    assert np.linalg.norm(colours - ground, axis=1).min() > 60
    assert np.linalg.norm(colours - PROPOSAL, axis=1).min() > 80
