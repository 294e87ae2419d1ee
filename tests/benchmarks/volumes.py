"""Quality of automatic segmentation in 3D on the volumes of a data pack: joined by multicut, and left as planes.

usage: python tests/benchmarks/volumes.py PACK [--split all] [--model nano] [--mode auto]

For every volume: mean segmentation accuracy (mSA, IoU 0.50 to 0.95) of 3D objects, of planes that are not joined
(every object of a plane is one of its own), and of planes joined with other settings; seconds of the whole.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import tifffile

from microsam_nb.core import Image
from microsam_nb.engine import load_model, open_store
from microsam_nb.engine.automatic import Kept, Segmenter, StitchSettings, segment_planes, settings_for
from microsam_nb.engine.automatic.stitch import stitch
from microsam_nb.engine.evaluation import mean_segmentation_accuracy

JOINED = {
    "joined": StitchSettings(),
    "min_extent 2": StitchSettings(min_extent=2),
    "gap_closing 1, min_extent 3": StitchSettings(gap_closing=1, min_extent=3),
    "beta 0.6, min_extent 2": StitchSettings(beta=0.6, min_extent=2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--split", default="all")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--mode", default="auto")
    options = parser.parse_args()
    model = load_model(options.model)
    print(f"| split | volume | planes, y, x | objects | s | planes alone | {' | '.join(JOINED)} |")
    print("|" + " --- |" * (6 + len(JOINED)))
    for row in csv.DictReader((options.pack / "manifest.csv").open()):
        if row["kind"] != "3d" or options.split not in ("all", row["split"]):
            continue
        pixels = tifffile.imread(options.pack / row["path_image"])
        truth = tifffile.imread(options.pack / row["path_label"])
        image = Image(pixels, "zyx" if pixels.ndim == 3 else "zyxc")
        store = open_store(None, model, image)
        start = time.perf_counter()
        planes = np.zeros(image.shape, np.uint32)
        segmenter = Segmenter(model, store, Kept(store.key, budget=1))
        for _ in segment_planes(segmenter, settings_for(model, options.mode), planes):
            pass
        seconds = time.perf_counter() - start
        scores = [mean_segmentation_accuracy(truth, one) for one in (alone(planes), *joined(planes))]
        size, count = " x ".join(map(str, image.shape)), len(np.unique(truth)) - 1
        cells = [row["split"], Path(row["path_image"]).stem, size, str(count), f"{seconds:.0f}"]
        print("| " + " | ".join([*cells, *(f"{one:.3f}" for one in scores)]) + " |", flush=True)


def joined(planes):
    return [stitch(planes, settings) for settings in JOINED.values()]


def alone(planes):
    """Every object of a plane with a number of its own."""
    out, count = np.zeros_like(planes), 0
    for z, plane in enumerate(planes):
        out[z] = np.where(plane > 0, plane + count, 0)
        count += int(plane.max(initial=0))
    return out


if __name__ == "__main__":
    main()
