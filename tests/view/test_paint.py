import io

import numpy as np
import pytest
from PIL import Image as Picture

from microsam_nb.core import Box, Mask
from microsam_nb.view import colour_of, encode_image, label_patch, mask_patch, outline, palette
from microsam_nb.view.paint import LARGEST, shrinkage


def rgba(patch):
    return np.asarray(Picture.open(io.BytesIO(patch.data)).convert("RGBA"))


def whole(shape):
    return Box((0, 0, 0), (1, *shape))


def test_labels_have_exact_colours_and_a_clear_ground():
    labels = np.zeros((8, 8), np.uint32)
    labels[1:3, 1:4], labels[5, 6], labels[7, 0] = 1, 2, 300
    out = rgba(label_patch(labels, whole((8, 8))))
    expected = np.zeros((8, 8, 4), np.uint8)
    for number in (1, 2, 300):
        expected[labels == number] = (*colour_of(number), 255)
    assert np.array_equal(out[labels > 0], expected[labels > 0])
    assert (out[labels == 0][:, 3] == 0).all()


def test_only_the_changed_part_travels():
    labels = np.arange(64, dtype=np.uint32).reshape(8, 8)
    patch = label_patch(labels, Box((0, 2, 3), (1, 5, 7)))
    assert (patch.row, patch.column, patch.height, patch.width) == (2, 3, 3, 4)
    assert np.array_equal(rgba(patch), rgba(label_patch(labels, whole((8, 8))))[2:5, 3:7])


def test_a_large_plane_is_reduced_on_one_grid():
    labels = np.random.default_rng(0).integers(0, 5, (40, 40)).astype(np.uint32)
    full = rgba(label_patch(labels, whole((40, 40)), 4))
    patch = label_patch(labels, Box((0, 9, 14), (1, 23, 30)), 4)
    assert (patch.row, patch.column) == (2, 3)
    part = rgba(patch)
    assert np.array_equal(part, full[2 : 2 + patch.height, 3 : 3 + patch.width])
    assert shrinkage((LARGEST, 10)) == 1
    assert shrinkage((LARGEST + 1, 10)) == 2


def test_a_mask_is_one_colour_in_its_place():
    mask = Mask.crop(np.eye(4, dtype=bool)[None], (0, 10, 20))
    patch = mask_patch(mask, (255, 255, 0))
    assert (patch.row, patch.column, patch.height, patch.width) == (10, 20, 4, 4)
    out = rgba(patch)
    assert (out[np.eye(4, dtype=bool)] == (255, 255, 0, 255)).all()
    assert (out[~np.eye(4, dtype=bool)][:, 3] == 0).all()


def test_a_one_pixel_mask_survives_reduction():
    patch = mask_patch(Mask.crop(np.ones((1, 1, 1), bool), (0, 9, 9)), (1, 2, 3), 4)
    assert (patch.row, patch.column, patch.height, patch.width) == (2, 2, 1, 1)


def test_outlines_follow_pixel_edges():
    ring = outline(Mask.crop(np.ones((1, 3, 5), bool), (0, 10, 20)))[0]
    assert ring.dtype == np.float32
    assert (ring.min(axis=0), ring.max(axis=0)) == (pytest.approx([10, 20]), pytest.approx([13, 25]))
    assert outline(Mask((0, 0, 0), np.zeros((0, 0, 0), bool))) == []


def test_holes_have_outlines():
    bitmap = np.ones((1, 7, 7), bool)
    bitmap[0, 3, 3] = False
    assert len(outline(Mask.crop(bitmap))) == 2


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
def test_images_travel_unchanged(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    back = np.asarray(Picture.open(io.BytesIO(encode_image(pixels).data)))
    assert np.array_equal(back, pixels)


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 3)])
def test_large_images_travel_nearly_unchanged(shape, monkeypatch):
    monkeypatch.setattr("microsam_nb.view.paint.LOSSLESS", 100)
    smooth = (np.indices(shape)[:2].sum(0) * 3).astype(np.uint8)
    patch = encode_image(smooth)
    assert (patch.height, patch.width) == (30, 40)
    back = np.asarray(Picture.open(io.BytesIO(patch.data)))
    assert back.shape == shape
    assert np.abs(back.astype(int) - smooth).max() <= 6
    assert encode_image(smooth, 4).width == 10


def test_neighbouring_numbers_differ_for_every_kind_of_colour_vision():
    colours = palette()[1:].astype(float)
    # Lightness alone tells most neighbours apart, the blue-yellow axis the rest.
    light = colours @ (0.299, 0.587, 0.114)
    yellow = colours[:, :2].mean(1) - colours[:, 2]
    gap = np.hypot(np.diff(light), np.diff(yellow))
    assert gap.min() > 15
    assert len({tuple(c) for c in palette()[1:49].tolist()}) == 48
