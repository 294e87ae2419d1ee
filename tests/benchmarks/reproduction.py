"""The comparisons of micro-sam's study with the embedded model: how much a few annotated images teach it.

usage: python tests/benchmarks/reproduction.py PACK -o FOLDER [--sources NAME ...] [--only PART ...] [--steps 400]

Archit et al. (Nature Methods 2025) compare default, finetuned and human-in-the-loop models, parts of the model that
learn, and decoders. Here, for every source of the data pack:

- learning: n = 1, 2, 5, 10 images, all annotated before the training;
- loop: the same images one after another; the model that learned from the ones before helps to annotate the next;
- lora: LoRA of rank 1 to 16, the frozen encoder and everything, with five images;
- decoder: the instance decoder as it is, trained alone, trained with the rest, and a new one.

Every line of the table is the mean over the source's test images: mSA of automatic segmentation (AIS), and clicks per
object until its IoU is 0.8, six where five do not suffice. FOLDER/results.jsonl keeps what was computed: the same
command goes on after an interruption. The embedded model has seen the training images of these sources, with many
others, when it was made: what is measured is what their repetition adds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from microsam_nb.core import LabelledImage
from microsam_nb.engine import Model, load_model
from microsam_nb.engine.automatic import segment
from microsam_nb.engine.evaluation import evaluate_prompts, mean_segmentation_accuracy
from microsam_nb.engine.training import CropDataset, FinetuningSettings, finetune, with_decoder
from microsam_nb.files.pack import read_pack

CLICKS, GOOD = 5, 0.8
SOURCES = ("usiigaci", "histology H&E", "axondeepseg_sem")
COUNTS = (1, 2, 5, 10)
RANKS = (1, 2, 4, 8, 16)
PARTS = ("learning", "loop", "lora", "decoder")


@dataclass(frozen=True)
class Cell:
    """One line of a table: what is done with how many images."""

    part: str
    source: str
    name: str
    images: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--sources", nargs="+", default=SOURCES)
    parser.add_argument("--only", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    kept = Kept(options.output / "results.jsonl")
    for part in options.only:
        for source in options.sources:
            train, test = (
                [one for one in read_pack(options.pack, split) if source in one.group] for split in ("train", "test")
            )
            order = np.random.default_rng(0).permutation(len(train))
            run = Run(source, [train[i] for i in order], test, options.steps)
            for cell, work in run.cells(part):
                kept.once(cell, work)
    print(kept.tables())


class Kept:
    """Results on disk, one JSON object per line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.rows: dict[Cell, dict[str, Any]] = {}
        for row in map(json.loads, lines):
            self.rows[Cell(**row.pop("cell"))] = row

    def once(self, cell: Cell, work: Callable[[], dict[str, Any]]) -> None:
        if cell in self.rows:
            return
        start = time.perf_counter()
        row = work() | {"seconds": round(time.perf_counter() - start)}
        self.rows[cell] = row
        with self.path.open("a") as file:
            file.write(json.dumps({"cell": vars(cell)} | row) + "\n")
        print(cell, row, flush=True)

    def tables(self) -> str:
        lines = list[str]()
        for part in PARTS:
            rows = {cell: row for cell, row in self.rows.items() if cell.part == part}
            if rows:
                lines += ["", f"## {part}", "", "| source | model | images | mSA | clicks per object | annotating |"]
                lines.append("| --- | --- | --- | --- | --- | --- |")
            for cell, row in sorted(rows.items(), key=lambda pair: (pair[0].source, pair[0].images, pair[0].name)):
                spent = f"{row['spent']:.2f}" if "spent" in row else ""
                lines.append(
                    f"| {cell.source} | {cell.name} | {cell.images} | {row['accuracy']:.3f} | {row['clicks']:.2f} "
                    f"| {spent} |"
                )
        return "\n".join(lines)


class Run:
    """All comparisons on one source."""

    def __init__(self, source: str, train: list[LabelledImage], test: list[LabelledImage], steps: int) -> None:
        self.source, self.train, self.test, self.steps = source, train, test, steps

    def cells(self, part: str) -> Iterator[tuple[Cell, Callable[[], dict[str, Any]]]]:
        """Yield every line of a part with the work that makes it."""
        if part == "learning":
            yield Cell(part, self.source, "default", 0), lambda: self.measured(_nano())
            for count in COUNTS:
                yield Cell(part, self.source, "finetuned", count), lambda count=count: self.taught(count)
        elif part == "loop":
            for count, work in self._loop():
                yield Cell(part, self.source, "human in the loop", count), work
        elif part == "lora":
            everywhere: dict[str, Any] = {"lora_layers": "q,k,v,mlp,conv"}
            ways = {f"LoRA, rank {rank}": {"lora_rank": rank} | everywhere for rank in RANKS}
            ways |= {"frozen encoder": {"freeze_image_encoder": True}, "everything": {}}
            for name, changes in ways.items():
                yield Cell(part, self.source, name, 5), lambda changes=changes: self.taught(5, **changes)
        else:
            yield Cell(part, self.source, "as it is", 5), lambda: self.taught(5, freeze_decoder=True)
            yield Cell(part, self.source, "alone", 5), lambda: self.taught(5, freeze_image_encoder=True, prompts=False)
            yield Cell(part, self.source, "with the rest", 5), lambda: self.taught(5)
            yield Cell(part, self.source, "new, with the rest", 5), lambda: self.taught(5, model=_new_decoder())

    def taught(self, count: int, model: Model | None = None, **changes: Any) -> dict[str, Any]:
        """Return the scores of a model that learned from the first ``count`` images."""
        model = model or _nano()
        self._teach(model, self.train[:count], **changes)
        return self.measured(model)

    def measured(self, model: Model) -> dict[str, Any]:
        accuracy = [mean_segmentation_accuracy(one.labels, segment(one.pixels, model, "ais")) for one in self.test]
        return {"accuracy": float(np.mean(accuracy)), "clicks": float(np.mean(clicks_of(model, self.test)))}

    def _teach(self, model: Model, images: list[LabelledImage], **changes: Any) -> None:
        settings = FinetuningSettings().changed({"steps": self.steps, **changes})
        for _ in finetune(model, CropDataset(images), settings):
            pass

    def _loop(self) -> Iterator[tuple[int, Callable[[], dict[str, Any]]]]:
        """Yield the lines of the loop; "spent": clicks per object of the annotator, on the images so far.

        The model goes on learning, on all images so far, as many steps each time as the other lines have in all.
        """
        model, spent, done = _nano(), list[float](), 0

        def go_on(count: int) -> dict[str, Any]:
            nonlocal done
            while done < count:
                spent.extend(clicks_of(model, self.train[done : done + 1]))
                done += 1
                if done in COUNTS:
                    self._teach(model, self.train[:done])
            return self.measured(model) | {"spent": float(np.mean(spent))}

        for count in COUNTS:
            yield count, lambda count=count: go_on(count)


def clicks_of(model: Model, images: list[LabelledImage]) -> list[float]:
    """Return how many clicks each object of some images needs."""
    needed = list[float]()
    for score in evaluate_prompts(model, images, CLICKS):
        good = score.clicks >= GOOD
        needed += np.where(good.any(1), good.argmax(1) + 1, CLICKS + 1).tolist()
    return needed


def _nano() -> Model:
    return load_model("nano", trainable=True)


def _new_decoder() -> Model:
    return with_decoder(replace(_nano(), distances=None))


if __name__ == "__main__":
    main()
