"""Faults that readers found: each one as the script that showed it."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest

from microsam_nb.core import BoxPrompt, Candidate, Image, Mask, MaskPrompt, Point, PromptError, SettingsError
from microsam_nb.session import (
    AddPoint,
    AddPrompt,
    Channel,
    Commit,
    Embedded,
    Fill,
    Improve,
    Paint,
    Predicted,
    Project,
    Session,
    SetBatched,
    SetChannels,
    SetLive,
    Undo,
    group,
)
from microsam_nb.session import history as history_module
from microsam_nb.session.interrupts import uninterrupted


@pytest.fixture
def image():
    return Image(np.arange(128 * 128, dtype=np.uint16).reshape(128, 128), name="small")


def opened(tmp_path, image):
    return Session(image.shape, Project.open(tmp_path / "p.msam", image, "nano"))


def square(y, x, side=20):
    return Candidate(Mask((0, y, x), np.ones((1, side, side), bool)), 0.9, "points")


def test_what_undo_reaches_does_not_depend_on_who_made_the_masks(tmp_path, image, monkeypatch):
    """Live, answers of a batch share their masks; read again, each line makes its own."""
    monkeypatch.setattr(history_module.History.__init__, "__defaults__", (6000,))
    session = opened(tmp_path, image)
    session.handle(SetBatched(True))
    shared = [square(3 * i, 3 * i) for i in range(20)]
    for i in range(20):
        session.handle(AddPoint(3 * i + 1.0, 3 * i + 1.0))
        session.handle(Predicted(session.awaiting, tuple(shared[: i + 1])))
    session.handle(Commit())
    while session.can_undo:
        session.handle(Undo())
    state = replace(session.state, proposals=())
    assert session.state.prompts, "the oldest steps are forgotten, or this shows nothing"
    session.close()
    again = opened(tmp_path, image)
    assert again.recovered == ""
    assert replace(again.state, proposals=()) == state
    assert [c.mask for c in again.state.proposals] == [c.mask for c in session.state.proposals]
    assert again.can_undo == session.can_undo
    again.close()


@pytest.fixture
def interruptible():
    """Ctrl-C reaches Python, also where a shell or another process has begun the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_waits_until_a_step_is_whole():
    done = []

    def step():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("step")

    with pytest.raises(KeyboardInterrupt):
        step()
    assert done == ["step"]
    other = threading.Thread(target=lambda: [done.append(1) for _ in [uninterrupted().__enter__()]])
    other.start()
    other.join()
    assert done == ["step", 1]


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_commit_is_in_the_journal(tmp_path, image, monkeypatch):
    session = opened(tmp_path, image)
    session.handle(AddPoint(5.0, 5.0))
    session.handle(Predicted(session.awaiting, (square(0, 0),)))
    real = session._save_soon
    monkeypatch.setattr(session, "_save_soon", lambda: (os.kill(os.getpid(), signal.SIGINT), real()))
    with pytest.raises(KeyboardInterrupt):
        session.handle(Commit())
    monkeypatch.undo()
    assert session.labels.count() == 1
    session.close()
    again = opened(tmp_path, image)
    assert again.labels.count() == 1
    again.close()


def test_what_is_done_to_an_object_that_is_taken_up_stays_with_it():
    session = Session((1, 128, 128))
    session.handle(AddPoint(5.0, 5.0))
    session.handle(Predicted(session.awaiting, (square(0, 0),)))
    session.handle(Commit())
    session.handle(SetBatched(True))
    session.handle(Improve(1))
    (request,) = session.handle(AddPoint(100.0, 100.0)).requests
    assert len(request.objects) == 1
    assert len(request.objects[0]) == 2


def test_two_painted_proposals_stay_two():
    one, two = MaskPrompt(square(0, 0).mask), MaskPrompt(square(60, 60).mask)
    click = Point(0, 62.0, 90.0)
    assert group((one, two, click), batched=False) == ((one,), (two, click))
    assert group((one, click), batched=False) == ((one, click),)
    box = BoxPrompt(0, 0.0, 0.0, 10.0, 10.0)
    assert group((box, one), batched=False) == ((box, one),)


def test_a_stroke_does_not_take_the_place_of_clicks_without_answer():
    session = Session((1, 128, 128))
    session.handle(SetLive(False))
    session.handle(AddPoint(5.0, 5.0))
    before = session.state
    for action in (Paint(((50.0, 50.0), (60.0, 60.0)), 5.0), Fill(5.0, 5.0)):
        with pytest.raises(PromptError, match="ask for it with S"):
            session.handle(action)
    assert session.state is before


@pytest.mark.parametrize(
    "channel",
    [Channel(colour="red"), Channel(low=5.0, high=1.0), Channel(low=float("nan")), Channel(high=float("inf"))],
)
def test_a_channel_that_cannot_be_shown_is_refused(channel):
    session = Session((1, 8, 8))
    with pytest.raises(SettingsError, match=r"Choose|Write"):
        session.handle(SetChannels((channel,)))
    assert session.state.browsing.channels == ()


def test_only_objects_of_an_earlier_time_are_back(tmp_path, image):
    session = opened(tmp_path, image)
    session.handle(AddPrompt(Point(0, 5.0, 5.0)))
    session.handle(Predicted(session.awaiting, (square(0, 0),)))
    session.handle(Commit())
    session.handle(Embedded(0, 0.1, "nano"))
    assert "back" not in session.notice.text
    session.close()
    again = opened(tmp_path, image)
    again.handle(Embedded(0, 0.1, "nano"))
    assert "1 object from before is back" in again.notice.text
    again.handle(Embedded(0, 0.1, "other"))
    assert "back" not in again.notice.text
    again.close()


def test_a_lost_checksum_is_damage_not_another_version(tmp_path, image):
    session = opened(tmp_path, image)
    for place in (5.0, 40.0):
        session.handle(AddPoint(place, place))
        session.handle(Predicted(session.awaiting, (square(int(place), int(place)),)))
        session.handle(Commit())
    session.close()
    path = tmp_path / "p.msam" / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'{"crc"', b'{"csc"', 1)
    path.write_bytes(b"".join(lines))
    again = opened(tmp_path, image)
    assert "the first is 2" in again.recovered
    assert "newer version" not in again.recovered
    assert again.labels.count() == 2
    again.close()
