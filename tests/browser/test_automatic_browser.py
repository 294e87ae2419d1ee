"""Automatic segmentation in a real browser: button, sliders, accept, correct one object, commit, undo, save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from annotator_page import CELL, Screen, labels

pytestmark = pytest.mark.browser

COUNT = "[len(annotator.session.state.candidates), annotator.session.labels.count()]"


def found(screen: Screen) -> list[int]:
    """How many candidates and committed objects there are, when nothing is being looked for any more."""
    screen.page.wait_for_timeout(900)
    screen.wait()
    return screen.book.kernel(COUNT)


def slide(screen: Screen, name: str, steps: int) -> None:
    """Move a slider of the form by keys."""
    handle = screen.page.locator(f".msam-automatic .msam-setting-{name} .noUi-handle").first
    handle.focus()
    for _ in range(abs(steps)):
        screen.page.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")


def middle_of_candidate(screen: Screen, index: int) -> tuple[float, float]:
    """A pixel of a candidate."""
    return tuple(
        screen.book.kernel(
            f"m = annotator.session.state.candidates[{index}].mask\n"
            "import numpy as np\n"
            "from scipy import ndimage\n"
            "d = ndimage.distance_transform_edt(np.pad(m.bitmap[0], 1))[1:-1, 1:-1]\n"
            "y, x = np.unravel_index(int(d.argmax()), d.shape)\n"
            "[m.start[1] + int(y) + 0.5, m.start[2] + int(x) + 0.5]"
        )
    )


def test_find_choose_correct_and_save_all_objects(open_notebook, lab):
    book = open_notebook("automatic.ipynb", CELL)
    book.run()
    screen = Screen(book)
    screen.drawn()
    book.page.locator("button.msam-find").first.click()
    book.page.locator(".msam-panel.msam-automatic").first.wait_for()
    screen.says("objects are found")
    candidates, committed = found(screen)
    assert candidates > 20
    assert committed == 0
    assert f"{candidates} candidates" in book.page.locator(".msam-count").first.inner_text()
    screen.shot("automatic-found")

    # Sliders change what is found at once, and what is found stays when the hand rests.
    slide(screen, "min-score", 60)
    fewer, _ = found(screen)
    assert 0 < fewer < candidates
    screen.shot("automatic-fewer")
    book.page.keyboard.press("Control+z")
    screen.canvas.focus()
    slide(screen, "min-score", -60)
    assert found(screen)[0] == candidates

    # One is kept by a click, one rejected by a right click, some by a line around them.
    y, x = middle_of_candidate(screen, 0)
    screen.click(y, x)
    assert found(screen) == [candidates - 1, 1]
    y, x = middle_of_candidate(screen, 0)
    screen.click(y, x, button="right")
    assert found(screen) == [candidates - 2, 1]
    screen.drag("stroke", (2, 2), (2, 150), (120, 150), (120, 2), (2, 2))
    after_lasso = found(screen)
    assert after_lasso[1] > 2
    assert sum(after_lasso) == candidates - 1
    before = labels(book)
    screen.press("Control+z")
    assert found(screen) == [candidates - 2, 1]
    screen.press("Control+Shift+z")
    assert found(screen) == after_lasso
    assert np.array_equal(labels(book), before)

    # All others; one of the new objects is corrected, and committed again under its number.
    screen.canvas.focus()
    screen.press("Shift+a")
    _, committed = found(screen)
    assert committed > after_lasso[1]
    kept = labels(book)
    assert np.array_equal(kept[before > 0], before[before > 0]), "committed objects were changed"
    screen.shot("automatic-accepted")
    label, y, x, v, u = book.kernel(
        "from scipy import ndimage\n"
        "volume = annotator.labels\n"
        "around = np.argwhere(ndimage.binary_erosion(volume == 0, iterations=4))\n"
        "l = max(annotator.session.labels)\n"
        "inside = np.argwhere(ndimage.binary_erosion(volume == l, iterations=1))\n"
        "y, x = inside[len(inside) // 2].tolist()\n"
        "v, u = around[np.argmin(((around - (y, x)) ** 2).sum(1))].tolist()\n"
        "[l, y + 0.5, x + 0.5, v + 0.5, u + 0.5]"
    )
    screen.press("v")
    screen.click(y, x)
    screen.press("i")
    screen.press("w")
    screen.drag("stroke", (y, x), (v, u))
    screen.press("c")
    screen.wait()
    corrected = labels(book)
    assert corrected[int(v), int(u)] == label
    assert (corrected == label).sum() > (kept == label).sum()
    screen.press("Control+z")
    assert labels(book)[int(v), int(u)] == 0
    screen.press("Control+Shift+z")
    screen.press("Control+s")
    screen.says("saved")
    screen.wait()
    saved = [tifffile.imread(path) for path in Path(lab.work).glob("image-*_labels.tif")]
    assert any(np.array_equal(one, corrected) for one in saved)
    assert all(one.max() > 10 for one in saved)


def test_settings_are_fitted_to_a_few_objects(open_notebook):
    book = open_notebook("fitted.ipynb", CELL)
    book.run()
    screen = Screen(book)
    screen.drawn()
    book.page.locator("button.msam-find").first.click()
    screen.says("objects are found")
    found(screen)
    screen.canvas.focus()
    for index in (0, 3, 6):
        screen.click(*middle_of_candidate(screen, index))
    book.page.locator("button.msam-fit-settings").first.click()
    screen.says("Fitted: mean IoU with your objects")
    screen.shot("automatic-fitted")
    assert found(screen)[1] == 3
    assert book.kernel("annotator.session.state.automatic.mode") == "ais"


def test_a_search_can_be_stopped_and_another_method_chosen(open_notebook):
    book = open_notebook("stopped.ipynb", CELL)
    book.run()
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    book.page.locator("button.msam-open-automatic").first.click()
    book.page.locator(".msam-automatic .msam-mode select").select_option(label="Grid of points (AMG)")
    book.page.locator(".msam-work", has_text="Finding all objects").first.wait_for(timeout=20_000)
    screen.shot("automatic-grid")
    screen.canvas.focus()
    book.page.keyboard.press("Escape")
    screen.says("Stopped")
    assert found(screen) == [0, 0]
    book.page.locator("button.msam-find-all").first.click()
    # Hundreds of points: that takes a while.
    book.page.locator(".msam-status", has_text="found, typically").first.wait_for(timeout=150_000)
    found(screen)
    assert book.kernel("annotator.session.state.automatic.mode") == "amg"
    # By a grid nano finds little in this tissue.
    assert found(screen)[0] >= 1
    screen.shot("automatic-grid-found")
