"""Numbers about objects, against scikit-image and plain counting."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import disk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import regionprops

from microsam_nb.core.traits import traits

SIZE = (40, 60)
small = arrays(np.uint32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 4))


def value(found, name, number):
    return float(found.values[name][list(found.numbers).index(number)])


@given(small)
def test_shape_is_that_of_scikit_image(labels):
    found = traits(labels[None])
    regions = regionprops(labels.astype(int))
    assert found.numbers.tolist() == [one.label for one in regions]
    for one in regions:
        own = np.pad(labels == one.label, 1)
        assert value(found, "area", one.label) == one.area
        # The hull of corners of pixels, not of their middles: at most a little larger.
        assert 0 < value(found, "solid", one.label) <= 1
        if one.area == one.area_bbox:
            assert value(found, "solid", one.label) == pytest.approx(1)
            assert value(found, "rough", one.label) == pytest.approx(0)
        sides = sum(int((own != np.roll(own, 1, axis)).sum()) for axis in (0, 1))
        box = 2 * sum(one.bbox[2 + axis] - one.bbox[axis] for axis in (0, 1))
        assert value(found, "rough", one.label) == pytest.approx(sides / box - 1)
        edge = np.zeros_like(labels, int)
        edge[0] += 1
        edge[-1] += 1
        edge[:, 0] += 1
        edge[:, -1] += 1
        assert value(found, "border", one.label) == pytest.approx(edge[labels == one.label].sum() / sides)
        parts = [part.area for part in regionprops(_parts(labels == one.label))]
        assert value(found, "crumbs", one.label) == pytest.approx(1 - max(parts) / one.area)


def _parts(own):
    from scipy import ndimage

    return ndimage.label(own, np.ones((3, 3)))[0]


def test_holes_and_contacts():
    labels = np.zeros(SIZE, np.uint32)
    labels[5:15, 5:15], labels[5:15, 15:35] = 9, 4
    labels[8:10, 8:12] = 0
    labels[8:10, 20:22] = 7
    found = traits(labels[None])
    assert found.numbers.tolist() == [4, 7, 9]
    # What another object fills is no hole; what two border is of neither.
    assert value(found, "holes", 9) == pytest.approx(8 / 92)
    assert value(found, "holes", 4) == 0
    assert found.partner.tolist() == [7, 4, 4]
    assert value(found, "contact", 9) == pytest.approx(10 / (2 * np.sqrt(92 / np.pi)))
    assert value(found, "around", 7) == 1
    assert value(found, "joined", 9) == pytest.approx((92 + 196) / 300 - 92 / 100)


def test_the_longest_side_is_not_the_border_of_the_image():
    labels = np.zeros(SIZE, np.uint32)
    labels[disk(SIZE, 0, 20, 12)] = 1
    labels[disk(SIZE, 25, 20, 8) & (np.indices(SIZE)[0] < 25)] = 2
    found = traits(labels[None])
    assert value(found, "side", 1) < 0.5
    assert value(found, "side", 2) > 1


def test_a_disc_is_an_ellipse_and_a_dumbbell_is_none():
    labels = np.zeros(SIZE, np.uint32)
    labels[disk(SIZE, 12, 15, 9)] = 1
    labels[disk(SIZE, 28, 30, 8) | disk(SIZE, 28, 45, 8)] = 2
    found = traits(labels[None])
    assert value(found, "oval", 1) == pytest.approx(1, abs=0.02)
    assert value(found, "oval", 2) < 0.97
    assert value(found, "long", 1) == pytest.approx(1, abs=0.02)
    assert value(found, "solid", 2) < value(found, "solid", 1)


def test_brightness():
    labels = np.zeros(SIZE, np.uint32)
    labels[disk(SIZE, 15, 15, 8)], labels[disk(SIZE, 15, 42, 8)] = 1, 2
    pixels = np.where(disk(SIZE, 15, 15, 8) | disk(SIZE, 15, 46, 8), 200.0, 20.0)
    found = traits(labels[None], pixels[None])
    assert value(found, "contrast", 1) > value(found, "contrast", 2) > 0
    assert value(found, "dark_inside", 1) < 0.1 < value(found, "dark_inside", 2)
    assert value(found, "bright_outside", 1) < 0.1 < value(found, "bright_outside", 2)
    assert value(found, "weak_edge", 2) < value(found, "weak_edge", 1)
    assert value(found, "inner_edge", 2) > value(found, "inner_edge", 1)


def test_a_border_without_membrane_stands_out():
    cells = np.zeros(SIZE, np.uint32)
    for number in range(1, 7):
        row, column = divmod(number - 1, 3)
        cells[20 * row : 20 * row + 20, 20 * column : 20 * column + 20] = number
    membranes = np.zeros(SIZE)
    membranes[19:21] = membranes[:, 19:21] = membranes[:, 39:41] = 200
    # Cell 1 is cut in two where there is no membrane; 2 and 3 are taken for one.
    labels = cells.copy()
    labels[:10][cells[:10] == 1] = 7
    labels[labels == 3] = 2
    found = traits(labels[None], membranes[None])
    seam, wall = (dict(zip(found.numbers.tolist(), found.values[name], strict=True)) for name in ("seam", "wall"))
    assert max(seam[1], seam[7]) < 0.5 < min(seam[4], seam[5], seam[6])
    assert found.other[found.numbers == 7] == 1
    assert wall[2] > 0.05 > max(wall[4], wall[5], wall[6])
    assert value(found, "open", 1) > 0.2 > value(found, "open", 5)


def test_a_border_in_several_planes_is_one():
    """A neighbour that shares little of the outline of the whole does not count."""
    cells = np.zeros((4, *SIZE), np.uint32)
    cells[:, 5:30, 5:25], cells[:, 5:30, 25:45] = 1, 2
    cells[3, 5:30, 5:15] = 3
    pixels = np.zeros(cells.shape)
    pixels[:, 5:30, 24:26] = 200
    pixels[:, 3:6, 3:47] = pixels[:, 29:32, 3:47] = 200
    pixels[:, 3:32, 3:6] = pixels[:, 3:32, 44:47] = 200
    found, apart = traits(cells, pixels), traits(cells, pixels, apart=True)
    assert found.other.tolist() == [2, 1, 1]
    assert value(found, "seam", 1) > 0.5 > value(found, "seam", 3)
    assert apart.values["seam"][apart.plane == 3][0] < 0.5


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros(SIZE),
        np.full(SIZE, np.nan),
        np.ma.masked_less(np.arange(2400.0).reshape(SIZE), 100),
        np.ones(SIZE, bool),
    ],
    ids=["flat", "missing", "masked", "bool"],
)
def test_any_image_will_do(pixels):
    labels = np.zeros(SIZE, np.uint32)
    labels[disk(SIZE, 15, 15, 8)] = 1
    labels[0, 0] = 2
    found = traits(labels[None], pixels[None])
    assert found.numbers.tolist() == [1, 2]
    assert np.isfinite(found.values["contrast"]).all()


def test_objects_of_several_planes_are_averaged_by_pixels_or_kept_apart():
    labels = np.zeros((3, *SIZE), np.uint32)
    labels[0, 5:15, 5:15] = labels[1, 5:25, 5:25] = 3
    labels[2, 5:10, 5:10] = 5
    together, apart = traits(labels), traits(labels, apart=True)
    assert together.numbers.tolist() == [3, 5]
    assert together.plane.tolist() == [1, 2]
    assert together.values["area"].tolist() == [500, 25]
    assert apart.numbers.tolist() == [3, 3, 5]
    assert apart.values["area"].tolist() == [100, 400, 25]
    assert value(together, "solid", 3) == pytest.approx(1)
    # The neighbour is named where it touches, not where the object is largest.
    labels[0, 5:15, 15:20] = 8
    assert traits(labels).partner.tolist() == [8, 0, 3]


def test_nothing_to_measure():
    found = traits(np.zeros((2, *SIZE), np.uint32), np.zeros((2, *SIZE)))
    assert found.numbers.tolist() == []
