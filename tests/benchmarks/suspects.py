"""How well errors planted into true labels are found by "next suspicious object".

usage: python tests/benchmarks/suspects.py PACK [--split train] [--kind 2d] [--share 0.1] [--seeds 4] [--fit]

PACK is a data pack with manifest.csv. One error for every ten objects (``--share``) of an image: two neighbours merged,
one object split (both halves are wrong), a quarter to a half cut off, or a ragged outline; see planted.py. All objects
of an image are ranked; what is wrong among the first fifth is found. "times": how many more than in random order, of
which 5 is the most possible where less than a fifth is wrong; the target is 3. Images of less than ten objects are left
out; of movies every eighth frame is an image. --fit chooses the weights anew, from the split that is asked for, and
prints them; those in suspects.py are from "train". "area" ranks by how unusual the size is, to compare.
"""

from __future__ import annotations

import argparse
import csv
import pprint
import time
import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np
import tifffile
from planted import KINDS, plant
from scipy.optimize import minimize

from microsam_nb.core import suspects as ours
from microsam_nb.core.signs import strengths
from microsam_nb.core.traits import traits

LEAST, FIRST, FRAMES = 10, 0.2, 8
#: The most images of one source.
CAP = 24
#: By which signs each kind of error can be known.
SIGNS = {
    "merged": ("large", "rough", "bent", "round", "inner", "wall"),
    "split": ("small", "touching", "fitting", "contact", "around", "side", "round", "faint", "seam", "open"),
    "missing": ("small", "dents", "dented", "side", "bent", "pale", "faint", "beyond", "open"),
    "ragged": ("rough", "dents", "pale", "faint", "inner", "dark", "open"),
}
OF_IMAGE = {"pale", "faint", "inner", "dark", "beyond", "seam", "open", "wall"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--kind", choices=["2d", "3d", "2dt"], help="of images; all by default")
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    cases = load(options)
    if options.fit:
        for bright in (False, True):
            name = "_BRIGHT" if bright else "_SHAPE"
            weights = fit(cases, bright)
            setattr(ours, name, weights)
            print(f"{name}: Weights = {pprint.pformat(weights, width=116, sort_dicts=False)}")
    print("| source | images | objects | wrong | times | shape only | area | " + " | ".join(KINDS) + " | ms |")
    print("|" + " --- |" * (8 + len(KINDS)))
    for source, some in cases.items():
        report(source, some)


def load(options):
    """Of every source the images with errors: labels, image and what is wrong."""
    cases = defaultdict(list)
    for row in csv.DictReader((options.pack / "manifest.csv").open()):
        source = f"{row['source']} {row['kind']}"
        if row["split"] != options.split or not row["path_label"] or options.kind not in (None, row["kind"]):
            continue
        if len(cases[source]) >= CAP * options.seeds:
            continue
        truth = tifffile.imread(options.pack / row["path_label"]).astype(np.uint32)
        image = tifffile.imread(options.pack / row["path_image"])
        image = image.mean(-1) if image.ndim > truth.ndim else image
        pairs = [(truth, image)] if row["kind"] != "2dt" else zip(truth[::FRAMES], image[::FRAMES], strict=True)
        for place, (own, pixels) in enumerate(pairs):
            if len(np.unique(own)) <= LEAST:
                continue
            for seed in range(options.seeds):
                key = zlib.crc32(f"{row['path_label']} {place} {seed}".encode())
                cases[source].append((plant(own, key, options.share), pixels))
    return {source: some for source, some in cases.items() if some}


def report(source, cases):
    whole, seconds, objects, wrong = [0, 0, 0], 0.0, 0, 0
    kinds = {kind: [0, 0] for kind in KINDS}
    expected = 0.0
    for planted, pixels in cases:
        start = time.perf_counter()
        ranked = [one.label for one in ours.suspects(planted.labels, {}, pixels)]
        seconds += time.perf_counter() - start
        first = max(1, round(FIRST * len(ranked)))
        objects, wrong = objects + len(ranked), wrong + len(planted.wrong)
        expected += first * len(planted.wrong) / len(ranked)
        plain = [one.label for one in ours.suspects(planted.labels, {})]
        for i, order in enumerate((ranked, plain, by_area(planted.labels))):
            whole[i] += len(set(order[:first]) & set(planted.wrong))
        for label, kind in planted.wrong.items():
            kinds[kind][0] += label in ranked[:first]
            kinds[kind][1] += 1
    cells = [
        source, len(cases), objects, wrong, *(f"{one / expected:.1f}" for one in whole),
        *(f"{found} of {all_}" for found, all_ in kinds.values()), f"{1000 * seconds / len(cases):.0f}",
    ]  # fmt: skip
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def by_area(labels):
    numbers, sizes = np.unique(labels[labels > 0], return_counts=True)
    far = np.abs(np.log(sizes) - np.median(np.log(sizes)))
    return numbers[np.argsort(-far, kind="stable")].tolist()


def fit(cases, bright):
    """Choose weights: a logistic regression for each kind of error on planes, without negative weights.

    All sources count alike. There are too few volumes to learn from.
    """
    columns, kinds, weights = [], [], []
    for source, some in cases.items():
        if source.endswith(" 3d"):
            continue
        parts = []
        for planted, pixels in some:
            found = traits(planted.labels[None], pixels[None] if bright else None)
            parts.append(strengths(found, np.full(len(found.numbers), np.nan)))
            kinds += [planted.wrong.get(int(n), "") for n in found.numbers]
        columns.append({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
        count = len(columns[-1]["touching"])
        weights.append(np.full(count, 1 / count))
    values = {name: np.concatenate([one[name] for one in columns]) for name in columns[0]}
    weight = np.concatenate(weights)
    out = {}
    for kind, signs in SIGNS.items():
        signs = [name for name in signs if bright or name not in OF_IMAGE]
        level, *some = regression(
            np.stack([values[name] for name in signs], 1), np.array(kinds) == kind, weight / weight.sum()
        )
        out[kind] = (
            round(float(level), 2),
            {name: round(float(one), 2) for name, one in zip(signs, some, strict=True) if one >= 0.05},
        )
    return out


def regression(values, wrong, weight, even=1e-3, few=1e-3):
    """Level and weights, at least 0, that are small (``even``) and few."""

    def loss(x):
        total = values @ x[1:] + x[0]
        miss = weight * (1 / (1 + np.exp(-total)) - wrong)
        cost = (weight * (np.logaddexp(0, total) - wrong * total)).sum() + even / 2 * x[1:] @ x[1:] + few * x[1:].sum()
        return cost, np.append(miss.sum(), values.T @ miss + even * x[1:] + few)

    begin = np.append(-3.0, np.zeros(values.shape[1]))
    bounds = [(None, None), *[(0, None)] * values.shape[1]]
    return minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x


if __name__ == "__main__":
    main()
