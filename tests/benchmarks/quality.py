"""Quality of a model on a data pack: mean IoU from one box and from one click, per source.

usage: python tests/benchmarks/quality.py PACK [--split test] [--model nano] [--limit N]

Objects are connected components of at least 12 pixels; the click lies on the pixel farthest from the object's
boundary. An image's IoU is the mean over its objects, a source's the mean over its images.
"""

from __future__ import annotations

import argparse
import collections
import time
from pathlib import Path

import numpy as np

from microsam_nb.engine import load_model
from microsam_nb.engine.evaluation import evaluate_prompts
from microsam_nb.files.pack import read_pack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--limit", type=int, default=10**9, help="images per source")
    options = parser.parse_args()

    model = load_model(options.model)
    seen: collections.Counter[str] = collections.Counter()
    images = []
    for one in read_pack(options.pack, options.split):
        seen[one.group] += 1
        if seen[one.group] <= options.limit:
            images.append(one)
    start = time.perf_counter()
    scores = collections.defaultdict(list)
    for score in evaluate_prompts(model, images):
        scores[score.group].append((score.box.mean(), score.click.mean(), len(score.box)))
    print(f"{options.model} ({model.spec.hash}), split {options.split}, {time.perf_counter() - start:.0f} s\n")
    print("| source | images | objects | box | one click |\n| --- | --- | --- | --- | --- |")
    for group, rows in sorted(scores.items()):
        box, click, _ = np.mean(rows, axis=0)
        print(f"| {group} | {len(rows)} | {sum(r[2] for r in rows)} | {box:.3f} | {click:.3f} |")
    means = np.mean([np.mean(rows, axis=0)[:2] for rows in scores.values()], axis=0)
    print(f"| **mean over sources** | | | **{means[0]:.3f}** | **{means[1]:.3f}** |")


if __name__ == "__main__":
    main()
