"""Packed masks: what goes in comes out, also through a file, and what is damaged is refused."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from microsam_nb.core import Mask
from microsam_nb.engine.automatic.proposals import Proposals, boxes_of
from microsam_nb.engine.tiling import Window

SIZE = (40, 60)
NOTHING = Mask((0, 0, 0), np.zeros((0, 0, 0), bool))


def rectangle(y, x, height, width, plane=0):
    return Mask((plane, y, x), np.ones((1, height, width), bool))


def packed(masks, plane=0, size=SIZE, first=0.0):
    """Proposals with a score, a stability and a window of their own each."""
    count = len(masks)
    windows = [Window(0, 0, 10 + i, 20 + i) for i in range(count)]
    scores = [first + 0.1 * i for i in range(count)]
    return Proposals.made(size, masks, scores, [1 - 0.05 * i for i in range(count)], windows, plane)


@pytest.fixture
def several():
    """A rectangle, noise of an odd width, nothing, one pixel in the last corner, and the whole plane."""
    noise = np.random.default_rng(0).random((13, 7)) > 0.5
    noise[0, 0] = noise[-1, -1] = True
    return [
        rectangle(2, 3, 4, 5),
        Mask.crop(noise, (0, 20, 30)),
        NOTHING,
        rectangle(39, 59, 1, 1),
        rectangle(0, 0, *SIZE),
    ]


def alike(masks, others):
    """Whether masks are of the same pixels; one of none has no place."""
    return [(m.start, m.area) for m in masks] == [(m.start, m.area) for m in others] and all(
        np.array_equal(m.bitmap, o.bitmap) for m, o in zip(masks, others, strict=True) if m.area
    )


def same(one, other):
    return (
        (one.plane, one.size) == (other.plane, other.size)
        and alike(one, other)
        and all(np.array_equal(getattr(one, a), getattr(other, a)) for a in ("boxes", "areas", "scores"))
        and all(np.array_equal(getattr(one, a), getattr(other, a)) for a in ("stability", "windows"))
    )


def test_masks_come_back_as_they_were(several):
    found = packed(several)
    assert len(found) == 5
    assert alike(found.masks, several)
    assert alike([found.mask(i) for i in range(5)], several)
    assert all(mask.bitmap.ndim == 3 and mask.bitmap.dtype == bool for mask in found)


def test_boxes_and_areas_are_those_of_the_pixels(several):
    found = packed(several)
    assert found.boxes.tolist()[0] == [2, 3, 6, 8]
    assert found.boxes.tolist()[2] == [0, 0, 0, 0]
    assert found.boxes.tolist()[3:] == [[39, 59, 40, 60], [0, 0, 40, 60]]
    assert found.areas.tolist() == [mask.area for mask in several]


def test_a_mask_takes_an_eighth_of_a_byte_per_pixel_of_its_box(several):
    assert [len(bits) for bits in packed(several).bits] == [3, 12, 0, 1, 300]


def test_masks_lie_in_their_plane():
    found = packed([rectangle(1, 1, 2, 2, plane=4)], plane=4)
    assert found.mask(0).start == (4, 1, 1)
    assert Proposals.from_arrays(found.to_arrays(), 6).mask(0).start == (6, 1, 1)


def test_numbers_have_the_types_that_are_promised(several):
    found = packed(several)
    assert (found.boxes.dtype, found.areas.dtype) == (np.int64, np.int64)
    assert (found.scores.dtype, found.stability.dtype, found.windows.dtype) == (np.float32, np.float32, np.int32)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_arrays_of_a_file_give_the_same_proposals(several, count):
    found = packed(several[:count], plane=2)
    arrays = found.to_arrays()
    assert all(isinstance(one, np.ndarray) for one in arrays.values())
    assert same(Proposals.from_arrays(arrays, 2), packed([mask_in(one, 2) for one in several[:count]], 2))


def mask_in(mask, plane):
    return Mask((plane, *mask.start[1:]), mask.bitmap)


def test_arrays_go_through_zarr(several, tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    for name, array in packed(several).to_arrays().items():
        group.create_array(name, data=array)
    again = {name: np.asarray(array[...]) for name, array in zarr.open_group(tmp_path / "a.zarr").arrays()}
    assert same(Proposals.from_arrays(again), packed(several))


def test_none_is_empty_and_knows_its_plane():
    nothing = Proposals.none(SIZE, 3)
    assert (len(nothing), nothing.masks, nothing.size, nothing.plane) == (0, (), SIZE, 3)
    assert nothing.boxes.shape == nothing.windows.shape == (0, 4)
    assert len(Proposals.from_arrays(nothing.to_arrays())) == 0


def damage(**changes):
    def change(arrays):
        return {name: changes[name](one) if name in changes else one for name, one in arrays.items()}

    return change


@pytest.mark.parametrize(
    "change",
    [
        damage(bits=lambda a: a[:-1]),
        damage(bits=lambda a: np.append(a, np.uint8(0))),
        damage(boxes=lambda a: a[:-1]),
        damage(boxes=lambda a: a - 1),
        damage(boxes=lambda a: a[:, [2, 3, 0, 1]]),
        damage(boxes=lambda a: a + np.array([0, 0, 0, 1])),
        damage(boxes=lambda a: a.ravel()[:-1]),
        damage(size=lambda a: np.array([39, 60])),
        damage(size=lambda a: np.array([40])),
        damage(areas=lambda a: a[1:]),
        damage(scores=lambda a: a[1:]),
        damage(scores=lambda a: np.stack([a, a], 1)),
        damage(stability=lambda a: np.append(a, 1)),
        damage(windows=lambda a: a[1:]),
        lambda arrays: {name: one for name, one in arrays.items() if name != "scores"},
        lambda arrays: {name: one for name, one in arrays.items() if name != "size"},
        lambda arrays: {},
    ],
    ids=[
        "bits-cut", "bits-more", "box-less", "box-outside", "box-reversed", "box-beyond", "box-torn", "plane-smaller",
        "plane-line", "areas", "scores", "scores-table", "stability", "windows", "no-scores", "no-size", "nothing",
    ],
)  # fmt: skip
def test_damaged_arrays_are_refused(several, change):
    with pytest.raises((ValueError, KeyError)):
        Proposals.from_arrays(change(packed(several).to_arrays()))


def test_some_are_chosen_by_a_switch_for_each(several):
    found = packed(several)
    some = found[found.areas > 1]
    assert some.masks == (several[0], several[1], several[4])
    assert np.array_equal(some.scores, found.scores[[0, 1, 4]])
    assert np.array_equal(some.windows, found.windows[[0, 1, 4]])


def test_some_are_chosen_by_their_places_in_that_order(several):
    some = packed(several)[np.array([3, 0])]
    assert some.masks == (several[3], several[0])
    np.testing.assert_allclose(some.stability, [0.85, 1.0])
    assert some.areas.tolist() == [1, 20]


def test_choosing_nothing_leaves_nothing(several):
    assert len(packed(several)[np.zeros(5, bool)]) == 0
    assert len(packed(several)[np.zeros(0, np.int64)]) == 0


def test_parts_are_joined_in_their_order(several):
    parts = [packed(several[:2]), Proposals.none(SIZE), packed(several[2:], first=0.5)]
    whole = Proposals.joined(parts, SIZE)
    assert alike(whole, several)
    np.testing.assert_allclose(whole.scores, [0.0, 0.1, 0.5, 0.6, 0.7], atol=1e-6)
    assert same(Proposals.from_arrays(whole.to_arrays()), whole)


def test_no_parts_are_joined_to_nothing():
    nothing = Proposals.joined([], SIZE, 2)
    assert (len(nothing), nothing.size, nothing.plane) == (0, SIZE, 2)


def test_boxes_of_no_masks():
    assert boxes_of([]).shape == (0, 4)
