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
