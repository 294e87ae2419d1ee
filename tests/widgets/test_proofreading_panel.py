"""The panel of proofreading, with hands that work at once."""

import threading

import numpy as np
import pytest
from drawing import disk

from microsam_nb.core import Image
from microsam_nb.session import Check, Delete, Merge, Select, SetPlane, SplitAt, Undo
from microsam_nb.view import Command
from microsam_nb.widgets import ProofreadPanel
from microsam_nb.widgets.background import Background
from microsam_nb.widgets.panels import EVERYTHING

SIZE = (96, 160)


def labelled():
    """Discs 1 to 10, of which 3 has a hole and 7 is two."""
    labels = np.zeros((1, *SIZE), np.uint32)
    for label in range(1, 11):
        y, x = 24 + 48 * ((label - 1) // 5), 16 + 32 * ((label - 1) % 5)
        labels[0][disk(SIZE, y, x, 10)] = label
    labels[0][disk(SIZE, 24, 80, 4)] = 0
    labels[0][disk(SIZE, 72, 62, 9)] = 7
    return labels


@pytest.fixture
def made(desk):
    def make(labels=None, *, movie=False):
        labels = labelled() if labels is None else labels
        one = desk(labels.shape, movie=movie)
        shown = []
        pixels = np.where(labels > 0, 120, 20).astype(np.uint8)
        pixels = pixels if movie or len(labels) > 1 else pixels[0]
        axes = ("t" if movie else "z" if pixels.ndim > 2 else "") + "yx"
        if labels.any():
            one.fill(labels)
        before = one.session.snapshot()
        panel = one.panel = ProofreadPanel(Image(pixels, axes), one.session, one.hands, lambda: before, shown.append)
        panel.desk, panel.shown = one, shown
        panel.show(EVERYTHING)
        settle(panel)
        return panel

    return make


def settle(panel):
    """Return when nothing is computed any more."""
    while (thread := panel._background._thread) is not None:
        thread.join(20)


def picked(panel):
    return panel.desk.session.selected


def test_suspicious_objects_come_one_after_the_other(made):
    panel = made()
    part = panel.suspicious
    assert part.place.value == "2 to look at"
    panel.do(Command.NEXT_SUSPECT)
    panel.do(Command.NEXT_SUSPECT)
    assert {label for label in (3, 7) if f"{label}" in part.reasons.value} == set(picked(panel))
    assert part.place.value == "2 of 2"
    kinds = [one[0] for one in panel.desk.done if isinstance(one, tuple)]
    assert kinds == ["close up", "close up"]
    panel.do(Command.NEXT_SUSPECT)
    assert panel.desk.session.notice.text == "All 2 have been looked at: the other objects look like each other."
    panel.do(Command.PREVIOUS_SUSPECT)
    assert part.place.value == "1 of 2"
    assert part.previous.disabled


def test_what_looks_right_is_checked_and_the_next_one_comes(made):
    panel = made()
    panel.do(Command.NEXT_SUSPECT)
    (first,) = picked(panel)
    panel.do(Command.LOOKS_RIGHT)
    assert panel.desk.session.infos[first].checked
    assert picked(panel) == tuple({3, 7} - {first})
    panel.desk.session.handle(Undo())
    assert first not in panel.desk.session.infos


def test_after_a_change_the_order_is_computed_anew_when_the_next_one_is_asked_for(made):
    panel = made()
    panel.do(Command.NEXT_SUSPECT)
    panel.desk.session.handle(Delete((9,)))
    panel.desk.session.handle(SplitAt(7))
    panel.do(Command.NEXT_SUSPECT)
    settle(panel)
    # 7 is two usual ones now.
    assert panel.suspicious._review.place[1] <= 3
    assert 9 not in [one.label for one in panel.suspicious._review.rest()]


def test_the_text_belongs_to_the_picked_object(made):
    panel = made()
    part, session = panel.suspicious, panel.desk.session
    panel.do(Command.NEXT_SUSPECT)
    (first,) = picked(panel)
    other = 10 - first  # 3 or 7
    reasons = part.reasons.value
    assert f"Object {first}<" in reasons
    session.handle(Select((other,)))
    assert f"Object {other}<" in part.reasons.value
    assert part.reasons.value.split(":")[1] != reasons.split(":")[1]
    assert part.place.value == "1 to look at", "it is not the one of the queue"
    session.handle(Select((5,)))
    assert part.reasons.value == "<b>Object 5</b>: nothing about it is suspicious."
    session.handle(Check((5,)))
    assert part.reasons.value == "<b>Object 5</b> ✓ looks right: nothing about it is suspicious."
    session.handle(Select((1, 2)))
    assert part.reasons.value == ""
    session.handle(Select((first,)))
    assert part.reasons.value == reasons
    session.handle(Select(()))
    assert part.reasons.value == ""
    assert part.right.disabled, "nothing is shown that could look right"


def test_what_is_said_of_a_changed_or_new_object_is_true(made):
    panel = made()
    part, session = panel.suspicious, panel.desk.session
    session.handle(Select((7,)))
    session.handle(SplitAt(7))
    session.handle(Select((7,)))
    assert "has changed since it was judged" in part.reasons.value
    session.handle(Select((11,)))
    assert part.reasons.value == "<b>Object 11</b>: new, not judged yet."
    panel.do(Command.NEXT_SUSPECT)
    settle(panel)
    session.handle(Select((11,)))
    assert "new" not in part.reasons.value


def test_of_an_object_that_is_gone_nothing_is_said(made):
    panel = made()
    panel.do(Command.NEXT_SUSPECT)
    panel.desk.session.handle(Delete(picked(panel)))
    assert panel.suspicious.reasons.value == ""
    assert panel.suspicious.place.value == "1 to look at"
    panel.do(Command.FILL_HOLES)
    assert panel.desk.session.notice.error
    assert "pick tool" in panel.desk.session.notice.text


@pytest.mark.parametrize(
    "labels", [np.zeros((1, 20, 20), np.uint32), np.pad(np.ones((1, 8, 8), np.uint32), ((0, 0), (6, 6), (6, 6)))]
)
def test_no_object_and_one_object(made, labels):
    panel = made(labels)
    count = panel.desk.session.labels.count()
    panel.do(Command.NEXT_SUSPECT)
    said = panel.desk.session.notice.text
    assert ("There are no objects" in said) if not count else ("None of them is suspicious" in said)
    assert panel.suspicious.next.disabled == (not count)
    panel.do(Command.LOOKS_RIGHT)
    assert panel.desk.session.notice.error
    assert "pick tool" in panel.desk.session.notice.text


def test_what_is_picked_is_corrected(made):
    panel = made()
    session = panel.desk.session
    buttons = (
        panel.fill,
        panel.smooth,
        panel.grow,
        panel.shrink,
        panel.largest,
        panel.alone,
        panel.merge,
        panel.assign,
    )
    assert all(one.disabled for one in buttons)
    assert "No object is picked" in panel.reason.value
    session.handle(Select((3,)))
    assert panel.reason.value == ""
    assert not any(one.disabled for one in buttons if one is not panel.merge)
    panel.do(Command.FILL_HOLES)
    assert session.labels.at(0, 24, 80) == 3
    area = session.labels.area(3)
    panel.pixels.value = 2
    panel.do(Command.GROW)
    assert session.labels.area(3) > area
    panel.do(Command.SHRINK)
    panel.do(Command.SMOOTH)
    session.handle(Select((7,)))
    panel.do(Command.SPLIT_ALONE)
    assert session.labels.count() == 11
    session.handle(Select((7, 11)))
    panel.do(Command.SPLIT_ALONE)
    assert "Pick the one that is to be split" in session.notice.text
    panel.merge.click()
    assert session.labels.count() == 10
    panel.largest.click()
    assert "in one piece" in session.notice.text
    session.handle(Delete((1,)))
    panel.renumber.click()
    assert sorted(session.labels) == list(range(1, 10))


@pytest.mark.parametrize("movie", [False, True])
def test_in_several_planes(made, movie):
    labels = np.repeat(labelled(), 3, axis=0)
    panel = made(labels, movie=movie)
    session = panel.desk.session
    assert (panel.here.layout.display == "none") == movie
    session.handle(SetPlane(1))
    session.handle(Select((3,)))
    panel.here.value = not movie
    panel.do(Command.FILL_HOLES)
    assert [session.labels.at(plane, 24, 80) for plane in range(3)] == [0, 3, 0]
    panel.here.value = False
    if not movie:
        panel.do(Command.FILL_HOLES)
        assert [session.labels.at(plane, 24, 80) for plane in range(3)] == [3, 3, 3]


def test_classes_of_several_objects(made):
    panel = made()
    session = panel.desk.session
    session.handle(Select((1, 2)))
    panel.category.value = "<odd>"
    panel.assign.click()
    assert {session.infos[n].category for n in (1, 2)} == {"<odd>"}
    assert panel.classes.value == ""
    panel.by_class.click()
    assert session.state.browsing.layers.by_class
    assert "&lt;odd&gt;" in panel.classes.value
    assert panel.category.options == ("<odd>",)


def rows(panel):
    return [row[2:5] for row in panel.differences.table.rows]


def test_what_has_changed(made):
    panel = made()
    part, session = panel.differences, panel.desk.session
    part.switch.click()
    settle(panel)
    assert part.legend.value == "Nothing has changed."
    session.handle(Merge((1, 2)))
    session.handle(Delete((5,)))
    session.handle(SplitAt(7))
    settle(panel)
    assert rows(panel) == [["merged", "1, 2", "1"], ["gone", "5", "–"], ["split", "7", "7, 11"]]
    assert all(words in part.legend.value for words in ("1 merged", "1 gone", "1 split"))
    assert len(panel.shown[-1].differences) == 3
    part.table._handle_custom_msg({"kind": "filter", "text": "split"}, [])
    assert rows(panel) == [["split", "7", "7, 11"]]
    part.table._handle_custom_msg({"kind": "pick", "label": 3, "more": False}, [])
    assert picked(panel) == (7, 11)
    assert panel.desk.done[-1][0] == "close up"
    for _ in range(3):
        session.handle(Undo())
    settle(panel)
    assert part.legend.value == "Nothing has changed."
    part.switch.click()
    assert panel.shown[-1] is None
    session.handle(Delete((5,)))
    settle(panel)
    assert panel.shown[-1] is None


def test_checked_objects_are_marked_in_a_step_of_their_own(made):
    panel = made()
    session = panel.desk.session
    session.handle(Check((1, 2)))
    session.handle(Undo())
    assert not session.infos


def test_of_what_waits_only_the_newest_is_computed_and_failures_are_said():
    done, failures, go = [], [], threading.Event()
    one = Background(lambda event: event(), failures.append)
    one.ask("a", lambda: go.wait(10), done.append)
    one.ask("b", lambda: 1 / 0, done.append)
    for value in range(3):
        one.ask("c", lambda value=value: value, done.append)
    assert one.busy("c")
    go.set()
    while (thread := one._thread) is not None:
        thread.join(10)
    assert done == [True, 2]
    assert [type(error) for error in failures] == [ZeroDivisionError]
    one.close()
    one.ask("a", lambda: 1, done.append)
    assert done == [True, 2]
