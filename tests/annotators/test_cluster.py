"""Encoding and segmenting on a cluster: the result is that of one process, whatever happens to workers."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import sys
import threading

import numpy as np
import pytest
import tifffile
import zarr
from zarr.storage import LocalStore

from microsam_nb.__main__ import main
from microsam_nb.annotators import segment_files
from microsam_nb.annotators.cluster import (
    Cluster,
    Failure,
    Source,
    connect,
    embed_plan,
    finding,
    run_plans,
    segmenting,
    workers,
)
from microsam_nb.annotators.unfinished import Work
from microsam_nb.core import Image, SettingsError
from microsam_nb.engine import Tiling, embed, load_model, open_store
from microsam_nb.engine.automatic import large
from microsam_nb.engine.store.layout import ZarrShelf

distributed = pytest.importorskip("distributed")

SIZE = ("--diameter", "24")


@pytest.fixture(scope="module")
def here():
    """The address of a scheduler whose two workers are threads of this process: what is patched here is there too."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(autouse=True)
def nothing_is_open(monkeypatch):
    """Workers of other tests have kept their model, image and store; nobody waits for a disk that comes back."""
    monkeypatch.setattr("microsam_nb.annotators.cluster.plans._PAUSES", (0.0, 0.0))
    for kept in (workers.model_of, workers._opened, finding._opened):
        kept.cache_clear()


@pytest.fixture
def volume(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 48, 64)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "cells.tif", pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return tmp_path / "cells.tif"


def tree(folder):
    """The bytes of every file, by its name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha1(p.read_bytes()).hexdigest() for p in files}


TILES = ("--tile", "24", "24", "--halo", "4", "4")


@pytest.mark.parametrize("options", [TILES, (*TILES, "--half", "--batch", "3", "--first-plane", "1"), ()])
def test_a_store_has_the_bytes_of_a_serial_run(tmp_path, volume, weights, here, options, capsys):
    words = ["embed", str(volume), "-m", weights, *options]
    assert main([*words, "-o", str(tmp_path / "one.zarr")]) == 0
    assert main([*words, "-o", str(tmp_path / "many.zarr"), "--scheduler", here]) == 0
    said = capsys.readouterr()
    assert "1 of 1 images is in" in said.out
    assert said.err == "", "no bar where nobody watches"
    assert tree(tmp_path / "many.zarr") == tree(tmp_path / "one.zarr")


def test_what_was_begun_is_gone_on_with(tmp_path, volume, weights, here, monkeypatch):
    image, model, tiling = Image(tifffile.imread(volume)), load_model(weights), Tiling((24, 24), (4, 4))
    words = ["embed", str(volume), "-m", weights, *TILES]
    assert main([*words, "-o", str(tmp_path / "one.zarr")]) == 0
    begun = open_store(tmp_path / "many.zarr", model, image, tiling)
    for _, _ in zip(range(5), embed(model, image, begun), strict=False):
        pass
    put = []
    own = ZarrShelf.put
    monkeypatch.setattr(ZarrShelf, "put", lambda shelf, item, made: (put.append(item), own(shelf, item, made)))
    assert main([*words, "-o", str(tmp_path / "many.zarr"), "--scheduler", here, "-q"]) == 0
    assert len(put) == begun.shape[0] * begun.tiles - 5
    assert tree(tmp_path / "many.zarr") == tree(tmp_path / "one.zarr")


def test_segmented_images_are_those_of_a_serial_run(tmp_path, drawn, here, monkeypatch, capsys):
    """A plane, a volume, and a plane that is gone through in blocks."""
    tifffile.imwrite(tmp_path / "a cell ä.tif", drawn.pixels)
    stack = np.stack([drawn.pixels] * 3)
    stack[1, 50:] = 30
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "wide.tif", np.tile(drawn.pixels, (2, 2)))
    (tmp_path / "broken.tif").write_bytes(b"rubbish")
    monkeypatch.setattr(segment_files, "_WIDE", 20000)
    monkeypatch.setattr(large, "BLOCK", 96)
    monkeypatch.setattr(large.begin_large, "__kwdefaults__", {"plane": 0, "block": 96})
    monkeypatch.setattr(large.segment_large, "__kwdefaults__", {"plane": 0, "block": 96, "begun": None})
    words = ["segment", str(tmp_path), *SIZE, "-e"]
    assert main([*words, str(tmp_path / "e1"), "-o", str(tmp_path / "one")]) == 1
    assert main([*words, str(tmp_path / "e2"), "-o", str(tmp_path / "many"), "--scheduler", here]) == 1
    one, many = tree(tmp_path / "one"), tree(tmp_path / "many")
    assert set(one) == {"a cell ä.tif", "stack.tif", "wide.tif"}
    assert many == one
    assert tifffile.imread(tmp_path / "many" / "wide.tif").max() > 8
    said = capsys.readouterr()
    assert said.err.count("Save it again") == 2, "the broken file is named"
    again = ["segment", str(tmp_path / "stack.tif"), *SIZE, "-o"]
    assert main([*again, str(tmp_path / "one.zarr")]) == 0
    assert main([*again, str(tmp_path / "many.zarr"), "--scheduler", here]) == 0
    assert tree(tmp_path / "many.zarr") == tree(tmp_path / "one.zarr")


def test_blocks_are_painted_in_their_order(tmp_path, drawn, nano):
    pixels = np.tile(drawn.pixels, (2, 2))
    tifffile.imwrite(tmp_path / "wide.tif", pixels)
    image = Image(pixels)
    job = segment_files.Job(nano, "ais", {"diameter": 24.0})
    store = open_store(None, nano, image)
    serial, shared = np.zeros((2, *image.shape[1:]), np.uint32)
    for state in large.segment_large(nano, store, job.settings, serial, block=96):
        last = state
    begun = large.begin_large(nano, store, job.settings, block=96)
    task = finding.Task.of(job, Source.of(nano, "nano"), tmp_path / "wide.tif", tmp_path / "a.tif", None)
    with Work(tmp_path / "a.tif", image, nano.spec.hash, None, job.settings) as work:
        painting = segmenting._Painting(work, shared, begun, image.shape[1:])
        for number in (3, 1, 0, 2):
            painting.add(finding.find_block_into(task, str(work.folder), begun, number))
            done = len(list(work.folder.glob("block-*.npz")))
            assert done == {3: 1, 1: 2, 0: 1, 2: 0}[number]
    assert (painting.state, painting.state.objects) == (last, serial.max())
    assert np.array_equal(serial, shared)


class Disk:
    """A disk that fails for chunks of an array, by its name, so many times; ``tried``: how often they were written."""

    def __init__(self, monkeypatch, array, number, times):
        self.tried = []
        own = LocalStore.set

        async def put(store, key, value):
            if f"{array}/c/" in f"{store.root.as_posix()}/{key}":
                self.tried.append(key)
                if len(self.tried) <= times:
                    raise OSError(number, os.strerror(number))
            await own(store, key, value)

        monkeypatch.setattr(LocalStore, "set", put)


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ENOSPC])
def test_a_disk_that_was_away_is_tried_again(tmp_path, volume, weights, here, monkeypatch, number):
    disk = Disk(monkeypatch, "features", number, 2)
    assert main(["embed", str(volume), "-m", weights, "-o", str(tmp_path / "a.zarr"), "--scheduler", here, "-q"]) == 0
    assert len(disk.tried) == 3 + 2
    assert "input_size" in zarr.open_group(tmp_path / "a.zarr", mode="r").attrs


def test_labels_that_could_not_be_written_are_tried_again(tmp_path, drawn, here, monkeypatch):
    stack = np.stack([drawn.pixels] * 2)
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    disk = Disk(monkeypatch, "labels", errno.EIO, 1)
    words = ["segment", str(tmp_path / "stack.tif"), *SIZE, "-o", str(tmp_path / "a.tif"), "--scheduler", here, "-q"]
    assert main(words) == 0
    assert len(disk.tried) >= 2 + 1
    assert tifffile.imread(tmp_path / "a.tif").any((1, 2)).all()


def test_what_does_not_pass_is_not_tried_again(tmp_path, volume, weights, here, monkeypatch, capsys):
    disk = Disk(monkeypatch, "features", errno.EACCES, 99)
    assert main(["embed", str(volume), "-m", weights, "-o", str(tmp_path / "a.zarr"), "--scheduler", here, "-q"]) == 1
    assert len(disk.tried) == len(set(disk.tried))
    assert "Check the place and its permissions" in capsys.readouterr().err


def test_a_full_disk_is_said_once_and_gone_on_with(tmp_path, volume, weights, here, monkeypatch, capsys):
    words = ["embed", str(volume), "-m", weights, "-o", str(tmp_path / "a.zarr"), "--scheduler", here]
    with monkeypatch.context() as patch:
        disk = Disk(patch, "features", errno.ENOSPC, 99)
        assert main(words) == 1
    assert max(map(disk.tried.count, disk.tried)) == 3
    said = capsys.readouterr()
    assert said.err.count("Free some and go on") == 1
    assert "0 of 1 images" in said.out
    assert main(words) == 0


def test_a_worker_that_dies_is_replaced(tmp_path, volume, weights):
    """Of real processes: one is killed as soon as it has delivered something."""
    image, model, tiling = Image(tifffile.imread(volume)), load_model(weights), Tiling((16, 16), (4, 4))
    serial = open_store(tmp_path / "one.zarr", model, image, tiling)
    for _ in embed(model, image, serial):
        pass
    plan = embed_plan(model, Source.of(model, weights), volume, str(tmp_path / "many.zarr"), tiling)
    killed: list[int] = []
    with connect(workers=2, threads=1) as cluster:

        def told(done, total, _):
            if done and not killed:
                killed.append(next(iter(cluster.client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        assert list(run_plans(cluster, [("cells", plan)], told)) == [("cells", None)]
    assert killed
    assert tree(tmp_path / "many.zarr") == tree(tmp_path / "one.zarr")


def test_another_models_store(tmp_path, volume, weights, here, capsys):
    words = ["embed", str(volume), "-o", str(tmp_path / "a.zarr"), "--scheduler", here, "-q"]
    assert main([*words, "-m", weights]) == 0
    assert main(words) == 1
    assert "choose another store" in capsys.readouterr().err


def test_workers_with_another_model(tmp_path, volume, weights, here):
    model = load_model(weights)
    source = Source(weights, "auto", "auto", "another hash")
    with connect(here) as cluster:
        plan = embed_plan(model, source, volume, str(tmp_path / "a.zarr"))
        ((_, failure),) = run_plans(cluster, [("a", plan)])
    assert isinstance(failure, Failure)
    assert "Install the same version" in str(failure.error)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (["--scheduler", "tcp://127.0.0.1:9"], "dask scheduler"),
        (["--scheduler", "rubbish"], "dask scheduler"),
        (["--workers", "0"], "--workers 1 or more"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:9"], "--scheduler ADDRESS or --workers N"),
        (["--threads", "2"], "Give --workers or --scheduler"),
        (["--workers", "1", "--threads", "0"], "--threads 1 or more"),
    ],
)
def test_a_wrong_command(tmp_path, volume, weights, options, remedy, capsys, monkeypatch):
    monkeypatch.setattr("microsam_nb.annotators.cluster.clients._PATIENCE", 1)
    assert main(["embed", str(volume), "-m", weights, "-o", str(tmp_path / "a.zarr"), *options]) == 2
    said = capsys.readouterr().err
    assert remedy in said
    assert said.count("\n") == 1


def test_dask_is_missing(tmp_path, volume, weights, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    words = ["embed", str(volume), "-m", weights, "-o", str(tmp_path / "a.zarr"), "--workers", "2"]
    assert main(words) == 2
    assert "pip install 'microsam-nb[cluster]'" in capsys.readouterr().err


def test_a_zip_file_cannot_be_shared(tmp_path, volume, weights, here, capsys):
    words = ["embed", str(volume), "-m", weights, "-o", str(tmp_path / "a.zip"), "--scheduler", here]
    assert main(words) == 1
    assert "Name a folder" in capsys.readouterr().err


def test_a_cluster_is_one_or_the_other():
    with pytest.raises(SettingsError, match="--scheduler ADDRESS or --workers N"), connect():
        pytest.fail("connected")
    assert Cluster(None, 2).threads == 2


def test_a_scheduler_that_goes_away(tmp_path, volume, weights, monkeypatch, capsys):
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
    ) as cluster:
        address = cluster.scheduler_address

        def put(shelf, item, made):
            # From another thread: the worker that runs this is closed with it.
            threading.Thread(target=cluster.close, daemon=True).start()
            closed.wait(2)

        closed = threading.Event()
        monkeypatch.setattr("microsam_nb.annotators.cluster.clients._PATIENCE", 2)
        monkeypatch.setattr(ZarrShelf, "put", put)
        words = ["embed", str(volume), "-m", weights, "-o", str(tmp_path / "a.zarr"), "--scheduler", address]
        assert main(words) == 2
        closed.set()
    said = capsys.readouterr().err
    assert "Start it again" in said.splitlines()[-1]
    assert "Traceback" not in said
