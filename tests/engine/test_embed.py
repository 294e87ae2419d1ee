from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_encoder import volume

import microsam_nb
from microsam_nb.core import Image, StoreError
from microsam_nb.engine import embed, open_store
from microsam_nb.engine.tiling import Tiling


def test_planes_come_outward_from_the_first(random_nano, encoder):
    image = volume(planes=5)
    found = list(embed(random_nano, image, open_store(None, random_nano, image), first_plane=3))
    assert [one.plane for one in found] == [3, 2, 4, 1, 0]
    assert [one.done for one in found] == [1, 2, 3, 4, 5]
    assert {one.total for one in found} == {5}


def test_tiles_come_outward_from_the_visible_one(random_nano, encoder):
    image = volume(planes=2)
    tiling = Tiling((14, 17), (2, 2))
    store = open_store(None, random_nano, image, tiling)
    found = [(one.plane, one.tile) for one in embed(random_nano, image, store, 1, first_tile=8)]
    assert found[0] == (1, 8)
    assert set(found[1:4]) == {(1, 4), (1, 5), (1, 7)}
    assert found[9] == (0, 8)
    assert len(set(found)) == 18


def test_what_is_there_is_skipped(tmp_path, random_nano, encoder):
    image = volume(planes=5)
    walk = embed(random_nano, image, open_store(tmp_path / "a", random_nano, image))
    next(walk), next(walk)
    walk.close()
    encoder.items.clear()
    store = open_store(tmp_path / "a", random_nano, image)
    assert not store.complete
    found = list(embed(random_nano, image, store))
    assert [(one.plane, one.done) for one in found] == [(2, 3), (3, 4), (4, 5)]
    assert [item.plane for item in encoder.items] == [2, 3, 4]
    assert store.complete
    assert list(embed(random_nano, image, store)) == []


def test_the_store_is_complete_with_the_last_item(tmp_path, random_nano, encoder):
    image = volume(planes=3)
    store = open_store(tmp_path / "a", random_nano, image)
    assert [store.complete for _ in embed(random_nano, image, store)] == [False, False, True]


def test_killed_before_the_end_was_marked(tmp_path, random_nano, encoder):
    image = volume(planes=2)
    store = open_store(tmp_path / "a", random_nano, image)
    for plane in range(2):
        store.plane(plane)
    assert not store.complete
    assert list(embed(random_nano, image, store)) == []
    assert open_store(tmp_path / "a").complete


@pytest.mark.parametrize("batch", [1, 3, 4, 50])
def test_batches(random_nano, encoder, monkeypatch, batch):
    image = volume(planes=10)
    sizes = []
    call = type(encoder).__call__
    monkeypatch.setattr(
        type(encoder), "__call__", lambda self, source, items: sizes.append(len(items)) or call(self, source, items)
    )
    found = list(embed(random_nano, image, open_store(None, random_nano, image), batch=batch))
    assert [one.done for one in found] == list(range(1, 11))
    assert max(sizes) == min(batch, 10)


def test_a_first_plane_outside_the_image(random_nano, encoder):
    image = volume(planes=3)
    with pytest.raises(StoreError) as error:
        next(embed(random_nano, image, open_store(None, random_nano, image), first_plane=3))
    assert "Planes end at 2" in error.value.remedy


@pytest.mark.parametrize("pixels", [np.zeros((1, 1), np.uint8), np.zeros((3, 2, 2, 3), np.uint16)])
@pytest.mark.parametrize("tiling", [None, Tiling((1, 1), (5, 5))], ids=["whole", "tiled"])
def test_tiny_and_constant_images(tmp_path, random_nano, encoder, pixels, tiling):
    image = Image(pixels)
    store = open_store(tmp_path / "a", random_nano, image, tiling)
    assert len(list(embed(random_nano, image, store))) == store.shape[0] * store.tiles


def test_random_kills_lose_nothing():
    root = Path(microsam_nb.__file__).parents[1]
    script = Path(__file__).parents[1] / "benchmarks" / "kills.py"
    done = subprocess.run(
        [sys.executable, str(script), "--fake", "--kills=6", "--planes=40"],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 kills" in done.stdout
    assert "bit-equal" in done.stdout
