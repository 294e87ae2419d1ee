"""A widget's value goes out and comes in without going round in circles."""

import threading

import ipywidgets as widgets
import pytest

from microsam_nb.widgets import Hands
from microsam_nb.widgets.hands import Bound


@pytest.fixture
def queue():
    return []


@pytest.fixture
def hands(queue):
    return Hands(lambda _: None, lambda _: None, queue.append, lambda _: None, lambda *_: None, lambda _: None)


@pytest.fixture
def slider():
    one = widgets.IntSlider(5, 0, 100)
    yield one
    for part in (one, one.layout, one.style):
        part.close()


def test_what_the_user_sets_is_sent(slider, hands, queue):
    sent = []
    Bound(slider, hands, sent.append)
    slider.value = 7
    queue.pop()()
    assert sent == [7]
    assert queue == []


def test_what_is_shown_is_not_sent_back(slider, hands, queue):
    bound = Bound(slider, hands, lambda _: pytest.fail("sent"))
    bound.show(9)
    assert slider.value == 9
    assert queue == []


def test_of_fast_changes_only_the_newest_is_sent(slider, hands, queue):
    sent = []
    Bound(slider, hands, sent.append)
    for value in range(10, 60):
        slider.value = value
    assert len(queue) == 1
    queue.pop()()
    assert sent == [59]


def test_a_newer_value_of_the_user_is_not_overwritten(slider, hands, queue):
    """The session answers the first value while the user is dragging on."""
    bound = Bound(slider, hands, lambda _: None)
    slider.value = 30
    queue.pop()()
    slider.value = 40
    bound.show(30)
    assert slider.value == 40
    queue.pop()()
    bound.show(40)
    assert slider.value == 40


def test_the_user_is_heard_while_another_thread_shows(slider, hands, queue):
    bound = Bound(slider, hands, lambda _: None)
    entered, go = threading.Event(), threading.Event()

    def hold(_):
        if threading.current_thread() is showing:
            entered.set()
            go.wait(10)

    slider.observe(hold, "value")
    showing = threading.Thread(target=lambda: bound.show(11))
    showing.start()
    entered.wait(10)
    slider.value = 77
    go.set()
    showing.join()
    assert len(queue) == 1
