"""What Escape stops: first what is asked about the object in hand, then what runs in the background."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from loose import answer, found, square

from microsam_nb.core import Mask, Section
from microsam_nb.session import (
    AddPoint,
    Cancel,
    Commit,
    Describe,
    Embed,
    Embedded,
    Extend,
    Extended,
    ExtendObject,
    Extension,
    Paint,
    Predict,
    Predicted,
    Redo,
    RemovePrompt,
    Runner,
    Segment,
    Session,
    SetLive,
    StopQuestion,
    StopWork,
    Undo,
    Work,
    Working,
)

SHAPE = (8, 30, 30)


@pytest.fixture
def session():
    return Session(SHAPE)


def section(plane, side=4):
    mask = square(5, 5, side, plane) if side else Mask.crop(np.zeros((3, 3)))
    return Section(0, plane, mask, 0.75 if side else 0.0, 0.5)


def begun(session):
    """An object is carried from plane 3, and found in 4 and 5 so far."""
    session.handle(AddPoint(5.5, 6.5, plane=3))
    answer(session, square(5, 5, plane=3))
    session.handle(ExtendObject())
    session.handle(Extended(session.awaiting, (section(4), section(5)), False))


def planes(session):
    return np.flatnonzero(session.state.proposal.mask.dense(SHAPE).any((1, 2))).tolist()


def questions(outcome):
    return [one for one in outcome.requests if isinstance(one, Predict | Extend)]


# The session.


def test_what_is_asked_is_stopped_first_then_the_background(session):
    begun(session)
    ticket = session.awaiting
    assert session.handle(Cancel()).requests == (StopQuestion(ticket),)
    assert session.notice.text == "Stopped. The object ends where it was stopped; Shift-S goes on."
    assert session.handle(Cancel()).requests == (StopWork(),)
    assert session.notice.text == "Stopped."
    assert session.state.extension == Extension(stopped=True)
    assert planes(session) == [3, 4, 5]


def test_a_click_that_is_stopped_is_asked_again_by_s(session):
    session.handle(AddPoint(5.5, 6.5, plane=3))
    ticket = session.awaiting
    assert session.handle(Cancel()).requests == (StopQuestion(ticket),)
    assert session.notice.text == "Stopped. S asks the model again."
    assert isinstance(*questions(session.handle(Segment())), Predict)


@pytest.mark.parametrize(
    "way", [Segment(), ExtendObject(), AddPoint(9, 9, plane=5)], ids=lambda one: type(one).__name__
)
def test_it_goes_on_when_somebody_says_so(session, way):
    begun(session)
    session.handle(Cancel())
    (request,) = questions(session.handle(way))
    if isinstance(request, Predict):
        (request,) = questions(answer(session, square(5, 5, plane=5)))
    assert isinstance(request, Extend)
    session.handle(Extended(session.awaiting, (section(6),), True))
    assert session.state.extension.done
    assert not session.state.extension.stopped
    assert 6 in planes(session)


def test_nothing_else_lets_it_go_on(session):
    begun(session)
    session.handle(Cancel())
    for action in (SetLive(False), SetLive(True), Undo(), Redo()):
        assert questions(session.handle(action)) == []
    session.handle(Paint(((5, 5), (9, 9)), 2.0, 4))
    assert session.awaiting is None
    session.handle(Commit())
    assert questions(session.handle(Describe(1, "cell"))) == []
    assert session.labels.box(1).stop[0] == 6


def test_a_correction_that_is_stopped_leaves_the_rest_as_it_was(session):
    begun(session)
    session.handle(Extended(session.awaiting, (section(6),), True))
    session.handle(AddPoint(9, 9, plane=5))
    answer(session, square(5, 5, 6, plane=5))
    session.handle(Cancel())
    assert session.notice.text == "Stopped. Planes that were not computed again are as they were; S goes on."
    assert session.state.extension == Extension(planes=(5,), stopped=True)
    (request,) = questions(session.handle(Segment()))
    assert request.planes == (5,)


def test_what_is_taken_up_says_so_and_ends_by_itself_only_where_it_was_carried(session):
    begun(session)
    session.handle(Extended(session.awaiting, (section(6),), True))
    session.handle(AddPoint(9, 9, plane=4))
    (request,) = questions(answer(session, square(5, 5, 3, plane=4)))
    assert not request.taken
    session.handle(Extended(session.awaiting, (section(6, 0), section(5, 0)), True))
    assert planes(session) == [3, 4]
    assert [one.plane for one in session.state.sections] == [3, 4]
    session.handle(Undo())
    assert planes(session) == [3, 4, 5, 6], "the correction and what followed from it are one step"
    session.handle(Redo())
    assert planes(session) == [3, 4]


def test_progress_that_comes_too_late_is_not_shown(session):
    begun(session)
    ticket = session.awaiting
    session.handle(Working(Work("Segmenting"), ticket))
    assert session.work is not None
    session.handle(Cancel())
    session.handle(Working(Work("Segmenting"), ticket))
    assert session.work is None


# On disk.


@pytest.mark.parametrize("early", [False, True], ids=["while it is carried", "before the click is answered"])
def test_a_reopened_project_keeps_what_was_stopped_and_says_so(reopen, early):
    session = reopen()
    if early:
        session.handle(AddPoint(5.5, 6.5, plane=3))
        session.handle(ExtendObject())
    else:
        begun(session)
    session.handle(Cancel())
    again = reopen()
    assert again.state == session.state
    assert again.state.extension.stopped
    assert again.awaiting is None
    assert again.pending() == (Embed(0),)
    again.handle(Embedded(0, 1.0, "nano"))
    assert "An object that was stopped is not committed yet" in again.notice.text
    assert ("S asks the model again." if early else "Shift-S goes on.") in again.notice.text
    if not early:
        again.handle(Commit())
        third = reopen()
        assert np.array_equal(third.labels.volume, again.labels.volume)
        assert third.labels.box(1).stop[0] == 6


def test_what_was_begun_again_is_awaited_in_a_reopened_project(reopen):
    session = reopen()
    begun(session)
    session.handle(Cancel())
    session.handle(Segment())
    again = reopen()
    assert again.state == session.state
    assert again.awaiting == session.awaiting is not None
    again.handle(RemovePrompt(0))
    assert reopen().state == again.state


# The worker.


class Background:
    """Prepares planes as the test lets it go on, and carries an object until it is left."""

    def __init__(self):
        self.steps, self.carrying = threading.Semaphore(0), threading.Event()
        self.prepared, self.left = [], 0

    def __call__(self, request):
        if isinstance(request, Embed):
            for plane in range(4):
                assert self.steps.acquire(timeout=20)
                self.prepared.append(plane)
                yield Working(Work("Encoding the planes", plane + 1, 4))
        elif isinstance(request, Predict):
            yield Predicted(request.ticket, found(square(5, 5, plane=request.plane)))
        elif isinstance(request, Extend):
            try:
                while True:
                    self.carrying.set()
                    yield Working(Work("Segmenting"), request.ticket)
            finally:
                self.left += 1


def test_planes_are_prepared_on_after_a_projection_is_stopped_and_a_second_stop_ends_that(session):
    service, shown = Background(), threading.Event()
    session.changed.connect(lambda _: session.work == Work("Encoding the planes", 2, 4) and shown.set())
    runner = Runner(session, service)
    try:
        session.handle(AddPoint(5, 5, plane=3))
        session.handle(ExtendObject())
        assert service.carrying.wait(20)
        service.steps.release()
        session.handle(Cancel())
        assert session.awaiting is None
        service.steps.release()
        assert shown.wait(20), "the status line says again what runs"
        session.handle(Cancel())
        service.steps.release(10)
        runner.wait(20)
    finally:
        runner.close()
    assert service.left == 1
    assert service.prepared in ([0, 1], [0, 1, 2]), "after the step in hand"
    assert session.work is None
