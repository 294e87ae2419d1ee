"""How well the classes of objects are known after a few clicks, and how long it takes for 10,000 objects.

usage: python tests/benchmarks/classify.py PACK [--model nano] [--images 3] [--seeds 2] [--task size]
       python tests/benchmarks/classify.py --large 10000

PACK is a data pack with manifest.csv. It has no classes, so that they are made from what can be known:
size: nuclei clearly larger or smaller than the median; bright: clearly brighter or darker; wrong: every second mask is
moved by about its own diameter, as a wrong segmentation is, in phase contrast and in histology. As many objects of each
class as a column says are clicked at random in one image; "here" are the others of the image, "there" those of another
image of the source. Balanced accuracy, chance is 0.5. Columns of one description of the objects are left out to compare
what the model sees ("model"), regionprops ("shape"), and both.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from microsam_nb import classify, load_model
from microsam_nb.core import Box, Image, ObjectInfo
from microsam_nb.core.measuring import Subject
from microsam_nb.core.suspects import suspects
from microsam_nb.engine.classifying import Describer, Training, train
from microsam_nb.engine.store import open_store
from microsam_nb.session import LoadLabels, Session, SetClass
from microsam_nb.view.review import Review

CLICKS = (2, 5, 10)
#: Objects of a class that an image must have.
LEAST = 14
KINDS = ("model", "shape", "both")
TASKS = {
    "size": ("fluorescence nuclei (16 bit)",),
    "bright": ("fluorescence nuclei (16 bit)",),
    "wrong": ("phase contrast cells", "histology H&E/IHC (RGB)"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path, nargs="?")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--task", choices=TASKS, help="all by default")
    parser.add_argument("--large", type=int)
    options = parser.parse_args()
    model = load_model(options.model)
    if options.large:
        large(options.large, model)
        return
    for task, modalities in TASKS.items():
        if options.task not in (None, task):
            continue
        for modality in modalities:
            compare(task, modality, options, model)


def compare(task: str, modality: str, options, model) -> None:
    images = []
    for path, label in paths(options.pack, modality):
        one = case(task, path, label, model)
        if one is not None and min(map(list(one.classes).count, set(one.classes))) > LEAST:
            images.append(one)
        if len(images) > options.images:
            break
    if not images:
        return
    print(f"\n{task}: {modality}, {len(images)} images, {sum(len(one.classes) for one in images)} objects")
    print(
        "features   " + "".join(f"{count:>14}" for count in CLICKS) + "\n           " + "    here there" * len(CLICKS)
    )
    for kind in KINDS:
        row = []
        for count in CLICKS:
            found = [
                score(one, images[(i + 1) % len(images)], kind, count, seed)
                for i, one in enumerate(images[: options.images])
                for seed in range(options.seeds)
            ]
            here, there = np.mean(found, 0)
            row.append(f"    {here:.2f}  {there:.2f}")
        print(f"{kind:<11}" + "".join(row), flush=True)


def paths(pack: Path, modality: str):
    with (pack / "manifest.csv").open() as file:
        for row in csv.DictReader(file):
            if row["modality"] == modality and row["split"] == "train" and int(row["n_objects"]) >= 2 * LEAST + 4:
                yield pack / row["path_image"], pack / row["path_label"]


def case(task: str, path: Path, label: Path, model) -> Training | None:
    pixels, labels = tifffile.imread(path), tifffile.imread(label).astype(np.uint32)
    chance = np.random.default_rng(0)
    wrong = moved(labels, chance) if task == "wrong" else set()
    image = Image(pixels, "yxc" if pixels.ndim == 3 else "yx")
    subjects = [
        Subject(n, Box((0, rows.start, columns.start), (1, rows.stop, columns.stop)), ObjectInfo())
        for n, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1)
        if (labels[rows, columns] == n).sum() >= 12
    ]
    describer = Describer(image, model, open_store(None, model, image))
    found = dict(one for one in describer.steps(subjects, lambda box: labels[None][box.slices]) if one is not None)
    rows = np.stack(list(found.values()))
    if task == "wrong":
        classes = ["wrong" if n in wrong else "right" for n in found]
        return Training(rows, tuple(classes), describer.names, ("", ""), "both")
    names = ["area"] if task == "size" else [one for one in describer.names if one.startswith("intensity_mean")]
    value = rows[:, [describer.names.index(one) for one in names]].mean(1)
    low, high = np.median(value) * 0.85, np.median(value) * 1.18
    clear = (value < low) | (value > high)
    classes = ["high" if one > high else "low" for one in value[clear]]
    return Training(rows[clear], tuple(classes), describer.names, ("", ""), "both") if len(set(classes)) > 1 else None


def moved(labels: np.ndarray, chance: np.random.Generator) -> set[int]:
    """Move every second mask by about its diameter, over whatever is there; return which."""
    wrong = set()
    for n, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None or chance.random() < 0.5:
            continue
        rows, columns = (labels == n).nonzero()
        angle, far = chance.uniform(0, 2 * np.pi), 0.9 * np.sqrt(len(rows) * 4 / np.pi)
        y, x = rows + round(far * np.sin(angle)), columns + round(far * np.cos(angle))
        inside = (y >= 0) & (x >= 0) & (y < labels.shape[0]) & (x < labels.shape[1])
        if inside.mean() < 0.9:
            continue
        free = np.isin(labels[y[inside], x[inside]], (0, n))
        if free.mean() < 0.6:
            continue
        labels[rows, columns] = 0
        labels[y[inside][free], x[inside][free]] = n
        wrong.add(n)
    return wrong


def score(one: Training, other: Training, kind: str, count: int, seed: int) -> tuple[float, float]:
    chance = np.random.default_rng(seed)
    classes = np.array(one.classes)
    clicked = np.concatenate([
        chance.choice(np.flatnonzero(classes == name), count, replace=False) for name in np.unique(classes)
    ])  # fmt: skip
    kept = [i for i, name in enumerate(one.names) if kind == "both" or name.startswith("seen_") == (kind == "model")]
    rest = np.setdiff1d(np.arange(len(classes)), clicked)
    made = train(replace(one, rows=one.rows[clicked][:, kept], classes=tuple(classes[clicked]),
                         names=tuple(one.names[i] for i in kept)))  # fmt: skip

    def right(rows: np.ndarray, truth: np.ndarray) -> float:
        found = np.array(made.classes)[made.predict(rows[:, kept]).argmax(1)]
        return float(np.mean([(found[truth == name] == name).mean() for name in np.unique(truth)]))

    return right(one.rows[rest], classes[rest]), right(other.rows, np.array(other.classes))


def many(count: int) -> tuple[np.ndarray, np.ndarray]:
    """An image with so many discs of two sizes, and their labels."""
    side, step = int(np.ceil(np.sqrt(count))), 26
    labels = np.zeros((side * step, side * step), np.uint32)
    yy, xx = np.indices((step, step)) - step / 2 + 0.5
    chance = np.random.default_rng(0)
    for n in range(count):
        row, column = divmod(n, side)
        radius = chance.choice([6.0, 10.0])
        labels[row * step : (row + 1) * step, column * step : (column + 1) * step][np.hypot(yy, xx) < radius] = n + 1
    return np.clip(40 + 100 * (labels > 0) + chance.normal(0, 8, labels.shape), 0, 255).astype(np.uint8), labels


def large(count: int, model) -> None:
    pixels, labels = many(count)
    queue(pixels, labels)
    annotator = classify(pixels, labels=labels, model=model, project=False)
    annotator.wait(300)
    session = annotator.session
    start, busy = time.perf_counter(), time.process_time()
    rows = sorted(session.rows(), key=lambda row: row.area)
    session.handle(SetClass(tuple(row.label for row in rows[:5]), "small"))
    session.handle(SetClass(tuple(row.label for row in rows[-5:]), "large"))
    first = None
    while not annotator.classifying.idle:
        time.sleep(0.05)
        if first is None and session.guesses.known:
            first = time.perf_counter() - start
    print(
        f"{count} objects: first predictions after {first:.1f} s, all after {time.perf_counter() - start:.1f} s "
        f"({time.process_time() - busy:.1f} s of processors)",
        flush=True,
    )
    truth = {row.label: "large" if row.area > 200 else "small" for row in rows}
    right = np.mean([truth[n] == one.category for n, one in session.guesses.known.items()])
    print(f"right: {right:.3f}")
    for row in rows[10:13]:
        start, busy = time.perf_counter(), time.process_time()
        session.handle(SetClass((row.label,), "small"))
        handled = time.perf_counter() - start
        annotator._loop.wait(60)
        drawn = time.perf_counter() - start
        annotator.classifying.wait(300)
        done = time.perf_counter() - start
        print(
            f"one more click: handled {handled * 1000:.0f} ms, drawn {drawn * 1000:.0f} ms, predicted {done:.1f} s "
            f"({time.process_time() - busy:.1f} s of processors)",
            flush=True,
        )
    annotator.close()


def queue(pixels: np.ndarray, labels: np.ndarray) -> None:
    """How long the queue of proofreading takes: judging all objects, and what is said after every step."""
    session = Session((1, *labels.shape))
    session.handle(LoadLabels.of(labels))
    busy = time.process_time()
    ranked = suspects(labels, {}, pixels)
    judged = time.process_time() - busy
    review = Review(session)
    # The worst case: a quarter of them is to be looked at.
    some = [replace(one, suspicion=0.5 if i % 4 == 0 else 0.0) for i, one in enumerate(ranked)]
    busy = time.process_time()
    review.take(some)
    taken = time.process_time() - busy
    busy = time.process_time()
    for _ in range(10):
        review.next()
        _ = review.place, review.rest()
    step = (time.process_time() - busy) / 10
    print(
        f"queue of {len(ranked)}: judged {judged:.1f} s, taken {1000 * taken:.0f} ms, step {1000 * step:.0f} ms "
        "(of processors)",
        flush=True,
    )


if __name__ == "__main__":
    main()
