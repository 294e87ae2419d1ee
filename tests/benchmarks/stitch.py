"""Stitching planes to 3D objects: quality on ground truth cut into planes, speed beside micro-sam.

usage: python tests/benchmarks/stitch.py PACK [--split train|val|test]
       python tests/benchmarks/stitch.py --peer PYTHON

PACK is a data pack. Each volume's ground truth is cut into the connected components of its planes, as a perfect 2D
segmentation would give them, and stitched with default settings. Printed is the mean segmentation accuracy (mSA, IoU
0.50 to 0.95) in 3D: without stitching, with the overlap counted for the earlier plane only as micro-sam does (also
with the stack reversed), and with ours.

PYTHON is a Python that has micro-sam: its merge_instance_segmentation_3d and ``stitch`` get the same 32 planes of
512 x 512 pixels with 100 discs each. Times are medians of 5 runs after one to warm up.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
from scipy import ndimage
from skimage.draw import disk

from microsam_nb.engine.automatic import stitch as module
from microsam_nb.engine.automatic.stitch import Stitching, StitchSettings, stitch
from microsam_nb.engine.evaluation import mean_segmentation_accuracy
from microsam_nb.files.images import read_image

REPEATS = 5
#: micro-sam's window closes gaps of up to 2 steps and wants 2 planes, its library neither.
CASES = {"library (0, none)": (0, 1), "window (2, 2)": (2, 2)}
PEER = """
import json, sys, time, numpy as np
from micro_sam.multi_dimensional_segmentation import merge_instance_segmentation_3d as merge
volume, out, gap, extent, repeats = np.load(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
options = dict(gap_closing=gap or None, min_z_extent=extent if extent > 1 else None, verbose=False)
times = []
for _ in range(repeats + 1):
    copy = volume.copy()
    start = time.perf_counter()
    result = merge(copy, **options)
    times.append(time.perf_counter() - start)
np.save(out, result)
print(json.dumps(times[1:]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path, nargs="?")
    parser.add_argument("--split", default="test")
    parser.add_argument("--peer", type=Path, metavar="PYTHON")
    options = parser.parse_args()
    if options.pack is None and options.peer is None:
        parser.error("give a data pack, or --peer")
    if options.pack is not None:
        quality(options.pack, options.split)
    if options.peer is not None:
        speed(options.peer)


def quality(pack: Path, split: str) -> None:
    print(f"split {split}\n")
    table_head("volume", "planes", "2D objects", "3D objects", "unstitched", "one-sided", "one-sided, reversed", "ours")
    scores = []
    with (pack / "manifest.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["kind"] == "3d" and row["split"] == split]
    for row in rows:
        truth = read_image(pack / row["path_label"]).astype(np.int64)
        planes = [components(one) for one in truth]
        stitching = Stitching()
        unique = np.stack([stitching.add(one) for one in planes])
        with mock.patch.object(module, "_share", lambda both, earlier, later: both / earlier):
            one_sided, backward = stitch(planes), stitch(planes[::-1])[::-1]
        answers = (unique, one_sided, backward, stitching.solve()[unique])
        scores.append([mean_segmentation_accuracy(truth, one) for one in answers])
        objects = len(np.unique(truth[truth > 0]))
        table_row(Path(row["path_image"]).stem, len(truth), unique.max(), objects, *(f"{v:.3f}" for v in scores[-1]))
    table_row("**mean**", "", "", "", *(f"**{v:.3f}**" for v in np.mean(scores, axis=0)))
    print()


def components(truth):
    """Number the connected components of every object of a plane."""
    out = np.zeros(truth.shape, np.int64)
    for number in np.unique(truth[truth > 0]):
        parts, _ = ndimage.label(truth == number, np.ones((3, 3)))
        out[parts > 0] = parts[parts > 0] + out.max()
    return out


def discs():
    """Draw 32 planes of 100 discs that tremble from plane to plane; numbers are unique in the volume."""
    random = np.random.default_rng(0)
    volume = np.zeros((32, 512, 512), np.uint32)
    middles = random.uniform(20, 490, (100, 2))
    for z, plane in enumerate(volume):
        for number, middle in enumerate(middles, 1):
            plane[disk(middle + random.normal(0, 1, 2), 12, shape=plane.shape)] = 100 * z + number
    return volume


def speed(peer: Path) -> None:
    volume = discs()
    print(f"{len(volume)} planes of 512 x 512, {len(np.unique(volume)) - 1} objects\n")
    table_head("gap closing, least extent", "micro-sam s", "ours s", "of it solving s", "ratio", "objects", "agreement")
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "planes.npy"), Path(folder, "result.npy")
        np.save(source, volume)
        for name, (gap, extent) in CASES.items():
            arguments = [str(one) for one in (source, result, gap, extent, REPEATS)]
            answer = subprocess.run([peer, "-c", PEER, *arguments], check=True, capture_output=True, text=True)
            theirs = statistics.median(json.loads(answer.stdout.splitlines()[-1]))
            settings = StitchSettings(gap_closing=gap, min_extent=extent)
            ours, found = median(lambda s=settings: stitch(volume, s))
            solving, _ = median(solver(volume, settings))
            counts = f"{len(np.unique(np.load(result))) - 1} / {found.max()}"
            agreement = mean_segmentation_accuracy(np.load(result).astype(np.int64), found.astype(np.int64))
            table_row(
                name,
                f"{theirs:.3f}",
                f"{ours:.3f}",
                f"{solving:.4f}",
                f"{theirs / ours:.1f}",
                counts,
                f"{agreement:.3f}",
            )
    print("\nobjects: micro-sam / ours; agreement: mSA of ours against micro-sam's.")


def solver(volume, settings):
    stitching = Stitching()
    for plane in volume:
        stitching.add(plane)
    return lambda: stitching.solve(settings)


def median(call):
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]), result


def table_head(*names) -> None:
    print("| " + " | ".join(names) + " |\n|" + " --- |" * len(names))


def table_row(*values) -> None:
    print("| " + " | ".join(str(one) for one in values) + " |")


if __name__ == "__main__":
    main()
