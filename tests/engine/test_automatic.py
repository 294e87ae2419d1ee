"""Automatic segmentation from distances: perfect maps, tiles, scales."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from microsam_nb.core import Image, ModelError, SettingsError
from microsam_nb.engine import load_model
from microsam_nb.engine.automatic import DistanceSettings, distance_maps, maps, segment_distances, typical_diameter
from microsam_nb.engine.evaluation import mean_segmentation_accuracy
from microsam_nb.engine.training.distances import distance_targets


@pytest.fixture(scope="module")
def truth():
    """Touching and lone discs of two sizes, int32 (160, 200)."""
    labels = np.zeros((160, 200), np.int32)
    y, x = np.indices(labels.shape) + 0.5
    for number, (cy, cx, r) in enumerate([(30, 30, 18), (30, 64, 17), (90, 50, 25), (100, 150, 30), (20, 150, 9)], 1):
        labels[(np.hypot(y - cy, x - cx) < r) & (labels == 0)] = number
    return labels


def test_perfect_maps_give_the_objects_back(truth):
    found = segment_distances(distance_targets(truth))
    assert found.dtype == np.int32
    assert found.max() == 5
    assert sorted(np.unique(found)) == list(range(6))
    assert mean_segmentation_accuracy(truth, found) > 0.9


@pytest.mark.parametrize("share", [0.0, 0.08, 0.15])
def test_noisy_maps_need_smoothing_by_the_size_of_the_objects(truth, share):
    maps = distance_targets(truth) + np.random.default_rng(0).normal(0, 0.35, (3, 160, 200)).astype(np.float32)
    settings = DistanceSettings(smoothing_share=share, min_size=0, distance_smoothing=0.0, foreground_smoothing=1.0)
    found = segment_distances(maps, settings)
    # Without it every disc falls into pieces.
    assert (found.max() > 20) == (share == 0.0)


def test_small_objects_are_left_out(truth):
    found = segment_distances(distance_targets(truth), DistanceSettings(min_size=400))
    assert found.max() == 4
    assert not found[20, 150]


def test_maps_without_an_object():
    nothing = np.stack([np.zeros((20, 30)), np.ones((20, 30)), np.ones((20, 30))]).astype(np.float32)
    assert not segment_distances(nothing).any()
    assert segment_distances(nothing).shape == (20, 30)


def test_settings_have_bounds():
    with pytest.raises(SettingsError) as error:
        DistanceSettings(foreground=1.5)
    assert "from 0.0 to 1.0" in error.value.remedy


def test_a_model_without_instance_decoder_says_so(random_nano):
    with pytest.raises(ModelError) as error:
        distance_maps(replace(random_nano, distances=None), np.zeros((20, 30), np.uint8))
    assert "nano" in error.value.remedy


def test_every_window_is_seen_at_one_scale(random_nano, monkeypatch):
    seen = []

    def look(model, embedding):
        seen.append(embedding.original_size)
        return np.full((3, *embedding.original_size), 0.25, np.float32)

    monkeypatch.setattr(maps, "look_at", look)
    found = distance_maps(random_nano, np.zeros((340, 300), np.uint8), zoom=2.0)
    assert found.shape == (3, 340, 300)
    assert np.allclose(found, 0.25)
    assert set(seen) == {(128, 128)}


def test_windows_are_blended_without_seams(random_nano, monkeypatch):
    """Each window says something else: between two neighbours the maps go over gradually."""
    count = iter(range(1000))

    def look(model, embedding):
        return np.full((3, *embedding.original_size), float(next(count) % 2), np.float32)

    monkeypatch.setattr(maps, "look_at", look)
    found = distance_maps(random_nano, np.zeros((100, 600), np.uint8), zoom=2.0)
    assert found.min() < 0.05
    assert found.max() > 0.95
    assert np.abs(np.diff(found, axis=2)).max() < 0.1


def test_nano_finds_drawn_discs_whatever_their_size():
    nano = load_model("nano")
    y, x = np.indices((200, 260)) + 0.5
    for radius, places in ((8, [(30, 30), (60, 120), (150, 60), (160, 200)]), (35, [(60, 60), (130, 180)])):
        labels = np.zeros((200, 260), np.int32)
        for number, (cy, cx) in enumerate(places, 1):
            labels[np.hypot(y - cy, x - cx) < radius] = number
        random = np.random.default_rng(1)
        pixels = (40 + 120 * (labels > 0) + random.normal(0, 8, labels.shape)).clip(0, 255).astype(np.uint8)
        found = segment_distances(distance_maps(nano, Image(pixels).shown()))
        assert found.max() == len(places)
        assert mean_segmentation_accuracy(labels, found) > 0.6


@pytest.mark.parametrize("scale", [1, 4])
def test_the_typical_diameter_is_found_at_any_scale(truth, scale):
    """From a few windows around a place, not from the whole plane."""
    pixels = np.kron(np.where(truth > 0, 190, 30), np.ones((scale, scale))).astype(np.uint8)
    pixels += np.random.default_rng(1).integers(0, 10, pixels.shape, np.uint8)
    found = typical_diameter(load_model("nano", "cpu"), pixels, (80.0 * scale, 100.0 * scale))
    assert 30 * scale < found < 70 * scale


def test_where_nothing_is_there_is_no_typical_diameter():
    assert typical_diameter(load_model("nano", "cpu"), np.full((300, 300), 7, np.uint8), (150.0, 150.0)) is None


def test_a_model_without_instance_decoder_cannot_tell_a_diameter(random_nano):
    with pytest.raises(ModelError, match="or a model that has one: nano"):
        typical_diameter(replace(random_nano, distances=None), np.zeros((64, 64), np.uint8), (32.0, 32.0))
