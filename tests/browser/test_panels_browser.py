"""Panels and what stays in the notebook, as a user meets them in JupyterLab."""

from __future__ import annotations

import base64
import io
import os
import time
from pathlib import Path
from typing import Any

import nbconvert
import nbformat
import numpy as np
import pytest
from picture import Picture
from PIL import Image as Picture_

pytestmark = pytest.mark.browser

CELL = """import numpy as np
from microsam_nb import annotate_2d
from microsam_nb.files import samples
labels = np.zeros((256, 320), np.uint16)
for number, (y, x, side) in enumerate([(20, 30, 12), (60, 200, 30), (150, 100, 20), (200, 280, 25)], start=1):
    labels[y : y + side, x : x + side] = number
annotator = annotate_2d(samples.tissue(), labels=labels, project=False)
annotator"""

STATE = "annotator.session.state.browsing"


def shot(page: Any, name: str) -> None:
    folder = os.environ.get("MSAM_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{name}.png")


def toggle(book: Any, name: str) -> Any:
    """Open or close a panel; return it as a locator."""
    book.page.locator(f"button.msam-open-{name.lower()}").first.click()
    return book.page.locator(f".msam-panel.msam-{name.lower()}").first


def choose_theme(page: Any, name: str) -> None:
    page.locator(".lm-MenuBar-itemLabel", has_text="Settings").click()
    page.locator(".lm-Menu-itemLabel", has_text="Theme").first.hover()
    page.locator(".lm-Menu-itemLabel").get_by_text(name, exact=True).click()
    light = "false" if "Dark" in name else "true"
    page.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{light}'")


def brightness(page: Any, selector: str, kind: str) -> float:
    """Mean of the red, green and blue that an element has as colour or, looking upwards, as its ground."""
    return page.evaluate(
        """([selector, kind]) => {
            let one = document.querySelector(selector);
            let found = getComputedStyle(one)[kind];
            while (kind === 'backgroundColor' && found === 'rgba(0, 0, 0, 0)' && one.parentElement) {
                one = one.parentElement;
                found = getComputedStyle(one)[kind];
            }
            const [r, g, b] = found.match(/[\\d.]+/g).map(Number);
            return (r + g + b) / 3;
        }""",
        [selector, kind],
    )


def overlapping(page: Any) -> list[str]:
    """Return pairs of controls that lie over each other, and those that stick out of the annotator."""
    return page.evaluate(
        """() => {
            const root = document.querySelector('.msam-annotator');
            const frame = root.getBoundingClientRect();
            const seen = [...root.querySelectorAll('button, select, input, .msam-canvas, .msam-status, .bqplot')]
                .map((e) => [e, e.getBoundingClientRect()]).filter(([, r]) => r.width && r.height);
            const name = (e) => `${e.tagName} ${e.className}`.slice(0, 60);
            const found = [];
            for (const [i, [a, p]] of seen.entries()) {
                if (p.right > frame.right + 1 || p.left < frame.left - 1) found.push(`${name(a)} sticks out`);
                for (const [b, q] of seen.slice(i + 1)) {
                    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
                    const tall = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
                    const over = !a.closest('.msam-side') === !b.closest('.msam-side');
                    if (wide > 2 && tall > 2 && !a.contains(b) && !b.contains(a) && over)
                        found.push(`${name(a)} / ${name(b)}`);
                }
            }
            return found;
        }"""
    )


def test_table_layers_contrast_and_themes(open_notebook: Any) -> None:
    book = open_notebook("panels.ipynb", CELL, "1 + 1")
    book.run(0)
    picture = Picture(book)
    page = book.page
    shot(page, "p1_closed")
    assert overlapping(page) == []
    cells = page.locator(".jp-Notebook .jp-Cell").count()

    # The table: sort, go to, rename, filter, delete.
    table = toggle(book, "Objects")
    rows = table.locator(".row")
    rows.nth(3).wait_for()
    table.get_by_role("button", name="Size").click()
    page.wait_for_function("() => document.querySelector('.msam-table .row').dataset.label === '1'")
    table.get_by_role("button", name="Size").click()
    page.wait_for_function("() => document.querySelector('.msam-table .row').dataset.label === '2'")
    assert [row.get_attribute("data-label") for row in rows.all()] == ["2", "4", "3", "1"]
    book.kernel("from microsam_nb.session import *\nannotator.session.handle(SetView(0, 0, 12.0))\nTrue")
    rows.nth(1).locator(".number").first.click()
    book.until("annotator.session.selected == (4,)")
    picture.settle()
    middle = book.kernel("v = annotator._screen.viewport\nv.to_image(v.height / 2, v.width / 2)")
    assert middle == pytest.approx([212.5, 292.5], abs=1)
    page.locator(".msam-table .row.picked").wait_for()

    name = page.locator(".msam-table .row[data-label='4'] .text").first
    name.dblclick()
    page.keyboard.type("a dividing cell")
    page.keyboard.press("Enter")
    book.until("4 in annotator.session.infos and annotator.session.infos[4].name == 'a dividing cell'")
    # The keys belong to the image then, not to nobody.
    page.keyboard.press("b")
    book.until("annotator.session.state.browsing.tool.value == 'box'")
    # Tab goes from cell to cell, and what is typed is never a command.
    page.locator(".msam-table .row[data-label='2'] .text").first.dblclick()
    page.keyboard.type("a pair")
    page.keyboard.press("Tab")
    page.keyboard.type("mitosis")
    page.keyboard.press("Enter")
    book.until("2 in annotator.session.infos and annotator.session.infos[2].category == 'mitosis'")
    assert book.kernel("annotator.session.infos[2].name") == "a pair"
    assert book.kernel("annotator.session.state.browsing.tool.value") == "box"
    book.kernel("[annotator.session.handle(Undo()) for _ in range(2)]\nTrue")
    page.keyboard.press("p")
    book.until("annotator.session.state.browsing.tool.value == 'point'")
    page.locator(".msam-table .row[data-label='4'] .text").nth(1).dblclick()
    page.keyboard.type("odd")
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    assert book.kernel("annotator.session.infos[4].category") == "", "Escape leaves the edit"
    shot(page, "p2_objects")
    page.locator(".msam-table input.search").fill("size<500")
    page.wait_for_function("() => document.querySelectorAll('.msam-table .row').length === 2")
    book.save()
    again = book.another_page()
    again.wait_for_function("() => document.querySelectorAll('.msam-table .row').length === 2")
    assert again.locator(".msam-table input.search").input_value() == "size<500", "the filter in force is seen"
    again.close()
    page.locator(".msam-table input.search").press("End")
    page.keyboard.type(" ddaabb")
    page.wait_for_function("() => document.querySelectorAll('.msam-table .row').length === 0")
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells, "what is typed stays in the field"
    page.locator(".msam-table input.search").fill("")
    page.locator(".msam-table .row[data-label='3'] .number").first.click()
    book.until("annotator.session.selected == (3,)")
    table.locator("button.msam-delete").click()
    book.until("3 not in annotator.session.labels")
    page.wait_for_function("() => document.querySelectorAll('.msam-table .row').length === 3")
    # After a button the keys belong to the image again.
    page.keyboard.press("Control+z")
    book.until("3 in annotator.session.labels")
    toggle(book, "Objects")

    # Layers: what is hidden is not on the picture.
    book.kernel("annotator.session.handle(SetView())\nTrue")
    picture.settle()
    place, differs = [(75.0, 215.0)], "Math.hypot(...now[0].map((v, k) => v - before[0][k])) > 15"
    layers = toggle(book, "Layers")
    box = layers.locator(".msam-show-objects input")
    box.wait_for()
    picture.settle()
    page.wait_for_timeout(500)
    covered = picture.pixels(place)
    box.click()
    book.until(f"not {STATE}.layers.objects.visible")
    picture.until(place, differs, covered)
    layers.locator("button.msam-contours").click()
    book.until(f"{STATE}.layers.contours")
    box.click()
    book.until(f"{STATE}.layers.objects.visible")
    layers.locator("button.msam-contours").click()
    book.until(f"not {STATE}.layers.contours")
    handle = layers.locator(".msam-opacity-objects .noUi-handle").first
    frame, track = handle.bounding_box(), layers.locator(".msam-opacity-objects .noUi-target").first.bounding_box()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] * 0.9, frame["y"] + frame["height"] / 2, steps=12)
    page.mouse.up()
    book.until(f"0.8 < {STATE}.layers.objects.opacity <= 1")
    picture.settle()
    settled = book.kernel(f"{STATE}.layers.objects.opacity")
    page.wait_for_timeout(300)
    assert book.kernel(
        f"[{STATE}.layers.objects.opacity, annotator._panels.made['Layers'].sliders['objects'].value]"
    ) == [
        settled,
        settled,
    ]
    shot(page, "p3_layers")
    toggle(book, "Layers")

    # Contrast: the bright end of the range is dragged to the left.
    contrast = toggle(book, "Contrast")
    brush = contrast.locator(".bqplot .selection").first
    brush.wait_for(timeout=30_000)
    page.wait_for_function("() => document.querySelector('.msam-contrast .bqplot .selection')?.getBBox().width > 20")
    picture.settle()
    page.wait_for_timeout(600)
    before = book.kernel(
        "[annotator._panels.made['Contrast'].low.value, annotator._panels.made['Contrast'].high.value]"
    )
    frame = brush.bounding_box()
    right, middle = frame["x"] + frame["width"], frame["y"] + frame["height"] / 2
    shot(page, "p4_contrast")
    assert overlapping(page) == []
    page.mouse.move(right, middle)
    page.mouse.down()
    page.mouse.move(right - frame["width"] * 0.4, middle, steps=12)
    page.mouse.up()
    book.until(f"len({STATE}.channels) == 3 and {STATE}.channels[0].high is not None")
    picture.settle()
    low, high = book.kernel(f"[{STATE}.channels[0].low, {STATE}.channels[0].high]")
    assert high < before[1] - 30
    assert book.kernel("annotator._panels.made['Contrast'].high.value") == pytest.approx(high, rel=1e-4)
    assert low < high
    shot(page, "p5_dragged")
    contrast.locator("button.msam-reset").click()
    book.until(f"{STATE}.channels == ()")

    # Dark: the words stay readable, and so they do at the width of a narrow window.
    toggle(book, "Objects")
    toggle(book, "Layers")
    choose_theme(page, "JupyterLab Dark")
    page.wait_for_timeout(500)
    shot(page, "p6_dark")
    for selector in (".msam-status", ".msam-title", ".msam-table .head button", ".msam-contrast .bqplot .axis text"):
        kind = "fill" if "bqplot" in selector else "color"
        words = brightness(page, selector, kind)
        assert words - brightness(page, selector, "backgroundColor") > 100, selector
    choose_theme(page, "JupyterLab Light")
    page.set_viewport_size({"width": 780, "height": 1400})
    page.wait_for_timeout(800)
    width = page.locator(".msam-annotator").first.bounding_box()["width"]
    shot(page, "p7_narrow")
    assert width < 520
    assert overlapping(page) == []


def stored(path: Path) -> list[dict[str, Any]]:
    """Outputs of the first cell of a notebook file."""
    return nbformat.read(path, as_version=4).cells[0].outputs


#: A photograph is kept as JPEG.
PICTURES = {"image/png", "image/jpeg"}


def test_the_saved_notebook_shows_the_result(open_notebook: Any) -> None:
    book = open_notebook("kept.ipynb", CELL)
    book.run(0)
    picture = Picture(book)
    page, path = book.page, book.lab.work / "kept.ipynb"
    book.kernel("from microsam_nb.session import *\nannotator.session.handle(Delete((2,)))\nTrue")
    # By itself, some time after the last change.
    book.until("annotator._still._timer is None", 30)
    book.kernel("annotator._still.flush()\nTrue")
    images = page.locator(".jp-OutputArea .jp-RenderedImage img")
    images.first.wait_for(state="attached", timeout=10_000)
    assert images.count() == 1
    assert not images.first.is_visible(), "the picture is not shown twice"
    page.locator(
        ".jp-NotebookPanel-toolbar [data-command='docmanager:save'], .jp-ToolbarButton [title^='Save']"
    ).first.click()
    end = time.monotonic() + 15
    while not any(PICTURES & set(o.get("data", {})) for o in stored(path)) and time.monotonic() < end:
        page.wait_for_timeout(100)
    (kept,) = [o["data"][kind] for o in stored(path) for kind in PICTURES & set(o.get("data", {}))]
    assert len(kept) < 270_000, "the notebook file stays small"
    pixels = np.asarray(Picture_.open(io.BytesIO(base64.b64decode(kept))).convert("RGB")).astype(float)
    tall, wide = pixels.shape[:2]
    plain = book.kernel("annotator.image.shown(0).tolist()")

    def differs(y: int, x: int) -> bool:
        shown = pixels[int((y + 0.5) * tall / 256), int((x + 0.5) * wide / 320)]
        return bool(np.abs(shown - np.array(plain[y][x])).max() > 12)

    assert differs(160, 110), "an object is on the picture"
    assert not differs(75, 240), "the deleted one is not"
    picture.settle()

    # The kernel has gone and nobody runs the cell again.
    book.close()
    book.load()
    book.page.locator(".jp-OutputArea .jp-RenderedImage img").first.wait_for(state="visible", timeout=20_000)
    book.page.wait_for_timeout(1500)
    shot(book.page, "p8_reopened")
    words = book.page.locator(".jp-Notebook .jp-CodeCell").first.locator(".jp-OutputArea").inner_text()
    assert "Error" not in words
    assert "Loading" not in words
    # The page complains about a widget whose kernel has gone; the user does not see it.
    book.errors.clear()
    # Other programs read the file.
    html, _ = nbconvert.HTMLExporter().from_filename(str(path))
    assert kept[:200] in html


OFFLINE = f"""import os
os.environ.update(MICROSAM_CACHEDIR="no-models", HTTPS_PROXY="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9")
os.environ.pop("NO_PROXY", None)
{CELL}"""


def test_models_and_two_annotators(open_notebook: Any) -> None:
    second = CELL.replace("annotator", "other").split("\n")
    book = open_notebook(
        "two.ipynb", OFFLINE, "\n".join([*second[:3], "other = annotate_2d(samples.tissue(), project=False)", "other"])
    )
    book.run(0)
    picture = Picture(book)
    page = book.page
    models = toggle(book, "Models")
    models.locator("select option").nth(3).wait_for(state="attached")
    models.locator("select").select_option(index=2)
    page.wait_for_function("() => document.querySelector('.msam-models').innerText.includes('downloaded once')")
    models.locator("button.msam-use-model").click()
    page.locator(".msam-status [role=alert]").first.wait_for(timeout=60_000)
    shot(page, "p9_offline")
    assert "on another computer" in picture.status()
    assert "nano" in models.inner_text()
    picture.click(104.0, 194.0)
    book.until("annotator.session.state.answered and bool(annotator.session.state.proposals)")

    # Another annotator in the same notebook has nothing to do with it.
    book.run(1)
    page.locator(".msam-canvas").nth(1).wait_for(timeout=60_000)
    beside = Picture(book, "other", 1)
    beside.click(40.0, 130.0)
    book.until("len(other.session.state.prompts) == 1")
    assert book.kernel("len(annotator.session.state.prompts)") == 1
    page.keyboard.press("b")
    book.until("other.session.state.browsing.tool == 'box'")
    assert book.kernel(f"{STATE}.tool") == "point"
    shot(page, "p10_two")
