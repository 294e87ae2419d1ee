"""Objects to files and back: seconds and size of every format, 10,000 objects in 4096 x 4096 pixels.

    OMP_NUM_THREADS=1 python tests/benchmarks/exports.py [--objects 10000] [--side 4096] [--image]

Objects are ellipses, some of which touch, some with a hole. With --image brightness is measured too, where the format
has a place for it. Every format is written twice, since the first time packages are imported; the second time counts.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from microsam_nb.core import FileError, Image
from microsam_nb.files.export import write_objects
from microsam_nb.files.importing import read_objects

ENDINGS = (".tif", ".ome.zarr", ".zip", ".geojson", ".json", ".csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--image", action="store_true", help="measure brightness too")
    options = parser.parse_args()
    labels = draw(options.objects, options.side)
    image = Image((labels % 251).astype(np.uint8)) if options.image else None
    print(f"{len(np.unique(labels)) - 1} objects, {np.count_nonzero(labels) / labels.size:.0%} of the pixels\n")
    print("| format | write (s) | read (s) | MB | same objects |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for ending in ENDINGS:
            path = Path(folder) / f"objects{ending}"
            write_objects(path, labels[:64, :64])
            begun = time.perf_counter()
            write_objects(path, labels, image=image)
            written = time.perf_counter()
            try:
                same = np.array_equal(read_objects(path, (1, *labels.shape)).labels[0], labels)
                read = f"{time.perf_counter() - written:.2f} | {size(path):.1f} | {'yes' if same else 'NO'}"
            except FileError:
                read = f"- | {size(path):.1f} | -"
            print(f"| {ending} | {written - begun:.2f} | {read} |")
            sys.stdout.flush()


def draw(count: int, side: int) -> np.ndarray:
    """Ellipses on a grid, turned at random; every tenth has a hole."""
    across = math.ceil(math.sqrt(count))
    step = side // across
    rng = np.random.default_rng(0)
    labels = np.zeros((side, side), np.uint32)
    y, x = np.indices((step, step)) + 0.5
    for number in range(count):
        row, column = divmod(number, across)
        radii, turn = rng.uniform(0.2, 0.52, 2) * step, rng.uniform(0, math.pi)
        dy, dx = y - step / 2 - rng.uniform(-2, 2), x - step / 2 - rng.uniform(-2, 2)
        along, beside = dy * math.cos(turn) + dx * math.sin(turn), dx * math.cos(turn) - dy * math.sin(turn)
        far = (along / radii[0]) ** 2 + (beside / radii[1]) ** 2
        inside = (far <= 1) & ((far > 0.1) | (number % 10 > 0))
        labels[row * step : (row + 1) * step, column * step : (column + 1) * step][inside] = number + 1
    return labels


def size(path: Path) -> float:
    """Megabytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in files if one.is_file()) / 1e6


if __name__ == "__main__":
    main()
