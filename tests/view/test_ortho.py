"""Sections and the projection: exact on small volumes, bounded on large ones."""

from __future__ import annotations

import numpy as np
import pytest

from microsam_nb.core import Image, Labels, Mask
from microsam_nb.session import Browsing, Channel, Layer, Layers
from microsam_nb.view import Look, Pictures
from microsam_nb.view.ortho import GAP, PROJECTED, Arrangement, Cut, Side, label_section, mask_section, overlay
from microsam_nb.view.ortho import project as projected
from microsam_nb.view.ortho import read as reading
from microsam_nb.view.palette import PROPOSAL, colour_of


@pytest.fixture
def volume():
    """Different numbers everywhere: (5, 6, 8)."""
    return np.random.default_rng(0).permutation(240).reshape(5, 6, 8).astype(np.uint8)


def arranged(shape, anisotropy=1.0, zoom=1):
    planes, h, w = shape
    deep = planes * anisotropy
    return Arrangement.fit(shape, anisotropy, round((w + deep) * zoom) + GAP, round((h + deep) * zoom) + GAP)


def read(image, arrangement, side, place, first=0):
    cut = Cut(side, place)
    assert list(reading(image, arrangement, [cut], first)) == list(range(1, arrangement.sampled + 1))
    assert cut.complete
    return cut.shown(arrangement)


def last(steps):
    *_, found = steps
    return found


@pytest.mark.parametrize("first", [0, 2, 4, 99])
def test_sections_are_the_rows_and_columns_of_every_plane(volume, first):
    a, image = arranged(volume.shape), Image(volume, "zyx")
    assert np.array_equal(read(image, a, Side.FRONT, 2, first), volume[:, 2])
    assert np.array_equal(read(image, a, Side.RIGHT, 3, first), volume[:, :, 3].T)
    assert np.array_equal(last(projected(image, a)), volume.max(axis=0))


def test_both_sections_are_read_together(volume):
    a, front, right = arranged(volume.shape), Cut(Side.FRONT, 1), Cut(Side.RIGHT, 7)
    for done in reading(Image(volume, "zyx"), a, [front, right], 3):
        assert not front.complete
        if done == 1:
            assert np.array_equal(front.pixels[3], volume[3, 1])
            assert not front.pixels[[0, 1, 2, 4]].any(), "the plane that is looked at comes first"
    assert np.array_equal(right.shown(a), volume[:, :, 7].T)


def test_planes_have_their_thickness_and_pixels_are_repeated(volume):
    a, image = arranged(volume.shape, 3.0, 2), Image(volume, "zyx")
    assert a.extent(Side.TOP) == (12, 16)
    assert a.extent(Side.FRONT) == (30, 16)
    assert a.extent(Side.RIGHT) == (12, 30)
    assert a.size == (12 + GAP + 30, 16 + GAP + 30)
    assert np.array_equal(read(image, a, Side.FRONT, 5), volume[:, 5].repeat(6, 0).repeat(2, 1))
    assert np.array_equal(read(image, a, Side.RIGHT, 0), volume[:, :, 0].T.repeat(2, 0).repeat(6, 1))


def test_a_small_picture_of_a_large_volume_reads_what_it_shows():
    class Counted:
        """A lazy volume that knows how many pixels were asked for."""

        def __init__(self, shape):
            self.shape, self.dtype, self.read = shape, np.dtype(np.uint16), []

        def __getitem__(self, key):
            plane, rows, columns = key
            sides = [range(n)[s] for n, s in zip(self.shape[1:], (rows, columns), strict=True)]
            self.read.append((plane, len(sides[0]), len(sides[1])))
            return np.full((len(sides[0]), len(sides[1])), plane, np.uint16)

    pixels = Counted((1000, 1024, 1024))
    image = Image(pixels, "zyx")
    a = Arrangement.fit(image.shape, 1.0, 420, 420)
    pixels.read.clear()
    found = read(image, a, Side.FRONT, 512)
    assert found.shape == a.extent(Side.FRONT)
    assert np.array_equal(found[:, 0], a.planes)
    assert len(pixels.read) == a.sampled < 250
    assert sum(h * w for _, h, w in pixels.read) < 120_000
    pixels.read.clear()
    assert (last(projected(image, a)) == 999).all()
    assert len(pixels.read) == PROJECTED
    assert max(h * w for _, h, w in pixels.read) < 300**2


def test_what_a_click_means(volume):
    a = arranged(volume.shape, 3.0, 2)
    right, below = 16 + GAP, 12 + GAP
    assert a.at(0, 0) == (None, 0, 0)
    assert a.at(11.5, 15.9) == (None, 5, 7)
    assert a.at(below + 6, 3) == (1, None, 1)
    assert a.at(4, right + 29) == (4, 2, None)
    for beside in ((12, 3), (3, 16), (below + 1, right + 1), (-1, 3), (500, 3)):
        assert a.at(*beside) is None
    plane, row, column = a.on_screen(2, 3, 4)
    assert (plane, row, column) == (15.0, 7.0, 9.0)
    assert a.at(below + plane, column) == (2, None, 4)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_masked_and_missing_pixels_are_dark(kind):
    volume = np.ma.masked_array(np.full((2, 3, 3), 9, kind), np.zeros((2, 3, 3), bool))
    volume[0] = 5
    volume[1, 1, 1] = np.ma.masked
    a = arranged(volume.shape)
    found = last(projected(Image(volume, "zyx"), a))
    assert found[1, 1] == 5
    assert (np.delete(found.ravel(), 4) == 9).all()


def test_colours_and_contrast_are_those_of_the_picture(volume):
    a = arranged(volume.shape)
    grey = Pictures(Image(volume, "zyx"))
    out = grey.through(Look(), volume[:, 2])
    assert out.dtype == np.uint8
    assert out.shape == (5, 8)
    fixed = Look.of(Browsing(plane=3, channels=(Channel(low=0, high=255),)))
    assert np.array_equal(grey.through(fixed, volume[:, 2]), volume[:, 2])
    # Whatever the plane that is shown, the sections look the same.
    assert np.array_equal(grey.through(Look(4), volume[:, 2]), out)

    stacked = np.stack([volume, volume[::-1], volume[:, ::-1]], axis=-1)
    rgb = Image(stacked, "zyxc")
    found = read(rgb, a, Side.RIGHT, 1)
    assert np.array_equal(Pictures(rgb).through(Look(), found), stacked[:, :, 1].swapaxes(0, 1))
    seen = Pictures(rgb).through(Look(as_model=True), found)
    assert seen.shape == (6, 5, 3)
    two = Image(stacked[..., :2].astype(np.uint16), "zyxc")
    assert Pictures(two).through(Look(), found[..., :2].astype(np.uint16)).shape == (6, 5, 3)
    assert not Pictures(two).through(Look(as_model=True), found[..., :2].astype(np.uint16))[..., 2].any()
    hidden = Look(channels=(Channel(visible=False), Channel(visible=False)))
    assert not Pictures(two).through(hidden, found[..., :2].astype(np.uint16)).any()


def test_objects_in_sections():
    drawn = np.zeros((5, 6, 8), np.uint32)
    drawn[1:4, 2:5, 2:6], drawn[3, 3, 3] = 4, 7
    labels, a = Labels.of(drawn), arranged((5, 6, 8))
    assert np.array_equal(label_section(labels, a, Side.FRONT, 3), drawn[:, 3])
    assert np.array_equal(label_section(labels, a, Side.RIGHT, 3), drawn[:, :, 3].T)
    assert np.array_equal(label_section(labels, a, Side.TOP, 0), drawn.max(axis=0))
    assert set(np.unique(label_section(labels, a, Side.FRONT, 3, hidden=4))) == {0, 7}
    assert set(np.unique(label_section(labels, a, Side.TOP, 3, hidden=7))) == {0, 4}


@pytest.mark.parametrize("zoom", [1, 2])
def test_masks_in_sections(zoom):
    full = np.zeros((2, 5, 6, 8), bool)
    full[0, 1:4, 2:5, 2:6], full[1, 3:, 4:, 5:] = True, True
    full[0, 2, 3, 3] = False
    masks, a = [Mask.crop(one) for one in full], arranged((5, 6, 8), 1.0, zoom)
    numbers = np.maximum(full[0] * 1, full[1] * 2)
    for place in range(6):
        expected = numbers[:, place].repeat(zoom, 0).repeat(zoom, 1)
        assert np.array_equal(mask_section(masks, a, Side.FRONT, place), expected)
    for place in range(8):
        expected = numbers[:, :, place].T.repeat(zoom, 0).repeat(zoom, 1)
        assert np.array_equal(mask_section(masks, a, Side.RIGHT, place), expected)
    flat = np.maximum(full[0].any(axis=0) * 1, full[1].any(axis=0) * 2).repeat(zoom, 0).repeat(zoom, 1)
    assert np.array_equal(mask_section(masks, a, Side.TOP, 0), flat)
    empty = Mask.crop(np.zeros((5, 6, 8), bool))
    assert not any(mask_section([empty], a, side, 0).any() for side in Side)


def test_objects_and_the_object_in_hand_have_their_colours():
    ids, mine = np.zeros((9, 9), np.uint32), np.zeros((9, 9), np.uint32)
    ids[1:8, 1:5], mine[3:6, 3:8] = 2, 1
    full = Layers(objects=Layer(), proposal=Layer())
    out = overlay(ids, mine, full)
    assert out[2, 2].tolist() == [*colour_of(2), 255]
    assert out[4, 4].tolist() == [*PROPOSAL, 255]
    assert not out[0, 8].any()
    out = overlay(ids, mine, Layers(objects=Layer(visible=False), proposal=Layer(opacity=0.5)))
    assert out[2, 2, 3] == 0
    assert 120 < out[4, 4, 3] < 135
    assert out[3, 4, 3] == 255, "outlines are seen where the filling is faint"
    lines = overlay(ids, np.zeros_like(mine), Layers(objects=Layer(), contours=True))
    assert lines[1, 2, 3] == 255
    assert lines[4, 2, 3] == 0
