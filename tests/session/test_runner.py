"""The worker threads, with a fake engine."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from microsam_nb.core import Point, PromptError
from microsam_nb.session import (
    AddBox,
    AddPoint,
    Cancel,
    Commit,
    Embed,
    Embedded,
    Failed,
    FindAll,
    LoadModel,
    ModelLoaded,
    Paint,
    Predict,
    Runner,
    Segment,
    SegmentAll,
    Session,
    Undo,
    UseModel,
    Work,
    Working,
)

SHAPE = (1, 40, 40)


@pytest.fixture
def service(disks):
    return disks(SHAPE)


@pytest.fixture
def session():
    return Session(SHAPE)


@pytest.fixture
def start(session):
    runners = []

    def make(service):
        runners.append(Runner(session, service))
        return runners[-1]

    yield make
    for one in runners:
        one.close()


@pytest.fixture
def quiet():
    """Tracebacks in the log are expected here."""
    logger = logging.getLogger("microsam_nb")
    logger.disabled = True
    yield
    logger.disabled = False


def test_a_click_becomes_a_proposal_and_an_object(session, service, start):
    runner = start(service)
    session.handle(AddPoint(10, 12))
    runner.wait(20)
    assert session.state.proposal.mask == service.mask((Point(0, 10, 12),))
    session.handle(Commit())
    assert session.labels.volume[0, 10, 12] == 1
    assert Embed(0) in service.requests


def test_a_box_becomes_a_proposal(session, service, start):
    runner = start(service)
    session.handle(AddBox(5, 6, 15, 20))
    runner.wait(20)
    assert session.state.proposal.origin == "box"
    assert session.state.proposal.mask.box.start == (0, 5, 6)


def until(true):
    """Wait for what another thread is about to do."""
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_of_waiting_predictions_only_the_newest_is_computed(session, service, start):
    runner = start(service)
    runner.wait(20)
    service.gate.clear()
    session.handle(AddPoint(10, 10))
    until(lambda: service.predictions)  # busy with the first one
    for x in range(11, 16):
        session.handle(AddPoint(10, x))
    service.gate.set()
    runner.wait(20)
    assert [len(r.prompts) for r in service.predictions] == [1, 6]
    assert session.state.answered
    assert session.awaiting is None


def test_300_fast_clicks_are_answered_once_or_little_more(session, start, disks):
    """Every click counts, whatever the model skips, and the last one decides."""
    service = disks((1, 40, 40), radius=2)

    def slow(request):
        time.sleep(0.02)
        return service(request)

    runner = start(slow)
    begun = time.monotonic()
    for i in range(300):
        session.handle(AddPoint(5 + i % 30, 5.0, positive=True))
    took = time.monotonic() - begun
    runner.wait(60)
    assert len(session.state.prompts) == 300
    assert session.state.answered
    assert session.state.proposal.mask == service.mask(session.state.prompts)
    assert len(service.predictions[-1].prompts) == 300
    assert len(service.predictions) <= 3 + took / 0.02
    for _ in range(300):
        session.handle(Undo())
    runner.wait(60)
    assert session.state.prompts == ()
    assert session.state.proposals == ()
    assert not session.can_undo


def test_a_click_does_not_wait_for_what_takes_long(session, service, start):
    """A plane is being prepared; the answer comes all the same."""
    go = threading.Event()

    def answer(request):
        if isinstance(request, Embed):
            go.wait(20)
        return service(request)

    runner = start(answer)
    session.handle(AddPoint(10, 12))
    until(lambda: session.state.answered)
    assert not runner.idle
    go.set()
    runner.wait(20)


class Steps:
    """A service whose long work comes in steps that the test lets go one by one."""

    def __init__(self):
        self.steps, self.taken, self.requests = threading.Semaphore(0), [], []

    def __call__(self, request):
        self.requests.append(request)
        if not isinstance(request, Embed | LoadModel | SegmentAll):
            return
        for i in range(5):
            assert self.steps.acquire(timeout=20)
            self.taken.append((request, i))
            yield Working(Work("Preparing", i + 1, 5))
        if isinstance(request, SegmentAll):
            return
        yield ModelLoaded(request.name, "cpu") if isinstance(request, LoadModel) else Embedded(0, 1.0, "nano")

    def go(self, count=100):
        self.steps.release(count)


def test_work_that_was_cancelled_does_not_come_back_on_screen(session, start):
    service = Steps()
    runner = start(service)
    service.go(1)
    until(lambda: session.work is not None)
    session.handle(Cancel())
    assert session.work is None
    service.go()
    runner.wait(20)
    assert session.work is None
    assert len(service.taken) <= 2
    assert "Stopped" in session.notice.text


def test_a_model_takes_the_place_of_the_plane_that_is_prepared(session, start):
    service = Steps()
    runner = start(service)
    until(lambda: service.requests)
    session.handle(UseModel("other"))
    service.go()
    runner.wait(20)
    kinds = [type(one) for one in service.requests]
    # The first plane is left, the model loaded, and the plane prepared for it.
    assert kinds == [Embed, LoadModel, Embed]
    assert (session.model, session.device) == ("other", "cpu")
    assert len([one for one, _ in service.taken if one is service.requests[0]]) == 1


def test_undo_leaves_a_search_and_nothing_else(session, start):
    service = Steps()
    runner = start(service)
    until(lambda: service.requests)
    session.handle(Paint(((5, 5),), 4))
    session.handle(UseModel("other"))
    session.handle(FindAll())
    session.handle(Undo())
    service.go()
    runner.wait(20)
    kinds = {type(one) for one in service.requests}
    assert kinds == {Embed, LoadModel}


def test_another_model_leaves_a_search_that_waits(session, start):
    service = Steps()
    runner = start(service)
    until(lambda: service.requests)
    session.handle(FindAll())
    session.handle(UseModel("other"))
    service.go()
    runner.wait(20)
    assert {type(one) for one in service.requests} == {Embed, LoadModel}


def test_undo_leaves_a_search_that_runs(session, start):
    service = Steps()
    runner = start(service)
    service.go(5)
    runner.wait(20)
    session.handle(Paint(((5, 5),), 4))
    session.handle(FindAll())
    until(lambda: any(isinstance(one, SegmentAll) for one in service.requests))
    session.handle(Undo())
    service.go()
    runner.wait(20)
    assert len([one for one, _ in service.taken if isinstance(one, SegmentAll)]) == 1
    assert session.work is None


def test_newer_work_of_the_same_kind_takes_the_place_of_older(session, start):
    service = Steps()
    runner = start(service)
    until(lambda: service.requests)
    for name in ("a", "b", "c"):
        session.handle(UseModel(name))
    service.go()
    runner.wait(20)
    assert [one.name for one in service.requests if isinstance(one, LoadModel)] == ["c"]


def test_cancelling_lets_the_prompts_be_asked_again(session, service, start):
    runner = start(service)
    runner.wait(20)
    service.gate.clear()
    session.handle(AddPoint(10, 12))
    until(lambda: service.predictions)
    session.handle(Cancel())
    assert session.awaiting is None
    service.gate.set()
    runner.wait(20)
    assert session.state.proposals == ()
    assert "S asks the model again" in session.notice.text
    session.handle(Segment())
    runner.wait(20)
    assert session.state.answered


def test_an_answer_that_comes_after_an_undo_changes_nothing(session, service, start):
    runner = start(service)
    runner.wait(20)
    service.gate.clear()
    session.handle(AddPoint(10, 12))
    session.handle(Undo())
    service.gate.set()
    runner.wait(20)
    assert session.state.proposal is None
    assert session.state.prompts == ()


def test_undo_to_an_unanswered_click_is_answered(session, service, start):
    service.gate.clear()
    runner = start(service)
    session.handle(AddPoint(10, 12))
    session.handle(AddPoint(11, 12))
    session.handle(Undo())
    service.gate.set()
    runner.wait(20)
    assert session.state.answered
    assert session.state.proposal.mask == service.mask((Point(0, 10, 12),))


def test_an_error_with_a_remedy_reaches_the_status_line(session, start):
    def service(request):
        raise PromptError("The model is tired.", "Let it sleep.")

    runner = start(service)
    session.handle(AddPoint(10, 12))
    runner.wait(20)
    assert session.notice.error
    assert "Let it sleep." in session.notice.text
    assert session.awaiting is None
    assert not session.state.answered


def test_any_other_error_is_a_sentence_and_a_traceback(session, start, quiet):
    def service(request):
        # Other requests, as embedding the plane, fail as well, in the other lane: which notice is last is chance.
        if isinstance(request, Predict):
            raise ZeroDivisionError("by nothing")
        return iter(())

    runner = start(service)
    session.handle(AddPoint(10, 12))
    runner.wait(20)
    assert session.notice.error
    assert "ZeroDivisionError: by nothing" in session.notice.text
    assert "Undo the last prompt and try again" in session.notice.text


def test_after_an_error_the_next_prompt_is_answered(session, service, start, quiet):
    def shaky(request):
        if isinstance(request, Predict) and len(request.prompts) == 1:
            raise RuntimeError("no")
        return service(request)

    runner = start(shaky)
    session.handle(AddPoint(10, 12))
    runner.wait(20)
    session.handle(AddPoint(11, 12))
    runner.wait(20)
    assert session.state.answered
    assert session.state.proposal is not None


def test_an_answer_that_cannot_be_applied_is_a_sentence(session, start, quiet):
    runner = start(lambda request: "no action")
    session.handle(AddPoint(10, 12))
    runner.wait(20)
    assert session.notice.error
    assert "Undo the last step" in session.notice.text


def test_wait_gives_up(session, service, start):
    service.gate.clear()
    runner = start(service)
    with pytest.raises(TimeoutError, match="wait longer"):
        runner.wait(0.05)
    service.gate.set()
    runner.wait(20)


def test_a_reopened_session_gets_its_answer(session, service, start):
    session.handle(AddPoint(10, 12))
    runner = start(service)
    runner.wait(20)
    assert session.state.proposal is not None


def test_close_ends_the_thread_and_drops_what_waits(session, service, start):
    service.gate.clear()
    runner = start(service)
    session.handle(AddPoint(10, 12))
    until(lambda: len(service.requests) == 2)  # both threads are busy
    session.handle(AddPoint(10, 13))
    threading.Timer(0.1, service.gate.set).start()
    runner.close()
    assert not any(thread.is_alive() for thread in runner._threads)
    assert [len(one.prompts) for one in service.predictions] == [1]
    session.handle(AddPoint(11, 12))
    runner.wait(1)  # nothing is left to do
    runner.close()


def test_a_stale_failure_says_nothing(session):
    session.handle(AddPoint(10, 12))
    session.handle(AddPoint(11, 12))
    before = session.notice
    session.handle(Failed("It broke.", 1))
    assert session.notice == before
