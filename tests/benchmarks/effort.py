"""How many prompts and seconds an object takes: a simulated annotator, in images and in volumes.

usage: python tests/benchmarks/effort.py PACK [--peer PYTHON] [--split test] [--objects 12] [--only SOURCE]

PACK is a data pack with manifest.csv; PYTHON an interpreter that has micro-sam, whose functions are then prompted by
the same annotator with the same weights (see effort_oracle.py and effort_peer.py). Of every image ``--objects`` are
annotated until their IoU is 0.8, with at most 15 prompts. Printed for each source: median and mean of prompts, where
one that is never reached counts as 16; the share that is reached; kernel seconds per object and per plane found.
Images are volumes of one plane. nano's embeddings are no part of the seconds for micro-sam, which keeps them; ours
looks at windows of the image instead, which is part of the seconds. "ms per plane" therefore says little about nano;
``--cost`` compares that with vit_b (random weights): one object carried through 32 planes, embeddings given to both.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from contest import Contestant, limit_threads, weights_file
from effort_oracle import MOST, Prompts, annotate, chosen

from microsam_nb.core import Image, Mask, Point
from microsam_nb.core.sections import replaced, section_at
from microsam_nb.engine import (
    Embedding,
    Known,
    ProjectSettings,
    Reprompt,
    load_model,
    open_store,
    predict_many,
    project,
    project_many,
)
from microsam_nb.engine.store import Item
from microsam_nb.engine.store import source as encoding
from microsam_nb.files.images import read_image


class Ours:
    """The engine as annotators/service.py uses it."""

    def __init__(self, volume: np.ndarray) -> None:
        self.image = Image(volume, "zyxc" if volume.ndim == 4 else "zyx")
        self.model = load_model("nano", device="cpu")
        self.store = open_store(None, self.model, self.image)

    def begin(self) -> None:
        self.seeds: dict[int, Mask] = {}
        self.current: Mask | None = None

    def segment(self, prompts: Prompts) -> np.ndarray:
        plane = prompts.newest
        if plane in prompts.clicks:
            clicks = [Point(plane, y, x, positive) for y, x, positive in prompts.clicks[plane]]
            base = self.seeds.get(plane)
            if base is None and self.current is not None:
                base = section_at(self.current, plane)
            before = base if base is not None and base.area else None
            (found,) = predict_many(self.model, self.store, [clicks], previous=[before])
            self.seeds[plane] = found.mask
        first = self.current is None
        stops = tuple(prompts.stops)
        if plane in prompts.clicks and len(self.image.pixels) > 1 and any(one.area for one in self.seeds.values()):
            known = Known(self.seeds, None if first else self.current, () if first else (plane,))
            parts = dict(self.seeds)
            for sections in project_many(self.model, self.store, [known], stops=stops):
                parts.update({one.plane: one.mask for one in sections if one.plane not in self.seeds})
            self.current = replaced(self.current, list(parts), list(parts.values()))
        elif plane in prompts.clicks:
            self.current = replaced(None, [], list(self.seeds.values()))
        out = self.current.dense(self.image.shape)
        for stop in stops:
            if stop < min(self.seeds):
                out[: stop + 1] = False
            else:
                out[stop:] = False
        self.current = Mask.crop(out)
        return out


def main() -> None:
    if "--work" in sys.argv[1:2]:
        work()
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--split", default="test")
    parser.add_argument("--objects", type=int, default=12)
    parser.add_argument("--images", type=int, default=3, help="images of each source in 2D")
    parser.add_argument("--only", help="a source of the pack")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cost", action="store_true", help="seconds per plane with vit_b instead")
    options = parser.parse_args()
    limit_threads(options.threads)
    contestants = [Contestant("microsam_nb", sys.executable, "effort.py", ["--work"])]
    if options.peer:
        contestants.append(Contestant("micro-sam", options.peer, "effort_peer.py", []))
    if options.cost:
        cost(contestants)
        return
    print("| source | kind | objects | who | prompts: median | mean | reached | s per object | ms per plane |")
    print("| --- " * 9 + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for source, kind, tasks in sources(options, Path(folder)):
            for one in contestants:
                efforts = []
                with one.working() as process:
                    for task in tasks:
                        efforts += one.ask(process, task)["efforts"]
                row(source, kind, one.name, efforts)


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


def carried(task) -> dict[str, float]:
    """Carry one object through planes of vit_b's embeddings."""
    data = np.load(task["file"])
    count = task["planes"]
    model = load_model(task["weights"], device="cpu")
    given = Embedding(torch.from_numpy(data["features"]), (1024, 1024), (512, 512))
    store = open_store(None, model, Image(np.repeat(data["plane"][None], count, 0), "zyx"))
    with patch.object(encoding, "encode_many", lambda _, pixels: [given] * len(pixels)):
        store.fill([Item(plane) for plane in range(count)])
    settings = ProjectSettings(Reprompt(task["projection"]), iou=0.0, box_extension=0.05)
    seed = Mask.crop(data["seed"][None], (0, 0, 0))
    start = time.perf_counter()
    found = sum(1 for _ in project(model, store, {0: seed}, settings))
    return {"seconds": time.perf_counter() - start, "planes": found}


def sources(options, folder: Path):
    """Yield every source with its tasks: a file with volume and labels, and the numbers of the objects."""
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    for entry in csv.DictReader((options.pack / "manifest.csv").open()):
        wanted = options.only is None or options.only == entry["source"]
        if entry["split"] == options.split and entry["kind"] in ("2d", "3d") and wanted:
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
            tasks.append({"task": source, "file": str(path), "objects": chosen(labels, options.objects)})
        yield source, kind, tasks


def row(source: str, kind: str, who: str, efforts: list[dict[str, float]]) -> None:
    prompts = np.array([one["prompts"] for one in efforts])
    seconds = sum(one["seconds"] for one in efforts)
    planes = max(1, sum(one["planes"] for one in efforts))
    print(
        f"| {source} | {kind} | {len(efforts)} | {who} | {np.median(prompts):.0f} | {prompts.mean():.1f} "
        f"| {(prompts <= MOST).mean():.2f} | {seconds / len(efforts):.2f} | {1000 * seconds / planes:.0f} |",
        flush=True,
    )


def work() -> None:
    torch.set_grad_enabled(False)
    for line in sys.stdin:
        task = json.loads(line)
        if task["task"] == "cost":
            print("answer", json.dumps(carried(task)), flush=True)
            continue
        data = np.load(task["file"])
        ours = Ours(data["volume"])
        efforts = [asdict(annotate(ours, data["labels"] == number)) for number in task["objects"]]
        print("answer", json.dumps({"efforts": efforts}), flush=True)


if __name__ == "__main__":
    main()
