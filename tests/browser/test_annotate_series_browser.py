"""A folder of images annotated to the end, with the kernel killed in the middle."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from picture import Picture
from PIL import Image as Bitmap
from scipy import ndimage

from microsam_nb.files import samples

pytestmark = pytest.mark.browser

NAME = "series.annotator"
CELL = """from microsam_nb import annotate_series
series = annotate_series("my images", "results")
series"""

Places = list[tuple[float, float]]


def nuclei(seed: int, shape: tuple[int, int], places: Places) -> np.ndarray:
    """Textured bright nuclei on a dim, uneven ground, uint16 as a camera gives it."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    image = 0.12 + 0.05 * np.sin(rows / 70 + seed)
    texture = ndimage.gaussian_filter(random.normal(size=shape), 2.5)
    for y, x in places:
        turn, long, short = random.uniform(0, np.pi), random.uniform(13, 18), random.uniform(10, 13)
        a, b = rows - y, columns - x
        u, v = a * np.cos(turn) + b * np.sin(turn), b * np.cos(turn) - a * np.sin(turn)
        inside = (u / long) ** 2 + (v / short) ** 2 < 1
        image[inside] = random.uniform(0.5, 0.9) * (1 + 0.12 * texture[inside] / texture.std())
    image = ndimage.gaussian_filter(image, 1.2) + random.normal(0, 0.015, shape)
    return (image.clip(0, 1) * 40_000).astype(np.uint16)


def make_images(folder: Path) -> dict[str, Places]:
    """Write twelve images of several sizes and kinds; return where their objects are, by name, in order."""
    folder.mkdir()
    out: dict[str, Places] = {}
    tissue = samples.tissue()
    for number, (up, left) in enumerate([(1, 1), (-1, 1), (1, -1), (-1, -1)], start=1):
        name = f"tissue {number}.png"
        Bitmap.fromarray(np.ascontiguousarray(tissue[::up, ::left])).save(folder / name)
        places = [(104.0, 194.0), (40.0, 130.0)]
        out[name] = [(y if up > 0 else 256 - y, x if left > 0 else 320 - x) for y, x in places]
    for number in range(5, 13):
        name = f"zellkerne_ä{number}.tif"
        shape = (200 + 4 * number, 300 - 8 * number)
        out[name] = [(60.0, 70.0), (130.0 + number, 120.0)]
        tifffile.imwrite(folder / name, nuclei(number, shape, [*out[name], (180.0, 60.0)]))
    (folder / "readme.txt").write_text("These are images.")
    return out


def shot(book: Any, name: str) -> None:
    if where := os.environ.get("MSAM_SCREENSHOTS"):
        Path(where).mkdir(parents=True, exist_ok=True)
        book.page.screenshot(path=f"{where}/series_{name}.png")


def opened(book: Any, place: int) -> Picture:
    """Wait until an image is on the page; return its picture."""
    page = book.page
    book.until(f"'series' in globals() and series.series.at == {place}", 90)
    page.locator(f'.msam-filmstrip .cell.open[data-place="{place}"]').wait_for(timeout=60_000)
    page.locator(".msam-canvas canvas:not([data-left])").first.wait_for(timeout=60_000)
    return Picture(book, NAME)


#: Marks the canvases that go away, and remembers what the title says from now on, and whether there is a veil.
WATCH = """() => {
  for (const c of document.querySelectorAll('.msam-canvas canvas')) c.dataset.left = 1;
  const about = document.querySelector('.msam-filmstrip .about');
  const seen = window.titles = [];
  const look = () => seen.push([about.textContent, !!document.querySelector('.msam-series-veil')]);
  new MutationObserver(look).observe(about, { childList: true });
}"""


def leave(book: Any, key: str, name: str) -> None:
    """Press a key that opens another image, and wait until that has the keys; all is blocked until it is painted."""
    page = book.page
    page.evaluate(WATCH)
    page.keyboard.press(key)
    page.wait_for_function(
        "() => document.activeElement?.matches('.msam-canvas canvas:not([data-left])')"
        " && !document.querySelector('.msam-series-veil')",
        timeout=120_000,
    )
    # The time at the image that is left may still have been told before.
    titles = [one for one in page.evaluate("window.titles") if name in one[0]]
    assert titles[0] == [f"Opening {name} ...", True]
    assert titles[-1][0].startswith(f"{name} ·")
    assert all(veiled == title.startswith("Opening") for title, veiled in titles)
    assert page.locator(".msam-canvas canvas.msam-overlay").first.get_attribute("data-view")


def keep(picture: Picture, count: int, *places: tuple[float, float]) -> None:
    """Click objects and commit them one by one; there were ``count`` before."""
    for place in places:
        picture.click(*place)
        picture.until_proposed()
        picture.page.keyboard.press("c")
        count += 1
        picture.book.until(f"series.session.labels.count() == {count} and not series.session.state.prompts")


# Twelve images and two kernels: on a machine with much else to do this takes long.
@pytest.mark.timeout(1800)
def test_a_folder_is_annotated_to_the_end_with_the_kernel_killed_in_the_middle(lab: Any, open_notebook: Any) -> None:
    output, images = lab.work / "results", make_images(lab.work / "my images")
    names = list(images)
    assert len(names) == 12
    book = open_notebook("series.ipynb", CELL)
    book.run(0)
    seen: list[str] = []
    kept: dict[str, np.ndarray] = {}

    def remember() -> None:
        seen.append(book.kernel("series.series.current.name"))
        kept[seen[-1]] = np.array(book.kernel("series.labels.tolist()"))

    for place in range(6):
        keep(opened(book, place), 0, *images[names[place]])
        remember()
        if place == 1:
            shot(book, "1_second_image")
        leave(book, "y", names[place + 1])
    book.page.locator(".msam-filmstrip .count", has_text="6 of 12 done").wait_for()

    # In the middle of the seventh: one object is committed, another one in work.
    state = "[series.labels.tolist(), len(series.session.state.prompts), series.session.can_undo]"
    picture = opened(book, 6)
    keep(picture, 0, images[names[6]][0])
    picture.click(*images[names[6]][1])
    picture.until_proposed()
    before = book.kernel(state)
    pid = book.kernel("__import__('os').getpid()")
    book.forget_kernel()
    os.kill(pid, signal.SIGKILL)
    book.page.locator(".msam-veil").first.wait_for(state="visible", timeout=60_000)
    book.page.close()
    lab.delete(f"/api/sessions/{lab.session('series.ipynb')['id']}")
    book.load()
    book.run(0)
    picture = opened(book, 6)
    assert book.kernel(state) == before
    for name in names[:6]:
        assert np.array_equal(tifffile.imread(output / f"{Path(name).stem}.tif"), kept[name])
    # What was in work is still there, and is kept.
    picture.canvas.focus()
    book.page.keyboard.press("c")
    book.until("series.session.labels.count() == 2")
    shot(book, "2_after_the_kill")
    remember()
    leave(book, "y", names[7])
    for place in range(7, 12):
        keep(opened(book, place), 0, *images[names[place]])
        remember()
        if place < 11:
            leave(book, "y", names[place + 1])
    book.page.keyboard.press("y")
    book.page.locator(".msam-filmstrip .notice", has_text="All images are finished: 12 done").wait_for(timeout=60_000)
    book.page.locator(".msam-filmstrip .count", has_text="12 of 12 done").wait_for()
    shot(book, "3_done")

    assert seen == names
    book.kernel("series.close()\nTrue")
    rows = list(csv.DictReader((output / "summary.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["file"] for row in rows] == names
    assert {(row["status"], row["objects"]) for row in rows} == {("done", "2")}
    for name, place in json.loads((output / "series.json").read_text(encoding="utf-8"))["places"].items():
        assert np.array_equal(tifffile.imread(output / f"{place}.tif"), kept[name])
        assert kept[name].max() == 2
