"""Planes in blocks: the same objects as in one piece, whole across borders, gone on with after a stop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import zarr

from microsam_nb.core import Image, LabelError, ModelError
from microsam_nb.engine import load_model, open_store
from microsam_nb.engine.automatic import DistanceSettings, Segmenter, segment_large
from microsam_nb.engine.automatic import large as module
from microsam_nb.engine.automatic.large import Block
from microsam_nb.engine.automatic.maps import Scale
from microsam_nb.engine.evaluation.matching import overlaps
from microsam_nb.engine.tiling import Window
from microsam_nb.engine.training.distances import distance_targets

SHARP = DistanceSettings(
    smoothing_share=0.0, distance_smoothing=0.0, foreground_smoothing=0.0, center_distance=0.5, boundary_distance=0.5,
    min_size=0,
)  # fmt: skip


def discs(shape, pitch, radius, seed=0):
    """Labels of discs of different sizes at about every ``pitch`` pixels; they do not touch."""
    random = np.random.default_rng(seed)
    labels, number = np.zeros(shape, np.int32), 0
    y, x = np.indices(shape) + 0.5
    for cy in range(pitch // 2, shape[0], pitch):
        for cx in range(pitch // 2, shape[1], pitch):
            number += 1
            oy, ox = random.uniform(-2, 2, 2)
            labels[np.hypot(y - cy - oy, x - cx - ox) < radius + random.uniform(-3, 1)] = number
    return labels


def picture(labels, seed=0):
    noise = np.random.default_rng(seed).normal(0, 8, labels.shape)
    return (40 + 120 * (labels > 0) + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def seen(monkeypatch):
    """``seen(maps, size)``: what the decoder sees of a plane, and the typical size of its objects."""

    def set_maps(maps, size=None):
        regions = []

        def plane_maps(model, store, plane, zoom, region=None):
            region = region or Window(0, 0, *store.shape[1:])
            regions.append(region)
            yield 1, 2, None
            yield 2, 2, maps[(slice(None), *region.slices)].astype(np.float32)

        monkeypatch.setattr(module, "plane_maps", plane_maps)
        monkeypatch.setattr(module, "find_scale", lambda *_: iter([Scale(1.0, size)]))
        return regions

    return set_maps


def opened(model, shape):
    return open_store(None, model, Image(np.zeros(shape, np.uint8)))


def run(model, shape, settings=SHARP, block=100, out=None):
    out = np.zeros(shape, np.uint32) if out is None else out
    steps = list(segment_large(model, opened(model, shape), settings, out, block=block))
    return out, steps


def matched(whole, blocks, least=0.9):
    """The share of the objects that have a counterpart."""
    return float((overlaps(whole, blocks).max(1) >= least).mean())


def test_nano_finds_in_blocks_what_it_finds_in_one_piece():
    nano, labels = load_model("nano", "cpu"), discs((210, 252), 42, 14)
    store = open_store(None, nano, Image(picture(labels)))
    settings = DistanceSettings()
    own = Segmenter(nano, store)
    list(own.prepare(0, settings))
    whole, out = own.labels(0, settings), np.zeros((210, 252), np.uint32)
    *_, last = segment_large(nano, store, settings, out, block=126)
    assert last.total == 4
    assert last.objects == out.max() >= 30
    assert matched(whole, out) >= 0.99
    assert matched(out, whole) >= 0.99


@pytest.mark.parametrize("block", [64, 100, 256, 2048])
def test_blocks_of_any_size_give_the_objects_of_perfect_maps(random_nano, seen, block):
    truth = discs((300, 350), 30, 12)
    seen(distance_targets(truth), 24.0)
    out, _ = run(random_nano, (300, 350), block=block)
    assert out.max() == truth.max()
    assert matched(truth, out, 0.999) == 1.0
    assert matched(out, truth, 0.999) == 1.0


def test_noise_is_cut_alike_by_all_blocks(random_nano, seen):
    """Objects that touch, and maps that are far from perfect: at least 99 of 100 objects are the same."""
    random = np.random.default_rng(1)
    truth = discs((400, 400), 25, 13)
    maps = (distance_targets(truth) + random.normal(0, 0.2, (3, 400, 400))).clip(0, 1).astype(np.float32)
    seen(maps, 22.0)
    settings = DistanceSettings(smoothing_share=0.08, min_size=20)
    whole, _ = run(random_nano, (400, 400), settings, block=2048)
    out, _ = run(random_nano, (400, 400), settings, block=128)
    assert whole.max() > 150
    assert matched(whole, out) >= 0.99
    assert matched(out, whole) >= 0.99


@pytest.mark.parametrize("middle", [(100, 100), (99.5, 150), (100, 51), (101, 100)])
def test_an_object_across_a_border_is_one_object(random_nano, seen, middle):
    y, x = np.indices((200, 200)) + 0.5
    truth = (np.hypot(y - middle[0], x - middle[1]) < 30).astype(np.int32)
    seen(distance_targets(truth), 60.0)
    out, steps = run(random_nano, (200, 200), block=100)
    assert len(steps) == 5
    assert np.array_equal(out > 0, truth > 0)
    assert out.max() == steps[-1].objects == 1


def test_an_object_that_ends_inside_a_margin_belongs_to_one_block(random_nano, seen):
    """Every object is near a border of blocks; each is painted once, and nothing is lost."""
    truth = np.zeros((200, 400), np.int32)
    for number, x in enumerate(range(92, 390, 100), 1):
        truth[95:105, x : x + 16] = number
    seen(distance_targets(truth), 12.0)
    out, steps = run(random_nano, (200, 400), block=100)
    assert np.array_equal(out > 0, truth > 0)
    assert steps[-1].objects == out.max() == 3
    assert len(np.unique(out)) == 4


def test_an_object_that_two_blocks_claim_is_painted_once(random_nano, monkeypatch):
    """The left block sees the seed in its left part, the right block in its right part."""

    def plane_maps(model, store, plane, zoom, region):
        maps = np.ones((3, 100, 200), np.float32)
        maps[0] = 0
        maps[0, 40:60, 80:120] = 1
        start = 85 if region.x0 == 0 else 110
        maps[1:, 45:55, start : start + 5] = 0
        yield 1, 1, maps[(slice(None), *region.slices)]

    monkeypatch.setattr(module, "plane_maps", plane_maps)
    monkeypatch.setattr(module, "find_scale", lambda *_: iter([Scale(1.0, 20.0)]))
    out, steps = run(random_nano, (100, 200), block=100)
    assert [step.objects for step in steps] == [0, 1, 1]
    assert out.max() == 1
    assert np.count_nonzero(out) == 800


def test_blocks_see_a_margin_of_some_objects(random_nano, seen):
    truth = discs((300, 300), 60, 20)
    regions = seen(distance_targets(truth), 40.0)
    run(random_nano, (300, 300), block=100)
    assert len(regions) == 9
    assert regions[4] == Window(0, 0, 300, 300), "three objects of 40 pixels"
    regions = seen(distance_targets(truth), None)
    run(random_nano, (300, 300), block=100)
    assert regions[4] == Window(36, 36, 264, 264), "without any object 64 pixels"


def test_numbers_have_no_holes_and_limits_hold(random_nano, seen):
    truth = discs((300, 300), 30, 10)
    seen(distance_targets(truth), 20.0)
    areas = np.bincount(truth.ravel())[1:]
    least = int(np.median(areas))
    out, steps = run(random_nano, (300, 300), replace(SHARP, min_size=least))
    assert np.unique(out).tolist() == list(range(steps[-1].objects + 1))
    assert steps[-1].objects == np.count_nonzero(areas >= least)
    out, steps = run(random_nano, (300, 300), replace(SHARP, max_size=least))
    assert steps[-1].objects == np.count_nonzero(areas <= least)


def test_objects_of_a_low_score_are_left_out(random_nano, seen):
    truth = discs((200, 200), 40, 12)
    maps = distance_targets(truth)
    maps[0] *= np.where(truth % 2, 1.0, 0.7)
    seen(maps, 24.0)
    out, steps = run(random_nano, (200, 200), replace(SHARP, min_score=0.8))
    assert steps[-1].objects == np.count_nonzero(np.unique(truth) % 2)
    assert not out[truth % 2 == 0].any()


def test_an_empty_plane_has_no_objects(random_nano, seen):
    maps = np.ones((3, 150, 150), np.float32)
    maps[0] = 0
    seen(maps)
    out, steps = run(random_nano, (150, 150))
    assert not out.any()
    assert steps[-1].objects == 0


def test_more_objects_than_16_bits_count(random_nano, seen):
    """Single pixels at every second place: 67,600."""
    there = np.zeros((520, 520), bool)
    there[::2, ::2] = True
    seen(np.stack([there, ~there, ~there]).astype(np.float32), 1.0)
    out, steps = run(random_nano, (520, 520), block=200)
    assert steps[-1].objects == 260 * 260
    assert np.array_equal(np.sort(out[there]), np.arange(1, 260 * 260 + 1))


# Stopped and gone on with


@pytest.fixture
def noisy(seen):
    truth = discs((300, 300), 28, 14)
    random = np.random.default_rng(2)
    seen((distance_targets(truth) + random.normal(0, 0.1, (3, 300, 300))).clip(0, 1), 24.0)
    return DistanceSettings(min_size=20)


@pytest.mark.parametrize("after", [0, 1, 4, 9])
@pytest.mark.parametrize("kind", ["numpy", "zarr"])
def test_a_stopped_run_goes_on(random_nano, noisy, tmp_path, after, kind):
    store = opened(random_nano, (300, 300))
    whole, steps = run(random_nano, (300, 300), noisy)
    out = np.zeros((300, 300), np.uint32)
    if kind == "zarr":
        out = zarr.create_array(tmp_path / "a", shape=(300, 300), chunks=(64, 64), dtype=np.uint32, fill_value=0)
    first = segment_large(random_nano, store, noisy, out, block=100)
    for _ in range(after + 1):
        state = next(first)
    first.close()
    assert state.done == after
    rest = list(segment_large(random_nano, store, noisy, out, begun=state))
    assert rest[0] == state
    assert len(rest) == 10 - after
    assert rest[-1] == steps[-1]
    assert np.array_equal(out[...], whole)


@pytest.mark.parametrize("lost", [1, 5, 9])
def test_a_run_that_was_killed_before_its_state_was_saved_goes_on(random_nano, noisy, lost):
    """A block is painted, but the last state that is known is that of the block before."""
    store = opened(random_nano, (300, 300))
    whole, _ = run(random_nano, (300, 300), noisy)
    out = np.zeros((300, 300), np.uint32)
    steps = segment_large(random_nano, store, noisy, out, block=100)
    states = [next(steps) for _ in range(lost + 1)]
    *_, last = segment_large(random_nano, store, noisy, out, begun=states[-2])
    assert np.array_equal(out, whole)
    assert last.objects == whole.max()


@pytest.mark.parametrize("lost", [1, 5])
def test_a_run_that_was_killed_while_a_block_was_written_goes_on(random_nano, noisy, lost):
    """Only some rows of the block are there."""
    store = opened(random_nano, (300, 300))
    whole, _ = run(random_nano, (300, 300), noisy)
    out = np.zeros((300, 300), np.uint32)
    steps = segment_large(random_nano, store, noisy, out, block=100)
    states, before = [], out.copy()
    for _ in range(lost + 1):
        before = out.copy()
        states.append(next(steps))
    out[150:] = before[150:]
    list(segment_large(random_nano, store, noisy, out, begun=states[-2]))
    assert np.array_equal(out, whole)


def test_what_was_begun_keeps_its_scale_and_its_blocks(random_nano, noisy, monkeypatch):
    store, out = opened(random_nano, (300, 300)), np.zeros((300, 300), np.uint32)

    def fail(*_):
        raise AssertionError("the scale is known")

    monkeypatch.setattr(module, "find_scale", fail)
    steps = list(segment_large(random_nano, store, noisy, out, block=7, begun=Block(0, 0, 0, Scale(1.0, 24.0), 150)))
    assert [step.total for step in steps] == [4] * 5
    assert {step.block for step in steps} == {150}


def test_a_diameter_decides_the_scale(random_nano, monkeypatch):
    """As for planes in one piece, where it is measured only without one."""
    store = opened(random_nano, (300, 300))
    first = next(segment_large(random_nano, store, replace(SHARP, diameter=24.0), np.zeros((300, 300), np.uint32)))
    assert first.scale.zoom == pytest.approx(0.24 * 256 / 24)


# What is refused


def test_labels_of_another_shape_are_refused(random_nano):
    with pytest.raises(LabelError) as error:
        next(segment_large(random_nano, opened(random_nano, (30, 40)), SHARP, np.zeros((40, 30), np.uint32)))
    assert "the plane's shape" in error.value.remedy


def test_a_model_without_decoder_is_refused(random_nano):
    model = replace(random_nano, distances=None)
    with pytest.raises(ModelError) as error:
        next(segment_large(model, opened(model, (30, 40)), SHARP, np.zeros((30, 40), np.uint32)))
    assert "nano, vit_t_lm" in error.value.remedy
