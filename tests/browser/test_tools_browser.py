"""Every tool with a real mouse in a real browser; what comes of it is looked up in the kernel."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest
from annotator_page import CELL, NUCLEUS, Screen, labels

pytestmark = pytest.mark.browser

#: The model answers only when asked: these tests are about what the hand does.
QUIET = """
from microsam_nb.session import *
annotator.session.handle(SetLive(False))
True"""

#: Two squares that touch, one with a hole, on an empty ground; numbers 1 and 2.
SQUARES = """
import numpy as np
from microsam_nb.session import *
drawn = np.zeros((256, 320), np.uint32)
drawn[60:90, 60:90] = 1
drawn[60:90, 90:120] = 2
drawn[70:80, 70:80] = 0
annotator.session.handle(LoadLabels.of(drawn))
True"""


def close_to(*values: float) -> Any:
    return pytest.approx(values, abs=0.12)


def corners(prompt: dict[str, Any]) -> list[float]:
    return [prompt[k] for k in ("y0", "x0", "y1", "x1")]


@pytest.fixture
def screen(open_notebook: Any, request: pytest.FixtureRequest) -> Screen:
    book = open_notebook(f"{request.node.name[:12]}.ipynb", CELL, density=getattr(request, "param", 1))
    book.run(0)
    made = Screen(book)
    made.drawn()
    made.wait()
    made.canvas.focus()
    return made


def test_prompts_by_hand(screen: Screen) -> None:
    """Box, ellipse, polygon, lasso and scribble; prompts moved, reshaped and removed; on a part of the image."""
    screen.book.kernel(QUIET)
    screen.show(30.5, 60.25, 4)

    screen.press("b")
    screen.drag("drag", (60, 80), (90, 110))
    screen.press("e")
    screen.drag("drag", (60, 130), (80, 170))
    box, ellipse = screen.prompts()
    assert (box["kind"], ellipse["kind"]) == ("box", "ellipse")
    assert corners(box) == close_to(60, 80, 90, 110)
    assert corners(ellipse) == close_to(60, 130, 80, 170)

    # Corners are clicked; a double click, Enter, or the first corner closes.
    screen.press("g")
    outline = [(100, 80), (100, 110), (130, 100)]
    for y, x in outline[:2]:
        screen.canvas.click(position=screen.place(y, x))
    with screen.telling("outline"):
        screen.canvas.dblclick(position=screen.place(*outline[2]))
    assert np.array(screen.prompts()[-1]["points"]) == pytest.approx(np.array(outline), abs=0.12)
    for y, x in [*outline, (140, 140)]:
        screen.canvas.click(position=screen.place(y + 10, x))
    screen.shot("t1_polygon_open")
    screen.page.keyboard.press("Backspace")
    with screen.telling("outline"):
        screen.page.keyboard.press("Enter")
    assert np.array(screen.prompts()[-1]["points"]) == pytest.approx(np.add(outline, (10, 0)), abs=0.12)
    for y, x in outline:
        screen.canvas.click(position=screen.place(y, x + 40))
    screen.page.wait_for_timeout(400)  # no double click
    with screen.telling("outline"):
        screen.canvas.click(position=screen.place(outline[0][0], outline[0][1] + 40))
    assert len(screen.prompts()) == 5
    for y, x in outline:
        screen.canvas.click(position=screen.place(y, x + 80))
    screen.page.keyboard.press("Escape")
    screen.page.keyboard.press("Enter")
    screen.wait()
    assert len(screen.prompts()) == 5

    screen.press("l")
    ring = [(60 + 12 * np.sin(t), 220 + 12 * np.cos(t)) for t in np.linspace(0, 6, 20)]
    screen.drag("outline", *ring)
    lasso = np.array(screen.prompts()[-1]["points"])
    assert lasso.min(axis=0) == pytest.approx([48, 208], abs=1)
    assert lasso.max(axis=0) == pytest.approx([72, 232], abs=1)

    screen.press("r")
    screen.drag("stroke", (100, 200), (100, 230))
    screen.drag("stroke", (120, 200), (120, 230), button="right")
    good, bad = screen.prompts()[-2:]
    assert (good["kind"], good["positive"], bad["positive"]) == ("scribble", True, False)
    assert good["points"][0] + good["points"][-1] == close_to(100, 200, 100, 230)
    screen.shot("t2_prompts")
    count = len(screen.prompts())

    # Held and moved: a corner of the box, its edge, a point. A drag elsewhere moves the image.
    screen.press("p")
    screen.drag("shift", (60, 80), (65, 90))
    assert corners(screen.prompts()[0]) == close_to(65, 90, 90, 110)
    screen.drag("shift", (65, 100), (55, 95))
    assert corners(screen.prompts()[0]) == close_to(55, 85, 80, 105)
    screen.click(45, 100)
    screen.drag("shift", (45, 100), (50, 120))
    point = screen.prompts()[-1]
    assert (point["y"], point["x"]) == close_to(50, 120)
    assert len(screen.prompts()) == count + 1
    screen.drag("view", (45, 150), (55, 160))
    assert len(screen.prompts()) == count + 1

    # The right button on a prompt removes it, elsewhere it adds a negative point.
    screen.click(50, 120, kind="removal", button="right")
    assert len(screen.prompts()) == count
    screen.click(50, 120, button="right")
    assert screen.prompts()[-1]["positive"] is False
    screen.click(80, 95, kind="removal", button="right")
    assert screen.prompts()[0]["kind"] == "ellipse"

    # Shift draws a box with any tool; Space and the middle button move the image with any tool.
    screen.press("w")
    screen.page.keyboard.down("Shift")
    screen.drag("drag", (140, 80), (160, 100))
    screen.page.keyboard.up("Shift")
    assert corners(screen.prompts()[-1]) == close_to(140, 80, 160, 100)
    before = screen.book.kernel("[annotator._screen.viewport.y, annotator._screen.viewport.x]")
    screen.drag("view", (120, 100), (110, 90), button="middle")
    screen.page.keyboard.down(" ")
    screen.drag("view", (120, 100), (110, 90))
    screen.page.keyboard.up(" ")
    after = screen.book.kernel("[annotator._screen.viewport.y, annotator._screen.viewport.x]")
    assert np.subtract(after, before) == pytest.approx([20, 20], abs=0.3)
    # A step with an arrow key is 15 % of the screen.
    with screen.telling("view"):
        screen.page.keyboard.press("ArrowDown")
    assert screen.book.kernel("annotator._screen.viewport.y") == pytest.approx(
        after[0] + 0.15 * screen.canvas.bounding_box()["height"] / 4, abs=0.3
    )
    assert screen.book.kernel("annotator.session.state.proposals == ()"), "nothing was painted"


@pytest.mark.parametrize("screen", [2], indirect=True)
def test_painting_and_objects_on_a_dense_screen(screen: Screen) -> None:
    """Brush, eraser, fill, pick, merge, split, delete: exact to the pixel, on two device pixels per CSS pixel."""
    book = screen.book
    book.kernel(QUIET + "\nannotator.session.handle(SetBrush(6))\nTrue")
    screen.show(40, 50, 5)

    def mask() -> np.ndarray:
        return np.array(book.kernel("annotator.session.state.proposal.mask.dense((1, 256, 320))[0].tolist()"))

    def painted(*points: tuple[float, float]) -> np.ndarray:
        return np.array(
            book.kernel(
                "from microsam_nb.core import Scribble\nfrom microsam_nb.core.raster import rasterise\n"
                f"rasterise(Scribble(0, {points}, 6.0), (1, 256, 320)).dense((1, 256, 320))[0].tolist()"
            )
        )

    screen.press("w")
    # A square line around an empty middle.
    square = [(100.3, 80.3), (100.3, 110.3), (130.3, 110.3), (130.3, 80.3), (100.3, 80.3)]
    screen.go(*square, hold=True)
    assert screen.ink() > 1000
    screen.shot("t3_brushing")
    with screen.telling("stroke"):
        screen.page.mouse.up()
    expected = painted(*square)
    assert (mask() != expected).sum() <= 0.02 * expected.sum()
    assert len(book.kernel("[p for m in sent if m['kind'] == 'stroke' for p in m['points']]")) < 40
    screen.drag("stroke", (100.3, 90.3), (100.3, 100.3), button="right")
    expected &= ~painted((100.3, 90.3), (100.3, 100.3))
    assert (mask() != expected).sum() <= 0.02 * expected.sum()
    screen.drag("stroke", (100.3, 86.3), (100.3, 104.3))
    screen.press("q")
    screen.drag("stroke", (130.3, 80.3), (130.3, 90.3))
    expected = painted(*square) & ~painted((130.3, 80.3), (130.3, 90.3))
    assert (mask() != expected).sum() <= 0.02 * expected.sum()
    screen.press("w")
    screen.drag("stroke", (130.3, 78.3), (130.3, 92.3))
    screen.press("k")
    screen.click(115, 95)
    assert mask()[104:127, 84:107].all(), "the hole is filled"
    screen.shot("t4_filled")
    screen.press("Shift+C")
    assert book.kernel("annotator.session.state.proposals == ()")

    book.kernel(SQUARES)
    screen.wait()
    screen.press("k")
    screen.click(65, 65)
    assert (labels(book)[60:90, 60:90] == 1).all()
    screen.press("v")
    screen.click(65, 65)
    assert book.kernel("annotator.session.selected") == [1]
    screen.click(65, 100, modifiers=["Shift"])
    assert book.kernel("annotator.session.selected") == [1, 2]
    screen.click(120, 100)
    assert book.kernel("annotator.session.selected") == []

    screen.press("m")
    screen.click(65, 65)
    screen.click(65, 100)
    now = labels(book)
    assert (now[60:90, 60:120] == 1).all()
    assert np.unique(now).tolist() == [0, 1]
    screen.click(120, 150)
    screen.press("x")
    screen.drag("stroke", (55, 75.2), (95, 75.2))
    now = labels(book)
    left, right = now[62, 62], now[62, 100]
    assert {left, right} == {1, 3}
    assert (now[60:90, 60:74] == left).all()
    assert (now[60:90, 77:120] == right).all()
    screen.shot("t5_split")
    screen.press("d")
    screen.click(65, 65)
    assert np.unique(labels(book)).tolist() == sorted({0, int(right)})
    screen.click(120, 150)
    screen.says("Click on the object")
    screen.press("Control+z")
    assert set(np.unique(labels(book))) == {0, 1, 3}

    # A candidate is taken where no object lies.
    book.kernel(
        "from microsam_nb.core import Candidate, Mask\nimport numpy as np\n"
        "annotator.session.handle(Select(()))\n"
        "annotator.session.handle(Suggest((Candidate(Mask((0, 110, 70), np.ones((1, 9, 9), bool)), 0.8, 'grid'),)))\n"
        "True"
    )
    screen.press("v")
    screen.click(114, 74)
    assert book.kernel("annotator.session.state.proposal.mask.area") == 81
    screen.clean()


#: Dispatch moves at 1000 per second, then a click; the times are those of the page.
STORM = """async ([x, y]) => {
    const box = document.querySelector('.msam-canvas'), at = box.getBoundingClientRect();
    const canvas = box.querySelector('canvas');
    const fire = (kind, name, u, v, more = {}) => canvas.dispatchEvent(new window[name](kind,
        { bubbles: true, cancelable: true, clientX: at.left + u, clientY: at.top + v, pointerId: 1, ...more }));
    const start = performance.now();
    for (let i = 0; i < 1000; i++) {
        fire('pointermove', 'PointerEvent', 100 + i % 300, 100); fire('mousemove', 'MouseEvent', 100 + i % 300, 100);
        while (performance.now() < start + i) await new Promise((r) => setTimeout(r, 0));
    }
    const before = performance.now();
    fire('pointerdown', 'PointerEvent', x, y); fire('pointerup', 'PointerEvent', x, y);
    return { storm: before - start, clicked: Date.now() };
}"""

#: Time from an event to its first pixel on the overlay, of a press, a move while drawing, and the wheel.
FEEDBACK = """async () => {
    const box = document.querySelector('.msam-canvas'), at = box.getBoundingClientRect();
    const canvas = box.querySelector('canvas'), over = box.querySelector('.msam-overlay');
    const fire = (kind, u, v) => canvas.dispatchEvent(new PointerEvent(kind,
        { bubbles: true, cancelable: true, clientX: at.left + u, clientY: at.top + v, pointerId: 1 }));
    const k = over.width / at.width, ink = over.getContext('2d');
    const lit = (u, v) => ink.getImageData(u * k, v * k, 1, 1).data[3] > 0;
    const frame = () => new Promise((r) => requestAnimationFrame(r));
    const times = [], work = [];
    for (let i = 0; i < 12; i++) {
        await frame(); await new Promise((r) => setTimeout(r, 20));
        const u = 60 + 40 * i, v = 200, start = performance.now();
        fire(i ? 'pointermove' : 'pointerdown', u, v);
        work.push(performance.now() - start);
        while (!lit(u, v) && performance.now() - start < 1000) await frame();
        times.push(performance.now() - start);
    }
    fire('pointerup', 500, 200);
    return { times, work };
}"""


def test_the_hand_never_waits_for_the_kernel(screen: Screen) -> None:
    book, page = screen.book, screen.page
    book.kernel(QUIET)
    screen.show(0, 0, 2)
    screen.press("w")
    # While the kernel sleeps everything is drawn at once, and stays until the kernel has it.
    pid = book.kernel("__import__('os').getpid()")
    os.kill(pid, signal.SIGSTOP)
    try:
        told = page.evaluate(FEEDBACK)
        page.keyboard.press("b")
        frame = screen.canvas.bounding_box()
        page.mouse.move(frame["x"] + 100, frame["y"] + 300)
        page.mouse.down()
        page.mouse.move(frame["x"] + 200, frame["y"] + 350)
        page.mouse.up()
        page.wait_for_timeout(100)
        assert screen.ink() > 200, "the stroke and the box are drawn though the kernel sleeps"
        page.locator(".msam-veil").first.wait_for(state="visible", timeout=10_000)
        assert "done in its turn" in page.locator(".msam-veil").first.inner_text()
        assert screen.ink() > 200
        screen.shot("t6_busy_kernel")
    finally:
        os.kill(pid, signal.SIGCONT)
    print(
        "\nfirst feedback, ms:", [round(t, 1) for t in told["times"]], "handlers:", [round(t, 2) for t in told["work"]]
    )
    assert all(t < 1000 for t in told["times"]), told
    page.locator(".msam-veil").first.wait_for(state="hidden", timeout=20_000)
    screen.wait()
    screen.clean()  # what the kernel has drawn is not drawn twice
    assert book.kernel("annotator.session.state.proposal is not None")
    (box,) = [p for p in screen.prompts() if p["kind"] == "box"]
    assert corners(box) == close_to(150, 50, 175, 100)

    # A thousand moves a second: nothing of them is sent, and the click after them is not late.
    screen.press("Shift+C")
    screen.press("p")
    book.kernel("sent.clear(), seen.clear()\nTrue")
    got = page.evaluate(STORM, [200, 200])
    page.wait_for_function("() => true")
    screen.wait()
    assert book.kernel("[m['kind'] for m in sent] + [s for s in seen if s.startswith('mouse')]") == ["click"]
    late = book.kernel("[m['arrived'] - m['time'] for m in sent]")
    print("1000 moves in", round(got["storm"]), "ms; the click after them reached the kernel in", round(late[0]), "ms")
    (point,) = screen.prompts()
    assert (point["y"], point["x"]) == close_to(100, 100)

    # Three hundred fast clicks all count.
    page.evaluate(
        """() => { const box = document.querySelector('.msam-canvas'), at = box.getBoundingClientRect();
            for (let i = 0; i < 300; i++) for (const kind of ['pointerdown', 'pointerup'])
                box.querySelector('canvas').dispatchEvent(new PointerEvent(kind, { bubbles: true, cancelable: true,
                    clientX: at.left + 20 + i, clientY: at.top + 50, pointerId: 1 })); }"""
    )
    for _ in range(60):
        if len(screen.prompts()) == 301:
            break
        page.wait_for_timeout(200)
    assert len(screen.prompts()) == 301
    screen.wait()
    screen.clean()

    # What is refused disappears, and is told.
    screen.press("Shift+C")
    screen.show(-50, -50, 2)
    screen.press("g")
    for y, x in ((-40, -40), (-40, -30), (-30, -30)):
        screen.canvas.click(position=screen.place(y, x))
    with screen.telling("outline"):
        page.keyboard.press("Enter")
    screen.says("outside the image")
    screen.clean()
    # An exception of the program is shown too, and the canvas lives on.
    book.kernel(
        "annotator.session._real = annotator.session.handle\n"
        "def broken(action): raise RuntimeError('out of order')\n"
        "annotator.session.handle = broken\nTrue"
    )
    screen.press("p")
    book.kernel("annotator.session.handle = annotator.session._real\nTrue")
    screen.says("out of order")
    screen.show(0, 0, 2)
    screen.press("p")
    screen.click(*NUCLEUS)
    assert len(screen.prompts()) == 1


#: Further widgets in the annotator, as its panels have them.
PANEL = """import ipywidgets as w
panel = [w.IntSlider(5, 0, 10), w.Text(), w.Dropdown(options=["ant", "bee"]), w.Checkbox(), w.ToggleButton()]
annotator.widget.children = (w.HBox(panel, layout={"flex_flow": "row wrap"}), *annotator.widget.children)
annotator"""

#: Keys that a notebook answers, in groups: after each of them the focus is put back.
NOTEBOOK_KEYS = [
    [*"abddxzmyrj001", "ArrowDown", "ArrowUp", "Control+Shift+-", "Control+b", "Control+s", "Backspace", "Delete"],
    ["Shift+Enter"],
    ["Alt+Enter"],
    ["Enter"],
    ["Escape", "d", "d"],
]


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_no_key_reaches_the_notebook(open_notebook: Any, app: str) -> None:
    """In JupyterLab and in Notebook 7, whatever in the annotator has the focus; fields are typed into as ever."""
    book = open_notebook(
        f"keys_{app}.ipynb",
        CELL[: CELL.rindex("annotator")] + PANEL,
        "1 + 1",
        place="lab/tree" if app == "lab" else "notebooks",
    )
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    book.kernel(QUIET)
    page = screen.page
    page.evaluate(
        """() => { window.leaked = []; document.addEventListener('keydown', (e) => { window.leaked.push(e.key); }); }"""
    )
    asked = "() => [...document.querySelectorAll('.jp-Notebook .jp-Cell')].map((c) => c.matches('.jp-CodeCell'))"
    cells = page.evaluate(asked)
    assert cells == [True, True]
    places = {
        "canvas": lambda: screen.canvas.focus(),
        "button": lambda: page.locator("button.msam-help").focus(),
        "slider": lambda: page.locator(".noUi-handle").first.focus(),
        "text": lambda: page.locator(".msam-annotator input[type=text]").first.focus(),
        "dropdown": lambda: page.locator(".msam-annotator select").first.focus(),
        "checkbox": lambda: page.locator(".msam-annotator input[type=checkbox]").first.focus(),
        "an empty place": lambda: page.locator(".msam-status").first.click(),
    }
    for name, focus in places.items():
        for keys in NOTEBOOK_KEYS:
            focus()
            for key in keys:
                page.keyboard.press(key)
        screen.wait()
        assert page.evaluate(asked) == cells, f"keys on {name} changed the notebook"
        assert page.evaluate("() => window.leaked.splice(0)") == [], f"keys on {name} went on"
        assert screen.canvas.is_visible(), name
    screen.shot(f"t7_keys_{app}")

    # Fields keep their keys.
    places["text"]()
    page.keyboard.type("baddxc [w]")
    tool = book.kernel("annotator.session.state.browsing.tool")
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.tagName") == "CANVAS"
    slid = book.kernel("panel[0].value")
    places["slider"]()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    places["dropdown"]()
    page.keyboard.press("b")
    places["checkbox"]()
    page.keyboard.press("Space")
    # Every field sends its newest value once the kernel has answered its last one: they come in any order.
    for _ in range(100):
        values = book.kernel("[one.value for one in panel]")
        if values[0] == slid + 2 and values[2:4] == ["bee", True]:
            break
        page.wait_for_timeout(100)
    assert "baddxc [w]" in values[1]
    assert values[2:4] == ["bee", True]
    assert values[0] == slid + 2
    assert book.kernel("annotator.session.state.browsing.tool") == tool

    # Other keyboards: digits with shift, brackets with AltGr, another script, and the caps lock.
    screen.canvas.focus()
    for event, text in (
        ({"key": "5", "shiftKey": True}, "annotator.session.state.browsing.layers.prompts.visible"),
        (
            {"key": "[", "ctrlKey": True, "altKey": True, "modifierAltGraph": True},
            "annotator.session.state.browsing.brush",
        ),
        ({"key": "\u0438", "code": "KeyB"}, "str(annotator.session.state.browsing.tool)"),
        ({"key": "E"}, "str(annotator.session.state.browsing.tool)"),
    ):
        before = book.kernel(text)
        with screen.telling("key"):
            page.evaluate(
                "(e) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', e))",
                {"bubbles": True, "cancelable": True, **event},
            )
        assert book.kernel(text) != before, event
    assert book.kernel("str(annotator.session.state.browsing.tool)") == "ellipse"
    # Notebook 7 misses parts of JupyterLab, and says so by itself.
    book.errors[:] = [one for one in book.errors if "schema" not in one and "not registered" not in one]
    # Tab goes on to the next field; the notebook is left alone when the annotator has no focus.
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement !== document.querySelector('.msam-canvas canvas')")


#: Events of fingers and pens: [type, kind of pointer, its id, button, x, y] on the canvas.
POINTERS = """(events) => {
    const box = document.querySelector('.msam-canvas'), at = box.getBoundingClientRect();
    for (const [type, pointerType, pointerId, button, u, v] of events)
        box.querySelector('canvas').dispatchEvent(new PointerEvent(type, { bubbles: true, cancelable: true,
            pointerType, pointerId, button, clientX: at.left + u, clientY: at.top + v }));
}"""

TWO = """from microsam_nb import annotate_2d
from microsam_nb.files import samples
import ipywidgets
annotator, other = (annotate_2d(samples.tissue(), project=False) for _ in range(2))
place = ipywidgets.VBox([annotator.widget])
ipywidgets.VBox([place, other.widget])"""


def test_the_layer_lives_with_its_canvas(open_notebook: Any) -> None:
    """Fingers, a pen, a release outside, a border; two annotators; taken away and shown again."""
    book = open_notebook("lives.ipynb", TWO)
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    page = screen.page
    book.kernel(QUIET)
    book.kernel("other.session.handle(SetLive(False))\nTrue")
    screen.show(30, 40, 3)

    # The right button opens no menu, and a release outside of the canvas ends the drag there.
    screen.click(100, 100, button="right")
    assert page.locator(".lm-Menu:visible, .jp-ContextMenu:visible").count() == 0
    screen.canvas.focus()
    screen.press("b")
    screen.drag("drag", (60, 80), (20, 60))
    box = screen.prompts()[-1]
    assert corners(box) == close_to(20, 60, 60, 80)
    screen.press("Shift+C")

    # Two fingers zoom and move, one alone uses the tool; what the first had begun is dropped.
    before = book.kernel("v = annotator._screen.viewport\n[v.y, v.x, v.zoom]")
    with screen.telling("view"):
        page.evaluate(
            POINTERS,
            [
                *(["pointerdown", "touch", i, 0, 300 + 20 * i, 200] for i in (1, 2)),
                ["pointermove", "touch", 1, 0, 220, 230],
                ["pointermove", "touch", 2, 0, 440, 230],
                *(["pointerup", "touch", i, 0, 220, 230] for i in (1, 2)),
            ],
        )
    y, x, zoom = book.kernel("v = annotator._screen.viewport\n[v.y, v.x, v.zoom]")
    assert zoom == pytest.approx(before[2] * 11, rel=0.01)
    assert x + 330 / zoom == pytest.approx(before[1] + 330 / before[2], abs=0.1)
    assert y + 230 / zoom == pytest.approx(before[0] + 200 / before[2], abs=0.1)
    assert screen.prompts() == []
    screen.show(30, 40, 3)
    with screen.telling("drag"):
        page.evaluate(
            POINTERS,
            [
                ["pointerdown", "touch", 5, 0, 90, 90],
                ["pointermove", "touch", 5, 0, 150, 120],
                ["pointerup", "touch", 5, 0, 180, 150],
            ],
        )
    assert corners(screen.prompts()[-1]) == close_to(60, 70, 80, 100)
    # A pen draws like the mouse, and its other end rubs out.
    screen.press("Shift+C")
    screen.press("w")
    for button, kind in ((0, "Paint"), (5, "Erase")):
        with screen.telling("stroke"):
            page.evaluate(
                POINTERS,
                [
                    [kind, "pen", 7, button, 90 + 60 * i, 90]
                    for i, kind in enumerate(("pointerdown", "pointermove", "pointerup"))
                ],
            )
        holds = book.kernel("any(one.mask.holds(0, 60, 85) for one in annotator.session.state.proposals)")
        assert holds == (kind == "Paint")
    screen.press("Shift+C")
    screen.press("p")

    # The other annotator on the page hears nothing of all this, and the other way round.
    assert book.kernel("other.session.state.prompts == () and not other.session.can_undo")
    second = page.locator(".msam-canvas").nth(1)
    second.scroll_into_view_if_needed()
    second.click(position={"x": 300, "y": 200})
    for _ in range(50):
        if book.kernel("len(other.session.state.prompts)") == 1:
            break
        page.wait_for_timeout(100)
    assert book.kernel("len(other.session.state.prompts)") == 1
    assert screen.prompts() == []

    # A border and padding from the page's style do not shift anything.
    page.add_style_tag(
        content=".msam-canvas { border: 9px solid #888; padding: 7px; } .msam-canvas canvas { margin: 5px; }"
    )
    screen.canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    screen.show(30, 40, 3)
    screen.click(80.5, 90.5)
    point = screen.prompts()[-1]
    assert (point["y"], point["x"]) == close_to(80.5, 90.5)
    shape = "() => { const c = document.querySelector('.msam-canvas canvas'); return [c.width, c.height]; }"
    (width, height), box = page.evaluate(shape), screen.canvas.bounding_box()
    ratio = width / height * box["height"] / box["width"]
    assert ratio == pytest.approx(1, abs=0.01), "the picture is not stretched"

    # Taken away and shown again.
    book.kernel("place.children = ()\nTrue")
    page.wait_for_function("() => document.querySelectorAll('.msam-canvas').length === 1")
    book.kernel("place.children = (annotator.widget,)\nTrue")
    page.wait_for_function("() => document.querySelectorAll('.msam-overlay').length === 2")
    again = Screen(book)
    again.drawn()
    again.wait()
    again.click(85.5, 95.5)
    assert len(again.prompts()) == 2
    assert (again.prompts()[-1]["y"], again.prompts()[-1]["x"]) == close_to(85.5, 95.5)
    again.clean()


def test_without_the_interaction_layer_the_tools_still_work(open_notebook: Any) -> None:
    book = open_notebook("plain_tools.ipynb", CELL, block="**/extensions/anywidget/**")
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    book.kernel(QUIET)
    screen.canvas.focus()
    screen.press("b", kind="key_down")
    screen.drag("mouse_up", (60, 80), (90, 110))
    (box,) = screen.prompts()
    assert corners(box) == pytest.approx([60, 80, 90, 110], abs=0.6)
    screen.press("g", kind="key_down")
    for place in ((100, 80), (100, 110), (130, 100)):
        screen.click(*place, kind="mouse_up")
    screen.says("Enter closes")
    screen.press("Enter", kind="key_down")
    polygon = screen.prompts()[1]
    assert np.array(polygon["points"]) == pytest.approx(np.array([(100, 80), (100, 110), (130, 100)]), abs=0.6)
    screen.press("Shift+C", kind="key_down")
    screen.press("w", kind="key_down")
    screen.drag("mouse_up", (150, 80), (150, 120))
    mask = np.array(book.kernel("annotator.session.state.proposal.mask.dense((1, 256, 320))[0].tolist()"))
    assert mask[147:153, 80:120].all()
    before = book.kernel("annotator._screen.viewport.y")
    screen.press("h", kind="key_down")
    screen.drag("mouse_up", (150, 80), (130, 80))
    assert book.kernel("annotator._screen.viewport.y") == pytest.approx(before + 20, abs=0.6)
    book.errors.clear()  # the page complains about the file that was kept from it
