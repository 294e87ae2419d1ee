"""Steps of joint training (prompts and instance decoder) beside micro-sam's trainer, on the same weights.

usage: python tests/benchmarks/training.py --peer PYTHON [--objects 10] [--turns 8] [--side 512] [--repetitions 3]

vit_b with random weights, batches of one crop of SIDE pixels in a frame of 1024, the same number of objects, and in
"all turns" the same number of prompts per object in every step. microsam_nb draws its crops while it is timed,
micro-sam's are made beforehand. "as drawn" is what microsam_nb does when it trains: half of its steps end with the
first answer.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from contest import Contestant, compete, limit_threads, print_table, weights_file
from scipy.ndimage import gaussian_filter, label


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True, help="Python that has micro-sam")
    parser.add_argument("--objects", type=int, default=10)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    limit_threads(options.threads)
    with weights_file(None) as weights:
        noise = gaussian_filter(np.random.default_rng(0).normal(size=(options.side,) * 2), 12)
        low, high = noise.min(), noise.max()
        np.save(f"{weights}.image.npy", np.round((noise - low) / (high - low) * 255).astype(np.uint8))
        np.save(f"{weights}.labels.npy", label(noise > np.quantile(noise, 0.75))[0].astype(np.int32))
        arguments = [weights, str(options.objects), str(options.turns), str(options.side)]
        contestants = [
            Contestant("microsam_nb", sys.executable, "training_ours.py", arguments),
            Contestant("micro-sam", options.peer, "training_peer.py", arguments),
        ]
        tasks = {name: {"task": name, "steps": 1} for name in ("all turns", "as drawn")}
        compete(contestants, tasks, options.repetitions)
        print_table(contestants)


if __name__ == "__main__":
    main()
