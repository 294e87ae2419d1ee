"""A click in a plane that is embedded, while vit_b encodes other planes in the background, in one piece or by blocks.

usage: python tests/benchmarks/click_while_encoding.py [--weights VIT_B.pth] [--precision fp32] [--clicks 12]
                                                       [--pairs 4]

Clicks come at random moments. Both ways encode in turn, so that whatever else the machine does disturbs both alike.
Without --weights vit_b is random: its costs are those of the real one. Also what leaving between blocks costs when
nobody clicks, how long the longest step is, and whether both ways give the same bits.
"""

from __future__ import annotations

import argparse
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from contest import drawn_image, limit_threads, weights_file

from microsam_nb.annotators.compute import compute
from microsam_nb.core import Image, Point
from microsam_nb.engine import EmbeddingStore, Model, load_model, open_store
from microsam_nb.engine.embed import embed, embed_stepwise
from microsam_nb.engine.predict import predict_stepwise

Walk = Callable[[Model, Image, EmbeddingStore], Iterator[object]]
WAYS: dict[str, Walk] = {"in one piece": embed, "by blocks": embed_stepwise}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--clicks", type=int, default=12, help="of each way")
    parser.add_argument("--pairs", type=int, default=4, help="planes encoded in each way while nobody clicks")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    limit_threads(options.threads)
    with weights_file(options.weights) as weights:
        model = compute.call(lambda: load_model(weights, "cpu", precision=options.precision))
    plane = drawn_image()
    undisturbed(model, Image(plane[None], "zyx"), options.pairs)
    disturbed(model, Image(np.stack([plane] * 60), "zyx"), options.clicks)


def undisturbed(model: Model, image: Image, pairs: int) -> None:
    """Encode a plane in both ways in turn; print the times and compare the bits."""
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    found = {}
    for number in range(pairs + 1):
        for name, walk in WAYS.items():
            store = open_store(None, model, image)
            start = time.perf_counter()
            for _ in compute.steps(iter(walk(model, image, store))):
                pass
            if number:  # the first warms up
                seconds[name].append(time.perf_counter() - start)
            found[name] = compute.call(lambda store=store: store.plane(0).features)
    steps = []
    walk = embed_stepwise(model, image, open_store(None, model, image))
    while True:
        start = time.perf_counter()
        if compute.call(lambda: next(walk, False)) is False:
            break
        steps.append(time.perf_counter() - start)
    print("| encoding a plane while nobody clicks | " + " | ".join(WAYS) + " |\n" + "| --- " * 3 + "|")
    print("| seconds | " + " | ".join(summary(seconds[name]) for name in WAYS) + " |")
    print(f"\n{len(steps)} steps; the longest takes {max(steps):.2f} s, the median {statistics.median(steps):.2f} s")
    print(f"the bits are {'the same' if torch.equal(*found.values()) else 'DIFFERENT'}\n")


def disturbed(model: Model, image: Image, clicks: int) -> None:
    """Click while planes are encoded; print how long the answers took."""
    moments = random.Random(0)
    store = open_store(None, model, image)
    compute.call(lambda: store.plane(0))
    waits: dict[str, list[float]] = {"nothing is encoded": [], **{name: [] for name in WAYS}}
    for _ in range(clicks // 3 + 1):
        click(model, store)  # warms up
        waits["nothing is encoded"].append(click(model, store))
        for name, walk in WAYS.items():
            with_work(model, image, store, walk, waits[name], moments)
    print("| seconds from click to answer | " + " | ".join(waits) + " |\n" + "| --- " * (len(waits) + 1) + "|")
    print("| median (lowest - highest) | " + " | ".join(map(summary, waits.values())) + " |")


def with_work(
    model: Model, image: Image, store: EmbeddingStore, walk: Walk, waits: list[float], moments: random.Random
) -> None:
    """Three clicks while one thread goes through the planes."""
    leave = threading.Event()

    def work() -> None:
        for _ in compute.steps(iter(walk(model, image, store))):
            if leave.is_set():
                return

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(3):
        time.sleep(moments.uniform(0.5, 4))
        waits.append(click(model, store))
    leave.set()
    thread.join()


def click(model: Model, store: EmbeddingStore) -> float:
    start = time.perf_counter()
    for _ in compute.steps(predict_stepwise(model, store, [Point(0, 480.0, 480.0)]), urgent=True):
        pass
    return time.perf_counter() - start


def summary(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} - {max(values):.2f})"


if __name__ == "__main__":
    main()
