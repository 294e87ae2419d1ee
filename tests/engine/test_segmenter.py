"""Both stages for whole planes, with nano, with random weights, and with maps that are made up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from microsam_nb.core import Image, Mask, ModelError, SettingsError, StoreError, image
from microsam_nb.engine import load_model, open_store
from microsam_nb.engine.automatic import (
    DistanceSettings,
    GridSettings,
    Kept,
    Mode,
    Progress,
    PromptOf,
    PromptSettings,
    Segmenter,
    StitchSettings,
    mode_for,
    mode_of,
    segment,
    segmenter,
    settings_for,
    settings_with,
)
from microsam_nb.engine.automatic.answers import Answers, Found
from microsam_nb.engine.automatic.kept import PlaneMaps
from microsam_nb.engine.automatic.maps import Scale, fitting
from microsam_nb.engine.automatic.prompts import expected
from microsam_nb.engine.evaluation import mean_segmentation_accuracy
from microsam_nb.engine.registry import MODELS
from microsam_nb.engine.tiling import Tiling, Window

#: Whatever the size of objects is, it is not measured.
SIZE = 10.0
SHARP = {"smoothing_share": 0.0, "distance_smoothing": 0.0, "foreground_smoothing": 0.0, "diameter": SIZE}
MODES = {
    "amg": GridSettings(points_per_side=32, pred_iou=0.5, stability=0.7, box_nms=0.4, crop_nms=0.4, min_size=25),
    "ais": DistanceSettings(),
    "apg": PromptSettings(),
}


@pytest.fixture(scope="module")
def nano():
    return load_model("nano", "cpu")


@pytest.fixture(scope="module", params=["amg", "ais", "apg"])
def prepared(request, nano, drawn_image):
    """A segmenter that is prepared, and the settings it is prepared for."""
    own, settings = Segmenter(nano, open_store(None, nano, drawn_image)), MODES[request.param]
    list(own.prepare(0, settings))
    return own, settings


def made_up(model, maps, size=SIZE):
    """A segmenter of a plane in which the decoder saw ``maps`` (3, y, x)."""
    store = open_store(None, model, Image(np.zeros(maps.shape[1:], np.uint8)))
    known = Kept(store.key)
    known.put_maps(0, fitting(model, SIZE), PlaneMaps(maps.astype(np.float16), size))
    return Segmenter(model, store, known)


def sharp_maps(labels):
    """Maps of objects that do not touch each other: deep everywhere in them."""
    there = labels > 0
    return np.stack([there, ~there, ~there]).astype(np.float32)


def squares(count, side=3, gap=1):
    """``count`` x ``count`` squares."""
    cell = np.zeros((side + gap, side + gap), bool)
    cell[:side, :side] = True
    return np.tile(cell, (count, count)).astype(np.int32)


# All three modes


def test_drawn_discs_are_found_in_every_mode(prepared, drawn):
    own, settings = prepared
    labels = own.labels(0, settings)
    assert (labels.dtype, labels.shape) == (np.uint32, (96, 96))
    assert labels.max() == 4
    assert mean_segmentation_accuracy(drawn.labels, labels) > 0.75


def test_candidates_are_the_labels(prepared):
    own, settings = prepared
    labels, found = own.labels(0, settings), own.candidates(0, settings)
    assert len(found) == 4
    assert {one.origin for one in found} == {str(mode_of(settings))}
    assert all(0.5 < one.score <= 1 for one in found)
    whole = np.any([one.mask.dense((1, 96, 96))[0] for one in found], 0)
    assert np.array_equal(whole, labels > 0)


def test_what_limits_choose_from_is_there_before_they_choose(prepared):
    own, settings = prepared
    scores, areas = own.spread(0, settings)
    assert (scores.dtype, areas.dtype) == (np.float32, np.int64)
    assert len(scores) == len(areas) >= 4
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert areas.min() > 0
    # Limits do not change it.
    strict = replace(settings, min_size=300)
    assert np.array_equal(own.spread(0, strict)[1], areas)
    assert len(own.candidates(0, strict)) < 4


@pytest.fixture
def no_model(prepared, monkeypatch):
    """A model that cannot compute any more."""

    def fail(*_, **__):
        raise AssertionError("the model is asked")

    own, settings = prepared
    for module in (own.model.sam.image_encoder, own.model.sam.mask_decoder, own.model.distances):
        monkeypatch.setattr(module, "forward", fail)
    for name in ("find_by_grid", "plane_maps", "find_scale", "ask"):
        monkeypatch.setattr(segmenter, name, fail)
    return own, settings


def test_settings_of_the_cheap_stage_need_no_model(no_model):
    own, settings = no_model
    strict = replace(settings, min_size=200, max_size=500)
    assert own.prepared(0, strict)
    assert list(own.prepare(0, strict)) == []
    areas = sorted(one.mask.area for one in own.candidates(0, strict))
    assert len(areas) == 2
    assert areas[0] >= 200
    assert areas[-1] <= 500
    assert own.labels(0, strict).max() == 2


def test_thresholds_of_quality_need_no_model(no_model):
    own, settings = no_model
    if isinstance(settings, GridSettings):
        other = replace(settings, pred_iou=0.8, stability=0.8, box_nms=0.9)
    elif isinstance(settings, PromptSettings):
        other = replace(settings, nms=0.2, over_smaller=True, min_score=0.3)
    else:
        other = replace(settings, foreground=0.4, center_distance=0.3, min_score=0.3)
    assert list(own.prepare(0, other)) == []
    assert own.labels(0, other).max() >= 3


def test_other_costly_settings_need_the_model(prepared):
    own, settings = prepared
    assert own.prepared(0, settings)
    assert not own.prepared(0, replace(settings, diameter=7.0))


def test_a_lower_threshold_of_a_grid_than_was_kept_needs_the_model(nano, drawn_image):
    own, settings = Segmenter(nano, open_store(None, nano, drawn_image)), GridSettings(points_per_side=10)
    list(own.prepare(0, settings))
    assert own.prepared(0, replace(settings, pred_iou=0.75))
    low = replace(settings, pred_iou=0.2)
    assert not own.prepared(0, low)
    before = len(own.spread(0, settings)[0])
    list(own.prepare(0, low))
    assert own.prepared(0, settings), "higher thresholds still need nothing"
    assert len(own.spread(0, low)[0]) > before


@pytest.mark.parametrize("settings", MODES.values(), ids=MODES)
def test_a_plane_that_is_not_prepared_says_so(random_nano, drawn_image, settings):
    own = Segmenter(random_nano, open_store(None, random_nano, drawn_image))
    assert not own.prepared(0, settings)
    for ask in (own.labels, own.candidates, own.spread):
        with pytest.raises(StoreError) as error:
            ask(0, settings)
        assert "Go through prepare(plane, settings) first" in error.value.remedy


def test_maps_alone_do_not_make_answers(nano, drawn_image):
    """APG after AIS needs the mask decoder, but not the maps."""
    own = Segmenter(nano, open_store(None, nano, drawn_image))
    list(own.prepare(0, DistanceSettings()))
    assert not own.prepared(0, PromptSettings())
    for ask in (own.labels, own.candidates, own.spread):
        with pytest.raises(StoreError) as error:
            ask(0, PromptSettings())
        assert "prepare" in error.value.remedy
    assert {step.unit for step in own.prepare(0, PromptSettings())} == {"prompts"}


def test_a_plane_that_is_not_there(random_nano, drawn_image):
    own = Segmenter(random_nano, open_store(None, random_nano, drawn_image))
    for settings in (DistanceSettings(diameter=20.0), GridSettings(diameter=20.0)):
        with pytest.raises(StoreError):
            list(own.prepare(7, settings))


# Maps that are made up


def test_objects_are_numbered_from_1_without_holes(random_nano):
    own = made_up(random_nano, sharp_maps(squares(4, side=5, gap=3)))
    labels = own.labels(0, DistanceSettings(**SHARP))
    assert np.unique(labels).tolist() == list(range(17))


def test_no_objects(random_nano):
    nothing = made_up(random_nano, sharp_maps(np.zeros((30, 40), np.int32)), None)
    for settings in (DistanceSettings(diameter=SIZE), PromptSettings(diameter=SIZE)):
        list(nothing.prepare(0, settings))
        assert not nothing.labels(0, settings).any()
        assert nothing.candidates(0, settings) == []
        scores, areas = nothing.spread(0, settings)
        assert len(scores) == len(areas) == 0


def test_everything_is_one_object(random_nano):
    """Foreground everywhere, and everywhere deep inside."""
    maps = np.zeros((3, 30, 40), np.float32)
    maps[0] = 1
    own = made_up(random_nano, maps)
    assert (own.labels(0, DistanceSettings(**SHARP)) == 1).all()
    (one,) = own.candidates(0, DistanceSettings(**SHARP))
    assert (one.mask.area, one.score) == (1200, 1.0)
    assert own.candidates(0, DistanceSettings(**SHARP, max_size=1199)) == []


def test_foreground_without_depth_is_no_object(random_nano):
    """All maps are 1 everywhere: there is no seed."""
    own = made_up(random_nano, np.ones((3, 30, 40), np.float32))
    assert not own.labels(0, DistanceSettings(**SHARP)).any()
    assert own.candidates(0, DistanceSettings(**SHARP)) == []
    assert len(own.spread(0, DistanceSettings(**SHARP))[0]) == 0


@pytest.mark.parametrize("least", [0, 1])
def test_objects_of_one_pixel(random_nano, least):
    truth = np.zeros((20, 30), np.int32)
    truth[[0, 5, 19], [0, 7, 29]] = 1
    own = made_up(random_nano, sharp_maps(truth), None)
    settings = DistanceSettings(**SHARP, min_size=least)
    assert np.array_equal(own.labels(0, settings) > 0, truth > 0)
    assert sorted(one.mask.start for one in own.candidates(0, settings)) == [(0, 0, 0), (0, 5, 7), (0, 19, 29)]
    assert not own.labels(0, replace(settings, min_size=2)).any()


def test_ten_thousand_tiny_objects(random_nano):
    own = made_up(random_nano, sharp_maps(squares(100)), 3.0)
    settings = DistanceSettings(**SHARP, min_size=1)
    assert own.labels(0, settings).max() == 10_000
    assert len(own.candidates(0, settings)) == 10_000
    scores, areas = own.spread(0, settings)
    assert (len(scores), set(areas.tolist())) == (10_000, {9})


def test_ten_thousand_tiny_answers(random_nano):
    """Answers to regions that are the regions."""
    own = made_up(random_nano, sharp_maps(squares(100)), 3.0)
    settings = PromptSettings(**SHARP, min_size=1, prompt=PromptOf.REGION)
    window = Window(0, 0, 400, 400)
    asked = expected(own._smoothed(0, own.kept.maps(0, own._zoom(settings)), settings), settings, 0)
    known = Answers({one: Found(one.region, 0.9, 1.0, window) for one in asked})
    own.kept.put_answers(0, own._zoom(settings), known)
    assert own.prepared(0, settings)
    assert own.labels(0, settings).max() == 10_000


def test_objects_by_their_score(random_nano):
    maps = sharp_maps(squares(2, side=6, gap=4))
    maps[0, :10, :10] *= 0.7
    own = made_up(random_nano, maps)
    assert own.labels(0, DistanceSettings(**SHARP)).max() == 4
    assert own.labels(0, DistanceSettings(**SHARP, min_score=0.8)).max() == 3
    scores = sorted(one.score for one in own.candidates(0, DistanceSettings(**SHARP)))
    assert scores == pytest.approx([0.7, 1, 1, 1], abs=1e-3)


@pytest.mark.parametrize("mode", MODES)
def test_a_constant_plane_has_no_objects(nano, mode):
    own = Segmenter(nano, open_store(None, nano, Image(np.full((70, 90), 7, np.uint8))))
    settings = MODES[mode] if mode != "amg" else replace(MODES[mode], points_per_side=5, pred_iou=0.9)
    list(own.prepare(0, settings))
    assert not own.labels(0, settings).any()
    assert own.candidates(0, settings) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (60, 2)])
@pytest.mark.parametrize("mode", MODES)
def test_planes_of_a_few_pixels(random_nano, mode, shape):
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    own = Segmenter(random_nano, open_store(None, random_nano, Image(pixels)))
    settings = replace(MODES[mode], min_size=0)
    list(own.prepare(0, settings))
    assert own.labels(0, settings).shape == shape


# What is refused


def test_a_plane_that_is_too_large_names_what_to_do(random_nano, drawn_image, monkeypatch):
    monkeypatch.setattr(image, "LARGE", 96 * 96 - 1)
    own = Segmenter(random_nano, open_store(None, random_nano, drawn_image))
    for settings in MODES.values():
        with pytest.raises(StoreError) as error:
            list(own.prepare(0, settings))
        assert "segment_large, or the command 'segment'" in error.value.remedy


def test_a_missing_decoder_names_models_that_have_one(random_nano, drawn_image):
    own = Segmenter(replace(random_nano, distances=None), open_store(None, random_nano, drawn_image))
    for settings in (DistanceSettings(), PromptSettings(), PromptSettings(diameter=5.0)):
        with pytest.raises(ModelError) as error:
            list(own.prepare(0, settings))
        assert "nano, vit_t_lm, vit_b_lm" in error.value.remedy
        assert "'amg'" in error.value.remedy
        assert "vit_h," not in error.value.remedy


def test_a_grid_needs_no_decoder(random_nano, drawn_image):
    own = Segmenter(replace(random_nano, distances=None), open_store(None, random_nano, drawn_image))
    settings = GridSettings(points_per_side=5, pred_iou=0.0)
    assert {step.unit for step in own.prepare(0, settings)} == {"points"}
    own.labels(0, settings)


def test_another_model_than_that_of_the_store_is_refused(random_nano, drawn_image):
    other = replace(random_nano, spec=replace(random_nano.spec, hash="xxh128:other"))
    own = Segmenter(other, open_store(None, random_nano, drawn_image))
    with pytest.raises(StoreError):
        list(own.prepare(0, DistanceSettings()))


@pytest.mark.parametrize("settings", [StitchSettings(), None, "ais"])
def test_settings_of_another_kind_are_refused(random_nano, drawn_image, settings):
    own = Segmenter(random_nano, open_store(None, random_nano, drawn_image))
    for ask in (lambda: list(own.prepare(0, settings)), lambda: own.labels(0, settings)):
        with pytest.raises(SettingsError) as error:
            ask()
        assert "GridSettings, DistanceSettings or PromptSettings" in error.value.remedy


# Cancelled


def noise(side=160):
    return Image(np.random.default_rng(0).integers(0, 255, (side, side)).astype(np.uint8))


@pytest.mark.parametrize(
    "settings",
    [DistanceSettings(diameter=24.0), GridSettings(diameter=24.0, points_per_side=5, pred_iou=0.0)],
    ids=["ais", "amg"],
)
def test_cancelled_work_leaves_nothing_and_can_be_done(random_nano, settings):
    own = Segmenter(random_nano, open_store(None, random_nano, noise()))
    steps = own.prepare(0, settings)
    first = next(steps)
    assert first.done < first.total
    steps.close()
    assert not own.prepared(0, settings)
    with pytest.raises(StoreError):
        own.labels(0, settings)
    *_, last = own.prepare(0, settings)
    assert last.done == last.total
    fresh = Segmenter(random_nano, own.store)
    list(fresh.prepare(0, settings))
    assert np.array_equal(own.labels(0, settings), fresh.labels(0, settings))


def test_answers_before_a_cancellation_are_gone_on_with(random_nano, monkeypatch):
    settings = PromptSettings(**SHARP, prompt=PromptOf.POINT, min_size=0)
    own = made_up(random_nano, sharp_maps(squares(4, side=5, gap=5)))
    steps = own.prepare(0, settings)
    seen = [next(steps) for _ in range(2)]
    steps.close()
    assert seen[-1].done == 4
    assert not own.prepared(0, settings)
    with pytest.raises(StoreError):
        own.labels(0, settings)
    assert list(own.prepare(0, settings))[-1].done == 16
    assert own.prepared(0, settings)


def test_a_note_is_said_once(random_nano, monkeypatch):
    own = made_up(random_nano, sharp_maps(squares(4, side=5, gap=5)))
    own.batches.size = 8
    from microsam_nb.engine.automatic import prompts

    answer = prompts._answer

    def small(model, store, view, some):
        if len(some) > 4:
            raise RuntimeError("CUDA out of memory")
        return answer(model, store, view, some)

    monkeypatch.setattr(prompts, "_answer", small)
    steps = list(own.prepare(0, PromptSettings(**SHARP, prompt=PromptOf.POINT, min_size=0)))
    assert [step.note for step in steps if step.note] == [
        "The memory did not suffice for 8 at a time; now it is 4."
    ]  # fmt: skip


# The scale


@pytest.fixture
def zooms(monkeypatch):
    """The zooms at which planes are looked at."""
    seen = []

    def plane_maps(model, store, plane, zoom, region=None):
        seen.append(zoom)
        yield 1, 1, sharp_maps(np.zeros(store.shape[1:], np.int32))

    monkeypatch.setattr(segmenter, "plane_maps", plane_maps)
    return seen


def test_the_diameter_decides_the_scale(random_nano, zooms):
    own = Segmenter(random_nano, open_store(None, random_nano, noise()))
    for diameter in (10.0, 20.0, 40.0):
        list(own.prepare(0, DistanceSettings(diameter=diameter)))
    assert zooms == pytest.approx([0.24 * 256 / 10, 0.24 * 256 / 20, 0.24 * 256 / 40])
    assert own.zoom is None, "nothing was measured"
    list(own.prepare(0, DistanceSettings(diameter=20.0)))
    assert len(zooms) == 3


def test_without_a_diameter_it_is_measured_once(random_nano, zooms, monkeypatch):
    measured = []

    def find_scale(model, store, plane):
        measured.append(plane)
        yield Scale(1.0, None)
        yield Scale(3.5, 17.0)

    monkeypatch.setattr(segmenter, "find_scale", find_scale)
    own = Segmenter(random_nano, open_store(None, random_nano, noise()))
    steps = list(own.prepare(0, DistanceSettings()))
    assert steps[0] == Progress(0, 0, "looks")
    assert (own.zoom, zooms, measured) == (3.5, [3.5], [0])
    list(own.prepare(0, PromptSettings()))
    assert measured == [0]


def test_planes_with_objects_decide_the_scale_of_a_volume(random_nano, zooms, monkeypatch):
    def find_scale(model, store, plane):
        yield {0: Scale(1.0, None), 2: Scale(1.0, None), 4: Scale(3.0, 20.0)}[plane]

    monkeypatch.setattr(segmenter, "find_scale", find_scale)
    volume = Image(np.zeros((5, 40, 50), np.uint8))
    own = Segmenter(random_nano, open_store(None, random_nano, volume))
    for plane in range(5):
        list(own.prepare(plane, DistanceSettings()))
    assert zooms == [3.0] * 5


def test_other_models_look_at_planes_as_they_are_stored(random_nano, zooms):
    vit = replace(random_nano, spec=replace(random_nano.spec, architecture="vit_b", hash="xxh128:v"))
    own = Segmenter(vit, open_store(None, vit, noise(), Tiling((80, 80), (8, 8))))
    list(own.prepare(0, DistanceSettings()))
    list(own.prepare(0, DistanceSettings(diameter=30.0)))
    assert zooms == [1.0], "the diameter is nano's"


@pytest.mark.parametrize("mode", MODES)
def test_tiles_of_other_models(random_nano, mode):
    vit = replace(random_nano, spec=replace(random_nano.spec, architecture="vit_b", hash="xxh128:v"))
    own = Segmenter(vit, open_store(None, vit, noise(100), Tiling((64, 64), (8, 8))))
    settings = replace(MODES[mode], min_size=0)
    if mode == "amg":
        settings = replace(settings, points_per_side=4, pred_iou=0.0, stability=0.0)
    units = {step.unit for step in own.prepare(0, settings)}
    assert units <= {"points", "tiles", "prompts"}
    assert own.labels(0, settings).shape == (100, 100)


def test_results_are_read_from_disk_by_the_next_segmenter(random_nano, tmp_path):
    store, settings = open_store(None, random_nano, noise()), PromptSettings(diameter=24.0, min_size=0)
    first = Segmenter(random_nano, store, Kept.at(tmp_path, store.key))
    list(first.prepare(0, settings))
    second = Segmenter(random_nano, store, Kept.at(tmp_path, store.key))
    assert second.prepared(0, settings)
    assert list(second.prepare(0, settings)) == []
    assert np.array_equal(first.labels(0, settings), second.labels(0, settings))


# The settings that suit a model


def named(model, name, decoder=True):
    known = next(one for one in MODELS if one.name == name)
    spec = replace(model.spec, name=name, architecture=known.architecture, hash="xxh128:n")
    return replace(model, spec=spec, distances=model.distances if decoder else None)


@pytest.mark.parametrize(
    ("name", "distances", "grid"),
    [
        ("vit_t_lm", (0.5, 0.5, 2.0, 100), (0.60, 0.65, 100)),
        ("vit_b_lm", (0.4, 0.5, 2.0, 100), (0.65, 0.70, 100)),
        ("vit_l_lm", (0.4, 0.4, 1.6, 100), (0.65, 0.73, 100)),
        ("vit_t_em_organelles", (0.4, 0.5, 1.2, 100), (0.75, 0.75, 100)),
        ("vit_b_histopathology", (0.5, 0.5, 1.6, 0), (0.88, 0.95, 0)),
        ("vit_h", (0.5, 0.5, 1.6, 0), (0.88, 0.95, 0)),
    ],
)
def test_models_of_micro_sam_have_its_settings(random_nano, name, distances, grid):
    model = named(random_nano, name)
    own = settings_for(model, "ais")
    assert (own.center_distance, own.boundary_distance, own.distance_smoothing, own.min_size) == distances
    assert (own.foreground, own.foreground_smoothing, own.smoothing_share) == (0.5, 1.0, 0.0)
    own = settings_for(model, Mode.AMG)
    assert (own.pred_iou, own.stability, own.min_size) == grid
    own = settings_for(model, "apg")
    assert (own.center_distance, own.boundary_distance) == distances[:2]
    assert (own.prompt, own.min_size, own.nms) == (PromptOf.POINT, distances[3] or 25, 0.9)


def test_the_mode_that_suits_a_model(random_nano):
    assert mode_for(random_nano) is mode_for(named(random_nano, "vit_b_lm")) is Mode.AIS
    assert mode_for(named(random_nano, "vit_b", decoder=False)) is Mode.AMG
    assert mode_for(replace(random_nano, distances=None)) is Mode.AMG
    # It has a decoder that is not worth it.
    medical = named(random_nano, "vit_b_medical_imaging")
    assert mode_for(medical) is Mode.AMG
    assert mode_for(medical, "ais") is Mode.AIS
    assert type(settings_for(medical)) is GridSettings


def test_a_model_of_ones_own_has_the_defaults(random_nano):
    model = replace(random_nano, spec=replace(random_nano.spec, name="mine", architecture="vit_b"))
    assert settings_for(model, "amg") == GridSettings()
    assert settings_for(model).center_distance == 0.5


@pytest.mark.parametrize("mode", ["watershed", "", None, "AIS"])
def test_an_unknown_mode_is_refused(random_nano, mode):
    with pytest.raises(SettingsError) as error:
        settings_for(random_nano, mode)
    assert "auto, amg, ais, apg" in error.value.remedy


def test_words_and_numbers_of_a_form_become_settings():
    changed = settings_with(PromptSettings(), {"prompt": "box", "min_size": 7.0, "nms": 1, "refine": True})
    assert changed == PromptSettings(prompt=PromptOf.BOX, min_size=7, nms=1, refine=True)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"box_nms": 0.5}, "foreground, center_distance"),
        ({"min_size": 7.5}, "a number"),
        ({"foreground": 2.0}, "from 0.0 to 1.0"),
        ({"foreground": "half"}, "a number"),
        ({"min_size": True}, "a number"),
    ],
)
def test_settings_that_are_not_possible_are_refused(options, remedy):
    with pytest.raises(SettingsError) as error:
        settings_with(DistanceSettings(), options)
    assert remedy in error.value.remedy


# One call


def test_an_image_is_segmented_in_one_call(nano, drawn):
    seen = []
    labels = segment(drawn.pixels, nano, progress=seen.append)
    assert (labels.dtype, labels.shape) == (np.uint32, (96, 96))
    assert mean_segmentation_accuracy(drawn.labels, labels) > 0.75
    assert seen[-1] == Progress(1, 1, "planes")
    assert segment(drawn.pixels, nano, min_size=300).max() == 2
    assert segment(drawn.pixels, nano, settings=DistanceSettings(max_size=300)).max() == 2


def test_what_is_wrong_with_a_call_is_said_before_work(random_nano, drawn_image, monkeypatch):
    monkeypatch.setattr(random_nano.sam.image_encoder, "forward", None)
    for options in ({"mode": "nothing"}, {"mode": "amg", "foreground": 0.5}, {"settings": StitchSettings()}):
        with pytest.raises(SettingsError):
            segment(drawn_image, random_nano, **options)


def test_a_store_of_another_image_is_refused(random_nano, drawn, drawn_image):
    store = open_store(None, random_nano, drawn_image)
    with pytest.raises(StoreError) as error:
        segment(Image(drawn.pixels[::-1].copy()), random_nano, store=store)
    assert "Open it with that image" in error.value.remedy


def test_masks_of_candidates_lie_in_their_plane(nano, drawn):
    volume = Image(np.stack([np.zeros((96, 96), np.uint8), drawn.pixels]))
    own = Segmenter(nano, open_store(None, nano, volume))
    for settings in (MODES["ais"], MODES["apg"]):
        list(own.prepare(1, settings))
        found = own.candidates(1, settings)
        assert len(found) == 4
        assert {one.mask.start[0] for one in found} == {1}
        assert all(isinstance(one.mask, Mask) for one in found)
