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


VIEW = "v = annotator._screen.viewport\n[v.y, v.x, v.zoom, v.width, v.height]"


class View:
    """One of several pictures of the same annotator on a page."""

    def __init__(self, screen: Screen, number: int) -> None:
        self.page, self.kernel = screen.page, screen.book.kernel
        self.box = screen.page.locator(".msam-canvas").nth(number)
        self.picture = self.box.locator("canvas:not(.msam-overlay)")

    def owns(self) -> bool:
        """Whether the picture has this view's size; and whatever its size, its shape is never distorted."""
        _, _, _, width, height = self.kernel(VIEW)
        box, picture = self.box.bounding_box(), self.picture.bounding_box()
        assert picture["width"] / width == pytest.approx(picture["height"] / height, rel=0.01)
        assert picture["width"] <= box["width"] + 1
        assert picture["height"] <= box["height"] + 1
        mine = abs(width - box["width"]) <= 1 and abs(height - box["height"]) <= 1
        if mine:
            assert picture["width"] == pytest.approx(box["width"], abs=1)
        return mine

    def until_owned(self) -> None:
        """Wait until the kernel has taken this view's size, and the page shows the picture of that size."""
        for _ in range(100):
            if self.owns_quietly():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("the view that is used does not get its own size")

    def owns_quietly(self) -> bool:
        try:
            return self.owns()
        except AssertionError:  # the kernel has the new size, the page still the old picture
            return False

    def at(self, y: float, x: float) -> tuple[float, float]:
        """Where an image position is on the page now."""
        top, left, zoom, width, height = self.kernel(VIEW)
        box = self.picture.bounding_box()
        return box["x"] + (x - left) * zoom * box["width"] / width, box["y"] + (y - top) * zoom * box["height"] / height


def test_two_views_of_one_annotator(open_notebook: Any) -> None:
    """The same annotator in views of different shape: none is distorted, each gets its own size when it is used."""
    second = "import ipywidgets\nipywidgets.HBox([annotator.widget], layout={'width': '500px'})"
    book = open_notebook("views.ipynb", CELL, second)
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    book.run(1)
    page, mouse = screen.page, screen.page.mouse
    page.wait_for_function("() => document.querySelectorAll('.msam-canvas canvas.msam-overlay').length === 2")
    page.set_viewport_size({"width": 1300, "height": 2000})
    page.evaluate("() => document.querySelector('.msam-canvas').scrollIntoView()")
    screen.wait()
    views = [View(screen, number) for number in range(2)]
    assert abs(views[0].box.bounding_box()["width"] - views[1].box.bounding_box()["width"]) > 200
    book.kernel("from microsam_nb.session import *\nannotator.session.handle(SetLive(False))\nTrue")
    mouse.move(5, 5)
    pid, wanted = book.kernel("__import__('os').getpid()"), []

    def check() -> None:
        points = book.kernel("[[p.y, p.x] for p in annotator.session.state.prompts]")
        assert points == [pytest.approx(one, abs=0.7) for one in wanted]

    for turn in range(4):
        here, other = views[1 - turn % 2], views[turn % 2]
        here.owns()
        other.owns()
        # The first click comes before this view has its own size, the second one after.
        where = here.at(60 + 15 * turn, 100 + 30 * turn)
        os.kill(pid, signal.SIGSTOP)
        try:
            mouse.click(*where)
        finally:
            os.kill(pid, signal.SIGCONT)
        wanted.append([60 + 15 * turn, 100 + 30 * turn])
        here.until_owned()
        screen.wait()
        assert not other.owns()
        check()
        with screen.telling("click"):
            mouse.click(*here.at(150 + 10 * turn, 60 + 40 * turn))
        wanted.append([150 + 10 * turn, 60 + 40 * turn])
        check()
        screen.shot(f"11_views_{turn}")

    # A size that comes while something is drawn does not move it under the hand.
    here = views[1]
    assert not here.owns()
    corners = [here.at(30, 40), here.at(60.5, 90.5)]
    page.keyboard.press("b")
    # The key was pressed in the other view: this one hears of it from the kernel, which must not be stopped before.
    page.wait_for_function("() => document.querySelectorAll('.msam-overlay')[1].dataset.tool === 'box'")
    os.kill(pid, signal.SIGSTOP)
    try:
        mouse.move(*corners[0])
        mouse.down()
    finally:
        os.kill(pid, signal.SIGCONT)
    book.until(f"abs(annotator._screen.canvas.width - {here.box.bounding_box()['width']}) <= 1")
    screen.wait()
    mouse.move(*corners[1], steps=5)
    screen.shot("12_views_drawing")
    with screen.telling("drag"):
        mouse.up()
    box = book.kernel("p = annotator.session.state.prompts[-1]\n[p.y0, p.x0, p.y1, p.x1]")
    assert box == pytest.approx([30, 40, 60.5, 90.5], abs=0.7)
    here.until_owned()


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
