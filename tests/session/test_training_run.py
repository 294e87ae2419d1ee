"""The folder of a training: what is told is read, half-written or not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from microsam_nb.core import FileError, MicrosamError
from microsam_nb.session.training_run import Stage, TrainingRun, Wish, next_folder, write_training


@pytest.fixture
def run(tmp_path):
    write_training(tmp_path, {"model": "nano"})
    return TrainingRun(tmp_path)


def test_its_stage_follows_what_was_told(run):
    assert run.stage is Stage.PREPARED
    run.tell("begun", step=0)
    assert run.stage is Stage.INTERRUPTED
    with run.held():
        assert run.stage is Stage.RUNNING
        run.tell("paused", step=3)
        assert run.stage is Stage.PAUSED
        run.tell("resumed", step=3)
        assert run.stage is Stage.RUNNING
    assert run.stage is Stage.INTERRUPTED
    run.tell("failed", message="It rained.", remedy="Wait.")
    assert run.stage is Stage.FAILED
    run.tell("begun", step=3)
    run.tell("finished", step=9, file="model.pt")
    assert run.stage is Stage.FINISHED


def test_every_reader_hears_all_events_once(run):
    run.tell("begun", step=0)
    other = TrainingRun(run.folder)
    assert [e["kind"] for e in run.new_events()] == ["begun"]
    run.tell("progress", step=1)
    assert [e["kind"] for e in run.new_events()] == ["progress"]
    assert run.new_events() == []
    assert [e["kind"] for e in other.new_events()] == ["begun", "progress"]
    assert len(run.events) == 2


def test_half_a_line_is_waited_for_and_a_torn_one_is_left_out(run):
    path = run.folder / "events.jsonl"
    path.write_bytes(b'{"kind": "begun"}\n{"kind": "pro')
    assert [e["kind"] for e in run.new_events()] == ["begun"]
    with path.open("ab") as file:
        file.write(b'gress", "step": 1}\n{"kind": "ep')
    assert run.new_events() == [{"kind": "progress", "step": 1}]
    # The process was killed here; the next one begins a line of its own.
    run.tell("begun", step=1)
    assert [e["kind"] for e in run.new_events()] == ["begun"]
    with path.open("ab") as file:
        file.write(b'[1, 2]\n{"step": 3}\n"word"\n')
    assert run.new_events() == []


def test_what_is_wanted_is_kept_for_the_process(run):
    assert run.wish is Wish.RUN
    run.wish = Wish.PAUSE
    assert TrainingRun(run.folder).wish is Wish.PAUSE
    assert run.wish is Wish.PAUSE
    # While it is replaced, what was wanted before still is.
    (run.folder / "wish.json").write_text("{")
    assert run.wish is Wish.PAUSE
    (run.folder / "wish.json").unlink()
    assert run.wish is Wish.RUN


def test_one_process_at_a_time(run, monkeypatch):
    monkeypatch.setattr("microsam_nb.session.training_run._PATIENCE", 0.0)
    assert not run.alive
    with run.held():
        other = TrainingRun(run.folder)
        assert other.alive
        with pytest.raises(FileError, match=r"running already \(process \d+ on .*name another folder"), other.held():
            pass
    assert not run.alive
    with run.held():
        pass


def test_pictures_come_back(run):
    images = [np.full((4, 5, 3), 7, np.uint8), np.zeros((3, 3, 3), np.uint8)]
    truths = [np.eye(4, 5, dtype=np.int32), np.zeros((3, 3), np.int32)]
    run.keep_crops(images, truths)
    name = run.keep_preview(50, [2 * one for one in truths])
    found = run.crops()
    for before, after in zip((images, truths), found, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(np.array_equal(2 * a, b) for a, b in zip(truths, run.preview(name), strict=True))
    (run.folder / name).write_bytes(b"PK")
    with pytest.raises(MicrosamError, match="Wait for the next one"):
        run.preview(name)


def test_the_end_of_the_log_is_shown_as_a_terminal_would(run):
    assert run.log_tail() == ""
    run.log.write_bytes(b"one\n 10%\r 20%\r done\nlast \xff line\n")
    assert run.log_tail() == "one\n done\nlast \ufffd line"
    assert run.log_tail(2) == "last \ufffd line"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (None, "Name the folder of one, or start a new one."),
        ("{", "Start the training anew in another folder."),
        (json.dumps({"version": 99}), "Use that version, or start a new training."),
    ],
)
def test_what_is_no_training_is_refused(tmp_path, text, remedy):
    if text is not None:
        (tmp_path / "training.json").write_text(text)
    with pytest.raises(FileError) as error:
        TrainingRun(tmp_path)
    assert error.value.remedy == remedy


def test_a_folder_that_is_taken_is_numbered(tmp_path):
    assert next_folder(tmp_path / "mine") == tmp_path / "mine"
    for name in ("mine", "mine-2", "cells-2024"):
        (tmp_path / name).mkdir()
    write_training(tmp_path / "mine", {})
    assert next_folder(tmp_path / "mine") == tmp_path / "mine-3"
    assert next_folder(tmp_path / "mine-2") == tmp_path / "mine-3"
    assert next_folder(tmp_path / "cells-2024") == tmp_path / "cells-2024-2"
