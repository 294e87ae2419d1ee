"""Trained weights give the same masks in micro-sam: exports are read by both, asked the same, and compared.

usage: python tests/benchmarks/interchange.py PACK --peer PYTHON [--images 10] [--objects 4] [--weights VIT_B.pth]

vit_b, random weights unless --weights are given, takes a few steps on images of PACK: with all its weights, and with
low-rank additions of rank 4. Three files are compared: what ``export`` writes of either, and the checkpoint best.pt,
which keeps the additions apart. Of every image one box and one click per object are asked in float32, and the instance
decoder's three maps. Ends with 1 where masks of an image overlap by less than 0.99. The masks of random weights are
full of pinholes, which microsam_nb fills: here it leaves them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from contest import limit_threads, weights_file

from microsam_nb.core import BoxPrompt, Image, LabelledImage, Mask, Point
from microsam_nb.engine import encode, load_model, predict
from microsam_nb.engine.evaluation.protocol import box_of, deepest_point
from microsam_nb.engine.training import (
    CropDataset,
    FinetuningSettings,
    Validator,
    export,
    finetune,
    with_decoder,
)
from microsam_nb.files.pack import read_pack

RANK, SAME = 4, 0.99
TRAINING = {
    "crop": 1024, "batch": 1, "objects": 4, "corrections": 1, "steps": 2, "steps_per_epoch": 2, "rate": 1e-4,
    "warmup": 1, "precision": "fp32", "clicks": 1, "recompute": True,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--peer", required=True, help="Python that has micro-sam")
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--objects", type=int, default=4, help="per image")
    parser.add_argument("--weights")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    limit_threads(options.threads)
    every = [one for one in read_pack(options.pack, "test") if one.labels.any()]
    images = every[:: max(1, len(every) // options.images)][: options.images]
    with tempfile.TemporaryDirectory() as place, weights_file(options.weights) as weights:
        folder = Path(place)
        files = trained(weights, images[:2], folder)
        tasks = [prepared(one, options.objects, folder, number) for number, one in enumerate(images)]
        (folder / "tasks.json").write_text(json.dumps({"files": files, "rank": RANK, "images": tasks}))
        script = Path(__file__).with_name("interchange_peer.py")
        subprocess.run([options.peer, str(script), str(folder)], check=True, stdout=sys.stderr)
        print("| file | masks | of them with anything | lowest IoU | mean IoU | largest difference of the decoder |")
        print("| --- " * 6 + "|")
        worst = [report(file, tasks, folder) for file in files]
    return int(min(worst) < SAME)


def trained(weights: str, images: list[LabelledImage], folder: Path) -> dict[str, bool]:
    """Train a little and write what there is to write; return the files, and whether their additions are apart."""
    for name, rank in (("whole", 0), ("additions", RANK)):
        model = with_decoder(load_model(weights, "cpu", trainable=True))
        settings = FinetuningSettings().changed({**TRAINING, "lora_rank": rank})
        # Without crops for automatic segmentation, which takes long with noise.
        validation = Validator(images, crops=1, automatic=0)
        for _ in finetune(model, CropDataset(images), settings, folder=folder / name, validation=validation):
            pass
        export(model, folder / f"{name}.pt")
    return {"whole.pt": False, "additions.pt": False, "additions/best.pt": True}


def prepared(one: LabelledImage, most: int, folder: Path, number: int) -> dict[str, object]:
    """Write an image as the network sees it, and return its name with the largest objects' boxes and clicks."""
    np.save(folder / f"{number}.npy", Image(one.pixels).shown())
    ids, sizes = np.unique(one.labels[one.labels > 0], return_counts=True)
    masks = [Mask.crop((one.labels == label)[None]) for label in ids[np.argsort(-sizes)][:most]]
    boxes, points = [box_of(mask) for mask in masks], [deepest_point(mask) for mask in masks]
    return {
        "name": str(number),
        "boxes": [[one.y0, one.x0, one.y1, one.x1] for one in boxes],
        "points": [[one.y, one.x] for one in points],
    }


def report(file: str, tasks: list[dict], folder: Path) -> float:
    """Print how far the answers of both agree; return the lowest IoU."""
    model = load_model(folder / file, "cpu", precision="fp32")
    overlaps, filled, decoder = [], 0, 0.0
    for task in tasks:
        theirs = np.load(folder / f"{Path(file).with_suffix('')}-{task['name']}.npz")
        pixels = np.load(folder / f"{task['name']}.npy")
        embedding = encode(model, pixels)
        asked = [BoxPrompt(0, *box) for box in task["boxes"]] + [Point(0, y, x) for y, x in task["points"]]
        with mock.patch("microsam_nb.engine.answer._filled", lambda mask: mask):
            ours = [predict(model, embedding, [prompt]).mask.dense((1, *pixels.shape[:2]))[0] for prompt in asked]
        for mine, other in zip(ours, theirs["masks"], strict=True):
            either = np.count_nonzero(mine | other)
            filled += bool(either)
            overlaps.append(np.count_nonzero(mine & other) / either if either else 1.0)
        with torch.no_grad():
            maps = torch.sigmoid(model.distances(embedding.features))[..., : theirs["maps"].shape[1], :]
        difference = np.abs(maps[0, ..., : theirs["maps"].shape[2]].numpy() - theirs["maps"])
        decoder = max(decoder, float(difference.max()))
    print(
        f"| {file} | {len(overlaps)} | {filled} | {min(overlaps):.5f} | {np.mean(overlaps):.5f} | {decoder:.1e} |",
        flush=True,
    )
    return min(overlaps)


if __name__ == "__main__":
    sys.exit(main())
