"""Which tiles suit an image, and what encoding it will cost."""

from __future__ import annotations

import importlib

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsam_nb.core import Image, SettingsError
from microsam_nb.engine import encode
from microsam_nb.engine.plan import (
    calibrate,
    choose_tiling,
    embedding_bytes,
    estimate,
    largest_tile,
    plan,
    tiling_for,
    weight_bytes,
)
from microsam_nb.engine.tiling import Tiling

planning = importlib.import_module("microsam_nb.engine.plan")  # the package's own name for it is the function

MIB = 2**20
SAM = embedding_bytes(256, 64, 64)


def sam(shape, object_size=None, memory=None):
    return tiling_for(shape, 1024, object_size=object_size, memory=memory, each=SAM)


@pytest.mark.parametrize("side", [1, 64, 512, 700])
def test_small_planes_are_looked_at_whole(side):
    assert sam((side, side)) is None
    assert sam((50, side, side // 2 + 1)) is None


@pytest.mark.parametrize("shape", [(720, 300), (300, 1024), (40, 2000, 3000)])
def test_from_about_700_pixels_on_tiles_are_those_of_micro_sam(shape):
    assert sam(shape) == Tiling((384, 384), (64, 64))


@pytest.mark.parametrize(
    ("object_size", "tiling"),
    [
        (10, Tiling((224, 224), (16, 16))),
        (64, Tiling((192, 192), (32, 32))),
        (200, Tiling((576, 576), (112, 112))),
        (500, Tiling((1488, 1488), (256, 256))),
        (2000, None),
    ],
)
def test_tiles_follow_the_size_of_the_objects(object_size, tiling):
    assert sam((5000, 5000), object_size) == tiling


@given(
    st.integers(1, 20_000), st.integers(1, 20_000), st.floats(0.5, 5000), st.sampled_from([256, 1024]), st.floats(1, 20)
)
def test_an_object_lies_whole_in_the_tile_of_its_middle_and_is_seen_well(height, width, size, frame, enlargement):
    tiling = tiling_for((height, width), frame, enlargement, size)
    if tiling is None:
        # At worst the object is a bit more than a fifth of what is seen, or nothing could be enlarged further.
        seen = max(height, width)
        assert size >= seen / 5.7 or seen <= 1.4 * max(frame / min(enlargement, 4), 2 * (size / 2 + 16) + 16)
        return
    outer = tiling.tile[0] + 2 * tiling.halo[0]
    assert tiling.halo[0] >= size / 2
    assert tiling.tile[0] >= size
    assert outer >= frame / min(enlargement, 4) - 1e-6
    assert max(height, width) > tiling.tile[0]


@given(st.integers(700, 9000), st.integers(1, 30), st.integers(1, 10_000))
def test_tiles_fit_the_memory_or_there_are_none(side, planes, megabytes):
    tiling = sam((planes, side, side), memory=megabytes * MIB)
    if tiling is not None:
        assert estimate((planes, side, side), tiling, each=SAM, seconds=None).disk <= megabytes * MIB
        assert tiling.tile[0] >= 384


def test_less_memory_never_makes_more_tiles():
    counts = []
    for megabytes in (4000, 400, 100, 40, 10, 4):
        tiling = sam((4000, 4000), memory=megabytes * MIB)
        counts.append(1 if tiling is None else int(np.prod(tiling.grid((4000, 4000)))))
    assert counts[0] == 121
    assert counts[-1] == 1
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) > 3


def test_a_model_brings_its_own_frame(random_nano):
    frame = random_nano.frame
    assert choose_tiling((10 * frame, 10 * frame), random_nano) == tiling_for(
        (10 * frame, 10 * frame), frame, random_nano.enlargement
    )
    assert choose_tiling((frame // 2, frame // 2), random_nano) is None
    assert choose_tiling((1, 20_000, 20_000), random_nano, memory=1) is None
    small = tiling_for((2000, 2000), 256)
    assert small == Tiling((192, 192), (32, 32)), "a small frame is not filled with more than it can tell apart"


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"shape": (5,)}, "(height, width) or"),
        ({"shape": (1, 2, 3, 4)}, "(height, width) or"),
        ({"shape": (0, 5)}, "(height, width) or"),
        ({"object_size": 0}, "above 0"),
        ({"object_size": float("nan")}, "above 0"),
        ({"object_size": float("inf")}, "above 0"),
        ({"memory": 0}, "above 0"),
    ],
)
def test_wrong_sizes_say_what_to_give(random_nano, wrong, remedy):
    with pytest.raises(SettingsError) as error:
        choose_tiling(**{"shape": (2000, 2000), "model": random_nano, **wrong})
    assert remedy in error.value.remedy


def test_a_plan_is_plain_arithmetic():
    found = estimate((3, 1000, 700), Tiling((384, 384), (64, 64)), each=4 * MIB, seconds=2.0, weights=100 * MIB)
    assert (found.planes, found.tiles, found.encodings) == (3, 6, 18)
    assert found.seconds == 36
    assert found.disk == 72 * MIB
    assert found.memory == 172 * MIB


@pytest.mark.parametrize(
    ("shape", "tiling", "seconds", "text"),
    [
        (
            (3, 1000, 700),
            Tiling((384, 384), (64, 64)),
            2.0,
            "18 encodings (3 planes of 6 tiles of 384 x 384 px with a halo of 64 x 64 px) by vit_b on cpu, about 36 s; "
            "72 MiB on disk, or 112 MiB of memory without a store.",
        ),
        (
            (1, 100, 100),
            None,
            0.25,
            "1 encoding by vit_b on cpu, about 0.2 s; 4.0 MiB on disk, or 44 MiB of memory without a store.",
        ),
        (
            (2000, 100, 100),
            None,
            5.4,
            "2000 encodings (2000 planes) by vit_b on cpu, about 3.0 h; "
            "7.8 GiB on disk, or 7.9 GiB of memory without a store.",
        ),
        (
            (100, 100, 100),
            None,
            None,
            "100 encodings (100 planes) by vit_b on cpu; 400 MiB on disk, or 440 MiB of memory without a store.",
        ),
    ],
)
def test_a_plan_reads_as_a_sentence(shape, tiling, seconds, text):
    found = estimate(shape, tiling, each=4 * MIB, seconds=seconds, weights=40 * MIB, model="vit_b")
    assert str(found) == text


@given(st.integers(1, 900), st.integers(1, 900), st.integers(1, 300), st.integers(0, 200))
def test_the_largest_tile_is_that_of_the_tiling(height, width, tile, halo):
    tiling = Tiling((tile, tile + 7), (halo, halo + 3))
    if np.prod(tiling.grid((height, width))) > 2000:
        return
    shapes = [one.outer.shape for one in tiling.tiles((height, width))]
    assert largest_tile(tiling, (height, width)) == (max(h for h, _ in shapes), max(w for _, w in shapes))


def test_planning_reads_no_pixel_and_counts_real_bytes(random_nano):
    image = Image(da.full((7, 90, 120), np.nan), name="never read")
    found = plan(random_nano, image, Tiling((60, 60), (8, 8)), repeats=1)
    assert found.encodings == 7 * 4
    assert found.seconds > 0
    features = encode(random_nano, np.zeros((60, 60), np.uint8)).features
    each = features.numel() * features.element_size()
    assert found.disk == 28 * each
    assert found.memory == weight_bytes(random_nano) + found.disk > found.disk
    assert found.model == random_nano.spec.name
    assert found.device == "cpu"
    assert plan(random_nano, image, measure=False).seconds is None


@pytest.mark.parametrize(
    ("durations", "repeats", "expected", "runs"),
    [
        ([9.0], 3, 9.0, 1),  # too slow to repeat: the first run counts
        ([1.0, 0.3, 0.1, 0.2], 3, 0.2, 4),
        ([1.0, 3.0], 3, 3.0, 2),
        ([0.5, 0.4], 0, 0.4, 2),
    ],
)
def test_the_first_run_only_warms_up(monkeypatch, random_nano, durations, repeats, expected, runs):
    times = iter(t for one in durations for t in (100.0, 100.0 + one))
    monkeypatch.setattr(planning.time, "perf_counter", lambda: next(times))
    seen = []
    real = planning.encode
    monkeypatch.setattr(planning, "encode", lambda model, pixels: seen.append(pixels.shape) or real(model, pixels))
    assert calibrate(random_nano, (20, 30), repeats) == pytest.approx(expected)
    assert seen == [(20, 30)] * runs
