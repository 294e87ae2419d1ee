"""Objects on a raster: numbers, outlines, and the patches made of them."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as Picture

from microsam_nb.core import Labels, Mask
from microsam_nb.view import Raster, colour_of
from microsam_nb.view.edges import Pen, edge_entries
from microsam_nb.view.ids import label_ids, mask_ids, mask_numbers
from microsam_nb.view.overlays import (
    CANDIDATES,
    CONTOURS,
    OBJECTS,
    PROPOSALS,
    edge_opacity,
    edge_patch,
    edges,
    fill_patch,
    label_source,
    mask_source,
    neighbour_source,
)
from microsam_nb.view.palette import MARK, RIM
from microsam_nb.view.raster import whole

PLAIN = Pen(width=1)


def rgba(patch):
    return np.asarray(Picture.open(io.BytesIO(patch.data)).convert("RGBA"))


def volume(seed=0, shape=(1, 40, 50)):
    return np.random.default_rng(seed).integers(0, 5, shape).astype(np.uint32)


# Numbers.


@pytest.mark.parametrize("step", [1, 2, 8, 64, 0.5, 0.125])
def test_labels_at_any_resolution(step):
    plane = volume()[0]
    raster = whole(step, plane.shape)
    out = label_ids(plane, raster)
    places = [(np.arange(n) + 0.5) * step for n in (raster.height, raster.width)]
    rows, columns = (np.minimum(p.astype(int), n - 1) for p, n in zip(places, plane.shape, strict=True))
    assert np.array_equal(out, plane[np.ix_(rows, columns)])
    part = Raster(step, 1, 1, max(1, raster.height - 1), max(1, raster.width - 1))
    inside = label_ids(plane, part)[: raster.height - 1, : raster.width - 1]
    assert np.array_equal(inside, out[1:, 1:])


def test_outside_the_plane_there_is_nothing():
    plane = np.ones((4, 4), np.uint32)
    out = label_ids(plane, Raster(1, -2, -3, 8, 9))
    assert out.sum() == 16
    assert (out[2:6, 3:7] == 1).all()
    assert not label_ids(plane, Raster(1, 10, 10, 3, 3)).any()
    assert not label_ids(plane, Raster(2, -4, -4, 2, 2)).any()


def test_a_hidden_object_is_left_out():
    plane = np.array([[1, 2], [2, 0]], np.uint32)
    assert label_ids(plane, Raster(1, 0, 0, 2, 2), hidden=2).tolist() == [[1, 0], [0, 0]]
    assert plane.tolist() == [[1, 2], [2, 0]]


@pytest.mark.parametrize("step", [1, 4, 0.25])
def test_masks_are_numbered_like_labels(step):
    mask = Mask.crop(np.hypot(*(np.indices((20, 20)) - 9.6)) < 9, (0, 6, 11))
    plane = np.zeros((40, 50), np.uint32)
    (number,) = mask_numbers([mask])
    plane[mask.dense((1, 40, 50))[0]] = number
    raster = whole(step, plane.shape)
    assert np.array_equal(mask_ids([mask], 0, raster), label_ids(plane, raster))
    assert not mask_ids([mask], 1, raster).any()


def test_the_last_mask_lies_on_top_and_keeps_its_colour_alone():
    low, top = Mask((0, 0, 0), np.ones((1, 4, 4), bool)), Mask((0, 2, 2), np.ones((1, 4, 4), bool))
    raster = Raster(1, 0, 0, 6, 6)
    both, alone = mask_ids([low, top], 0, raster), mask_ids([top], 0, raster)
    assert both[3, 3] == both[5, 5] != both[0, 0]
    assert colour_of(int(both[5, 5])) == colour_of(int(alone[5, 5]))


def test_a_one_pixel_mask_survives_reduction():
    mask = Mask((0, 9, 9), np.ones((1, 1, 1), bool))
    out = mask_ids([mask], 0, whole(4, (40, 40)))
    assert np.argwhere(out).tolist() == [[2, 2]]


# Outlines.


def test_an_outline_runs_along_the_inside():
    ids = np.zeros((8, 8), np.uint32)
    ids[2:7, 1:6] = 3
    out = edge_entries(ids, PLAIN)
    inner = np.zeros((8, 8), bool)
    inner[3:6, 2:5] = True
    assert (out[(ids > 0) & ~inner] == 3).all()
    assert not out[inner].any()
    assert not out[ids == 0].any()


def test_touching_objects_are_parted_even_when_their_colours_are_alike():
    ids = np.full((6, 8), 1, np.uint32)
    ids[:, 4:] = 254
    out = edge_entries(ids, PLAIN)
    assert (out[:, 3:5] == 1).all()
    assert not out[:, :3].any()
    assert not out[:, 5:].any()


def test_rims_dashes_and_marks():
    ids = np.zeros((20, 20), np.uint32)
    ids[5:15, 5:15] = 7
    rim = edge_entries(ids, Pen(2, rim=1))
    assert rim[4, 10] == RIM
    assert rim[3, 10] == 0
    assert rim[6, 10] == 7
    dashed = edge_entries(ids, Pen(1, dashes=2))
    assert set(dashed[5, 5:15].tolist()) == {7, RIM}
    marked = edge_entries(ids, Pen(1, mark=3), [7])
    assert (marked[5:8, 5:15] == MARK).all()
    assert marked[4, 10] == RIM
    assert not marked[8:12, 8:12].any()
    assert np.array_equal(edge_entries(ids, PLAIN, [8]), edge_entries(ids, PLAIN))


def test_holes_have_outlines():
    ids = np.ones((9, 9), np.uint32)
    ids[4, 4] = 0
    out = edge_entries(ids, PLAIN)
    assert out[3, 4] == out[4, 3] == 1
    assert out[4, 4] == 0


@given(
    arrays(np.uint32, (12, 12), elements=st.integers(0, 3)),
    st.integers(0, 8),
    st.integers(0, 8),
    st.sampled_from([Pen(1), Pen(2, 1), Pen(2, 1, 2), Pen(3, 2, 0, 5)]),
    st.sampled_from([(), (1,), (1, 2)]),
)
def test_a_part_of_the_outlines_is_what_the_whole_has_there(plane, top, left, pen, marked):
    source = label_source(Labels.of(plane[None]), 0)
    full = edges(source, Raster(1, 0, 0, 12, 12), pen, marked)
    part = edges(source, Raster(1, top, left, 4, 4), pen, marked)
    assert np.array_equal(part, full[top : top + 4, left : left + 4])


# Patches.


def test_labels_have_exact_colours_and_a_clear_ground():
    labels = np.zeros((1, 8, 8), np.uint32)
    labels[0, 1:3, 1:4], labels[0, 5, 6], labels[0, 7, 0] = 1, 2, 300
    out = rgba(fill_patch(label_source(Labels.of(labels), 0), Raster(1, 0, 0, 8, 8), (0, 0), OBJECTS))
    expected = np.zeros((8, 8, 4), np.uint8)
    for number in (1, 2, 300):
        expected[labels[0] == number] = (*colour_of(number), 255)
    assert np.array_equal(out[labels[0] > 0], expected[labels[0] > 0])
    assert (out[labels[0] == 0][:, 3] == 0).all()


def test_only_the_changed_part_travels_and_knows_its_place():
    source = label_source(Labels.of(volume()), 0)
    full = rgba(fill_patch(source, whole(1, (40, 50)), (0, 0), OBJECTS))
    patch = fill_patch(source, Raster(1, 12, 23, 3, 4), (10, 20), OBJECTS)
    assert (patch.row, patch.column, patch.height, patch.width) == (2, 3, 3, 4)
    assert np.array_equal(rgba(patch), full[12:15, 23:27])


def test_a_part_without_objects_is_a_clear_patch_without_bytes():
    source = label_source(Labels.of(np.zeros((1, 8, 8), np.uint32)), 0)
    for patch in (
        fill_patch(source, Raster(1, 0, 0, 8, 8), (0, 0), OBJECTS),
        edge_patch(source, Raster(1, 0, 0, 8, 8), (0, 0), OBJECTS, PLAIN),
    ):
        assert (patch.height, patch.width, patch.data) == (8, 8, b"")


def test_contours_close_at_the_border_of_the_plane():
    source = label_source(Labels.of(np.ones((1, 8, 8), np.uint32)), 0)
    out = rgba(edge_patch(source, Raster(1, 0, 0, 8, 8), (0, 0), CONTOURS, PLAIN))
    assert (out[0] == (*colour_of(1), 255)).all()
    assert (out[:, 7, 3] == 255).all()
    assert not out[3, 3].any()


def test_proposals_are_yellow_and_candidates_are_not():
    masks = [Mask((0, 1, 1), np.ones((1, 3, 3), bool)), Mask((0, 3, 3), np.ones((1, 3, 3), bool))]
    raster = Raster(1, 0, 0, 8, 8)
    out = rgba(fill_patch(mask_source(masks, 0), raster, (0, 0), PROPOSALS))
    assert (out[out[..., 3] > 0] == (255, 255, 0, 255)).all()
    out = rgba(fill_patch(mask_source(masks, 0), raster, (0, 0), CANDIDATES))
    assert len({tuple(c) for c in out[out[..., 3] > 0].tolist()}) == 2


def test_masks_are_only_looked_for_where_they_are():
    source = mask_source([Mask((0, 1, 1), np.ones((1, 3, 3), bool))], 0)
    raster = whole(1, (40, 40))
    assert source.within(raster, [raster]) == [Raster(1, 1, 1, 3, 3)]
    assert source.within(raster, [Raster(1, 20, 20, 5, 5)]) == []
    assert label_source(Labels.of(volume()), 0).within(raster, [raster]) == [raster]


@pytest.mark.parametrize("step", [1, 0.25, 4])
def test_many_masks_look_like_few(step):
    masks = [Mask((0, 3 + 7 * (k // 5), 2 + 8 * (k % 5)), np.ones((1, 9, 9), bool)) for k in range(20)]
    raster = whole(step, (40, 50))
    out = mask_source(masks, 0).ids(raster)
    assert out.any()
    assert np.array_equal(out, mask_ids(masks, 0, raster))


def test_outlines_stay_clear_where_the_fill_is_faint():
    assert edge_opacity(0.0) == 0
    assert edge_opacity(0.3) == 0.6
    assert edge_opacity(0.9) == 1


def test_objects_between_the_pixels_of_a_coarse_raster_keep_one():
    volume = np.zeros((1, 64, 64), np.uint32)
    volume[0, 9:11, 9:11] = 1  # between the pixels shown, 4, 12, 20 ...
    volume[0, 17:19, 40:60] = 2  # long and narrow
    volume[0, 32:56, 32:56] = 3  # large
    volume[0, 45, 45] = 4  # within the large one: nothing is free
    source = label_source(Labels.of(volume), 0)
    ids = source.ids(Raster(8, 0, 0, 8, 8))
    assert ids[1, 1] == 1
    assert (ids == 2).sum() == 1
    assert (ids == 3).sum() == 9
    assert not (ids == 4).any()
    for top in range(0, 8, 2):
        for left in range(0, 8, 4):
            part = source.ids(Raster(8, top, left, 2, 4))
            assert np.array_equal(part, ids[top : top + 2, left : left + 4]), "parts fit together"
    assert (label_source(Labels.of(volume), 0, 1).ids(Raster(8, 0, 0, 8, 8)) != 1).all()


def test_a_thousand_nuclei_on_a_large_plane_are_all_seen():
    volume, random = np.zeros((1, 2048, 2048), np.uint32), np.random.default_rng(4)
    places = random.permutation(1024)[:600]
    for number, place in enumerate(places, start=1):
        y, x = 64 * (place // 32) + 20, 64 * (place % 32) + 30
        volume[0, y : y + 9, x : x + 9] = number
    ids = label_source(Labels.of(volume), 0).ids(Raster(32, 0, 0, 64, 64))
    assert len(np.unique(ids)) - 1 == len(places)


def test_neighbours_are_picked_objects_and_masks_of_another_plane():
    drawn = np.zeros((3, 8, 8), np.uint32)
    drawn[1, 1:4, 1:4], drawn[1, 4:6, 4:6], drawn[0, 7, 7] = 5, 6, 5
    labels = Labels.of(drawn)
    bitmap = np.zeros((3, 8, 8), bool)
    bitmap[1, 3:5, 3:7] = True
    mask = Mask.crop(bitmap)
    found = neighbour_source(labels, 1, (5,), (mask,))
    ids = found.ids(Raster(1, 0, 0, 8, 8))
    assert np.array_equal(ids == 5, (drawn[1] == 5) & ~bitmap[1])
    assert np.array_equal((ids > 0) & (ids != 5), bitmap[1])
    assert found.extent.start == (0, 1, 1)
    # Gone, elsewhere, or nothing at all.
    assert neighbour_source(labels, 1, (99,), ()) is None
    assert neighbour_source(labels, 2, (5,), (mask,)) is None
    for outside in (-1, 3):
        assert neighbour_source(labels, outside, (5,), (mask,)) is None
