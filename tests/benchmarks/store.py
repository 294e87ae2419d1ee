"""Open a complete store of a volume and get a first plane: ours against micro-sam, on the same files.

    OMP_NUM_THREADS=1 python tests/benchmarks/store.py --peer PYTHON

``PYTHON`` is that of an environment with micro-sam. Both open the same store (vit_b, random features), made in its
layout, for the same volume in memory, and get plane 0 ready for a prompt. micro-sam is measured as its annotators
open a store, and with ``lazy_loading``. Every way has its own process; medians, after one opening that does not
count, and the most memory that opening added.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WAYS = {
    "ours": "ours",
    "peer": "micro-sam",
    "peer-lazy": "micro-sam, lazy_loading",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="Python with micro-sam")
    parser.add_argument("--planes", type=int, default=64)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--work", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(options.work, options.folder, options.repeats)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, options.planes, options.side)
        report(folder, options)


def prepare(folder: Path, planes: int, side: int) -> None:
    import torch
    from segment_anything import sam_model_registry

    from microsam_nb.core import Image
    from microsam_nb.engine import Embedding, embed, load_model, open_store
    from microsam_nb.engine.store.source import Source

    torch.manual_seed(0)
    torch.save(sam_model_registry["vit_b"]().state_dict(), folder / "vit_b.pth")
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (planes, side, side)).astype(np.uint8)
    np.save(folder / "volume.npy", pixels)
    model, image = load_model(folder / "vit_b.pth", "cpu"), Image(pixels, "zyx")

    def encode(source, items):
        features = torch.from_numpy(random.normal(size=(1, 256, 64, 64)).astype(np.float32))
        return [Embedding(features=features, original_size=(side, side), input_size=(1024, 1024)) for _ in items]
        yield

    Source.encode_stepwise = encode
    for _ in embed(model, image, open_store(folder / "store.zarr", model, image)):
        pass


def report(folder: Path, options: argparse.Namespace) -> None:
    size = sum(p.stat().st_size for p in (folder / "store.zarr").rglob("*") if p.is_file())
    print(f"{options.planes} planes of {options.side} x {options.side} uint8, store of {size / 1e6:.0f} MB\n")
    print(f"{'':<26}{'open and first plane':>22}{'ratio':>8}{'same plane again':>20}{'memory added':>15}")
    first = None
    for way, label in WAYS.items():
        if way != "ours" and not options.peer:
            continue
        python = sys.executable if way == "ours" else options.peer
        done = subprocess.run(
            [python, __file__, "--work", way, "--folder", str(folder), "--repeats", str(options.repeats)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
        )
        if done.returncode:
            sys.exit(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        first = first or found["open"]
        print(
            f"{label:<26}{found['open'] * 1e3:>19.1f} ms{found['open'] / first:>7.1f}x"
            f"{found['again'] * 1e3:>17.2f} ms{found['memory'] / 1e6:>12.0f} MB"
        )


def work(way: str, folder: Path, repeats: int) -> dict[str, float]:
    pixels = np.load(folder / "volume.npy")
    opened = ours(folder, pixels) if way == "ours" else peer(folder, pixels, lazy=way == "peer-lazy")
    opening, again, memory = [], [], []
    for _ in range(repeats + 1):
        gc.collect()
        before = restart_peak()
        start = time.perf_counter()
        get = opened()
        get()
        opening.append(time.perf_counter() - start)
        memory.append(peak() - before)
        start = time.perf_counter()
        get()
        again.append(time.perf_counter() - start)
        del get
    return {
        "open": statistics.median(opening[1:]),
        "again": statistics.median(again[1:]),
        "memory": statistics.median(memory[1:]),
    }


def ours(folder: Path, pixels: np.ndarray):
    from microsam_nb.core import Image
    from microsam_nb.engine import load_model, open_store

    model = load_model(folder / "vit_b.pth", "cpu")

    def opened():
        store = open_store(folder / "store.zarr", model, Image(pixels, "zyx"))
        return lambda: store.plane(0)

    return opened


def peer(folder: Path, pixels: np.ndarray, lazy: bool):
    from micro_sam import util

    predictor = util.get_sam_model("vit_b", device="cpu", checkpoint_path=str(folder / "vit_b.pth"))

    def opened():
        found = util.precompute_image_embeddings(
            predictor, pixels, save_path=str(folder / "store.zarr"), lazy_loading=lazy, verbose=False
        )
        return lambda: util.set_precomputed(predictor, found, i=0)

    return opened


def restart_peak() -> int:
    """Forget the highest memory use so far; return the present one in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


if __name__ == "__main__":
    main()
