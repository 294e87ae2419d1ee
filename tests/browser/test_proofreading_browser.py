"""Proofreading of objects that another tool made, in JupyterLab: planted errors are found, corrected, undone, saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from annotator_page import Screen
from test_panels_browser import choose_theme

pytestmark = pytest.mark.browser

CELL = """import numpy as np
from microsam_nb import annotate_2d
rng = np.random.default_rng(3)
y, x = np.mgrid[:300, :400]
truth, shown = np.zeros((300, 400), np.uint32), np.zeros((300, 400))
for n, (i, j) in enumerate(np.ndindex(6, 8), start=1):
    own = np.hypot(y - 25 - 50 * i, x - 25 - 50 * j) < 14 + rng.uniform(-1, 1)
    truth[own] = n
    shown[own] = 120 + rng.uniform(-10, 10)
# Two that touch: 11 and 12.
pair = (truth == 11) | (truth == 12)
truth[pair], shown[pair] = 0, 0
for n, column in ((11, 136), (12, 160)):
    own = (np.hypot(y - 75, x - column) < 14) & (truth == 0)
    truth[own], shown[own] = n, 120
shown = np.clip(shown + 20 + rng.normal(0, 6, shown.shape), 0, 255).astype(np.uint8)
given = truth.copy()
given[truth == 12] = 11                                # merged
given[(truth == 20) & (x > 174)] = 60                  # split
given[np.hypot(y - 175, x - 75) < 6] = 0               # a hole in 26
teeth = (truth == 37) & (np.hypot(y - 225, x - 225) > 10) & (np.arctan2(y - 225, x - 225) * 20 / np.pi % 2 < 1)
given[teeth] = 0                                       # ragged
annotator = annotate_2d(shown, labels=given, project="proof.msam")
annotator"""

WRONG = {11, 20, 60, 26, 37}
PLACE = ".msam-suspect-place"


@pytest.fixture
def screen(open_notebook: Any, request: pytest.FixtureRequest) -> Screen:
    # Another test would open the project of the one before.
    name = request.node.name
    book = open_notebook(f"{name}.ipynb", CELL.replace("proof.msam", f"{name}.msam"), "1 + 1")
    book.run(0)
    one = Screen(book)
    one.wait()
    one.drawn()
    one.open_panel("proofread")
    return one


def push(screen: Screen, name: str) -> None:
    """Press a button, and wait until the kernel has done what it says."""
    with screen.telling("pressed"):
        screen.page.locator(f"button.msam-{name}").last.click()


def text(screen: Screen, selector: str, words: str) -> None:
    """Wait until something in the panel says some words."""
    screen.page.locator(f".msam-proofread {selector}", has_text=words).first.wait_for()


def fit(screen: Screen) -> None:
    """Show all of the image, and wait until the page does: a click is read in the view that the page shows."""
    screen.press("f")
    screen.page.wait_for_function(
        """([y, x, zoom]) => {
            const v = document.querySelector('.msam-overlay').dataset.view.split(' ').map(Number);
            return v[0] === y && v[1] === x && Math.abs(v[2] - zoom) < 1e-9; }""",
        arg=screen.book.kernel("v = annotator._screen.viewport\n[v.y, v.x, v.zoom]"),
    )


def inked(screen: Screen) -> None:
    """Wait until something is drawn before the kernel knows of it."""
    for _ in range(100):
        if screen.ink():
            return
        screen.page.wait_for_timeout(50)
    raise AssertionError("nothing is drawn")


def next_one(screen: Screen) -> int:
    """Go to the next suspicious object by its key; return its number."""
    before = screen.page.locator(PLACE).inner_text()
    screen.press("/")
    screen.page.wait_for_function(
        "([s, before]) => document.querySelector(s).innerText !== before", arg=[PLACE, before]
    )
    (label,) = screen.book.kernel("list(annotator.session.selected)")
    return label


def labels_are(screen: Screen, test: str) -> None:
    """Wait until a test of the labels, and of those that were given and are true, holds in the kernel."""
    screen.book.until(f"(lambda now: bool({test}))(annotator.labels)")


def middle(screen: Screen, label: int) -> tuple[float, float]:
    return tuple(screen.book.kernel(f"(np.argwhere(truth == {label}).mean(axis=0) + 0.5).tolist()"))


def test_planted_errors_are_found_corrected_undone_and_saved(screen: Screen) -> None:
    book, page = screen.book, screen.page
    text(screen, ".msam-suspect-place", "to look at")
    found = [next_one(screen) for _ in range(5)]
    screen.shot("proof_1_suspect")
    # All but one of the planted ones come first; the two halves of one are two objects.
    assert len(WRONG & set(found)) >= 4, found
    text(screen, ".msam-suspect-place", "5 of")
    # The one that is looked at is in the middle, a third of the screen large.
    v = book.kernel(
        "v = annotator._screen.viewport\n[*v.to_image(v.height / 2, v.width / 2), v.height / v.zoom, v.width / v.zoom]"
    )
    box = book.kernel(f"b = annotator.session.box({found[-1]})\n[*b.start[1:], *b.stop[1:]]")
    assert [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] == pytest.approx(v[:2], abs=2)
    assert min(v[2] / (box[2] - box[0]), v[3] / (box[3] - box[1])) == pytest.approx(3, abs=0.1)
    screen.press("\\")
    text(screen, ".msam-suspect-place", "4 of")

    # Each is corrected on screen.
    fit(screen)
    push(screen, "parts")
    screen.page.wait_for_function("() => document.querySelector('.msam-overlay').dataset.tool === 'parts'")
    for label in (11, 12):
        y, x = middle(screen, label)
        screen.canvas.click(position=screen.place(y, x))
    inked(screen)
    screen.press("Enter", "parts")
    parts = "min((now[truth == n] == now[75, x]).mean() for n, x in ((11, 136), (12, 160)))"
    labels_are(screen, f"now[75, 136] != now[75, 160] and {parts} > 0.9")
    screen.clean()

    screen.press("v")
    screen.click(*middle(screen, 26))  # in the hole: there is nothing
    y, x = middle(screen, 26)
    screen.click(y - 9, x)
    push(screen, "fill-holes")
    labels_are(screen, "np.array_equal(now == 26, truth == 26)")

    y, x = middle(screen, 20)
    screen.click(y, x - 6)
    screen.click(y, x + 6, modifiers=["Shift"])
    push(screen, "merge-these")
    labels_are(screen, "np.array_equal(now == 20, truth == 20)")

    screen.click(*middle(screen, 37))
    before = book.kernel("int((annotator.labels == 37).sum())")
    push(screen, "smooth")
    labels_are(screen, f"(now == 37).sum() != {before}")
    screen.shot("proof_2_corrected")

    # What has changed.
    push(screen, "changes")
    for words in ("2 changed", "1 split", "1 merged"):
        text(screen, ".msam-legend", words)
    screen.wait()
    screen.shot("proof_3_changes_light")
    page.locator(".msam-proofread .msam-table .row", has_text="split").first.click()
    book.until("11 in annotator.session.selected and len(annotator.session.selected) == 2")
    screen.wait()
    screen.shot("proof_4_one_change")
    choose_theme(page, "JupyterLab Dark")
    screen.shot("proof_5_dark")
    choose_theme(page, "JupyterLab Light")

    # Everything undone and done again.
    after = np.array(book.kernel("annotator.labels.tolist()"))
    for _ in range(4):
        push(screen, "undo")
    labels_are(screen, "np.array_equal(now, given)")
    text(screen, ".msam-legend", "Nothing has changed")
    for _ in range(4):
        push(screen, "redo")
    text(screen, ".msam-legend", "1 split")
    assert np.array_equal(np.array(book.kernel("annotator.labels.tolist()")), after)

    # A class, colours, and the mark of what looks right; all of it is there in the file.
    fit(screen)
    screen.click(*middle(screen, 26))
    book.until("annotator.session.selected == (26,)")
    page.locator(".msam-class-field input").fill("odd")
    page.locator(".msam-class-field input").press("Enter")
    push(screen, "set-class")
    book.until("annotator.session.infos[26].category == 'odd'")
    push(screen, "by-class")
    text(screen, ".msam-legend", "odd")
    push(screen, "looks-right")
    book.until("annotator.session.infos[26].checked")
    screen.shot("proof_6_classes")
    book.kernel("annotator.save('proof.geojson')\nTrue")
    back = book.kernel(
        "from microsam_nb.files.importing import read_objects\n"
        "from pathlib import Path\n"
        "r = read_objects(Path('proof.geojson'), annotator.session.shape)\n"
        "classes = [info.category for info in r.infos.values()]\n"
        "[bool(np.array_equal(r.labels[0] > 0, annotator.labels > 0)), classes.count('odd')]"
    )
    assert back == [True, 1]


def test_objects_inside_a_lasso_are_deleted_and_a_bad_one_becomes_a_prompt(screen: Screen) -> None:
    book = screen.book
    fit(screen)
    screen.press("Shift+T")
    screen.page.wait_for_function("() => document.querySelector('.msam-overlay').dataset.tool === 'delete-inside'")
    screen.drag("outline", (3, 3), (3, 97), (47, 97), (47, 3), (3, 3))
    labels_are(screen, "not np.isin(now, [1, 2]).any() and np.array_equal(now > 2, given > 2)")
    screen.shot("proof_7_deleted")
    screen.press("v")
    screen.click(*middle(screen, 20))
    push(screen, "improve")
    book.until("annotator.session.state.target == int(given[125, 175])")
    assert screen.prompts()[0]["kind"] == "mask"
