import threading
import time

import pytest

from microsam_nb.core import Box
from microsam_nb.session import Change
from microsam_nb.widgets import Loop


@pytest.fixture
def loop():
    made = []

    def make(paint=lambda change, everything: None, failed=lambda error: None):
        made.append(Loop(paint, failed))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_events_keep_their_order(loop):
    seen = []
    one = loop()
    for i in range(200):
        one.post(lambda i=i: seen.append(i))
    one.wait()
    assert seen == list(range(200))


def test_waiting_paintings_become_one(loop):
    painted, gate = [], threading.Event()

    def paint(change, everything):
        painted.append((change, everything))

    one = loop(paint)
    one.post(lambda: gate.wait(10))
    one.repaint(Change(prompts=True, labels=Box((0, 0, 0), (1, 2, 2))))
    one.repaint(Change(view=True, labels=Box((0, 5, 5), (1, 6, 6))), True)
    one.repaint(Change(notice=True))
    gate.set()
    one.wait()
    everything = Change(prompts=True, view=True, notice=True, labels=Box((0, 0, 0), (1, 6, 6)))
    assert painted == [(everything, True)]


def test_callers_never_wait(loop):
    one = loop(lambda change, everything: time.sleep(0.3))
    start = time.perf_counter()
    for _ in range(100):
        one.repaint(Change(view=True))
        one.post(lambda: None)
    assert time.perf_counter() - start < 0.25


def test_a_failure_is_told_and_the_loop_goes_on(loop):
    errors, seen = [], []

    def paint(change, everything):
        raise RuntimeError("no paint")

    one = loop(paint, errors.append)
    one.repaint(Change(view=True))
    one.post(lambda: 1 / 0)
    one.post(lambda: seen.append(1))
    one.wait()
    assert seen == [1]
    assert {type(e) for e in errors} == {RuntimeError, ZeroDivisionError}


def test_wait_ends(loop):
    gate = threading.Event()
    one = loop()
    one.post(lambda: gate.wait(10))
    with pytest.raises(TimeoutError, match="wait longer"):
        one.wait(0.05)
    gate.set()


def test_of_what_waits_in_one_slot_the_newest_counts_in_its_turn(loop):
    seen, gate = [], threading.Event()
    one = loop()
    one.post(lambda: gate.wait(10))
    for i in range(50):
        one.post(lambda i=i: seen.append(i), "view")
    one.post(lambda: seen.append("fit"))
    for i in range(50, 100):
        one.post(lambda i=i: seen.append(i), "view")
    for i in range(3):
        one.post(lambda i=i: seen.append(f"click {i}"))
    gate.set()
    one.wait()
    assert seen == [49, "fit", 99, "click 0", "click 1", "click 2"]


def test_events_that_keep_coming_do_not_keep_the_picture_away(loop, monkeypatch):
    monkeypatch.setattr("microsam_nb.widgets.loop.PATIENCE", 0.02)
    seen = []
    one = loop(lambda change, everything: seen.append("paint"))
    one.repaint(Change(view=True))
    for _ in range(30):
        one.post(lambda: (seen.append("event"), time.sleep(0.005), one.repaint(Change(view=True))))
    one.wait()
    assert seen.count("event") == 30
    assert "paint" in seen[: seen.index("event") + 25], "long before the events end"
    assert 2 < seen.count("paint") < 20


def test_a_failure_that_cannot_be_told_does_not_end_the_loop(loop, caplog):
    def failed(error):
        raise OSError("nobody listens")

    seen = []
    one = loop(failed=failed)
    one.post(lambda: 1 / 0)
    one.post(lambda: seen.append(1))
    one.wait()
    assert seen == [1]
    assert "ZeroDivisionError" in caplog.text
    assert "nobody listens" in caplog.text
