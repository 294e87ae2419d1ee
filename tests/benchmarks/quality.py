"""Quality of a model on a data pack, per source: prompts, and automatic segmentation beside Otsu + watershed.

usage: python tests/benchmarks/quality.py PACK [--split test] [--model nano] [--limit N] [--only prompts|automatic]
       [--modes ais apg amg]

Prompts: mean IoU from the tight box and after 1, 3 and 5 simulated clicks. Objects are connected components of at
least 12 pixels; the first click lies on the pixel farthest from the object's boundary, each further one on the
deepest pixel of the larger error. An image's IoU is the mean over its objects, a source's the mean over its images.
Automatic: mean segmentation accuracy (mSA, IoU 0.50 to 0.95) of every mode with the settings that suit the model, and
the seconds that all images took.
"""

from __future__ import annotations

import argparse
import collections
import time
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage import feature, filters, measure, morphology, segmentation

from microsam_nb.core import Image
from microsam_nb.engine import load_model, open_store
from microsam_nb.engine.automatic import Segmenter, settings_for
from microsam_nb.engine.evaluation import evaluate_prompts, mean_segmentation_accuracy
from microsam_nb.files.pack import read_pack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--limit", type=int, default=10**9, help="images per source")
    parser.add_argument("--only", choices=("prompts", "automatic"))
    parser.add_argument("--modes", nargs="+", default=["ais", "apg", "amg"])
    options = parser.parse_args()

    model = load_model(options.model)
    seen: collections.Counter[str] = collections.Counter()
    images = []
    for one in read_pack(options.pack, options.split):
        seen[one.group] += 1
        if seen[one.group] <= options.limit:
            images.append(one)
    print(f"{options.model} ({model.spec.hash}), split {options.split}\n")
    if options.only != "automatic":
        prompts(model, images)
    if options.only != "prompts":
        automatic(model, images, options.modes)


def prompts(model, images) -> None:
    start = time.perf_counter()
    scores, objects = collections.defaultdict(list), collections.Counter()
    for score in evaluate_prompts(model, images):
        scores[score.group].append([score.box.mean(), *score.clicks.mean(0)[[0, 2, 4]]])
        objects[score.group] += len(score.box)
    table(
        ["source", "images", "objects", "box", "1 click", "3 clicks", "5 clicks"],
        {group: ([len(rows), objects[group]], np.mean(rows, axis=0)) for group, rows in scores.items()},
    )
    print(f"{time.perf_counter() - start:.0f} s\n")


def automatic(model, images, modes) -> None:
    scores, seconds = collections.defaultdict(list), collections.Counter()
    for one in images:
        if not one.labels.any():
            continue
        image = Image(one.pixels)
        segmenter = Segmenter(model, open_store(None, model, image))
        row = []
        for mode in modes:
            start = time.perf_counter()
            settings = settings_for(model, mode)
            for _ in segmenter.prepare(0, settings):
                pass
            found = segmenter.labels(0, settings)
            seconds[mode] += time.perf_counter() - start
            row.append(mean_segmentation_accuracy(one.labels, found))
        scores[one.group].append([*row, mean_segmentation_accuracy(one.labels, otsu_watershed(one.pixels))])
    table(
        ["source", "images", *(mode.upper() for mode in modes), "Otsu + watershed"],
        {group: ([len(rows)], np.mean(rows, axis=0)) for group, rows in scores.items()},
    )
    # What a mode shares with the one before it, it need not compute.
    print(", ".join(f"{mode} {seconds[mode]:.0f} s" for mode in modes))


def otsu_watershed(pixels):
    """The classical floor: threshold, split by the distance transform."""
    grey = filters.gaussian(pixels.astype(float) if pixels.ndim == 2 else pixels.astype(float).mean(-1), 1)
    if grey.min() == grey.max():
        return np.zeros(grey.shape, int)
    inside = grey > filters.threshold_otsu(grey)
    inside = ~inside if inside.mean() > 0.5 else inside
    inside = morphology.remove_small_objects(ndimage.binary_fill_holes(inside), max_size=20)
    depth = ndimage.distance_transform_edt(inside)
    peaks = feature.peak_local_max(
        filters.gaussian(depth, 1.5), min_distance=5, labels=measure.label(inside, connectivity=2)
    )
    seeds = np.zeros(grey.shape, int)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return segmentation.watershed(-depth, seeds, mask=inside)


def table(head, rows) -> None:
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    for group, (counts, values) in sorted(rows.items()):
        print(
            f"| {group.replace(' | ', ' · ')} | "
            + " | ".join([*(str(c) for c in counts), *(f"{v:.3f}" for v in values)])
            + " |"
        )
    counts = len(next(iter(rows.values()))[0])
    means = np.mean([values for _, values in rows.values()], axis=0)
    print("| **mean over sources** |" + " |" * counts + " " + " | ".join(f"**{v:.3f}**" for v in means) + " |")


if __name__ == "__main__":
    main()
