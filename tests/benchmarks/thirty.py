"""The main job as a user does it: the lab command, the first notebook, thirty objects, saved as TIFF.

usage: python tests/benchmarks/thirty.py [--objects 30] [--shots FOLDER]

Opens what ``python -m microsam_nb lab`` opens, in a real Chromium, and clicks on nuclei of the bundled sample. There is
no ground truth: where nuclei are, and where a mask goes too far, is told by a threshold of the blue stain, a poor
stand-in for the eyes of a user. A mask that goes too far is corrected by right clicks, a mask that misses a part by
further clicks; after three corrections it is given up. Prints the time per object and the agreement of masks and stain;
``--shots`` keeps screenshots to be looked at.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from playwright.sync_api import sync_playwright
from scipy import ndimage
from skimage.color import rgb2hed
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import regionprops
from skimage.segmentation import watershed

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from jupyter_page import FLAGS, Lab, Notebook, find_chromium
from picture import Picture

from microsam_nb.files import samples

NOTEBOOK = "00_start_here.ipynb"
FOLDER = "microsam_nb_notebooks"
CORRECTIONS = 3


@dataclass
class Nucleus:
    """What the stain says: a place deep inside, and the pixels, bool (y, x)."""

    place: tuple[float, float]
    mask: np.ndarray


@dataclass
class Done:
    """One committed object: seconds from its first click to its commit, clicks, and overlap with the stain."""

    seconds: float
    clicks: int
    area: int
    expected: int
    iou: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=30)
    parser.add_argument("--shots", type=Path, help="folder for screenshots")
    options = parser.parse_args()
    if options.shots:
        options.shots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        lab = Lab(Path(folder), program=("microsam_nb", "lab"), root=FOLDER)
        browser = play.chromium.launch(executable_path=find_chromium(), headless=True, args=FLAGS)
        try:
            begun = time.perf_counter()
            book = Notebook(lab, browser, NOTEBOOK)
            book.run(0)
            picture = Picture(book)
            print(f"from opening the page to a model that is ready: {time.perf_counter() - begun:.1f} s")
            done, given_up = annotate(picture, options)
            report(done, given_up)
            check(book, len(done))
            print("errors in the page:", book.errors or "none")
            book.close()
        finally:
            browser.close()
            lab.close()


def annotate(picture: Picture, options: argparse.Namespace) -> tuple[list[Done], int]:
    done: list[Done] = []
    given_up = 0
    shoot(picture, options, "0_ready")
    for nucleus in nuclei(samples.tissue()):
        one = segment(picture, nucleus, options, len(done))
        if one is None:
            given_up += 1
            continue
        done.append(one)
        if len(done) in (1, 10, 20, options.objects):
            shoot(picture, options, f"{len(done)}_objects")
        if len(done) == options.objects:
            return done, given_up
    return done, given_up


def nuclei(image: np.ndarray) -> list[Nucleus]:
    """Return nuclei of a stained section by a threshold of the blue stain, the clearest first."""
    blue = gaussian(rgb2hed(image)[..., 0], 1)
    inside = ndimage.binary_opening(blue > threshold_otsu(blue), iterations=1)
    depth = gaussian(ndimage.distance_transform_edt(inside), 1)
    peaks = (ndimage.maximum_filter(depth, 9) == depth) & (depth > 2.2)
    pieces = watershed(-depth, ndimage.label(peaks)[0], mask=inside)
    found = []
    for piece in regionprops(pieces, intensity_image=blue):
        top, left, bottom, right = piece.bbox
        at_edge = min(top, left) < 3 or bottom > image.shape[0] - 3 or right > image.shape[1] - 3
        if at_edge or not 45 <= piece.area <= 450 or piece.solidity < 0.85:
            continue
        deep = np.where(pieces == piece.label, depth, 0)
        y, x = np.unravel_index(np.argmax(deep), deep.shape)
        found.append((piece.solidity * piece.intensity_mean, Nucleus((y + 0.5, x + 0.5), pieces == piece.label)))
    return [one for _, one in sorted(found, key=lambda pair: -pair[0])]


def segment(picture: Picture, nucleus: Nucleus, options: argparse.Namespace, number: int) -> Done | None:
    """Click, look, correct, and commit; None for a nucleus that lies in an object already, or is given up."""
    book = picture.book
    y, x = nucleus.place
    if book.kernel(f"int(annotator.labels[{int(y)}, {int(x)}])"):
        return None
    start = time.perf_counter()
    picture.click(y, x)
    clicks, points = 1, [(y, x)]
    mask = answer(picture, clicks)
    for _ in range(CORRECTIONS):
        where, positive = fault(mask, nucleus.mask, points)
        if where is None:
            break
        picture.click(*where, button="left" if positive else "right")
        clicks += 1
        points.append(where)
        mask = answer(picture, clicks)
        if clicks == 2 and number == 0:
            shoot(picture, options, "1_corrected")
    iou = overlap(mask, nucleus.mask)
    if iou < 0.4:
        picture.page.keyboard.press("Shift+C")
        book.until("not annotator.session.state.prompts")
        return None
    before = book.kernel("int(annotator.labels.max())")
    picture.page.keyboard.press("c")
    book.until(f"int(annotator.labels.max()) == {before + 1} and not annotator.session.state.prompts")
    took = time.perf_counter() - start
    return Done(took, clicks, int(mask.sum()), int(nucleus.mask.sum()), iou)


def answer(picture: Picture, prompts: int) -> np.ndarray:
    """Wait until the answer to some prompts is on the screen; return its mask, bool (y, x)."""
    book = picture.book
    book.until(f"len(annotator.session.state.prompts) == {prompts} and annotator.session.state.answered")
    picture.settle()
    found: Any = book.kernel(
        "p = annotator.session.state.proposal\n"
        "[one.tolist() for one in p.mask.dense(annotator.session.shape)[0].nonzero()] if p else [[], []]"
    )
    mask = np.zeros(samples.tissue().shape[:2], bool)
    mask[tuple(np.array(one, int) for one in found)] = True
    return mask


def fault(
    mask: np.ndarray, wanted: np.ndarray, points: list[tuple[float, float]]
) -> tuple[tuple[float, float] | None, bool]:
    """Return where a user would click next, deep in the larger of what is too much and what is missing, and how."""
    # The eye forgives a rim of two pixels.
    too_much = mask & ~ndimage.binary_dilation(wanted, iterations=2)
    missing = ndimage.binary_erosion(wanted, iterations=2) & ~mask
    for wrong, positive in sorted([(too_much, False), (missing, True)], key=lambda pair: -pair[0].sum()):
        depth = ndimage.distance_transform_edt(np.pad(wrong, 1))[1:-1, 1:-1]
        for py, px in points:
            depth[max(0, int(py) - 2) : int(py) + 3, max(0, int(px) - 2) : int(px) + 3] = 0
        if wrong.sum() > 0.15 * wanted.sum() and depth.max() >= 1.5:
            y, x = np.unravel_index(np.argmax(depth), depth.shape)
            return (y + 0.5, x + 0.5), positive
    return None, True


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 0.0


def shoot(picture: Picture, options: argparse.Namespace, name: str) -> None:
    if options.shots:
        picture.settle()
        # The picture of the last message is on the canvas one frame later.
        picture.page.wait_for_timeout(300)
        picture.page.screenshot(path=options.shots / f"{name}.png")


def report(done: list[Done], given_up: int) -> None:
    print(f"{len(done)} objects, {given_up} nuclei left out (covered already, or no mask worth keeping)\n")
    print("| | median | lowest | highest |\n| --- | --- | --- | --- |")
    for name, values, digits in (
        ("seconds per object", [one.seconds for one in done], 1),
        ("clicks per object", [one.clicks for one in done], 0),
        ("area (pixels)", [one.area for one in done], 0),
        ("area, times that of the stain", [one.area / one.expected for one in done], 2),
        ("overlap with the stain (IoU)", [one.iou for one in done], 2),
    ):
        row = [f"{one:.{digits}f}" for one in (statistics.median(values), min(values), max(values))]
        print(f"| {name} | {' | '.join(row)} |")


def check(book: Notebook, count: int) -> None:
    """Save with the notebook's own cell; compare the file with the annotator."""
    book.run(2)
    path = book.lab.work / "labels.tif"
    book.lab.until(path.exists)
    book.page.wait_for_function("() => document.body.innerText.includes(\"PosixPath('labels.tif')\")")
    saved = tifffile.imread(path)
    numbers = np.unique(saved[saved > 0])
    same = np.array_equal(saved, np.array(book.kernel("annotator.labels.tolist()")))
    print(f"\nlabels.tif: {saved.shape} {saved.dtype}, {len(numbers)} objects of {count}; as on screen: {same}")


if __name__ == "__main__":
    main()
