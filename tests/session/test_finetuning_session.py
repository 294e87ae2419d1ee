"""What the events of a training add up to, and what a session makes of a run on disk."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from microsam_nb.session.course import Course
from microsam_nb.session.finetuning import FinetuningSession, Phase, Question
from microsam_nb.session.training_run import TrainingRun, Wish, write_training
from microsam_nb.view.training import AS_SET, LEARNS, gain, headline, learns, loss_of_stopping, progress, totals

SCORES = {"first_iou": 0.5, "last_iou": 0.6, "accuracy": 0.2, "total": 0.43}
BETTER = {"first_iou": 0.7, "last_iou": 0.8, "accuracy": None, "total": 0.75}
BEGUN = {
    "kind": "begun",
    "model": "nano",
    "device": "cpu",
    "step": 0,
    "settings": {"steps": 100, "steps_per_epoch": 20},
}
DATA = {
    "training": [{"name": "a", "objects": 3, "shape": [8, 9]}, {"name": "b", "objects": 4, "shape": [8, 9]}],
    "validation": [{"name": "c", "objects": 1, "shape": [8, 9]}], "notes": ["c is small."],
}  # fmt: skip


def epoch(step: int, **more: Any) -> dict[str, Any]:
    return {"kind": "epoch", "step": step, "loss": 1.5, "score": BETTER, "best": True, "notes": [], **more}


def course(*events: dict[str, Any]) -> Course:
    now = Course()
    for event in events:
        now = now.after(event)
    return now


@pytest.fixture
def run(tmp_path: Path) -> TrainingRun:
    folder = tmp_path / "finetuned"
    folder.mkdir()
    write_training(folder, {"model": "nano", "settings": {"steps": 100, "steps_per_epoch": 20}, "data": DATA})
    return TrainingRun(folder)


@pytest.fixture
def session(run: TrainingRun) -> FinetuningSession:
    made = FinetuningSession()
    made.attach(run)
    return made


def test_scores_before_and_after_and_the_time_left():
    now = course(
        BEGUN, {"kind": "before", "score": SCORES}, {"kind": "progress", "step": 10, "steps": 100, "time": 50.0},
        {"kind": "progress", "step": 20, "steps": 100, "time": 70.0}, epoch(20, time=80.0),
    )  # fmt: skip
    assert now.before is not None
    assert (now.before.accuracy, now.before.total) == (0.2, 0.43)
    assert now.best is now.epochs[0]
    assert math.isnan(now.epochs[0].scores.accuracy)
    assert now.left == pytest.approx(80 * 30 / 10)


def test_a_training_that_goes_on_from_a_checkpoint_forgets_what_came_after_it():
    now = course(BEGUN, epoch(20), epoch(40, best=False), {**BEGUN, "step": 20}, epoch(40, loss=1.0))
    assert [(one.step, one.loss, one.best) for one in now.epochs] == [(20, 1.5, True), (40, 1.0, True)]


def test_a_pause_is_no_part_of_the_pace():
    slow = ({"kind": "progress", "step": step, "steps": 100, "time": at} for step, at in ((10, 0.0), (20, 10.0)))
    now = course(BEGUN, *slow, {"kind": "paused", "step": 20}, {"kind": "resumed", "step": 20})
    assert now.left is None
    now = now.after({"kind": "progress", "step": 21, "steps": 100, "time": 900.0})
    now = now.after({"kind": "progress", "step": 23, "steps": 100, "time": 902.0})
    assert now.left == pytest.approx(77)


def test_an_event_of_a_later_version_changes_nothing():
    assert course(BEGUN).after({"kind": "sang", "step": "la"}) == course(BEGUN)


def test_an_epoch_is_measured_when_its_steps_are_done():
    at = [course(BEGUN, {"kind": "progress", "step": step, "steps": 100}).measuring for step in (19, 20, 21, 100)]
    assert at == [False, True, False, True]
    assert not course(BEGUN, epoch(20)).measuring


def test_the_phases_of_a_run(run: TrainingRun, session: FinetuningSession):
    assert session.state.phase is Phase.INTERRUPTED
    assert headline(session.state).endswith("Resume starts it.")
    with run.held():
        run.tell(**BEGUN)
        seen = []
        for wish in (Wish.RUN, Wish.PAUSE, Wish.STOP):
            run.wish = wish
            session.look()
            seen.append(session.state.phase)
        assert seen == [Phase.RUNNING, Phase.PAUSING, Phase.STOPPING]
        run.wish = Wish.PAUSE
        run.tell("paused", step=7)
        session.look()
        assert session.state.phase is Phase.PAUSED
        session.ask(Question.STOP)
        session.resume()
        assert run.wish is Wish.RUN
        run.tell("finished", step=9, file="model.safetensors", why="Stopped by the user.")
    session.look()
    assert session.state.phase is Phase.FINISHED
    assert session.state.question is Question.NONE
    assert headline(session.state) == "Finished at step 9 of 100. Stopped by the user."


def test_a_training_that_is_gone_without_a_word_is_interrupted(run: TrainingRun, session: FinetuningSession):
    run.tell(**BEGUN)
    run.tell("progress", step=33, steps=100, loss=1.0)
    session.look()
    assert session.state.phase is Phase.INTERRUPTED
    assert "Interrupted at step 33 of 100" in headline(session.state)


def test_starting_lasts_until_the_process_tells_something(run: TrainingRun):
    session = FinetuningSession()
    session.attach(run, starting=True)
    assert session.state.phase is Phase.STARTING
    assert progress(session.state) is not None
    run.tell("failed", message="The process ended.", remedy="Read the log.")
    session.look()
    assert (session.state.phase, headline(session.state)) == (Phase.FAILED, "The process ended. Read the log.")


def test_another_watcher_sees_the_same(run: TrainingRun, session: FinetuningSession):
    for event in (BEGUN, {"kind": "before", "score": SCORES}, epoch(20)):
        run.tell(**event)
    session.look()
    late = FinetuningSession()
    late.attach(TrainingRun(run.folder))
    assert repr(late.state) == repr(session.state)
    assert late.state.course.epochs


def test_what_is_chosen_is_told_once_and_only_when_it_changes(session: FinetuningSession):
    heard: list[None] = []
    session.begin_anew()
    session.ready(DATA, {"steps": 100})
    session.changed.connect(heard.append)
    session.choose("steps", 50)
    session.choose("steps", 50)
    assert (session.state.settings, len(heard)) == ({"steps": 50}, 1)


def test_sentences():
    assert totals(DATA) == ["Training: 2 images, 7 objects", "Validation: 1 image, 1 object"]
    now = course(BEGUN, {"kind": "before", "score": SCORES}, epoch(20))
    assert gain(now) == (
        "On the validation images, at step 20: first click (IoU) 0.50 → 0.70, with corrections (IoU) 0.60 → 0.80."
    )
    assert loss_of_stopping(now).startswith("The best weights so far, of step 20, are kept; the 80 steps that are left")
    assert "stay about as they were" in loss_of_stopping(course(BEGUN))


@pytest.mark.parametrize("words", LEARNS)
def test_every_choice_of_what_learns_is_recognised_again(words: str):
    assert learns(LEARNS[words]) == words
    assert learns(LEARNS[words] | {"last_blocks": 7}) == AS_SET
