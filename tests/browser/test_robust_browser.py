"""What goes wrong in real life: pages reload, kernels die, networks are slow or gone, cells run long."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_page import Lab, Notebook
from picture import Picture
from proxy import Proxy

pytestmark = pytest.mark.browser

NUCLEUS = (104.0, 194.0)
SECOND = (40.0, 130.0)

CELL = """from microsam_nb import annotate_2d
from microsam_nb.files import samples
annotator = annotate_2d(samples.tissue(), project=False)
annotator"""
OTHER = """other = annotate_2d(samples.tissue(), project=False)
other"""
LONG = """import time
from pathlib import Path
while not Path("go").exists():
    time.sleep(0.02)"""

#: Answers wait until ``gate`` opens; ``begun`` tells that the model was asked.
GATE = """
import threading
from microsam_nb.annotators import answers, service
if "gate" not in globals():
    gate, begun = threading.Event(), threading.Event()
    def gated(plain):
        def call(*args, **more):
            begun.set()
            gate.wait(60)
            return plain(*args, **more)
        return call
    service.predict_many = answers.predict_many = gated(answers.predict_many)
    service.predict_stepwise = gated(service.predict_stepwise)
[gate.clear(), begun.clear()]
True"""

#: Sizes of the pictures that the page has unpacked.
SCRIPT = """(() => {
  window.__unpacked = [];
  const plain = URL.createObjectURL;
  URL.createObjectURL = (what) => { window.__unpacked.push(what.size); return plain.call(URL, what); };
})();"""


class Shelf:
    """The notebook that most of these tests share, opened through a proxy, and again after a failure."""

    def __init__(self, lab: Lab, browser: Any) -> None:
        self.lab, self.browser = lab, browser
        self.proxy = Proxy(lab.port)
        self.book: Notebook | None = None

    def take(self) -> Picture:
        if self.book is None:
            self.lab.write("shared.ipynb", CELL, OTHER, LONG, *["# a long notebook" + 20 * "\n"] * 4)
            self.book = Notebook(self.lab, self.browser, "shared.ipynb", address=self.proxy.url, script=SCRIPT)
            self.book.run(0)
            Picture(self.book)
            self.book.save()
        return Picture(self.book)

    def put_back(self, *, failed: bool) -> None:
        self.proxy.mend()
        self.proxy.delay = 0.0
        if self.book is None:
            return
        errors = self.book.errors
        if failed or errors:
            self.book.close()
            self.book = None
        else:
            self.book.kernel(
                "from microsam_nb.session import SetView, Undo\n"
                "while annotator.session.can_undo: annotator.session.handle(Undo())\n"
                "annotator.session.handle(SetView())\nannotator.wait()\nTrue"
            )
        # A single error means that the drawing queue of the page is dead.
        assert not errors, errors

    def close(self) -> None:
        if self.book is not None:
            self.book.close()
        self.proxy.close()


@pytest.fixture(scope="module")
def shelf(lab: Lab, chromium: Any) -> Iterator[Shelf]:
    one = Shelf(lab, chromium)
    yield one
    one.close()


@pytest.fixture
def picture(shelf: Shelf, request: pytest.FixtureRequest) -> Iterator[Picture]:
    """An annotator without prompts and objects."""
    failures = request.session.testsfailed
    yield shelf.take()
    failed = request.session.testsfailed > failures
    if failed and (folder := os.environ.get("MSAM_SCREENSHOTS")):
        shelf.book.page.screenshot(path=f"{folder}/failed_{request.node.name}.png")
    shelf.put_back(failed=failed)


def points(picture: Picture) -> list[list[float]]:
    return picture.book.kernel(f"[[p.y, p.x] for p in {picture.name}.session.state.prompts]")


def test_the_page_is_reloaded_while_the_model_answers(picture: Picture) -> None:
    book = picture.book
    book.kernel(GATE)
    picture.click(*NUCLEUS)
    book.until("begun.is_set()")
    book.page.close()
    book.load()
    again = Picture(book, settled=False)
    assert book.kernel("annotator.session.awaiting is not None")
    book.kernel("gate.set()\nTrue")
    again.until_proposed()
    again.click(NUCLEUS[0] + 2, NUCLEUS[1] + 2)
    again.until_proposed(prompts=2)


def test_two_tabs_show_the_same(picture: Picture) -> None:
    book = picture.book
    page = book.another_page()
    second = Picture(book, page=page)
    second.click(*NUCLEUS)
    places = second.until_proposed()
    assert picture.until_proposed() == places
    # The first tab goes on where the second one was.
    picture.click(NUCLEUS[0] + 2, NUCLEUS[1] + 2)
    places = picture.until_proposed(prompts=2)
    second.until_proposed(prompts=2)
    picture.page.keyboard.press("c")
    for one in (picture, second):
        one.until_shown(places, objects=True)
    page.close()
    picture.click(*SECOND)
    picture.until_proposed()


def test_two_annotators_in_one_notebook(picture: Picture) -> None:
    book = picture.book
    book.run(1)
    other = Picture(book, "other", 1)
    other.click(*SECOND)
    places = other.until_proposed()
    picture.click(*NUCLEUS)
    picture.until_proposed()
    # Both answer, each in its own place.
    picture.until_shown(places, objects=False)
    assert points(picture) == [pytest.approx(NUCLEUS, abs=0.6)]
    assert points(other) == [pytest.approx(SECOND, abs=0.6)]
    # Keys go to the one that was clicked in last.
    picture.page.keyboard.press("Shift+C")
    book.until("len(annotator.session.state.prompts) == 0")
    assert len(points(other)) == 1
    book.kernel("other.close()\nTrue")
    picture.click(*SECOND)
    picture.until_proposed()
    picture.page.keyboard.press("c")
    picture.until_shown(places, objects=True)


def test_an_exception_in_a_callback_is_said_and_the_canvas_lives_on(picture: Picture) -> None:
    book = picture.book
    book.kernel(
        "def broken(action):\n    del annotator.session.handle\n    raise RuntimeError('planted')\n"
        "annotator.session.handle = broken\nTrue"
    )
    picture.click(*SECOND)
    picture.until_said("RuntimeError: planted")
    picture.until_said("run the cell again")
    assert points(picture) == []
    # The dot that the browser drew at once stands for nothing.
    picture.until([SECOND], "now[0][3] === 0", over=True)
    picture.click(*NUCLEUS)
    picture.until_proposed()


def test_what_a_failed_drawing_left_out_is_drawn_later(picture: Picture) -> None:
    book = picture.book
    picture.click(*NUCLEUS)
    places = picture.until_proposed()
    book.kernel(
        "from ipycanvas.canvas import _CANVAS_MANAGER\n"
        "def broken(*args, **more):\n    del _CANVAS_MANAGER.flush\n    raise OSError('planted')\n"
        "_CANVAS_MANAGER.flush = broken\nTrue"
    )
    book.page.keyboard.press("c")
    picture.until_said("OSError: planted")
    book.until("int(annotator.labels.max()) == 1")
    picture.click(*SECOND)
    picture.until_proposed()
    picture.until_shown(places, objects=True)


def test_the_kernel_is_interrupted_while_the_model_answers(picture: Picture) -> None:
    book = picture.book
    book.kernel(GATE)
    # Nowhere where the answer is in memory.
    picture.click(NUCLEUS[0] + 1.3, NUCLEUS[1] - 1.7)
    book.until("begun.is_set()")
    book.lab.post(f"/api/kernels/{book.kernel_id()}/interrupt")
    book.lab.idle(book.name)
    book.kernel("gate.set()\nTrue")
    picture.until_proposed()
    picture.click(*SECOND)
    book.until("len(annotator.session.state.prompts) == 2 and annotator.session.state.answered")


def test_a_cell_runs_long(picture: Picture) -> None:
    """The browser answers at once; the kernel when it can."""
    book, page = picture.book, picture.page
    book.kernel("gate.set() if 'gate' in globals() else 0\nTrue")
    where, share = picture.at(*NUCLEUS), picture.share(*NUCLEUS)
    running = page.locator(".jp-Notebook .jp-CodeCell").nth(2).locator(".jp-InputArea-prompt", has_text="[*]")
    go = book.lab.work / "go"
    go.unlink(missing_ok=True)
    book.run(2)
    running.wait_for()
    picture.canvas.scroll_into_view_if_needed()
    box = page.locator(".msam-canvas").first.bounding_box()
    where = box["x"] + share[0] * box["width"], box["y"] + share[1] * box["height"]
    page.mouse.click(*where)
    picture.until([share], "now[0][3] > 0", over=True, shares=True)
    assert running.count() == 1, "the dot came only after the cell"
    page.mouse.wheel(0, -120)
    page.wait_for_function("() => document.querySelector('.msam-canvas canvas').style.transform !== ''")
    assert running.count() == 1, "the zoom came only after the cell"
    go.touch()
    running.wait_for(state="detached", timeout=30_000)
    book.until("annotator.session.state.browsing.view is not None")
    page.keyboard.press("f")
    book.until("annotator.session.state.browsing.view is None")
    picture.until_proposed()


def test_moving_about_unpacks_no_picture(picture: Picture) -> None:
    """ipycanvas keeps every picture it unpacks until the page is left, so that moving must send none."""
    book, page = picture.book, picture.page
    picture.click(*NUCLEUS)
    picture.until_proposed()
    before = page.evaluate("() => window.__unpacked")
    page.mouse.move(*picture.at(80, 150))
    lies = picture.canvas.evaluate("(c) => c.parentElement.getBoundingClientRect().top")
    for turn in range(8):
        zoom = book.kernel("annotator._screen.viewport.zoom")
        page.mouse.wheel(0, -120 if turn < 5 else 60)
        book.until(f"abs(annotator._screen.viewport.zoom - {zoom}) > 1e-6")
        picture.settle()
    page.keyboard.press("f")
    book.until("annotator.session.state.browsing.view is None")
    picture.settle()
    picture.until_proposed()
    new = page.evaluate("() => window.__unpacked")[len(before) :]
    assert picture.canvas.evaluate("(c) => c.parentElement.getBoundingClientRect().top") == lies, "the page scrolled"
    # Outlines of a few pixels may be drawn anew, the image may not.
    assert max(before) > 20_000
    assert sum(new) < 5000


def test_a_picture_that_was_scrolled_away_is_still_there(picture: Picture) -> None:
    page = picture.page
    picture.click(*NUCLEUS)
    places = picture.until_proposed()
    page.locator(".jp-Notebook .jp-CodeCell").nth(6).scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('.msam-canvas').getBoundingClientRect().bottom < 0")
    # What happens out of sight is there, too.
    picture.book.kernel("from microsam_nb.session import Commit\nannotator.session.handle(Commit())\nTrue")
    picture.settle()
    picture.canvas.scroll_into_view_if_needed()
    picture.until_shown(places, objects=True)
    picture.click(*SECOND)
    picture.until_proposed()


def test_a_key_right_after_the_wheel_counts(picture: Picture) -> None:
    """The wheel tells its view a little later; what is done meanwhile must not be undone by that."""
    book, page = picture.book, picture.page
    picture.click(*NUCLEUS)
    picture.until_proposed()
    page.mouse.move(*picture.at(80, 150))
    for _ in range(3):
        page.mouse.wheel(0, -120)
        page.wait_for_function("() => document.querySelector('.msam-canvas canvas').style.transform !== ''")
        page.keyboard.press("f")
        # A key that comes later than the wheel's view has arrived: nothing is on its way any more.
        page.wait_for_timeout(150)
        page.keyboard.press("b")
        book.until("annotator.session.state.browsing.tool == 'box'")
        assert book.kernel("annotator.session.state.browsing.view is None")
        page.keyboard.press("p")
        book.until("annotator.session.state.browsing.tool == 'point'")


def test_a_network_of_100_ms(shelf: Shelf, picture: Picture) -> None:
    book, page = picture.book, picture.page
    shelf.proxy.delay = 0.05
    picture.click(*NUCLEUS)
    picture.until_proposed()
    page.keyboard.press("Shift+C")
    book.until("not annotator.session.state.prompts")
    # Faster than the way there and back.
    wanted = [(NUCLEUS[0] + dy, NUCLEUS[1] + dx) for dy, dx in ((0, 0), (1, 2), (-2, 1), (1, -2), (-1, -1), (2, 0))]
    spots = [picture.at(*one) for one in wanted]
    for x, y in spots:
        page.mouse.click(x, y)
    book.until(f"len(annotator.session.state.prompts) == {len(wanted)}")
    assert points(picture) == [pytest.approx(one, abs=0.6) for one in wanted]
    places = picture.until_proposed(prompts=len(wanted))
    page.keyboard.press("c")
    picture.until_shown(places, objects=True)
    page.keyboard.press("Control+z")
    page.keyboard.press("Shift+C")
    book.until("not annotator.session.state.prompts")
    picture.until_shown(places, objects=False)


def test_a_tool_chosen_by_button_is_there_at_once_whatever_the_network(shelf: Shelf, picture: Picture) -> None:
    book, page = picture.book, picture.page
    shelf.proxy.delay = 0.1
    x, y = picture.at(*NUCLEUS)
    page.mouse.click(x, y)
    # One after the other, before the kernel knows of the first; what is drawn is drawn with the last.
    for name in ("box", "brush", "scribble"):
        page.locator(f"button.msam-{name}").first.click()
    page.mouse.move(x - 20, y)
    page.mouse.down()
    page.mouse.move(x + 20, y, steps=4)
    page.mouse.up()
    book.until("len(annotator.session.state.prompts) == 2")
    assert book.kernel("[type(p).__name__ for p in annotator.session.state.prompts]") == ["Point", "Scribble"]
    page.locator("button.msam-toggle").first.click()
    page.locator("button.msam-point").first.click()
    page.mouse.click(x + 60, y)
    book.until("len(annotator.session.state.prompts) == 3")
    assert book.kernel("annotator.session.state.prompts[2].positive") is False
    assert book.kernel("type(annotator.session.state.prompts[2]).__name__") == "Point"
    # Twice is not at all, and the answer to the first must not be taken for that to the second.
    for _ in range(2):
        page.locator("button.msam-toggle").first.click()
    page.mouse.click(x + 62, y)
    page.locator("button.msam-toggle").first.click()
    page.mouse.click(x, y + 2)
    book.until("len(annotator.session.state.prompts) == 5")
    assert book.kernel("[p.positive for p in annotator.session.state.prompts[3:]]") == [False, True]


def test_a_kernel_that_does_not_take_a_key_is_said_to_be_busy(picture: Picture) -> None:
    """No preview waits for an answer: only the key does."""
    picture.click(*NUCLEUS)
    picture.until_proposed()
    picture.book.kernel(
        "import threading\nheld = threading.Event()\nannotator._loop.post(lambda: held.wait(60))\nTrue",
    )
    picture.page.keyboard.press("c")
    veil = picture.page.locator(".msam-veil").first
    veil.wait_for(state="visible", timeout=30_000)
    assert "busy" in veil.inner_text()
    picture.book.kernel("held.set()\nTrue")
    picture.book.until("int(annotator.labels.max()) == 1")
    veil.wait_for(state="hidden", timeout=30_000)


def test_300_fast_clicks_all_arrive_and_the_last_answer_is_drawn(picture: Picture) -> None:
    book, page = picture.book, picture.page
    spots = [picture.at(NUCLEUS[0] + 0.3 * (n % 7) - 1, NUCLEUS[1] + 0.3 * (n % 5) - 0.6) for n in range(35)]
    for number in range(300):
        page.mouse.move(*spots[number % 35])
        page.mouse.down()
        page.mouse.up()
    book.until("len(annotator.session.state.prompts) == 300", 60)
    assert picture.until_proposed(prompts=300)
    page.keyboard.press("Control+z")
    book.until("len(annotator.session.state.prompts) == 299 and annotator.session.state.answered", 60)
    # A server that finds it too much drops messages, and says so only there.
    assert "rate exceeded" not in (book.lab.folder / "server.log").read_text()


def test_the_connection_is_lost_and_comes_back(shelf: Shelf, picture: Picture) -> None:
    book, page = picture.book, picture.page
    picture.click(*NUCLEUS)
    picture.until_proposed()
    extra = picture.at(NUCLEUS[0] + 2, NUCLEUS[1] + 2)
    shelf.proxy.cut()
    # Meanwhile a script commits the object, and the user goes on clicking at the next.
    book.kernel("from microsam_nb.session import Commit\nannotator.session.handle(Commit())\nannotator.wait()\nTrue")
    page.mouse.click(*extra)
    page.wait_for_timeout(300)
    shelf.proxy.mend()
    book.until("len(annotator.session.state.prompts) == 1", 60)
    found = book.kernel("import numpy as np\n(np.argwhere(annotator.labels == 1) + 0.5).tolist()")
    far = [p for p in found if abs(p[0] - NUCLEUS[0]) + abs(p[1] - NUCLEUS[1]) > 10]
    picture.until_shown([tuple(p) for p in far[:: max(1, len(far) // 8)]], objects=True)
    picture.click(*SECOND)
    book.until("len(annotator.session.state.prompts) == 2 and annotator.session.state.answered")
    page.keyboard.press("Shift+C")
    picture.click(*SECOND)
    picture.until_proposed()


#: Everything that must come back.
KEPT = """
import hashlib
s = annotator.session.state
v = annotator._screen.viewport
mask = s.proposal.mask.dense(annotator.session.shape)
look = [round(v.y, 3), round(v.x, 3), round(v.zoom, 5)]
found = [hashlib.sha256(one.tobytes()).hexdigest() for one in (annotator.labels, mask)]
[int(annotator.labels.max()), [repr(p) for p in s.prompts], found, s.proposal.score, s.answered, look]"""


def test_killed_and_restarted_kernels_lose_nothing(open_notebook: Any) -> None:
    book = open_notebook("kept.ipynb", CELL.replace("project=False", "project='kept.msam'"))
    book.run(0)
    picture = Picture(book)
    page = book.page
    page.mouse.move(*picture.at(75, 160))
    page.mouse.wheel(0, -200)
    book.until("annotator.session.state.browsing.view is not None")
    picture.settle()
    picture.click(*NUCLEUS)
    book.until("annotator.session.state.answered and annotator.session.state.proposal is not None")
    page.keyboard.press("c")
    book.until("int(annotator.labels.max()) == 1")
    picture.click(*SECOND)
    picture.click(SECOND[0] + 25, SECOND[1] + 25, button="right")
    book.until("len(annotator.session.state.prompts) == 2 and annotator.session.state.answered")
    picture.settle()
    assert page.locator(".lm-Menu").count() == 0, "JupyterLab's menu opened"
    kept = book.kernel(KEPT)
    places = [(y, x) for y in range(25, 125, 10) for x in range(90, 230, 10)]
    seen = picture.pixels(places)
    assert kept[0] == 1
    assert len(kept[1]) == 2

    def same_again() -> Picture:
        book.run(0)
        book.until("'annotator' in globals()", 60)
        page.locator(".msam-veil").first.wait_for(state="hidden", timeout=30_000)
        again = Picture(book)
        assert book.kernel(KEPT) == kept
        again.until(places, "now.every((p, i) => p.every((v, k) => Math.abs(v - before[i][k]) <= 2))", seen)
        return again

    pid = book.kernel("__import__('os').getpid()")
    os.kill(pid, signal.SIGKILL)
    page.locator(".msam-veil").first.wait_for(state="visible", timeout=30_000)
    book.until_new_kernel(pid)
    # JupyterLab may say in a dialog that the kernel has died.
    for button in page.locator(".jp-Dialog .jp-mod-accept").all():
        button.click()
    same_again()
    book.restart()
    again = same_again()
    again.click(SECOND[0] + 2, SECOND[1] + 2)
    book.until("len(annotator.session.state.prompts) == 3 and annotator.session.state.answered")


def test_the_server_sends_without_delay(lab: Lab) -> None:
    assert "messages of kernels are sent without delay" in (lab.folder / "server.log").read_text()
