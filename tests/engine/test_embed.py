from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
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


VICTIM = """
    import sys
    sys.path[:0] = [{root!r}, {here!r}]
    from fake_encoder import FakeEncoder, volume
    from microsam_nb.engine import embed, open_store
    from microsam_nb.engine.store.source import Source
    from microsam_nb.engine.tiling import Tiling
    from microsam_nb.engine.training.embedded import new_nano

    fake, image, model = FakeEncoder(), volume(planes=24), new_nano(seed=3)
    Source.encode = lambda self, items: fake(self, items)
    tiling = Tiling((20, 25), (4, 4))
    print("ready", flush=True)
    for _ in range(1000):
        for one in embed(model, image, open_store({place!r}, model, image, tiling)):
            pass
        print("done", flush=True)
        break
"""


def _start(place: Path) -> subprocess.Popen:
    here = Path(__file__).parent
    root = Path(microsam_nb.__file__).parents[1]
    source = textwrap.dedent(VICTIM.format(root=str(root), here=str(here), place=str(place)))
    return subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)


def test_random_kills_lose_nothing(tmp_path):
    whole = _start(tmp_path / "whole")
    assert whole.stdout.readline() == "ready\n"
    start = time.perf_counter()
    assert whole.stdout.readline() == "done\n"
    seconds = time.perf_counter() - start
    assert whole.wait(60) == 0
    chance = random.Random(1)
    for _ in range(4):
        victim = _start(tmp_path / "killed")
        assert victim.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, seconds / 4))
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait(60)
        victim.stdout.close()
    last = _start(tmp_path / "killed")
    assert last.wait(120) == 0
    whole.stdout.close(), last.stdout.close()
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert "input_size" in zarr.open_group(tmp_path / "killed", mode="r").attrs


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
