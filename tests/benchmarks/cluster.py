"""A cluster of processes: how it scales, what goes through the scheduler, and what killed workers cost.

    OMP_NUM_THREADS=1 python tests/benchmarks/cluster.py [--planes 4] [--model nano]

Tiles of noise are encoded by one process, and by 1 and 2 workers of one thread each; times without the start of the
workers, after a first tile by each. Stores are compared byte by byte, labels pixel by pixel. The traffic is what the
kernel has counted at the sockets by which the scheduler talks to workers and client, there and back. At last three
workers are killed at random moments. The exit status is 1 where anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import tifffile
import torch

from microsam_nb.annotators.cluster import Source, connect, embed_plan, run_plans, segment_plan
from microsam_nb.annotators.cluster.workers import open_here
from microsam_nb.annotators.segment_files import Job, segment_file
from microsam_nb.engine import Tiling, embed, load_model, open_store

TILING = Tiling((128, 128), (32, 32))


def tree(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha1(p.read_bytes()).hexdigest() for p in files}


def traffic(dask_scheduler):
    """Bytes at the scheduler's own sockets to workers and clients, sent and received."""
    total = 0
    for sending in (*dask_scheduler.stream_comms.values(), *dask_scheduler.client_comms.values()):
        info = sending.comm.stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        total += sum(struct.unpack_from("=QQ", info, 120))
    return total


def carried_out(cluster, plan, told=lambda *_: None):
    start = time.perf_counter()
    ((_, result),) = run_plans(cluster, [("image", plan)], told)
    assert not hasattr(result, "error"), result
    return time.perf_counter() - start


def noise(folder, planes, side):
    pixels = np.random.default_rng(0).integers(0, 255, (planes, side, side)).astype(np.uint8)
    pixels = (np.cumsum(np.cumsum(pixels.astype(float) - 127, 1), 2) // 64 % 256).astype(np.uint8)
    path = folder / "noise.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return path, open_here(str(path), "", "")  # as workers do: one plane is no volume


def kill(cluster, killed):
    for _ in range(3):
        time.sleep(random.uniform(0.5, 3))
        alive = [pid for pid in cluster.client.run(os.getpid, on_error="return").values() if isinstance(pid, int)]
        if alive:
            killed.append(random.choice(alive))
            os.kill(killed[-1], signal.SIGKILL)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planes", type=int, default=4)
    parser.add_argument("--side", type=int, default=768)
    parser.add_argument("--model", default="nano")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, image = noise(folder, options.planes, options.side)
        model = load_model(options.model, "cpu")
        source = Source.of(model, options.model, "cpu")
        store = open_store(folder / "serial.zarr", model, image, TILING, budget=0)
        tiles = store.shape[0] * store.tiles
        start = time.perf_counter()
        for _ in embed(model, image, store):
            pass
        serial = time.perf_counter() - start
        job = Job(model, tiling=None, options={"diameter": 64.0})
        start = time.perf_counter()
        segment_file(path, folder / "serial.tif", job)
        planes = time.perf_counter() - start
        print(f"{options.model}: {tiles} tiles of {image.shape}, {os.cpu_count()} cores, one thread each\n")
        print(f"{'':<22}{'encode':>10}{'speed-up':>10}{'segment':>10}{'speed-up':>10}  the same")
        print(f"{'one process':<22}{serial:>9.1f}s{'':>10}{planes:>9.1f}s")
        differ = False
        for workers in (1, 2):
            with connect(workers=workers, threads=1) as cluster:
                warm = folder / f"warm-{workers}.zarr"
                carried_out(cluster, embed_plan(model, source, path, str(warm)))
                before = cluster.client.run_on_scheduler(traffic)
                place = folder / f"{workers}.zarr"
                seconds = carried_out(cluster, embed_plan(model, source, path, str(place), TILING))
                sent = cluster.client.run_on_scheduler(traffic) - before
                output = folder / f"{workers}.tif"
                found = carried_out(cluster, segment_plan(job, source, path, output))
            same = tree(place) == tree(folder / "serial.zarr")
            same &= output.read_bytes() == (folder / "serial.tif").read_bytes()
            differ |= not same
            what = f"{workers} worker{'s' if workers > 1 else ''}"
            print(
                f"{what:<22}{seconds:>9.1f}s{serial / seconds:>10.2f}{found:>9.1f}s{planes / found:>10.2f}  {same}; "
                f"{sent / tiles / 1000:.2f} kB per tile through the scheduler"
            )
        killed = []
        with connect(workers=2, threads=1) as cluster:
            killer = threading.Thread(target=kill, args=(cluster, killed))
            killer.start()
            seconds = carried_out(cluster, embed_plan(model, source, path, str(folder / "killed.zarr"), TILING))
            killer.join()
        same = tree(folder / "killed.zarr") == tree(folder / "serial.zarr")
        differ |= not same
        print(f"{f'2 workers, {len(killed)} kills':<22}{seconds:>9.1f}s{serial / seconds:>10.2f}{'':>20}  {same}")
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
