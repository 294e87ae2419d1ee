"""Automatic mask generation against segment-anything's own, on the same weights and features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.utils.amg import build_all_layer_point_grids, generate_crop_boxes, rle_to_mask

from microsam_nb.core import Image, Mask, StoreError
from microsam_nb.engine import embed, load_model, open_store
from microsam_nb.engine.automatic import GridSettings, grid
from microsam_nb.engine.automatic.batches import Batches, is_out_of_memory
from microsam_nb.engine.automatic.grid import candidates_of, choose, find_by_grid, without_specks
from microsam_nb.engine.automatic.proposals import Proposals
from microsam_nb.engine.tiling import Tiling, Window

pytestmark = pytest.mark.usefixtures("exact")
EVERYTHING = -100.0


def as_vit_b(nano, name="vit_b"):
    """The same weights in the habits of segment-anything's models."""
    return replace(nano, spec=replace(nano.spec, name=name, architecture="vit_b", hash=f"xxh128:{name}"))


@pytest.fixture(scope="module")
def random_sam(random_nano):
    return as_vit_b(random_nano)


@pytest.fixture(scope="module")
def sam():
    """A model of segment-anything's habits that finds discs."""
    return as_vit_b(load_model("nano", "cpu", precision="fp32"), "trained")


@pytest.fixture(scope="module")
def discs():
    """Twelve discs, some of them at the border, uint8 (200, 256): the frame of the models, so nothing is scaled."""
    y, x = np.indices((200, 256)) + 0.5
    random = np.random.default_rng(2)
    pixels = random.normal(40, 5, y.shape)
    for i, (cy, cx) in enumerate((a, b) for a in (20, 85, 150) for b in (14, 90, 160, 225)):
        pixels += 120 * (np.hypot(y - cy, x - cx) < 18 + i)
    pixels = pixels.clip(0, 255).astype(np.uint8)
    # As the contrast leaves it.
    return Image(pixels).shown()


def opened(model, pixels, tiling=None):
    # All in one contrast: what is shown is what is given.
    store = open_store(None, model, Image(pixels), tiling)
    assert np.array_equal(store.shown(0), pixels)
    return store


def everything(model, store, settings=GridSettings(), floor=EVERYTHING, **options):  # noqa: B008
    *_, last = steps = list(find_by_grid(model, store, 0, settings, floor=floor, **options))
    assert last[0] == last[1]
    return Proposals.joined([found for _, _, found in steps], store.shape[1:])


def asked(monkeypatch, model, store, settings):
    """Return the window and the points of everything that is asked, without asking."""
    seen = {}

    def answer(model, view, embedding, points, size, plane, floor):
        seen.setdefault(view.outer, []).extend(map(tuple, points))
        return Proposals.none(size, plane)

    monkeypatch.setattr(grid, "_answer", answer)
    monkeypatch.setattr(type(store), "window", lambda self, plane, window: None)
    everything(model, store, settings)
    return {window: np.array(points) for window, points in seen.items()}


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize(("overlap", "downscale"), [(512 / 1500, 1), (0.1, 2)])
def test_points_and_crops_are_those_of_segment_anything(random_sam, monkeypatch, layers, overlap, downscale):
    pixels = np.random.default_rng(0).integers(0, 255, (100, 77)).astype(np.uint8)
    settings = GridSettings(
        points_per_side=8, crop_layers=layers, crop_overlap=overlap, crop_points_downscale=downscale
    )
    seen = asked(monkeypatch, random_sam, open_store(None, random_sam, Image(pixels)), settings)
    boxes, levels = generate_crop_boxes((100, 77), layers, overlap)
    grids = build_all_layer_point_grids(8, layers, downscale)
    assert len(seen) == len(boxes)
    for (x0, y0, x1, y1), level in zip(boxes, levels, strict=True):
        points = seen[Window(y0, x0, y1, x1)]
        # Ours are places in the plane, where a pixel's middle is half a pixel from its corner.
        own = (points - 0.5 - (y0, x0))[:, ::-1]
        np.testing.assert_allclose(own, grids[level] * (x1 - x0, y1 - y0), atol=1e-9)


def theirs(model, store, pixels, points_per_side, **options):
    """Return segment-anything's generator, which reads our features."""
    maker = SamAutomaticMaskGenerator(
        model.sam, points_per_side, points_per_batch=16, output_mode="binary_mask", **options
    )
    colour = np.repeat(pixels[..., None], 3, 2)
    maker.predictor.set_image(colour)
    ours = store.plane(0).features
    torch.testing.assert_close(maker.predictor.features, ours, rtol=1e-3, atol=1e-3)
    maker.predictor.features = ours
    maker.predictor.set_image = lambda image: None
    maker.predictor.reset_image = lambda: None
    return maker, colour


@pytest.mark.parametrize("which", ["random_sam", "sam"])
def test_all_masks_are_those_of_segment_anything(which, discs, request):
    model = request.getfixturevalue(which)
    store = opened(model, discs)
    found = everything(model, store, GridSettings(points_per_side=5))
    maker, _ = theirs(model, store, discs, 5, pred_iou_thresh=0.0, stability_score_thresh=0.0)
    height, width = discs.shape
    points = maker.point_grids[0] * (width, height)
    with torch.inference_mode():
        data = maker._process_batch(points, (height, width), [0, 0, width, height], (height, width))
    masks = [rle_to_mask(one) for one in data["rles"]]
    filled = [i for i, mask in enumerate(masks) if mask.any()]
    assert len(found) == len(filled) > 20
    np.testing.assert_allclose(found.scores, data["iou_preds"][filled], atol=1e-4)
    np.testing.assert_allclose(found.stability, data["stability_score"][filled], atol=1e-3)
    for mask, i in zip(found, filled, strict=True):
        wrong = np.count_nonzero(mask.dense((1, height, width))[0] ^ masks[i])
        assert wrong <= max(1, 0.002 * masks[i].sum())


def test_the_choice_is_that_of_segment_anything(sam, discs):
    store, nms = opened(sam, discs), 0.4
    whole = everything(sam, store, GridSettings(points_per_side=8))
    # Half of all masks by either.
    iou, stability = float(np.quantile(whole.scores, 0.5)), float(np.quantile(whole.stability, 0.3))
    settings = GridSettings(points_per_side=8, pred_iou=iou, stability=stability, box_nms=nms)
    ours = choose(whole, settings)
    maker, colour = theirs(
        sam, store, discs, 8, pred_iou_thresh=iou, stability_score_thresh=stability, box_nms_thresh=nms
    )
    expected = sorted(maker.generate(colour), key=lambda one: -one["predicted_iou"])
    assert 5 < len(ours) == len(expected) < len(whole) / 3
    np.testing.assert_allclose(ours.scores, [one["predicted_iou"] for one in expected], atol=1e-4)
    for mask, one in zip(ours, expected, strict=True):
        dense = mask.dense((1, *discs.shape))[0]
        assert np.count_nonzero(dense & one["segmentation"]) > 0.99 * np.count_nonzero(dense | one["segmentation"])


def test_masks_below_the_floor_are_not_kept(sam, discs):
    store, settings = opened(sam, discs), GridSettings(points_per_side=4)
    whole = everything(sam, store, settings)
    floor = float(np.median(whole.scores))
    some = everything(sam, store, settings, floor)
    assert 0 < len(some) < len(whole)
    assert some.masks == whole[whole.scores > floor].masks
    assert len(everything(sam, store, settings, 2.0)) == 0


def test_three_masks_answer_a_point_and_four_by_nano(random_nano, random_sam, discs):
    """With random weights every mask has pixels."""
    for model, count in ((random_sam, 3), (random_nano, 4)):
        assert len(everything(model, open_store(None, model, Image(discs)), GridSettings(points_per_side=1))) == count


def test_nano_takes_fewer_points(random_nano, monkeypatch):
    """Few objects are in a window of nano."""
    store = open_store(None, random_nano, Image(np.eye(90, 120, dtype=np.float32)))
    (points,) = asked(monkeypatch, random_nano, store, GridSettings(points_per_side=32)).values()
    assert len(points) == 36


@pytest.mark.parametrize(
    ("mask", "cut"),
    [
        ((110, 110, 130, 130), False),
        ((104, 110, 130, 130), True),
        ((110, 104, 130, 130), True),
        ((110, 110, 196, 130), True),
        ((110, 110, 130, 196), True),
        ((105, 105, 195, 195), False),
    ],
)
def test_masks_that_end_at_a_border_of_their_window_are_cut(mask, cut):
    """Of a window of 100 pixels 4 are the border."""
    y0, x0, y1, x1 = mask
    drawn = Mask((0, y0, x0), np.ones((1, y1 - y0, x1 - x0), bool))
    assert grid._cut(drawn, Window(100, 100, 200, 200), (300, 300)) == cut


@pytest.mark.parametrize("mask", [(0, 10, 30, 30), (10, 0, 30, 30), (10, 10, 300, 30), (10, 10, 30, 300)])
def test_masks_that_end_at_the_border_of_the_plane_are_whole(mask):
    y0, x0, y1, x1 = mask
    drawn = Mask((0, y0, x0), np.ones((1, y1 - y0, x1 - x0), bool))
    assert not grid._cut(drawn, Window(0, 0, 300, 300), (300, 300))


def test_tiles_are_asked_as_densely_as_planes(random_sam, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 255, (100, 120)).astype(np.uint8)
    tiling = Tiling((50, 60), (10, 12))
    store = open_store(None, random_sam, Image(pixels), tiling)
    seen = asked(monkeypatch, random_sam, store, GridSettings(points_per_side=12))
    tiles = list(tiling.tiles((100, 120)))
    assert list(seen) == [tile.outer for tile in tiles]
    for tile in tiles:
        points = seen[tile.outer]
        # 12 along the 60 (or 72) pixels that are seen of 50 (or 60): 10.
        assert len(points) == 100
        assert (points >= (tile.inner.y0, tile.inner.x0)).all()
        assert (points < (tile.inner.y1 + 0.5, tile.inner.x1 + 0.5)).all()


def test_a_tiled_plane_has_objects_of_all_tiles_and_of_the_border_none_twice(sam, discs):
    """A disc on the border between tiles is whole in the halo of one of them."""
    store = opened(sam, discs, Tiling((100, 128), (64, 64)))
    settings = GridSettings(points_per_side=10, pred_iou=0.5, stability=0.5, box_nms=0.4, crop_nms=0.4, min_size=100)
    found = choose(everything(sam, store, settings), settings)
    assert len({tuple(one) for one in found.windows.tolist()}) > 1
    for cy, cx, radius in [(20, 14, 18), (85, 90, 23), (85, 160, 24), (150, 225, 29)]:
        over = [
            mask
            for mask in found
            if mask.holds(0, cy, cx) and 0.6 < mask.area / np.count_nonzero(disc(cy, cx, radius)) < 1.6
        ]
        assert len(over) == 1


def disc(cy, cx, radius, shape=(200, 256)):
    y, x = np.indices(shape) + 0.5
    return np.hypot(y - cy, x - cx) < radius


def test_no_mask_of_a_tile_ends_at_its_border(sam, discs):
    """Every disc that the tiles cut is left out; those at the border of the plane are there."""
    store = opened(sam, discs, Tiling((100, 128), (0, 0)))
    found = everything(sam, store, GridSettings(points_per_side=8), floor=0.5)
    y0, x0, y1, x1 = found.boxes.T
    top, left, bottom, right = found.windows.T
    assert not ((y0 - top <= 4) & (top > 0)).any()
    assert not ((x0 - left <= 4) & (left > 0)).any()
    assert not ((bottom - y1 <= 4) & (bottom < 200)).any()
    assert not ((right - x1 <= 4) & (right < 256)).any()
    assert (x0 == 0).any()
    assert (x1 == 256).any()


def test_tiles_are_read_from_a_store_without_its_image(sam, discs, tmp_path):
    image, tiling = Image(discs), Tiling((100, 128), (32, 32))
    list(embed(sam, image, open_store(tmp_path / "a.zarr", sam, image, tiling)))
    settings = GridSettings(points_per_side=4)
    whole = everything(sam, open_store(None, sam, image, tiling), settings)
    read = everything(sam, open_store(tmp_path / "a.zarr"), settings)
    assert len(read) == len(whole) > 0
    assert read.masks == whole.masks


def test_parts_need_the_image(sam, discs, tmp_path):
    image = Image(discs)
    list(embed(sam, image, open_store(tmp_path / "a.zarr", sam, image)))
    with pytest.raises(StoreError) as error:
        everything(sam, open_store(tmp_path / "a.zarr"), GridSettings(points_per_side=2, crop_layers=1))
    assert "with the model and the image" in error.value.remedy


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_the_batch_makes_no_difference(sam, discs, batch):
    store, settings = opened(sam, discs), GridSettings(points_per_side=4)
    whole = everything(sam, store, settings, batches=Batches(16))
    some = everything(sam, store, settings, batches=Batches(batch))
    assert len(some) == len(whole)
    for one, other in zip(some, whole, strict=True):
        both = np.count_nonzero(one.dense((1, 200, 256)) & other.dense((1, 200, 256)))
        assert both >= 0.99 * max(one.area, other.area)


def progress(model, store, batch):
    asked = GridSettings(points_per_side=3)
    return [(done, total) for done, total, _ in find_by_grid(model, store, 0, asked, batches=Batches(batch))]


def test_points_are_counted_as_they_are_answered(random_sam, discs):
    assert progress(random_sam, opened(random_sam, discs), 4) == [(4, 9), (8, 9), (9, 9)]


def test_points_of_tiles_are_counted_as_they_are_answered(random_sam, discs):
    """Nine points in each of two tiles, four at a time."""
    store = opened(random_sam, discs, Tiling((200, 128), (0, 0)))
    assert progress(random_sam, store, 4) == [(4, 18), (8, 18), (9, 18), (13, 18), (17, 18), (18, 18)]


# Memory


def too_much(most, error=RuntimeError("CUDA out of memory")):  # noqa: B008
    def work(items):
        if len(items) > most:
            raise error
        return list(items)

    return work


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA out of memory"), MemoryError(), torch.OutOfMemoryError("no"),
              RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")], ids=str,
)  # fmt: skip
def test_batches_are_halved_until_they_fit(error, caplog):
    batches = Batches(9)
    made = list(batches.run(range(11), too_much(2, error)))
    assert made == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10]]
    assert batches.size == 2
    assert batches.notes == [
        "The memory did not suffice for 9 at a time; now it is 4.",
        "The memory did not suffice for 4 at a time; now it is 2.",
    ]
    assert caplog.messages == batches.notes


def test_a_batch_stays_small_for_the_next_work():
    batches = Batches(8)
    list(batches.run(range(8), too_much(2)))
    assert list(batches.run(range(4), too_much(2))) == [[0, 1], [2, 3]]
    assert len(batches.notes) == 2


def test_one_that_does_not_fit_is_an_error():
    batches = Batches(4)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(batches.run(range(4), too_much(0)))
    assert batches.size == 1


def test_other_errors_are_no_lack_of_memory():
    batches = Batches(4)
    with pytest.raises(RuntimeError, match="shapes"):
        list(batches.run(range(4), too_much(2, RuntimeError("shapes do not fit"))))
    assert (batches.size, batches.notes) == (4, [])
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_batch_has_at_least_one():
    assert Batches(0).size == 1
    assert list(Batches(3).run([], too_much(2))) == []


def test_a_grid_goes_on_with_less_memory(sam, discs, monkeypatch):
    store, settings = opened(sam, discs), GridSettings(points_per_side=4)
    whole = everything(sam, store, settings, batches=Batches(2))
    answer = grid._answer

    def small(model, view, embedding, points, *others):
        if len(points) > 2:
            raise RuntimeError("CUDA out of memory")
        return answer(model, view, embedding, points, *others)

    monkeypatch.setattr(grid, "_answer", small)
    batches = Batches(8)
    assert everything(sam, store, settings, batches=batches).masks == whole.masks
    assert batches.size == 2
    assert len(batches.notes) == 2


# The choice


def rectangles(*boxes, scores=None, stability=None, windows=None, size=(100, 100)):
    masks = [Mask((0, y0, x0), np.ones((1, y1 - y0, x1 - x0), bool)) for y0, x0, y1, x1 in boxes]
    count = len(masks)
    return Proposals.made(
        size, masks, scores or [0.9] * count, stability or [0.99] * count, windows or [Window(0, 0, *size)] * count
    )


LOOSE = GridSettings(pred_iou=0.5, stability=0.5)


def starts(found):
    return [tuple(box[:2]) for box in found.boxes.tolist()]


def test_quality_must_be_more_and_stability_at_least_as_much():
    found = rectangles((0, 0, 9, 9), (20, 0, 29, 9), (40, 0, 49, 9), (60, 0, 69, 9),
                       scores=[0.5, 0.75, 0.75, 0.75], stability=[0.75, 0.5, 0.25, 0.75])  # fmt: skip
    assert starts(choose(found, LOOSE)) == [(20, 0), (60, 0)]


def test_sizes_are_limited_to_both_sides():
    found = rectangles((0, 0, 2, 2), (20, 0, 25, 5), (40, 0, 60, 20))
    assert starts(choose(found, replace(LOOSE, min_size=5, max_size=100))) == [(20, 0)]
    assert starts(choose(found, replace(LOOSE, min_size=25, max_size=25))) == [(20, 0)]
    assert len(choose(found, LOOSE)) == 3
    assert len(choose(found, replace(LOOSE, min_size=1000))) == 0


def test_one_window_prefers_quality_and_several_prefer_the_smaller():
    boxes, scores = ((0, 0, 20, 20), (0, 0, 20, 19)), [0.9, 0.6]
    assert choose(rectangles(*boxes, scores=scores), LOOSE).scores.tolist() == pytest.approx([0.9])
    windows = [Window(0, 0, 100, 100), Window(0, 0, 50, 50)]
    assert choose(rectangles(*boxes, scores=scores, windows=windows), LOOSE).scores.tolist() == pytest.approx([0.6])


def test_of_windows_of_one_size_quality_decides():
    windows = [Window(0, 0, 50, 50), Window(0, 10, 50, 60)]
    found = rectangles((0, 20, 20, 40), (0, 20, 20, 39), scores=[0.6, 0.9], windows=windows)
    assert choose(found, LOOSE).scores.tolist() == pytest.approx([0.9])


def test_masks_of_different_windows_have_a_threshold_of_their_own():
    windows = [Window(0, 0, 50, 50), Window(0, 10, 50, 60)]
    found = rectangles((0, 20, 20, 40), (0, 20, 20, 32), windows=windows)
    assert len(choose(found, replace(LOOSE, box_nms=0.1, crop_nms=0.7))) == 2
    assert len(choose(found, replace(LOOSE, box_nms=0.7, crop_nms=0.1))) == 1


def test_nothing_is_chosen_of_nothing():
    assert len(choose(Proposals.none((10, 10)), LOOSE)) == 0
    assert len(choose(rectangles((0, 0, 9, 9), scores=[0.1]), LOOSE)) == 0
    assert len(choose(Proposals.none((10, 10)), replace(LOOSE, min_region=9))) == 0


def test_candidates_have_a_quality_up_to_1():
    found = rectangles((0, 0, 9, 9), (20, 0, 29, 9), scores=[1.25, -0.5])
    assert [one.score for one in candidates_of(found)] == [1.0, 0.0]
    assert {one.origin for one in candidates_of(found)} == {"amg"}


def speckled():
    """A square of 20 pixels with holes of 1 and 25 pixels, and islands of 2 and 16."""
    bitmap = np.zeros((40, 40), bool)
    bitmap[5:25, 5:25] = True
    bitmap[8, 8] = False
    bitmap[12:17, 12:17] = False
    bitmap[30, 30:32] = True
    bitmap[34:38, 2:6] = True
    return bitmap


def test_small_holes_are_filled_and_small_islands_go():
    expected = speckled()
    expected[8, 8], expected[30, 30:32] = True, False
    tidy = without_specks(Mask.crop(speckled(), (2, 0, 0)), 10)
    assert np.array_equal(tidy.dense((3, 40, 40))[2], expected)
    assert without_specks(Mask.crop(speckled()), 0) == Mask.crop(speckled())


def test_a_bay_at_the_edge_of_a_mask_is_no_hole():
    bay = np.ones((6, 6), bool)
    bay[0, 2] = bay[0, 0] = False
    assert without_specks(Mask.crop(bay), 9) == Mask.crop(bay)


def test_the_largest_of_many_small_islands_stays():
    some = np.zeros((20, 20), bool)
    some[1:3, 1:3] = some[8:11, 8:11] = some[15, 15] = True
    expected = np.zeros((20, 20), bool)
    expected[8:11, 8:11] = True
    assert without_specks(Mask.crop(some), 100) == Mask.crop(expected)


def test_of_masks_that_become_alike_the_unchanged_one_is_kept():
    """Before islands go, their boxes have little in common."""
    tidy, odd = np.zeros((2, 40, 40), bool)
    tidy[5:15, 5:15] = odd[5:15, 5:15] = True
    odd[38, 38] = True
    masks = [Mask.crop(odd), Mask.crop(tidy)]
    found = Proposals.made((40, 40), masks, [0.95, 0.9], [0.99, 0.99], [Window(0, 0, 40, 40)] * 2)
    assert len(choose(found, LOOSE)) == 2
    (kept,) = choose(found, replace(LOOSE, min_region=5))
    assert kept == masks[1]
    assert choose(found, replace(LOOSE, min_region=5)).scores.tolist() == pytest.approx([0.9])
