"""Work that is put off."""

import time

import pytest

from microsam_nb.session import Pace
from microsam_nb.session.later import Later


class Work:
    def __init__(self):
        self.done, self.told, self.broken = 0, [], False

    def __call__(self):
        if self.broken:
            raise OSError(28, "No space left on device")
        self.done += 1


@pytest.fixture
def work():
    return Work()


@pytest.fixture
def later(work):
    made = []

    def make(**pace):
        made.append(Later(work, work.told.append, Pace(**pace)))
        return made[-1]

    yield make
    work.broken = False
    for one in made:
        one.close()


def until(test):
    end = time.monotonic() + 20
    while not test():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_many_changes_are_one_work(work, later):
    one = later(quiet=0.05, latest=60)
    for _ in range(50):
        one.touch()
    until(lambda: work.done)
    assert work.done == 1
    assert not one.waiting


def test_changes_that_never_end_are_done_too(work, later):
    one = later(quiet=60, latest=0.05)
    one.touch()
    until(lambda: work.done)


def test_what_waits_is_done_when_asked_and_at_the_end(work, later):
    one = later(quiet=60, latest=60)
    assert one.flush()
    assert work.done == 0
    assert one.flush(anyway=True)
    one.touch()
    assert one.flush()
    assert work.done == 2
    one.touch()
    one.close()
    assert work.done == 3
    one.touch()
    assert not one.waiting


def test_it_is_tried_again_and_told(work, later):
    one = later(quiet=0, latest=0, retry=0.02)
    work.broken = True
    assert not one.flush(anyway=True)
    assert "No space left" in work.told[0]
    assert one.waiting
    work.broken = False
    one.touch()
    until(lambda: work.done)
    until(lambda: work.told[-1] == "")
