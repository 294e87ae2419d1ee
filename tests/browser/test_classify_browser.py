"""Classes in a real browser: objects clicked, all others predicted, one corrected, accepted, undone, saved, loaded."""

from __future__ import annotations

from typing import Any

import pytest
from annotator_page import Screen

pytestmark = pytest.mark.browser

#: Eight small dark cells, 1 to 8, and below them eight large bright ones, 9 to 16.
CELLS = """import numpy as np
from microsam_nb import classify
labels = np.zeros((200, 320), np.uint32)
yy, xx = np.indices(labels.shape)
for n in range(16):
    y, x, r = (50, 140)[n // 8], 20 + 40 * (n % 8), (7, 14)[n // 8]
    labels[(yy - y) ** 2 + (xx - x) ** 2 <= r**2] = n + 1
noise = np.random.default_rng(0).normal(0, 6, labels.shape)
pixels = np.clip(20 + 60 * (labels > 0) + 90 * (labels > 8) + noise, 0, 255).astype(np.uint8)
"""
CELL = f"{CELLS}annotator = classify(pixels, labels=labels, project=False)\nannotator"
OTHER = f"{CELLS}annotator = classify(pixels[:, ::-1].copy(), labels=labels[:, ::-1].copy(), project=False)\nannotator"


def place(label: int) -> tuple[float, float]:
    """The middle of a cell."""
    return (50.5, 140.5)[(label - 1) // 8], 20.5 + 40 * ((label - 1) % 8)


def given(screen: Screen) -> dict[int, list[Any]]:
    """The classes of objects, and their probability where a classifier gave them."""
    found = screen.book.kernel("[[n, i.category, i.probability] for n, i in annotator.session.infos.items()]")
    return {label: [name, chance] for label, name, chance in found if name}


def predicted(screen: Screen) -> dict[int, str]:
    """What the classifier says, when it has said all."""
    screen.book.kernel("annotator.classifying.wait()\nannotator.wait()\nTrue")
    found = screen.book.kernel("[[n, g.category] for n, g in annotator.session.guesses.known.items()]")
    return dict(map(tuple, found))


def name_class(screen: Screen, name: str) -> None:
    """Type the name of a new class, and see its button."""
    box = screen.page.locator(".msam-class-name input").first
    box.fill(name)
    box.press("Enter")
    row(screen, name).wait_for()


def row(screen: Screen, text: str) -> Any:
    """The button of a class, by the beginning of what it says."""
    return screen.page.locator("button.msam-class", has_text=text).first


def differ(screen: Screen, *labels: int) -> None:
    """Wait until some cells have colours that no other of them has: the kernel is done before the page is painted."""
    for _ in range(100):
        seen = [screen.pixel(*place(label)) for label in labels]
        pairs = [(a, b) for i, a in enumerate(seen) for b in seen[:i]]
        if all(max(abs(p - q) for p, q in zip(*pair, strict=True)) >= 12 for pair in pairs):
            return
        screen.page.wait_for_timeout(100)
    raise AssertionError(f"cells {labels} look alike: {seen}")


def says(screen: Screen, text: str) -> None:
    """Wait until the status line says something that takes the kernel a while."""
    screen.page.locator(".msam-status", has_text=text).first.wait_for(timeout=60_000)


def test_click_predict_correct_accept_undo_save_and_load(open_notebook: Any) -> None:
    book = open_notebook("classify.ipynb", CELL)
    book.run(0)
    screen = Screen(book)
    screen.drawn()
    screen.page.locator(".msam-panel.msam-classes").first.wait_for()
    screen.wait()
    name_class(screen, "small")
    name_class(screen, "large")
    screen.canvas.focus()

    # Keys choose the class, clicks give it; a line gives it to several.
    screen.press("1")
    for label in (1, 2, 3):
        screen.click(*place(label))
    screen.press("2")
    screen.drag("stroke", place(9), place(11))
    assert {n: name for n, (name, _) in given(screen).items()} == {
        1: "small", 2: "small", 3: "small", 9: "large", 10: "large", 11: "large",
    }  # fmt: skip
    assert screen.book.kernel("annotator.session.state.browsing.layers.image.visible"), "keys mean classes now"
    assert predicted(screen) == {**dict.fromkeys(range(4, 9), "small"), **dict.fromkeys(range(12, 17), "large")}
    row(screen, "small: 3 clicked, 5 predicted").wait_for()
    row(screen, "large: 3 clicked, 5 predicted").wait_for()
    # What is only predicted is paler.
    differ(screen, 3, 4, 12)
    screen.shot("classify-predicted")

    # One is corrected; the classifier learns from it.
    screen.press("1")
    screen.click(*place(16))
    assert given(screen)[16] == ["small", None]
    row(screen, "small: 4 clicked").wait_for()
    assert 16 not in predicted(screen)
    screen.press("Control+z")
    assert 16 not in given(screen)
    assert predicted(screen)[16] == "large"

    # The one that is least certain is shown, picked and told.
    screen.page.locator("button.msam-next-uncertain").first.click()
    says(screen, "probability")
    assert len(screen.book.kernel("list(annotator.session.selected)")) == 1

    # All predictions become classes in one step, and are none again after an undo.
    screen.page.locator("button.msam-accept-classes").first.click()
    says(screen, "have the predicted class")
    assert len(given(screen)) == 16
    assert given(screen)[5][1] is not None
    assert given(screen)[1] == ["small", None]
    screen.page.locator("button.msam-accept-classes[disabled]").first.wait_for()
    screen.shot("classify-accepted")
    screen.canvas.focus()
    screen.press("Control+z")
    assert len(given(screen)) == 6
    screen.press("Control+Shift+z")
    assert len(given(screen)) == 16

    # Saved, and used on another image.
    screen.page.locator("button.msam-save-classifier").first.click()
    says(screen, "is saved in")
    second = open_notebook("classify-other.ipynb", OTHER)
    second.run(0)
    other = Screen(second)
    other.drawn()
    other.page.locator("button.msam-load-classifier").first.click()
    row(other, "large: 0 clicked, 8 predicted").wait_for(timeout=60_000)
    assert predicted(other) == {**dict.fromkeys(range(1, 9), "small"), **dict.fromkeys(range(9, 17), "large")}
    assert given(other) == {}
    other.shot("classify-loaded")
