"""The main job, as a user does it: the first notebook in JupyterLab, with the embedded model."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from annotator_page import CELL, NUCLEUS, SECOND, Screen, labels
from scipy import ndimage

pytestmark = pytest.mark.browser

START = Path(__file__).parents[2] / "notebooks" / "00_start_here.ipynb"
#: With opaque layers every pixel of an object has exactly its colour.
OPAQUE = """
from microsam_nb.session import LayerName, SetLayer
for name in (LayerName.OBJECTS, LayerName.PROPOSAL):
    annotator.session.handle(SetLayer(name, opacity=1.0))
True"""


def test_the_main_job(open_notebook: Any) -> None:
    book = open_notebook("main.ipynb", source=START)
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    assert "Ready" in screen.status()
    screen.shot("1_ready")
    book.kernel(OPAQUE)

    screen.click(*NUCLEUS)
    screen.shot("2_clicked")
    mask = np.array(book.kernel("annotator.session.state.proposal.mask.dense((1, 256, 320))[0].tolist()"))
    assert mask[int(NUCLEUS[0]), int(NUCLEUS[1])]
    assert 60 < mask.sum() < 1500
    inside = np.argwhere(mask)
    # A pixel within the mask, as far from the dot of the click as can be.
    deep = np.argwhere(ndimage.binary_erosion(mask))
    far = deep[np.argmax(np.hypot(*(deep - np.array(NUCLEUS)).T))]
    assert screen.pixel(*(far + 0.5))[:3] == [255, 255, 0], "the mask is yellow on the canvas"
    outside = next(p for p in np.argwhere(~mask) if 100 < p[0] < 200)
    assert screen.pixel(*(outside + 0.5))[:3] != [255, 255, 0]

    screen.press("c")
    committed = labels(book)
    assert (committed > 0).sum() == mask.sum()
    assert np.array_equal(committed > 0, mask)
    colour = book.kernel("from microsam_nb.view import colour_of\nlist(colour_of(1))")
    middle = inside[len(inside) // 2]
    assert screen.pixel(*(middle + 0.5)) == [*colour, 255]
    screen.shot("3_committed")

    screen.press("Control+z")
    assert not labels(book).any()
    assert screen.pixel(*(middle + 0.5))[:3] != colour
    screen.press("Control+Shift+z")
    assert np.array_equal(labels(book), committed)
    assert screen.pixel(*(middle + 0.5)) == [*colour, 255]

    # What was saved is what was seen.
    book.run(2)
    path = book.lab.work / "labels.tif"
    screen.page.wait_for_function("() => document.body.innerText.includes(\"PosixPath('labels.tif')\")")
    saved = tifffile.imread(path)
    assert saved.dtype == np.uint16
    assert np.array_equal(saved, committed)

    # The kernel dies; the object is still there.
    before = book.lab.session("main.ipynb")["kernel"]["id"]
    pid = book.kernel("__import__('os').getpid()")
    book.forget_kernel()
    os.kill(pid, signal.SIGKILL)
    screen.page.locator(".msam-veil").first.wait_for(state="visible", timeout=30_000)
    screen.shot("3b_dead_kernel")
    screen.page.close()
    found = book.lab.session("main.ipynb")
    book.lab.delete(f"/api/sessions/{found['id']}")
    book.load()
    assert book.lab.session("main.ipynb")["kernel"]["id"] != before
    book.run(0)
    again = Screen(book)
    again.drawn()
    again.wait()
    assert np.array_equal(labels(book), committed)
    again.shot("4_reopened")


def test_buttons_box_and_right_click(open_notebook: Any) -> None:
    book = open_notebook(
        "buttons.ipynb",
        CELL,
    )
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    screen.page.locator("button.msam-commit").click(force=True)
    assert not labels(book).any()

    screen.button("box")
    start, stop = screen.place(NUCLEUS[0] - 12, NUCLEUS[1] - 14), screen.place(NUCLEUS[0] + 12, NUCLEUS[1] + 14)
    frame = screen.canvas.bounding_box()
    mouse = screen.page.mouse
    mouse.move(frame["x"] + start["x"], frame["y"] + start["y"])
    mouse.down()
    mouse.move(frame["x"] + stop["x"], frame["y"] + stop["y"], steps=8)
    screen.shot("5_dragging")
    with screen.telling("drag"):
        mouse.up()
    prompts = book.kernel("[repr(p) for p in annotator.session.state.prompts]")
    assert len(prompts) == 1
    assert prompts[0].startswith("BoxPrompt")
    box = book.kernel("p = annotator.session.state.prompts[0]\n[p.y0, p.x0, p.y1, p.x1]")
    assert box == pytest.approx([92, 180, 116, 208], abs=0.6)

    screen.click(*SECOND, button="right")
    point = book.kernel("p = annotator.session.state.prompts[1]\n[p.y, p.x, p.positive]")
    assert point == [pytest.approx(SECOND[0], abs=0.6), pytest.approx(SECOND[1], abs=0.6), False]
    screen.shot("6_box_and_negative")
    # Keys work after a button that has disabled itself.
    screen.button("commit")
    screen.press("Control+z")
    assert len(book.kernel("[repr(p) for p in annotator.session.state.prompts]")) == 2
    screen.press("Backspace")
    assert len(book.kernel("[repr(p) for p in annotator.session.state.prompts]")) == 1
    screen.button("clear")
    assert book.kernel("annotator.session.state.prompts == ()")

    # Outside the image: a sentence with the remedy, nothing else.
    book.kernel("from microsam_nb.session import SetView\nannotator.session.handle(SetView(-40, -40, 3.0))\nTrue")
    screen.wait()
    screen.click(-20, -20)
    assert "outside the image" in screen.status()
    assert "Click inside" in screen.status()


def test_wheel_pan_and_keys_stay_here(open_notebook: Any) -> None:
    book = open_notebook(
        "view.ipynb",
        CELL,
        "1 + 1",
    )
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    whole = book.kernel("annotator._screen.viewport.zoom")
    where, frame = screen.place(100, 100), screen.canvas.bounding_box()
    mouse = screen.page.mouse
    # The browser rounds the position of wheel events to whole pixels.
    frame = {
        **frame,
        "y": round(frame["y"] + where["y"]) - where["y"],
        "x": round(frame["x"] + where["x"]) - where["x"],
    }
    mouse.move(frame["x"] + where["x"], frame["y"] + where["y"])
    with screen.telling("view"):
        for _ in range(6):
            mouse.wheel(0, -120)
        screen.page.wait_for_timeout(400)
    zoom = book.kernel("annotator._screen.viewport.zoom")
    assert zoom > 1.5 * whole
    after = screen.place(100, 100)
    assert (after["x"], after["y"]) == (pytest.approx(where["x"], abs=4), pytest.approx(where["y"], abs=4))
    assert screen.page.evaluate("() => document.querySelector('.msam-canvas canvas').style.transform") == ""
    screen.shot("7_zoomed")

    # A drag with the point tool moves the image and adds no prompt.
    with screen.telling("view"):
        mouse.down()
        mouse.move(frame["x"] + where["x"] + 80, frame["y"] + where["y"] + 50, steps=6)
        mouse.up()
        screen.page.wait_for_timeout(400)
    moved = screen.place(100, 100)
    assert moved["x"] - where["x"] == pytest.approx(80, abs=3)
    assert moved["y"] - where["y"] == pytest.approx(50, abs=3)
    assert book.kernel("annotator.session.state.prompts == ()")
    screen.click(90, 90)
    point = book.kernel("p = annotator.session.state.prompts[0]\n[p.y, p.x]")
    assert point == pytest.approx([90, 90], abs=0.4)

    # No key reaches the notebook, from the canvas or from a button.
    cells = screen.page.locator(".jp-Notebook .jp-Cell").count()
    for focus in ("canvas", "button.msam-fit"):
        if focus == "canvas":
            screen.click(95, 95)
        else:
            screen.page.locator(focus).click()
        for key in ("a", "b", "d", "d", "x", "m", "y", "Enter", "Escape", "Shift+Enter", "Control+s"):
            screen.page.keyboard.press(key)
        screen.wait()
        assert screen.page.locator(".jp-Notebook .jp-Cell").count() == cells
        assert screen.page.locator(".msam-canvas canvas").first.is_visible()


def test_a_reloaded_page_is_drawn_again(open_notebook: Any) -> None:
    book = open_notebook(
        "reload.ipynb",
        CELL,
    )
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    book.kernel(OPAQUE)
    screen.click(*NUCLEUS)
    screen.press("c")
    expected = labels(book)
    middle = np.argwhere(expected > 0)[(expected > 0).sum() // 2] + 0.5
    colour = screen.pixel(*middle)
    screen.page.keyboard.press("Tab")
    book.page.locator(".jp-Notebook").press("Control+s")
    book.page.wait_for_timeout(500)
    book.page.close()
    book.load()
    again = Screen(book)
    again.drawn()
    again.wait()
    assert again.pixel(*middle) == colour
    again.click(*SECOND)
    assert len(book.kernel("[repr(p) for p in annotator.session.state.prompts]")) == 1
    again.shot("8_reloaded")


#: Where an image position lies on the page, by what view ``number`` shows now.
PLACE = """([number, y, x]) => {
    const box = document.querySelectorAll('.msam-canvas')[number];
    box.scrollIntoView({ block: 'center' });
    const c = box.querySelector('canvas:not(.msam-overlay)'), r = c.getBoundingClientRect();
    const [top, left, zoom] = box.querySelector('.msam-overlay').dataset.view.split(' ').map(Number);
    return [r.x + (x - left) * zoom * r.width / c.width, r.y + (y - top) * zoom * r.height / c.height];
}"""
#: Whether the picture has the size of view ``number``.
OWN = """(number) => {
    const box = document.querySelectorAll('.msam-canvas')[number], c = box.querySelector('canvas:not(.msam-overlay)');
    return Math.abs(c.width - box.clientWidth) <= 1 && Math.abs(c.height - box.clientHeight) <= 1;
}"""
ASPECTS = """() => [...document.querySelectorAll('.msam-canvas canvas:not(.msam-overlay)')].map(
    (c) => [c.clientWidth / c.clientHeight, c.width / c.height])"""


def test_two_views_of_one_annotator(open_notebook: Any) -> None:
    """The same annotator under two cells, one of them narrower: one click is one point, in its place."""
    book = open_notebook(
        "views.ipynb",
        CELL,
        "import ipywidgets\nipywidgets.HBox([annotator.widget], layout={'width': '500px'})",
    )
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    book.run(1)
    screen.page.wait_for_function("() => document.querySelectorAll('.msam-canvas canvas.msam-overlay').length === 2")
    screen.wait()
    # The view in use decides about the size of the picture; the other shows it smaller, not stretched.
    for number, (y, x) in enumerate([(60, 100), (80, 130), (40, 150)]):
        with screen.telling("click"):
            screen.page.mouse.click(*screen.page.evaluate(PLACE, [number % 2, y, x]))
        points = book.kernel("[[p.y, p.x] for p in annotator.session.state.prompts]")
        assert len(points) == number + 1
        assert points[-1] == pytest.approx([y, x], abs=1)
        screen.page.wait_for_function(OWN, arg=number % 2)
        for element, picture in screen.page.evaluate(ASPECTS):
            assert element == pytest.approx(picture, rel=0.02)
        screen.shot(f"views_{number}")


def test_a_dense_screen_is_sharp_and_exact(open_notebook: Any) -> None:
    book = open_notebook("dense.ipynb", CELL, density=2)
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    box = screen.canvas.bounding_box()
    size = book.kernel("[annotator._screen.canvas.width, annotator._screen.canvas.height]")
    assert size == pytest.approx([2 * box["width"], 2 * box["height"]], abs=2)
    screen.click(*NUCLEUS)
    point = book.kernel("p = annotator.session.state.prompts[0]\n[p.y, p.x]")
    assert point == pytest.approx(NUCLEUS, abs=0.5)
    screen.shot("9_dense")


def test_without_the_interaction_layer_ipycanvas_still_annotates(open_notebook: Any) -> None:
    book = open_notebook("plain.ipynb", CELL, block="**/extensions/anywidget/**")
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    assert screen.page.locator(".msam-overlay").count() == 0
    screen.click(*NUCLEUS, kind="mouse_up")
    point = book.kernel("p = annotator.session.state.prompts[0]\n[p.y, p.x]")
    assert point == pytest.approx(NUCLEUS, abs=0.6)
    screen.press("c", kind="key_down")
    assert labels(book).any()
    screen.shot("10_plain")
    book.errors.clear()  # the page complains about the file that was kept from it
