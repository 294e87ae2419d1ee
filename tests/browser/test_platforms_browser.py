"""The core path in the other places where notebooks live: Notebook 7 and Voila."""

from __future__ import annotations

from typing import Any

import pytest
from jupyter_page import VoilaPage
from picture import Picture

pytestmark = pytest.mark.browser

NUCLEUS = (104.0, 194.0)
CELL = """from microsam_nb import annotate_2d
from microsam_nb.files import samples
annotator = annotate_2d(samples.tissue(), project=False)
annotator"""


def core_path(picture: Picture) -> None:
    """Click, look, commit, look, undo, look, redo."""
    book, page = picture.book, picture.page
    picture.click(*NUCLEUS)
    places = picture.until_proposed()
    page.keyboard.press("c")
    book.until("int(annotator.labels.max()) == 1 and not annotator.session.state.prompts")
    picture.until_shown(places, objects=True)
    page.keyboard.press("Control+z")
    book.until("int(annotator.labels.max()) == 0 and len(annotator.session.state.prompts) == 1")
    page.keyboard.press("Control+z")
    book.until("not annotator.session.state.prompts")
    picture.until_shown(places, objects=False)
    page.keyboard.press("Control+Shift+z")
    book.until("len(annotator.session.state.prompts) == 1")
    picture.until_proposed()


def test_notebook_7(open_notebook: Any) -> None:
    book = open_notebook("seven.ipynb", CELL, "1 + 1", place="notebooks")
    book.run(0)
    picture = Picture(book)
    core_path(picture)
    # Here the notebook's shortcuts win over a canvas' own keys unless they are told not to.
    cells = book.page.locator(".jp-Notebook .jp-Cell").count()
    for focus in ("canvas", "button.msam-fit"):
        if focus == "canvas":
            picture.click(95, 95)
        else:
            book.page.locator(focus).click()
        for key in ("a", "b", "d", "d", "x", "m", "y", "Enter", "Escape", "Shift+Enter", "Control+s"):
            book.page.keyboard.press(key)
        picture.settle()
        assert book.page.locator(".jp-Notebook .jp-Cell").count() == cells
        assert book.page.locator(".jp-Notebook .jp-MarkdownCell").count() == 0
        assert picture.canvas.is_visible()
    # The second cell, still below, was not run by Shift-Enter.
    assert book.page.locator(".jp-OutputArea-executeResult").count() == 0
    picture.until_drawn()


def test_voila(open_notebook: Any) -> None:
    book = open_notebook("voila.ipynb", CELL, kind=VoilaPage)
    assert book.page.locator(".jp-Notebook .cm-content, .jp-InputArea-editor").count() == 0
    core_path(Picture(book))
