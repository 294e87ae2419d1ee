"""A huge mosaic of real images, segmented by the command with bounded memory, killed on the way and gone on with.

usage: python tests/benchmarks/mosaic.py PACK [--side 20000] [--enlarge 3] [--kill SECONDS ...] [--folder FOLDER]

The mosaic is made of the nuclei of bbbc039 (train), each image enlarged, put side by side in a zarr array. The command
`segment` runs in a process of its own, which is killed (SIGKILL) after the given seconds and started again. Printed:
time of all runs, peak memory of each (VmHWM), objects, and how the objects of one whole image of the mosaic agree
with those of the same image segmented alone (share of pairs with an IoU of at least 0.9).
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import tifffile
import zarr

from microsam_nb.core import Image
from microsam_nb.engine import load_model, open_store
from microsam_nb.engine.automatic import Segmenter, settings_for
from microsam_nb.engine.evaluation import overlaps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--enlarge", type=int, default=3)
    parser.add_argument("--kill", type=float, nargs="*", default=[60.0, 200.0])
    parser.add_argument("--folder", type=Path, default=Path("mosaic"))
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    image, labels = options.folder / "mosaic.zarr", options.folder / "labels.zarr"
    tiles = make(options.pack, image, options.side, options.enlarge)
    command = [sys.executable, "-m", "microsam_nb", "segment", str(image), "-o", str(labels), "-q"]
    whole = time.perf_counter()
    for seconds in [*options.kill, None]:
        start = time.perf_counter()
        run = subprocess.Popen(command)
        peak = watch(run, seconds)
        progress = options.folder / "labels.zarr.part" / "progress.json"
        block = json.loads(progress.read_text())["state"].get("block", {}) if progress.exists() else {}
        came = f"{block.get('done')} of {block.get('total')} blocks"
        ended = "finished" if run.returncode == 0 else f"killed, {came} done"
        print(f"{time.perf_counter() - start:.0f} s, peak {peak / 2**20:.0f} MB, {ended}", flush=True)
        if run.returncode == 0:
            break
    found = zarr.open_array(labels, mode="r")
    most = max(int(np.asarray(found[y : y + 1024]).max()) for y in range(0, options.side, 1024))
    print(f"{time.perf_counter() - whole:.0f} s in all, {most} objects in {options.side} x {options.side} pixels")
    agreement(found, tiles)


def make(pack: Path, where: Path, side: int, enlarge: int):
    """Write the mosaic; return one of its images and where it lies."""
    pixels = []
    for row in csv.DictReader((pack / "manifest.csv").open()):
        if row["source"] != "bbbc039" or row["split"] != "train":
            continue
        one = tifffile.imread(pack / row["path_image"]).astype(np.float32)
        low, high = np.percentile(one, [0.1, 99.9])
        small = ((one - low) / (high - low)).clip(0, 1) * 255
        pixels.append(np.kron(small, np.ones((enlarge, enlarge))).astype(np.uint8))
    height, width = pixels[0].shape
    if not where.exists():
        out = zarr.create_array(where, shape=(side, side), chunks=(1024, 1024), dtype=np.uint8)
        for row, y in enumerate(range(0, side, height)):
            strip = np.concatenate([pixels[(row * 7 + i) % len(pixels)] for i in range(-(-side // width))], 1)
            out[y : y + height] = strip[: min(height, side - y), :side]
    row, column = (side // height) // 2, (side // width) // 2
    return pixels[(row * 7 + column) % len(pixels)], (row * height, column * width)


def watch(run: subprocess.Popen, seconds: float | None) -> int:
    """Wait for a process, or kill it; return its largest resident set in KiB."""
    start, peak = time.perf_counter(), 0
    while run.poll() is None:
        try:
            status = Path(f"/proc/{run.pid}/status").read_text()
            peak = max(peak, int(status.split("VmHWM:")[1].split()[0]) * 1024)
        except (OSError, IndexError):
            pass
        if seconds is not None and time.perf_counter() - start > seconds:
            run.kill()
            run.wait()
            break
        time.sleep(0.2)
    return peak


def agreement(found, tile) -> None:
    pixels, (y, x) = tile
    model = load_model("nano")
    segmenter = Segmenter(model, open_store(None, model, Image(pixels)))
    settings = settings_for(model)
    for _ in segmenter.prepare(0, settings):
        pass
    alone = segmenter.labels(0, settings)
    height, width = pixels.shape
    part = np.asarray(found[y : y + height, x : x + width])
    inner = np.s_[64:-64, 64:-64]
    iou = overlaps(alone[inner], part[inner])
    share = (iou.max(1) >= 0.9).mean() if iou.size else 0.0
    print(f"one image of it alone: {alone.max()} objects, {share:.1%} of them the same in the mosaic (IoU >= 0.9)")


if __name__ == "__main__":
    main()
