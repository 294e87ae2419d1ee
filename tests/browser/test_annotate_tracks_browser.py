"""A movie in a real browser: a cell is followed, divides, is corrected in the tree, saved and opened again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from annotator_page import Screen, labels

from microsam_nb.files.tracks import read_tracks

pytestmark = pytest.mark.browser

CELL = """from microsam_nb import annotate_tracks
from microsam_nb.core import Image
from microsam_nb.files import samples
movie = Image(samples.dividing(), "tyx", "dividing")
annotator = annotate_tracks(movie, project="dividing.msam")
annotator"""

#: A cell of the sample in frame 0, and its daughters in frame 6, (y, x).
MOTHER, DAUGHTERS = (40.5, 45.5), ((38.5, 62.5), (57.5, 46.5))


def family(screen: Screen) -> dict[str, list[int]]:
    return screen.book.kernel("annotator.session.state.lineage.to_json()")


def frames(screen: Screen, track: int) -> list[int]:
    return screen.book.kernel(f"list(annotator.session.frames({track}))")


def follow(screen: Screen, place: tuple[float, float]) -> None:
    """Click, follow, keep."""
    screen.canvas.focus()
    screen.click(*place)
    screen.wait()
    screen.press("Shift+S")
    screen.wait()
    screen.press("c")
    screen.wait()


def pick(screen: Screen, place: tuple[float, float]) -> None:
    screen.canvas.focus()
    screen.press("v")
    screen.click(*place)
    screen.wait()


def press_in_tree(screen: Screen, track: int, at: int, modifiers: tuple[str, ...] = ()) -> None:
    """Press on the line of a track, at a frame."""
    row = screen.book.kernel(
        f"tree = annotator._panels.made['Tracks']\n[one.row for one in tree._branches if one.track == {track}][0]"
    )
    x0, x1, y0, y1 = screen.book.kernel("list(tree.layer.span)")
    plot = screen.page.locator(".msam-tree-body .plotarea_events").first
    screen.page.locator(".msam-tree").first.scroll_into_view_if_needed()
    # The plot takes a new height before it is drawn anew.
    screen.page.wait_for_timeout(600)
    box = plot.bounding_box()
    for key in modifiers:
        screen.page.keyboard.down(key)
    screen.page.mouse.click(
        box["x"] + (at - x0) / (x1 - x0) * box["width"], box["y"] + (row - y0) / (y1 - y0) * box["height"]
    )
    for key in modifiers:
        screen.page.keyboard.up(key)
    screen.page.wait_for_timeout(300)
    screen.wait()


def test_a_cell_divides_is_corrected_in_the_tree_saved_and_opened_again(open_notebook, lab):
    book = open_notebook("movie.ipynb", CELL)
    book.run()
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    screen.says("Ready")
    assert screen.plane() == 0, "a movie opens with its first frame"

    follow(screen, MOTHER)
    screen.says("Track 1 is committed")
    assert frames(screen, 1)[:6] == [0, 1, 2, 3, 4, 5]
    screen.open_panel("tracks")

    # It divides: what was followed further is wrong, and both daughters are clicked.
    pick(screen, MOTHER)
    screen.go_to(6)
    screen.press("Shift+D")
    screen.wait()
    assert "Daughters of track 1" in screen.page.locator(".msam-mother").first.inner_text()
    for first in list(family(screen)["1"]):
        book.kernel(f"from microsam_nb.session import Delete\nannotator.session.handle(Delete(({first},)))\nTrue")
    for place in DAUGHTERS:
        screen.press("p")
        follow(screen, place)
    screen.page.locator(".msam-daughters button").first.click()
    screen.wait()
    mother, *daughters = sorted(int(one) for one in family(screen))
    assert family(screen)[str(mother)] == daughters
    assert len(daughters) == 2
    screen.shot("movie-division")

    # A press on a line of the tree goes there and picks the track.
    press_in_tree(screen, daughters[1], 9)
    assert screen.plane() == 9
    assert book.kernel("list(annotator.session.selected)") == [daughters[1]]
    # Cut, joined again by two picked lines.
    before = labels(book)
    screen.page.locator(".msam-tracks button", has_text="Cut here").click()
    screen.wait()
    later = max(int(one) for one in family(screen))
    assert frames(screen, later)[0] == 9
    press_in_tree(screen, daughters[1], 8)
    press_in_tree(screen, later, 10, ("Shift",))
    screen.shot("movie-cut")
    screen.page.locator(".msam-tracks button", has_text="Join").click()
    screen.wait()
    assert np.array_equal(labels(book), before)
    # No mother, and back by undo.
    screen.page.locator(".msam-tracks button", has_text="No mother").click()
    screen.wait()
    assert family(screen)[str(mother)] == daughters[:1]
    screen.canvas.focus()
    screen.press("Control+z")
    screen.wait()
    assert family(screen)[str(mother)] == daughters

    screen.press("Control+s")
    screen.says("saved")
    screen.wait()
    (folder,) = Path(lab.work).glob("dividing-*_RES")
    saved = read_tracks(folder)
    assert np.array_equal(saved.labels, labels(book))
    assert saved.lineage.children(mother) == tuple(daughters)

    # The kernel begins anew: the project has everything; so has another annotator that opens the saved folder.
    kept = family(screen)
    book.kernel("annotator.close()\nTrue")
    book.run()
    screen = Screen(book)
    screen.wait()
    assert family(screen) == kept
    assert np.array_equal(labels(book), saved.labels)
    book.kernel(
        "other = annotate_tracks(movie, project=False, "
        f"tracks={folder.name!r})\nother.close()\nassert other.tracks == annotator.tracks\nTrue"
    )


def test_all_cells_are_linked_with_a_button_and_that_is_undone(open_notebook):
    book = open_notebook("linking.ipynb", CELL.replace('project="dividing.msam"', "project=False"))
    book.run()
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    screen.open_panel("tracks")
    screen.page.locator("button.msam-link-more").click()
    screen.page.locator("button.msam-link-all").click()
    book.until("annotator.session.labels.count() > 10", 240)
    screen.wait()
    assert screen.page.locator(".msam-status", has_text="divisions").count()
    found = family(screen)
    assert 15 <= len(found) <= 24
    screen.page.wait_for_timeout(1000)
    screen.shot("movie-linked")
    screen.open_panel("objects")
    screen.page.wait_for_timeout(1000)
    screen.shot("movie-table")
    screen.canvas.focus()
    screen.press("Control+z")
    screen.wait()
    assert not labels(book).any()
    screen.press("Control+Shift+z")
    screen.wait()
    assert family(screen) == found
