"""What clicks make of a mask that is there already: its own way (correct_many) against prompts with it as ``previous``.

    python tests/benchmarks/mending.py PACK [--split train] [--images 12] [--objects 4]

PACK is a data pack with manifest.csv. Objects are made wrong: half of one is gone, a neighbour is taken for a part of
it, or, in volumes, it has the shape that it has two planes further, as something carried there has. A simulated user
who knows the truth then clicks into the deepest place of what is missing (positive) or too much (negative), whichever
is larger, three times. Printed is the mean IoU before, and after each click.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from scipy import ndimage

from microsam_nb.core import Image, Mask, Point
from microsam_nb.engine import correct_many, load_model, open_store, predict
from microsam_nb.files.images import read_image

_CLICKS, _LEAST = 3, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--images", type=int, default=12, help="images of 2D, at most")
    parser.add_argument("--objects", type=int, default=4, help="of each image, and 6 times as many of a volume")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    model, random = load_model("nano", device="cpu"), np.random.default_rng(0)
    found: dict[str, list[tuple[list[float], list[float]]]] = defaultdict(list)
    for entry in entries(options, random):
        pixels, labels = (np.asarray(read_image(options.pack / entry[f"path_{name}"])) for name in ("image", "label"))
        for kind, plane, wrong, truth in cases(labels, options.objects, random):
            shown = pixels if labels.ndim == 2 else pixels[plane]
            store = open_store(None, model, Image(shown, "yx" if shown.ndim == 2 else "yxc"))

            def before(clicks, mask, store=store):
                return predict(model, store, clicks, previous=mask)

            def now(clicks, mask, store=store):
                return correct_many(model, store, [clicks], [mask])[0]

            found[kind].append((clicked(before, wrong, truth), clicked(now, wrong, truth)))
    print("| wrong mask | objects | way | before | 1 click | 2 | 3 |\n| --- | --- | --- | --- | --- | --- | --- |")
    for kind, rows in found.items():
        for name, some in zip(("as previous", "correct_many"), zip(*rows, strict=True), strict=True):
            print(f"| {kind} | {len(rows)} | {name} | " + " | ".join(f"{one:.3f}" for one in np.mean(some, 0)) + " |")


def entries(options, random):
    """Yield the manifest's lines of some images, and of all volumes."""
    lines = [one for one in csv.DictReader((options.pack / "manifest.csv").open()) if one["split"] == options.split]
    flat = [one for one in lines if one["kind"] == "2d"]
    yield from (flat[i] for i in random.permutation(len(flat))[: options.images])
    yield from (one for one in lines if one["kind"] == "3d")


def cases(labels, count, random):
    """Yield what is wrong, the plane, the wrong mask and the true one, bool (h, w)."""
    volume = labels if labels.ndim == 3 else labels[None]
    numbers = np.unique(volume)[1:]
    for number in random.permutation(numbers)[: count if len(volume) == 1 else 6 * count]:
        plane = int((volume == number).sum((1, 2)).argmax())
        truth = volume[plane] == number
        if truth.sum() < _LEAST:
            continue
        if len(volume) > 1:
            carried = volume[min(plane + 2, len(volume) - 1)] == number
            if carried.any():
                yield "as two planes further", plane, carried, truth
            continue
        ys, _ = np.nonzero(truth)
        half = truth.copy()
        half[: int(np.median(ys))] = False
        yield "half", 0, half, truth
        beside = np.setdiff1d(volume[0][ndimage.binary_dilation(truth, iterations=3)], [0, number])
        if len(beside):
            joined = ndimage.binary_closing(np.pad(truth | (volume[0] == beside[0]), 4), iterations=2)[4:-4, 4:-4]
            yield "with a neighbour", 0, joined | truth, truth


def clicked(ask, wrong, truth) -> list[float]:
    """Return the IoU before any click and after each."""
    current, clicks, out = wrong, [], [iou(wrong, truth)]
    for _ in range(_CLICKS):
        missing, extra = truth & ~current, current & ~truth
        if missing.any() or extra.any():
            positive = bool(missing.sum() >= extra.sum())
            depth = ndimage.distance_transform_edt(np.pad(missing if positive else extra, 1))[1:-1, 1:-1]
            y, x = np.unravel_index(int(depth.argmax()), depth.shape)
            clicks.append(Point(0, y + 0.5, x + 0.5, positive))
            # Of a mask that is lost altogether the click is all that there is.
            mask = Mask.crop(current if current.any() else wrong)
            current = ask(clicks, mask).mask.dense((1, *truth.shape))[0]
        out.append(iou(current, truth))
    return out


def iou(one, other) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


if __name__ == "__main__":
    main()
