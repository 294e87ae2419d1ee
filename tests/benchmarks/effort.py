"""How many prompts and seconds an object takes: a simulated annotator, in images and in volumes.

usage: python tests/benchmarks/effort.py PACK [--peer PYTHON [--lm]] [--split test] [--objects 12] [--only SOURCE]

PACK is a data pack with manifest.csv; PYTHON an interpreter that has micro-sam, whose functions are then prompted by
the same annotator with the same weights (see effort_oracle.py and effort_peer.py). Of every image ``--objects`` are
annotated until their IoU is 0.8, with at most 15 prompts, which is also what one counts that never gets there.
Images are volumes of one plane. Cells of movies are followed, until they are right in every frame: "reached" then.

micro-sam is in it twice. Its own way, "micro-sam", it sees whole planes, which nano's frame of 256 pixels makes small:
in large images that row says more about nano than about micro-sam. "micro-sam, our looks" has our windows behind its
functions: what then still differs is how corrections and planes are dealt with. Compare prompts with that row.
Embeddings of whole planes are made before the clock runs, windows while it runs: compare seconds with that row too.
"ms per plane" divides by the planes of all answers, also those that a correction leaves as they are. ``--cost``
compares vit_b (random weights): one object carried through 32 planes, embeddings given to both.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from contest import Contestant, limit_threads, weights_file
from effort_oracle import ENOUGH, chosen

from microsam_nb.files.images import read_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--split", default="test")
    parser.add_argument("--objects", type=int, default=12)
    parser.add_argument("--images", type=int, default=3, help="images of each source in 2D")
    parser.add_argument("--only", help="a source of the pack")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cost", action="store_true", help="seconds per plane with vit_b instead")
    parser.add_argument("--lm", action="store_true", help="micro-sam also with its settings for light microscopy")
    options = parser.parse_args()
    limit_threads(options.threads)
    contestants = [Contestant("microsam_nb", sys.executable, "effort_ours.py", [])]
    if options.peer:
        contestants.append(Contestant("micro-sam", options.peer, "effort_peer.py", ["planes"]))
        if not options.cost:
            contestants.append(Contestant("micro-sam, our looks", options.peer, "effort_peer.py", ["looks"]))
            if options.lm:
                contestants.append(
                    Contestant("micro-sam, our looks, lm", options.peer, "effort_peer.py", ["looks", "lm"])
                )
    if options.cost:
        cost(contestants)
        return
    print(
        "| source | kind | objects | who | prompts: median | mean | times ours | reached | s per object | times ours "
        "| processor s | ms per plane |\n" + "| --- " * 12 + "|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        for source, kind, tasks in sources(options, Path(folder)):
            first = None
            for one in contestants:
                efforts = []
                with one.working() as process:
                    for task in tasks:
                        efforts += one.ask(process, task)["efforts"]
                first = first or efforts
                row(source, kind, one.name, efforts, first)


def cost(contestants: list[Contestant]) -> None:
    """Print what one plane costs when an object is carried through planes whose embeddings are there."""
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name, weights_file(None) as weights:
        path = str(Path(name) / "cost.npz")
        rows, columns = np.ogrid[:512, :512]
        seed = (rows - 256) ** 2 + (columns - 256) ** 2 < 60**2
        plane = random.integers(0, 255, (512, 512)).astype(np.uint8)
        features = random.normal(0, 1, (1, 256, 64, 64)).astype(np.float32)
        np.savez(path, plane=plane, features=features, seed=seed)
        print("| projection | who | ms per plane: median of 3 | planes |\n| --- | --- | --- | --- |", flush=True)
        for kind in ("box", "single_point"):
            for one in contestants:
                with one.working() as process:
                    task = {"task": "cost", "file": path, "weights": weights, "planes": 32, "projection": kind}
                    answers = [one.ask(process, task) for _ in range(4)][1:]
                each = statistics.median(1000 * a["seconds"] / a["planes"] for a in answers)
                print(f"| {kind} | {one.name} | {each:.1f} | {answers[0]['planes']:.0f} |", flush=True)


def sources(options, folder: Path):
    """Yield every source with its tasks: a file with volume and labels, and the numbers of the objects."""
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for entry in csv.DictReader((options.pack / "manifest.csv").open()):
        wanted = options.only is None or options.only == entry["source"]
        if entry["split"] == options.split and entry["kind"] in ("2d", "3d", "2dt") and wanted:
            found.setdefault((entry["source"], entry["kind"]), []).append(entry)
    for (source, kind), entries in sorted(found.items(), key=lambda one: (one[0][1], one[0][0])):
        tasks = []
        for number, entry in enumerate(entries[: options.images] if kind == "2d" else entries):
            volume = np.asarray(read_image(options.pack / entry["path_image"]))
            labels = np.asarray(read_image(options.pack / entry["path_label"]))
            if kind == "2d":
                volume, labels = volume[None], labels[None]
            path = folder / f"{source}-{kind}-{number}.npz"
            np.savez(path, volume=volume, labels=labels)
            tasks.append({"task": source, "kind": kind, "file": str(path), "objects": chosen(labels, options.objects)})
        yield source, kind, tasks


def row(source: str, kind: str, who: str, efforts: list[dict[str, float]], ours: list[dict[str, float]]) -> None:
    prompts = np.array([one["prompts"] for one in efforts])
    seconds, busy, planes = (sum(one[name] for one in efforts) for name in ("seconds", "busy", "planes"))
    more = prompts.mean() / np.mean([one["prompts"] for one in ours])
    longer = seconds / sum(one["seconds"] for one in ours)
    enough = 1.0 if kind == "2dt" else ENOUGH
    reached = np.mean([one["iou"] >= enough for one in efforts])
    print(
        f"| {source} | {kind} | {len(efforts)} | {who} | {np.median(prompts):g} | {prompts.mean():.1f} | {more:.2f} "
        f"| {reached:.2f} | {seconds / len(efforts):.2f} | {longer:.2f} | {busy / len(efforts):.2f} "
        f"| {1000 * seconds / max(1, planes):.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
