"""The worker thread, with a fake engine."""

from __future__ import annotations

import logging
import threading

import pytest

from microsam_nb.core import Point, PromptError
from microsam_nb.session import AddBox, AddPoint, Commit, Embed, Failed, Predict, Runner, Session, Undo

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
    assert service.requests[0] == Embed(0)


def test_a_box_becomes_a_proposal(session, service, start):
    runner = start(service)
    session.handle(AddBox(5, 6, 15, 20))
    runner.wait(20)
    assert session.state.proposal.origin == "box"
    assert session.state.proposal.mask.box.start == (0, 5, 6)


def test_of_waiting_predictions_only_the_newest_is_computed(session, service, start):
    service.gate.clear()
    runner = start(service)  # busy with the first plane
    for x in range(10, 16):
        session.handle(AddPoint(10, x))
    service.gate.set()
    runner.wait(20)
    assert [len(r.prompts) for r in service.predictions] == [6]
    assert session.state.answered
    assert session.awaiting is None


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
        raise ZeroDivisionError("by nothing")

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
    threading.Timer(0.1, service.gate.set).start()
    runner.close()
    assert not runner._thread.is_alive()
    assert service.predictions == []
    session.handle(AddPoint(11, 12))
    runner.wait(1)  # nothing is left to do
    runner.close()


def test_a_stale_failure_says_nothing(session):
    session.handle(AddPoint(10, 12))
    session.handle(AddPoint(11, 12))
    before = session.notice
    session.handle(Failed("It broke.", 1))
    assert session.notice == before
