"""Volumes plane by plane, and their planes joined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import zarr

from microsam_nb.core import Image, LabelError
from microsam_nb.engine import load_model, open_store
from microsam_nb.engine.automatic import (
    DistanceSettings,
    GridSettings,
    Progress,
    PromptSettings,
    Segmenter,
    StitchSettings,
    join_planes,
    segment,
    segment_planes,
    segment_volume,
    segmenter,
)
from microsam_nb.engine.automatic.maps import Scale
from microsam_nb.engine.tiling import Tiling
from microsam_nb.engine.training.distances import distance_targets

SHARP = DistanceSettings(
    smoothing_share=0.0, distance_smoothing=0.0, foreground_smoothing=0.0, center_distance=0.5, boundary_distance=0.5,
    min_size=0, diameter=20.0,
)  # fmt: skip
SHAPE = (5, 60, 70)


@pytest.fixture(scope="module")
def nano():
    return load_model("nano", "cpu")


@pytest.fixture
def truth(draw_disk):
    """A column through planes 0 to 3, one in planes 1 and 2, and one in plane 4; each plane counts from 1."""
    labels = np.zeros(SHAPE, np.int32)
    for plane in range(4):
        labels[plane][draw_disk(SHAPE[1:], 20, 20 + plane, 12)] = 1
    for plane in (1, 2):
        labels[plane][draw_disk(SHAPE[1:], 45, 50, 9)] = 2
    labels[4][draw_disk(SHAPE[1:], 45, 20, 10)] = 1
    return labels


@pytest.fixture
def perfect(monkeypatch, truth):
    """The decoder sees every plane of ``truth`` as it is; the planes that were looked at."""
    seen = []

    def plane_maps(model, store, plane, zoom, region=None):
        seen.append(plane)
        yield 1, 1, distance_targets(truth[plane])

    monkeypatch.setattr(segmenter, "plane_maps", plane_maps)
    monkeypatch.setattr(segmenter, "find_scale", lambda *_: iter([Scale(1.0, 20.0)]))
    return seen


def of(model, shape=SHAPE, tiling=None):
    return Segmenter(model, open_store(None, model, Image(np.zeros(shape, np.uint8)), tiling))


def test_planes_are_segmented_each_by_itself(random_nano, truth, perfect):
    out = np.zeros(SHAPE, np.uint32)
    steps = list(segment_planes(of(random_nano), SHARP, out))
    assert steps == [Progress(done, 5, "planes") for done in range(6)]
    assert np.array_equal(out > 0, truth > 0)
    assert out.max((1, 2)).tolist() == [1, 2, 2, 1, 1]


def test_planes_that_are_done_are_left_as_they_are(random_nano, truth, perfect):
    out, done = np.full(SHAPE, 7, np.uint32), {0, 3}
    steps = list(segment_planes(of(random_nano), SHARP, out, done))
    assert [step.done for step in steps] == [2, 3, 4, 5]
    assert perfect == [1, 2, 4]
    assert done == set(range(5))
    assert (out[[0, 3]] == 7).all()
    assert np.array_equal(out[1] > 0, truth[1] > 0)


def test_stopped_planes_are_gone_on_with(random_nano, perfect):
    whole, out, done = np.zeros(SHAPE, np.uint32), np.zeros(SHAPE, np.uint32), set()
    list(segment_planes(of(random_nano), SHARP, whole))
    steps = segment_planes(of(random_nano), SHARP, out, done)
    for _ in range(3):
        next(steps)
    steps.close()
    assert done == {0, 1}
    perfect.clear()
    list(segment_planes(of(random_nano), SHARP, out, done))
    assert perfect == [2, 3, 4]
    assert np.array_equal(out, whole)


def test_a_plane_is_done_when_it_is_written(random_nano, perfect):
    """A file that is full: the plane is not counted."""

    class Full:
        shape = SHAPE

        def __setitem__(self, key, value):
            if key == 1:
                raise OSError("full")

    done = set()
    with pytest.raises(OSError, match="full"):
        list(segment_planes(of(random_nano), SHARP, Full(), done))
    assert done == {0}


def test_planes_are_joined_to_objects(random_nano, truth, perfect):
    volume = segment_volume(of(random_nano), SHARP)
    assert (volume.dtype, volume.shape) == (np.uint32, SHAPE)
    assert np.array_equal(volume > 0, truth > 0)
    assert np.unique(volume).tolist() == [0, 1, 2, 3]
    assert {int(one) for one in volume[:4, 20, 22]} == {1}
    assert volume[1, 45, 50] == volume[2, 45, 50] == 2
    assert volume[4, 45, 20] == 3


def test_how_planes_are_joined_is_a_setting(random_nano, perfect):
    volume = segment_volume(of(random_nano), SHARP, StitchSettings(min_extent=3))
    assert volume.max() == 1
    assert segment_volume(of(random_nano), SHARP, StitchSettings(min_extent=2)).max() == 2


def test_gaps_are_closed(random_nano, truth, perfect):
    truth[2] = 0
    assert segment_volume(of(random_nano), SHARP).max() == 4
    closed = segment_volume(of(random_nano), SHARP, StitchSettings(gap_closing=1))
    assert closed.max() == 3
    assert closed[2, 20, 22] == closed[0, 20, 22]


@pytest.mark.parametrize("settings", [SHARP, replace(PromptSettings(), diameter=20.0)], ids=["ais", "apg"])
def test_planes_with_nothing_have_no_objects(random_nano, truth, perfect, settings):
    truth[:] = 0
    assert not segment_volume(of(random_nano), settings).any()
    assert not segment_volume(of(random_nano), settings, StitchSettings(gap_closing=2)).any()


def test_one_plane_is_a_volume(random_nano, truth, perfect):
    volume = segment_volume(of(random_nano, (1, 60, 70)), SHARP)
    assert (volume.shape, volume.max()) == ((1, 60, 70), 1)


@pytest.mark.parametrize("mode", ["ais", "apg", "amg"])
def test_constant_planes_between_drawn_ones(nano, drawn, mode):
    pixels = np.stack([drawn.pixels, np.full((96, 96), 9, np.uint8), drawn.pixels])
    options = {"pred_iou": 0.8, "points_per_side": 32} if mode == "amg" else {}
    volume = segment(Image(pixels, "zyx"), nano, mode, **options)
    assert not volume[1].any()
    assert 0 < volume[0].max() <= 4
    assert volume.max() == volume[0].max() + len(np.unique(volume[2])) - 1


def test_a_volume_of_colours(nano, drawn):
    pixels = np.repeat(np.stack([drawn.pixels] * 2)[..., None], 3, 3)
    volume = segment(Image(pixels, "zyxc"), nano)
    assert volume.shape == (2, 96, 96)
    assert volume.max() == 4
    assert np.array_equal(volume[0], volume[1])


def test_frames_of_a_movie_are_not_joined(nano, drawn):
    pixels = np.stack([drawn.pixels, drawn.pixels[::-1]])
    frames = segment(Image(pixels, "tyx"), nano)
    assert frames.max((1, 2)).tolist() == [4, 4]
    assert np.unique(frames[1]).tolist() == [0, 1, 2, 3, 4]
    seen = []
    segment(Image(pixels, "zyx"), nano, progress=seen.append)
    assert [one for one in seen if one.total == 4][-1] == Progress(4, 4, "planes"), "planes are"


def test_zarr_arrays_take_planes_and_objects(random_nano, perfect, tmp_path):
    planes, out = (
        zarr.create_array(tmp_path / name, shape=SHAPE, chunks=(1, 32, 32), dtype=np.uint32, fill_value=0)
        for name in ("planes", "out")
    )
    list(segment_planes(of(random_nano), SHARP, planes))
    before = planes[...]
    steps = list(join_planes(planes, StitchSettings(), out))
    assert [(step.done, step.total) for step in steps] == [(n, 10) for n in range(1, 11)]
    assert np.array_equal(planes[...], before)
    assert np.array_equal(out[...], segment_volume(of(random_nano), SHARP))
    list(join_planes(planes, StitchSettings()))
    assert np.array_equal(planes[...], out[...])


def test_labels_of_another_shape_are_refused(random_nano):
    with pytest.raises(LabelError) as error:
        next(segment_planes(of(random_nano), SHARP, np.zeros((5, 70, 60), np.uint32)))
    assert "the image's shape" in error.value.remedy
    with pytest.raises(LabelError):
        next(segment_planes(of(random_nano), SHARP, np.zeros((60, 70), np.uint32)))


@pytest.mark.parametrize("settings", [DistanceSettings(min_size=0), GridSettings(points_per_side=4, pred_iou=0.0)])
def test_a_tiled_volume(random_nano, settings):
    """With a model that looks at tiles; random weights find something, in every plane the same."""
    vit = replace(random_nano, spec=replace(random_nano.spec, architecture="vit_b", hash="xxh128:v"))
    plane = np.random.default_rng(0).integers(0, 255, (60, 70)).astype(np.uint8)
    store = open_store(None, vit, Image(np.stack([plane] * 2)), Tiling((32, 40), (8, 8)))
    out = np.zeros((2, 60, 70), np.uint32)
    list(segment_planes(Segmenter(vit, store), settings, out))
    assert np.array_equal(out[0], out[1])
    assert store.has(1, 3)


def test_notes_are_passed_on(random_nano, monkeypatch):
    own = of(random_nano, (2, 40, 40))
    settings = GridSettings(points_per_side=15, diameter=20.0, pred_iou=0.9)
    own.batches.size = 4
    from microsam_nb.engine.automatic import grid

    answer = grid._answer

    def small(model, view, embedding, points, *others):
        if len(points) > 2:
            raise RuntimeError("CUDA out of memory")
        return answer(model, view, embedding, points, *others)

    monkeypatch.setattr(grid, "_answer", small)
    steps = list(segment_planes(own, settings, np.zeros((2, 40, 40), np.uint32)))
    assert [step.note for step in steps if step.note] == ["The memory did not suffice for 4 at a time; now it is 2."]
