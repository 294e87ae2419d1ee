"""What nano learns from a few images of one source: scores on the source's test images before and after.

usage: python tests/benchmarks/finetuning.py PACK SOURCE [--images 5] [--set NAME=NUMBER ...] [-o FILE]

SOURCE is a part of a group's name, such as usiigaci. Printed: mean segmentation accuracy (mSA) of automatic
segmentation, and clicks per object until its IoU is 0.8, six where five do not suffice.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from microsam_nb.engine import load_model
from microsam_nb.engine.automatic import segment
from microsam_nb.engine.evaluation import evaluate_prompts, mean_segmentation_accuracy
from microsam_nb.engine.training import CropDataset, FinetuningSettings, export, finetune
from microsam_nb.files.pack import read_pack

CLICKS, GOOD = 5, 0.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("source")
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=NUMBER")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    train, test = (
        [one for one in read_pack(options.pack, split) if options.source in one.group] for split in ("train", "test")
    )
    some = train[:: max(1, len(train) // options.images)][: options.images]
    model = load_model("nano", trainable=True)
    print(f"images: {len(some)} for training, {len(test)} for the test", flush=True)
    report("before", model, test)
    start, busy = time.perf_counter(), time.process_time()
    for result in finetune(model, CropDataset(some), FinetuningSettings.parse(options.settings)):
        print(f"step {result.step}: loss {result.loss:.3f}, distances {result.distance_loss:.3f}", flush=True)
    print(f"{time.perf_counter() - start:.0f} s, {time.process_time() - busy:.0f} processor seconds")
    report("after", model, test)
    if options.output:
        export(model, options.output)


def report(when, model, images) -> None:
    accuracy = [mean_segmentation_accuracy(one.labels, segment(one.pixels, model, "ais")) for one in images]
    needed = []
    for score in evaluate_prompts(model, images, CLICKS):
        good = score.clicks >= GOOD
        needed.append(np.where(good.any(1), good.argmax(1) + 1, CLICKS + 1).mean())
    print(f"{when}: mSA {np.mean(accuracy):.3f}, {np.mean(needed):.2f} clicks per object", flush=True)


if __name__ == "__main__":
    main()
