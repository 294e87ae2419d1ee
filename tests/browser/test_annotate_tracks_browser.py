"""A movie in a real browser: a cell is followed, divides, is corrected in the tree, saved and opened again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from annotator_page import Screen, labels
from test_panels_browser import brightness, choose_theme

from microsam_nb.core import Lineage, Tracks
from microsam_nb.engine.evaluation.tracks import evaluate_tracks
from microsam_nb.files.samples import dividing_tracks
from microsam_nb.files.tracks import read_tracks, write_tracks

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
    """Press on the line of a track, at a frame, once the page says that the track is there."""
    tree, page = screen.page.locator(".msam-tree").first, screen.page
    layer, plot = tree.locator(".msam-tree-layer"), tree.locator(".plotarea_events").first
    tree.scroll_into_view_if_needed()
    for turn in range(200):
        row = screen.book.kernel(
            f"tree = annotator._panels.made['Tracks']\n[one.row for one in tree._branches if one.track == {track}][0]"
        )
        x0, x1, y0, y1 = screen.book.kernel("list(tree.layer.span)")
        box = plot.bounding_box()
        where = box["x"] + (at - x0) / (x1 - x0) * box["width"], box["y"] + (row - y0) / (y1 - y0) * box["height"]
        page.mouse.move(where[0] + turn % 2, where[1])
        said = layer.get_attribute("title") or ""
        if said.startswith(f"Track {track},") and said.endswith(f"frame {at}"):
            break
        page.wait_for_timeout(50)
    else:
        raise AssertionError(f"track {track} is not under the pointer, but: {said}")
    for key in modifiers:
        page.keyboard.down(key)
    page.mouse.click(*where)
    for key in modifiers:
        page.keyboard.up(key)
    screen.book.until(f"{track} in annotator.session.selected and annotator.session.state.browsing.plane == {at}")
    screen.wait()


def command(screen: Screen, words: str, told: str) -> None:
    """Press a button of the tree; wait until the status line says what it has done."""
    screen.page.locator(".msam-tracks button", has_text=words).click()
    screen.says(told)
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
        press_in_tree(screen, first, 6)
        screen.canvas.focus()
        screen.press("Delete")
        book.until(f"{first} not in annotator.session.labels")
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
    command(screen, "Cut here", "ends before frame 9")
    later = max(int(one) for one in family(screen))
    assert frames(screen, later)[0] == 9
    press_in_tree(screen, daughters[1], 8)
    press_in_tree(screen, later, 10, ("Shift",))
    screen.shot("movie-cut")
    command(screen, "Join", "is now the later part of track")
    assert np.array_equal(labels(book), before)
    # No mother, and back by undo.
    command(screen, "No mother", "is no daughter of track")
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


def spoilt() -> tuple[Tracks, Tracks]:
    """The true tracks of the sample, and the same with three errors.

    What is no cell is a third daughter, 40, of track 1; tracks 2 and 8 are exchanged from frame 6 on; from frame 10 on
    track 9 is another one, 30.
    """
    labels, daughters = dividing_tracks()
    wrong = labels.copy()
    assert not labels[6:11, 14:26, 14:26].any()
    wrong[6:11, 14:26, 14:26] = 40
    wrong[6:][labels[6:] == 2], wrong[6:][labels[6:] == 8] = 8, 2
    wrong[10:][labels[10:] == 9] = 30
    return Tracks(labels, Lineage(daughters)), Tracks(wrong, Lineage({**daughters, 1: (12, 13, 40)}))


def test_wrong_daughters_and_links_are_corrected_in_the_tree(open_notebook, lab):
    truth, wrong = spoilt()
    assert evaluate_tracks(truth, wrong).tra < 0.995, "nothing is wrong: this would be no test"
    write_tracks(lab.work / "wrong_RES", wrong)
    book = open_notebook(
        "wrong.ipynb", CELL.replace("project=", 'tracks="wrong_RES", project=').replace("ing.msam", ".msam")
    )
    book.run()
    screen = Screen(book)
    screen.drawn()
    screen.wait()
    screen.says("Ready")
    screen.open_panel("tracks")
    assert family(screen)["1"] == [12, 13, 40]

    # A daughter that is none is picked in the tree, and deleted.
    press_in_tree(screen, 40, 8)
    screen.shot("movie-wrong")
    screen.canvas.focus()
    screen.press("Delete")
    book.until("40 not in annotator.session.labels")
    assert family(screen)["1"] == [12, 13]
    # Two that were mistaken for each other.
    press_in_tree(screen, 2, 6)
    press_in_tree(screen, 8, 6, ("Shift",))
    command(screen, "Swap from here", "are exchanged")
    # One that was lost for a moment.
    press_in_tree(screen, 9, 4)
    press_in_tree(screen, 30, 12, ("Shift",))
    command(screen, "Join", "is now the later part of track 9")
    screen.shot("movie-mended")
    assert np.array_equal(labels(book), truth.labels)

    # What lies in the file, and what another one opens, is the truth.
    screen.canvas.focus()
    screen.press("Control+s")
    screen.says("saved")
    screen.wait()
    (folder,) = Path(lab.work).glob("dividing-*_RES")
    saved = read_tracks(folder)
    assert saved == truth
    assert evaluate_tracks(truth, saved).tra == pytest.approx(1)
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


MANY = """import numpy as np
from microsam_nb import annotate_tracks
from microsam_nb.core import Lineage, Tracks
labels = np.zeros((6, 120, 240), np.uint32)
labels[:, ::4, ::4] = np.arange(1, 1801).reshape(30, 60)
labels[3:][labels[3:] == 7] = 1801
tracks = Tracks(labels, Lineage({7: (1801,)}))
annotator = annotate_tracks((labels > 0).astype(np.uint8) * 200, tracks=tracks, project=False)
annotator"""


def test_the_panel_of_tracks_in_the_dark_and_with_more_rows_than_are_drawn(open_notebook):
    book = open_notebook("many.ipynb", MANY)
    book.run()
    screen, page = Screen(book), book.page
    screen.drawn()
    screen.wait()
    screen.open_panel("tracks")
    choose_theme(page, "JupyterLab Dark")
    tree = page.locator(".msam-tree").first
    shown = "[annotator._panels.made['Tracks'].layer.bars[i][0] for i in (0, -1)]"
    assert book.kernel(shown) == [1, 160]
    page.locator(".msam-tree .bqplot path.line").first.wait_for(state="attached")
    for selector in (".msam-tracks .msam-title", ".msam-tracks .msam-note", ".msam-tracks .bqplot .axis text"):
        kind = "fill" if "bqplot" in selector else "color"
        words = brightness(page, selector, kind)
        assert words - brightness(page, selector, "backgroundColor") > 80, selector
    # Nothing white is left beside the image, nor around the lines.
    for selector in (".msam-canvas", ".msam-tree", ".msam-tracks .bqplot", ".msam-tracks .bqplot .plotarea_background"):
        kind = "fill" if "plotarea" in selector else "backgroundColor"
        assert brightness(page, selector, kind) < 100, selector
    screen.shot("tracks-dark")
    tree.evaluate("one => { one.scrollTop = 0.5 * one.scrollHeight; }")
    book.until("annotator._panels.made['Tracks'].layer.bars[0][0] > 700")
    # What lies in sight is drawn there: the row in the middle is that of the track that is named for it.
    first, last = book.kernel(shown)
    assert first < 900 < last
    page.wait_for_function(
        """() => {
            const frame = document.querySelector('.msam-tree').getBoundingClientRect();
            const plot = document.querySelector('.msam-tree .plotarea_events').getBoundingClientRect();
            return plot.top <= frame.top && plot.bottom >= frame.bottom;
        }"""
    )
    screen.shot("tracks-dark-scrolled")
    # One that is picked elsewhere is scrolled into sight.
    book.kernel("from microsam_nb.session import Select\nannotator.session.handle(Select((3,)))\nTrue")
    book.until("annotator._panels.made['Tracks'].layer.bars[0][0] == 1")
    page.wait_for_function("() => document.querySelector('.msam-tree').scrollTop < 100")
    assert page.locator(".msam-link-scope select").first.is_visible()
