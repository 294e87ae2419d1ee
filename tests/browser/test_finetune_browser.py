"""Two images annotated, a model that learns from them while the kernel is killed, and its use in an open annotator."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tifffile

from microsam_nb import annotate_2d
from microsam_nb.session import AddBox, Commit

pytestmark = pytest.mark.browser

DISCS = [(24, 24), (70, 30), (40, 72)]
OPEN = """from microsam_nb import annotate_2d
annotator = annotate_2d("a.tif", project="a.msam")
annotator"""
SMALL = {
    "steps": 40, "steps_per_epoch": 10, "batch": 1, "objects": 1, "corrections": 0, "crop": 64, "clicks": 1,
    "early_stop": 0,
}  # fmt: skip
FINETUNE = f"""from microsam_nb import finetune
tuner = finetune(["a.msam", "b.msam"], settings={SMALL})
tuner"""


def write_image(path: Path, seed: int) -> None:
    """Three bright discs with noise, uint8 (96, 96)."""
    rows, columns = np.mgrid[:96, :96]
    image = np.random.default_rng(seed).normal(60, 12, (96, 96))
    for y, x in DISCS:
        image[np.hypot(rows - y, columns - x) < 11] += 90
    tifffile.imwrite(path, image.clip(0, 255).astype(np.uint8))


def annotate(path: Path) -> None:
    """Make the project of an image: its three discs, each by a box."""
    made = annotate_2d(path, project=path.with_suffix(".msam"))
    made.wait()
    for y, x in DISCS:
        made.session.handle(AddBox(y - 13, x - 13, y + 13, x + 13))
        made.wait()
        made.session.handle(Commit())
    made.wait()
    made.close()


def shot(book: Any, name: str) -> None:
    if where := os.environ.get("MSAM_SCREENSHOTS"):
        Path(where).mkdir(parents=True, exist_ok=True)
        book.page.locator(".msam-finetuning").first.screenshot(path=f"{where}/finetune_{name}.png")


def press(book: Any, name: str) -> None:
    book.page.locator(f"button.msam-{name}-training:visible").click()


def phase(book: Any, *wanted: str) -> None:
    book.until(f"'tuner' in globals() and str(tuner.session.state.phase) in {wanted!r}", 180)


def pictures(page: Any) -> list[str]:
    """The captions of the pairs of pictures, once the pictures are there."""
    page.wait_for_function(
        "() => { const all = [...document.querySelectorAll('.msam-card img')];"
        " return all.length && all.every((one) => one.naturalWidth > 0); }",
        timeout=120_000,
    )
    return page.locator(".msam-card .widget-html-content").all_inner_texts()


@pytest.mark.timeout(900)
def test_a_model_learns_from_two_annotated_images_through_a_kernel_that_is_killed(lab: Any, open_notebook: Any) -> None:
    for seed, name in enumerate("ab"):
        write_image(lab.work / f"{name}.tif", seed)
        annotate(lab.work / f"{name}.tif")
    book = open_notebook("finetune.ipynb", FINETUNE, OPEN)
    book.run(0)
    book.page.locator(".msam-setup").wait_for(timeout=120_000)
    shot(book, "1_setup")
    assert "1 image, 3 objects" in book.page.locator(".msam-data").inner_text()
    press(book, "start")
    book.until("len(tuner.session.state.course.epochs) >= 1", 180)
    assert all("Before" in one or "After step" in one for one in pictures(book.page))
    book.page.locator(".msam-curve .bqplot path.line").first.wait_for(state="attached")
    assert "at most" in book.page.locator(".msam-training-line").inner_text()
    press(book, "pause")
    phase(book, "paused")
    book.page.locator(".msam-training-line", has_text="Paused at step").wait_for()
    shot(book, "2_paused")
    press(book, "resume")
    phase(book, "running")

    trainer = json.loads((lab.work / "finetuned" / "process.json").read_text())["pid"]
    pid = book.kernel("__import__('os').getpid()")
    book.forget_kernel()
    os.kill(pid, signal.SIGKILL)
    lab.until(lambda: not psutil.pid_exists(pid), 60)
    assert psutil.pid_exists(trainer)
    book.page.close()
    lab.delete(f"/api/sessions/{lab.session('finetune.ipynb')['id']}")
    book.load()
    book.run(0)
    # Neither the data nor the model are asked for again: what the process tells is shown.
    book.page.locator(".msam-curve .bqplot path.line").first.wait_for(state="attached", timeout=120_000)
    assert "Before" in pictures(book.page)[0]
    phase(book, "finished")
    book.page.locator(".msam-training-line", has_text="Finished at step 40 of 40").wait_for()
    assert book.kernel("tuner.scores['step'].tolist()") == [0, 10, 20, 30, 40]
    shot(book, "3_finished")

    book.run(1)
    book.page.locator(".msam-canvas canvas").first.wait_for(timeout=120_000)
    book.page.locator("button.msam-use-weights").click()
    book.until("annotator.session.model == 'model' and annotator.ready", 60)
    book.page.locator(".msam-training-line", has_text="1 open annotator changes over to it.").wait_for()
    assert book.kernel("annotator.session.labels.count()") == 3
