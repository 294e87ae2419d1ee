"""Image encoding: seconds and memory, vit_b at 1024 px and nano.

usage: python tests/benchmarks/encode.py [--peer PYTHON] [--weights VIT_B.pth] [--repetitions 5]

PYTHON is an interpreter that has micro-sam; it encodes the same image with the same weights, in turn. Without
--weights vit_b is random: its costs are those of the real one.
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
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of each contestant; all cores by default")
    options = parser.parse_args()
    limit_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder, weights_file(options.weights) as weights:
        image = Path(folder) / "image.npy"
        np.save(image, drawn_image())
        contestants = [ours(weights), ours(weights, "fp32")]
        if options.peer:
            contestants.append(peer(options.peer, weights))
        compete(contestants, {"vit_b, 1024 x 1024": {"task": "encode", "image": str(image)}}, options.repetitions)
        print_table(contestants)

        np.save(image, drawn_image(512))
        contestants = [ours("nano"), ours("nano", "fp32")]
        compete(contestants, {"nano, 512 x 512": {"task": "encode", "image": str(image)}}, options.repetitions)
        print()
        print_table(contestants)


if __name__ == "__main__":
    main()
