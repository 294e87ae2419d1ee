"""Quality of automatic tracking on the movies of a data pack: linking of the true labels, and of segmented frames.

usage: python tests/benchmarks/tracks.py PACK [--split all] [--model nano] [--mode ais] [--drawn] [--set NAME=VALUE ...]

TRA, DET and SEG of the Cell Tracking Challenge by py-ctcmetrics; divisions in the very frame, found and made up. The
true labels get other numbers in every frame: linking alone is measured, the most that it can give. "no gaps": a link
over a gap is an error for TRA, as the truth has the cell there. "true links": the objects that were found, linked as
the true ones are; what is missing to 1 there is lost by the segmentation. --drawn: movies drawn with missing, merged
and false objects at four speeds; by such movies of other seeds, and by c2c12, the settings were chosen.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from drawn_movies import draw, renumbered, spoilt

from microsam_nb.core import Image, Lineage, Tracks
from microsam_nb.core.tracks import areas, shared
from microsam_nb.engine import load_model
from microsam_nb.engine.automatic import segment
from microsam_nb.engine.evaluation.tracks import evaluate_tracks
from microsam_nb.engine.link import LinkSettings, link


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--split", default="all")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--mode", default="ais")
    parser.add_argument("--drawn", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of linking")
    options = parser.parse_args()
    settings = LinkSettings.parse(options.set)
    print("| movie | frames | tracks | labels | TRA | DET | SEG | divisions | s |")
    print("|" + " --- |" * 9)
    if options.drawn:
        for speed in (0.1, 0.3, 0.6, 0.9):
            truth = draw(speed, 50, seed=11)
            report(f"drawn, {speed} diameters a frame", truth, "true", renumbered(truth.labels), settings)
            report(f"drawn, {speed} diameters a frame", truth, "spoilt", spoilt(truth, 11), settings)
    model = load_model(options.model)
    for row in csv.DictReader((options.pack / "manifest.csv").open()):
        if row["kind"] != "2dt" or options.split not in ("all", row["split"]):
            continue
        truth = true_tracks(options.pack, row)
        name = f"{Path(row['path_image']).stem} ({row['split']})"
        report(name, truth, "true", renumbered(truth.labels), settings)
        start = time.perf_counter()
        image = Image(tifffile.imread(options.pack / row["path_image"]), "tyx")
        found = segment(image, model, options.mode)
        seconds = time.perf_counter() - start
        for title, some in ((options.mode, settings), (f"{options.mode}, no gaps", replace(settings, gap=0))):
            report(name, truth, title, found, some, seconds)
        show(name, truth, f"{options.mode}, true links", as_true(truth, found), seconds)


def true_tracks(pack, row):
    table = [tuple(map(int, line.split())) for line in (pack / row["path_tracks"]).read_text().splitlines()]
    daughters = {}
    for track, _, _, mother in table:
        if mother:
            daughters.setdefault(mother, []).append(track)
    labels = tifffile.imread(pack / row["path_label"])
    return Tracks(labels, Lineage({mother: tuple(some) for mother, some in daughters.items()}))


def as_true(truth, found):
    """Tracks of ``found`` (frames, h, w), whose objects that cover more than half of a true one are linked as that."""
    mothers, begins = truth.lineage.parents, truth.spans
    last, links = {}, []
    for frame, (plane, own) in enumerate(zip(truth.labels, found, strict=True)):
        (tracks, sizes), (a, b, common) = areas(plane), shared(plane, own)
        match = 2 * common > sizes[np.searchsorted(tracks, a)]
        spots = {}  # of true objects that are merged only one is linked
        for track, number in zip(a[match].tolist(), b[match].tolist(), strict=True):
            if number not in spots.values():
                spots[track] = number
        for track, number in spots.items():
            before = last.get(mothers.get(track) if begins[track][0] == frame else track)
            if before is not None and before[0] == frame - 1:
                links.append((before, (frame, number)))
            last[track] = frame, number
    return Tracks.from_links(found, links)


def report(name, truth, title, labels, settings, seconds=0.0):
    """Link labels and print a line; seconds are those of segmentation and linking."""
    start = time.perf_counter()
    tracks = link(labels, settings)
    show(name, truth, title, tracks, seconds + time.perf_counter() - start)


def show(name, truth, title, tracks, seconds):
    score = evaluate_tracks(truth, tracks)
    cells = [
        name, len(truth.labels), f"{len(truth.present)} ({len(tracks.present)} found)", title,
        *(f"{one:.3f}" for one in (score.tra, score.det, score.seg)),
        f"{score.divisions_found} of {score.divisions}, {score.divisions_wrong} wrong", f"{seconds:.1f}",
    ]  # fmt: skip
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
