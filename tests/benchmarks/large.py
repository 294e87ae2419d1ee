"""Clicking in a plane of any size: seconds and memory of clicks with nano, against a small image.

usage: python tests/benchmarks/large.py [--side 20000] [--clicks 20] [--folder FOLDER]

Every kind of file is opened in a process of its own. Printed are the median of clicks in 1024 x 1024 pixels, then for
the file the time of opening it and finding its contrast, of the first click, the medians of clicks far apart and of
clicks near each other; and how far the memory of the process, without mapped files, rose above what it had with the
model loaded and the small image clicked at: at most and at the end. Run it with OMP_NUM_THREADS=1 on a busy machine.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
import zarr

from microsam_nb.core import Image, Point
from microsam_nb.engine import load_model, open_store, predict
from microsam_nb.files.volumes import open_image

KINDS = ("zarr", "pyramid", "tiled", "strips", "npy")
_TILE = 1000


def tile(seed: int) -> np.ndarray:
    """Noisy discs, uint16 (1000, 1000), the same in every tile."""
    random = np.random.default_rng(seed)
    pixels = random.normal(800, 60, (_TILE, _TILE))
    yy, xx = np.indices((_TILE, _TILE))
    for y in range(100, _TILE, 200):
        for x in range(100, _TILE, 200):
            pixels[(yy - y) ** 2 + (xx - x) ** 2 < random.uniform(20, 70) ** 2] += 3000
    return pixels.astype(np.uint16)


def rows(side: int) -> Iterator[np.ndarray]:
    one = np.tile(tile(0), (1, -(-side // _TILE)))[:, :side]
    for y in range(0, side, _TILE):
        yield one[: min(_TILE, side - y)]


def write(folder: Path, kind: str, side: int) -> Path:
    path = folder / f"{kind}{side}{'.npy' if kind == 'npy' else '.tif' if kind in ('tiled', 'strips') else '.zarr'}"
    if path.exists():
        return path
    if kind == "npy":
        out = np.lib.format.open_memmap(path, "w+", np.uint16, (side, side))
        for i, band in enumerate(rows(side)):
            out[i * _TILE : i * _TILE + len(band)] = band
    elif kind in ("tiled", "strips"):
        if kind == "tiled":
            bands = np.concatenate(list(rows(side)))
            tifffile.imwrite(path, bands, tile=(512, 512), compression="zlib", compressionargs={"level": 1})
        else:
            bands = np.concatenate(list(rows(side)))
            tifffile.imwrite(path, bands, compression="zlib", compressionargs={"level": 1})
    else:
        group = zarr.open_group(path, mode="w")
        levels = 6 if kind == "pyramid" else 1
        group.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [
                {
                    "axes": [{"name": "y"}, {"name": "x"}],
                    "datasets": [{"path": str(i)} for i in range(levels)],
                }
            ],
        }
        for level in range(levels):
            size = -(-side // 2**level)
            out = group.create_array(str(level), shape=(size, size), chunks=(1024, 1024), dtype="u2")
            for i, band in enumerate(rows(side)):
                part = band[:: 2**level, :: 2**level]
                start = -(-i * _TILE // 2**level)
                out[start : start + len(part)] = part[: size - start]
    return path


def clicks(side: int, count: int, spread: int) -> list[Point]:
    random = np.random.default_rng(1)
    places = random.integers(0, max(1, min(side, spread) // 200), (count, 2)) * 200 + 100.0
    return [Point(0, float(y), float(x)) for y, x in np.minimum(places, side - 1)]


def timed(model, store, some: list[Point]) -> list[float]:
    times = []
    for one in some:
        start = time.perf_counter()
        predict(model, store, [one])
        times.append(time.perf_counter() - start)
    return times


class Watch:
    """Follows the memory of this process: what it has itself, without mapped files, which the system takes back."""

    def __init__(self) -> None:
        self.peak = self.now = self.read()
        self._stop = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    @staticmethod
    def read() -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

    def _follow(self) -> None:
        while not self._stop.wait(0.01):
            self.peak = max(self.peak, self.read())

    def stop(self) -> None:
        self._stop.set()
        self.now = self.read()


def measure(path: Path, side: int, count: int) -> None:
    model = load_model("nano", "cpu")
    store = open_store(None, model, Image(np.concatenate(list(rows(1024)))))
    usual = statistics.median(timed(model, store, clicks(1024, count, 1024)))
    before, watch = Watch.read(), Watch()
    start = time.perf_counter()
    image = Image(open_image(path))
    image.contrast_of(0)
    contrast = time.perf_counter() - start
    store = open_store(None, model, image)
    (first,) = timed(model, store, clicks(side, 1, side))
    far = statistics.median(timed(model, store, clicks(side, count, side)))
    near = statistics.median(timed(model, store, clicks(side, count, 3000)))
    watch.stop()
    times = " ".join(f"{one:9.3f}" for one in (usual, contrast, first, far, near))
    print(f"{path.name:20} {times} {watch.peak - before:9.0f} {watch.now - before:9.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--kinds", nargs="*", default=KINDS, choices=KINDS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.file is not None:
        measure(options.file, options.side, options.clicks)
        return
    with tempfile.TemporaryDirectory() as own:
        folder = options.folder or Path(own)
        folder.mkdir(parents=True, exist_ok=True)
        heads = ("1024 px", "contrast", "first", "far", "near", "MiB", "end")
        print(f"{'seconds':20} {' '.join(f'{one:>9}' for one in heads)}")
        for kind in options.kinds:
            path = write(folder, kind, options.side)
            command = [sys.executable, __file__, "--file", path, "--side", options.side, "--clicks", options.clicks]
            subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    main()
