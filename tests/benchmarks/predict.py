"""Prompts to masks on an embedding that is there: one click and 64, seconds and memory.

usage: python tests/benchmarks/predict.py [--peer PYTHON] [--weights VIT_B.pth] [--repetitions 9]

A click is one positive point on a 1024 x 1024 image, up to the mask at full size. PYTHON is an interpreter that has
micro-sam; it answers the same prompts on the same embedding with the same weights, in turn. Without --weights vit_b
is random: its costs are those of the real one, or more, since masks that are noise reach over the whole image.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from contest import compete, drawn_image, limit_threads, ours, peer, print_table, weights_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--weights")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--threads", type=int, help="of each contestant; all cores by default")
    options = parser.parse_args()
    limit_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder, weights_file(options.weights) as weights:
        image, features = Path(folder) / "image.npy", Path(folder) / "features.npy"
        np.save(image, drawn_image())
        encoder = ours(weights, "fp32")
        with encoder.working() as process:
            encoder.ask(process, {"task": "encode", "image": str(image), "save": str(features)})
        grid = [(y, x) for y in range(64, 1024, 128) for x in range(64, 1024, 128)]
        task = {"features": str(features), "size": (1024, 1024)}
        tasks = {
            "one click": {**task, "task": "click", "points": grid[27:28]},
            "64 clicks": {**task, "task": "many", "points": grid},
        }
        contestants = [ours(weights), ours(weights, "fp32")]
        if options.peer:
            contestants.append(peer(options.peer, weights))
        compete(contestants, tasks, options.repetitions)
        print_table(contestants)


if __name__ == "__main__":
    main()
