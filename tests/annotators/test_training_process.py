"""A training in a process of its own: started, paused, killed, gone on with, stopped; and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.io import imsave

from microsam_nb.__main__ import main
from microsam_nb.annotators import training_work
from microsam_nb.annotators.training_process import prepare_run, read_data, start
from microsam_nb.annotators.training_work import Left, work
from microsam_nb.commands import train
from microsam_nb.core import FileError, LabelledImage, MicrosamError, ModelError, SettingsError
from microsam_nb.engine import load_model
from microsam_nb.engine.training import FinetuningSettings, export
from microsam_nb.engine.training.checkpoint import load_checkpoint
from microsam_nb.engine.training.data import TrainingData
from microsam_nb.session.training_run import Stage, TrainingRun, Wish

TINY = FinetuningSettings(steps=4, steps_per_epoch=2, batch=1, objects=2, corrections=1, crop=64, warmup=1, clicks=1)
#: A parent that starts a training and is killed, as a kernel is.
PARENT = """
import os, sys
from microsam_nb.annotators.training_process import start
from microsam_nb.session.training_run import TrainingRun, Wish
run = TrainingRun(sys.argv[1])
start(run)
run.wish = Wish.PAUSE
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def data(drawn):
    other = LabelledImage(drawn.pixels[::-1].copy(), drawn.labels[::-1].copy(), "drawn | discs", "turned")
    known = np.ones(drawn.labels.shape, bool)
    known[:10] = False
    return TrainingData((drawn, replace(other, known=known)), (other,), ("Only drawn.",))


def until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
    return found


def kinds(run):
    return [event["kind"] for event in run.events if event["kind"] != "progress"]


def weights_of(path):
    model = load_model(path, trainable=True)
    return {**model.sam.state_dict(), **{f"d.{k}": v for k, v in model.distances.state_dict().items()}}


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_training_outlives_its_parent_and_goes_on_where_it_was_killed(data, tmp_path):
    run = prepare_run(tmp_path / "run", data, settings=TINY, device="cpu", preflight=False)
    parent = subprocess.run([sys.executable, "-c", PARENT, str(run.folder)], check=False)
    assert parent.returncode == -signal.SIGKILL
    until(lambda: run.stage is Stage.PAUSED)
    assert run.events[-1]["step"] == 1
    with pytest.raises(FileError, match="running already"):
        start(run)
    os.kill(json.loads((run.folder / "process.json").read_text())["pid"], signal.SIGKILL)
    until(lambda: run.stage is Stage.INTERRUPTED)
    start(run)
    until(lambda: run.stage is Stage.FINISHED)
    assert kinds(run)[:4] == ["begun", "before", "preview", "paused"]
    assert kinds(run)[4:] == ["begun", "epoch", "preview", "epoch", "preview", "finished"]
    assert [e["step"] for e in run.events if e["kind"] == "begun"] == [0, 1]

    whole = prepare_run(tmp_path / "whole", data, settings=TINY, device="cpu", preflight=False)
    work(whole)
    assert same(weights_of(run.result), weights_of(whole.result))
    assert not same(weights_of(run.result), weights_of("nano"))
    assert load_model(run.result).spec.hash != load_model("nano").spec.hash
    images, truths = run.crops()
    assert [one.shape for one in images] == [(96, 96, 3)]
    assert np.array_equal(truths[0], data.validation[0].labels)
    assert run.preview("previews/000004.npz")[0].shape == (96, 96)


def test_a_process_that_cannot_begin_is_told_of(data, tmp_path):
    run = prepare_run(tmp_path / "run", data, settings=TINY, device="cpu")
    (run.folder / "training.json").write_text("{}")
    start(run)
    until(lambda: run.stage is Stage.FAILED)
    assert "exit code 2" in run.events[-1]["message"]
    assert "log.txt" in run.events[-1]["remedy"]
    assert "another version" in run.log_tail()


def test_stopping_keeps_the_best_weights(data, tmp_path):
    run = prepare_run(tmp_path / "run", data, settings=replace(TINY, steps=1000), device="cpu", preflight=False)

    def stop(event):
        if event["kind"] == "epoch":
            run.wish = Wish.STOP

    work(run, stop)
    assert run.stage is Stage.FINISHED
    assert run.events[-1]["why"].startswith("Stopped by the user")
    assert run.events[-1]["step"] == 3
    best = load_checkpoint(run.folder / "best.pt")
    assert same(weights_of(run.result), weights_of(export(load_model(run.folder / "best.pt", trainable=True),
                                                         tmp_path / "best.safetensors")))  # fmt: skip
    assert best["step"] == 2
    # Started once more it has nothing left to do.
    before = len(run.events)
    work(run)
    assert len(run.events) == before


def test_who_ends_the_process_kindly_loses_no_step(data, tmp_path):
    run = prepare_run(tmp_path / "run", data, settings=TINY, device="cpu", preflight=False)

    def insist(event):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Left):
        work(run, insist)
    assert kinds(run) == ["begun"]
    assert run.stage is Stage.INTERRUPTED

    def leave(event):
        if event["kind"] == "progress":
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Left):
        work(run, leave)
    assert run.stage is Stage.INTERRUPTED
    assert load_checkpoint(run.folder / "checkpoint.pt")["step"] == 1
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_crash_within_a_long_epoch_costs_little(data, tmp_path, monkeypatch):
    run = prepare_run(tmp_path / "run", data, settings=replace(TINY, steps_per_epoch=4), device="cpu", preflight=False)

    def crash(self, step, save):
        if step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training_work, "_SAFE", 0.0)
    monkeypatch.setattr(training_work._Work, "_wanted", lambda *args: crash(*args) or 0)
    with pytest.raises(KeyboardInterrupt):
        work(run)
    assert load_checkpoint(run.folder / "checkpoint.pt")["step"] in (1, 2)


def test_preflight_chooses_settings_once(data, tmp_path, monkeypatch):
    asked = []
    real = training_work.preflight

    def little(*args, **kwargs):
        asked.append(1)
        for found in real(*args, **kwargs):
            yield replace(found, settings=replace(found.settings, batch=1, accumulate=2), notes=("Less at a time.",))

    monkeypatch.setattr(training_work, "preflight", little)
    run = prepare_run(tmp_path / "run", data, settings=replace(TINY, batch=2, steps=2), device="cpu")

    def leave(event):
        if event["kind"] == "progress":
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Left):
        work(run, leave)
    work(run)
    assert asked == [1]
    begun = [e["settings"]["batch"] for e in run.events if e["kind"] == "begun"]
    assert begun == [2, 1]
    assert "Less at a time." in next(e for e in run.events if e["kind"] == "preflight")["notes"]


def test_a_model_without_decoder_gets_one_and_says_so(data, tmp_path, monkeypatch):
    run = prepare_run(tmp_path / "run", data, settings=replace(TINY, steps=2), device="cpu", preflight=False)
    bare = replace(load_model("nano", "cpu", trainable=True), distances=None)
    real = load_model
    monkeypatch.setattr(
        training_work, "load_model", lambda name, *a, **k: bare if name == "nano" else real(name, *a, **k)
    )
    work(run)
    assert "has no instance decoder" in next(e for e in run.events if e["kind"] == "epoch")["notes"][0]
    assert load_model(run.result).distances is not None


def test_memory_that_runs_out_is_told_with_the_remedy(data, tmp_path, monkeypatch):
    run = prepare_run(tmp_path / "run", data, settings=TINY, device="cpu", preflight=False)

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training_work, "finetune", full)
    with pytest.raises(MicrosamError, match="memory does not suffice"):
        work(run)
    assert run.stage is Stage.FAILED
    assert "smaller batch" in run.events[-1]["remedy"]


def test_a_full_disk_stops_no_training(data, tmp_path, monkeypatch):
    run = prepare_run(tmp_path / "run", data, settings=TINY, device="cpu", preflight=False)
    real, heard = TrainingRun.tell, []

    def full(self, kind, **fields):
        if kind in ("before", "epoch", "preview"):
            raise OSError(28, "No space left on device")
        return real(self, kind, **fields)

    monkeypatch.setattr(TrainingRun, "tell", full)
    work(run, heard.append)
    assert run.stage is Stage.FINISHED
    assert sum(e["kind"] == "epoch" for e in heard) == 2


def test_the_same_again_goes_on_and_something_else_is_refused(data, tmp_path):
    folder = tmp_path / "a new" / "run"
    run = prepare_run(folder, data, settings=TINY)
    assert run.training["data"]["training"][0] == {
        "name": "discs", "group": "drawn | discs", "shape": [96, 96], "objects": 4,
    }  # fmt: skip
    found = read_data(run)
    assert found.notes == data.notes
    assert np.array_equal(found.training[1].known, data.training[1].known)
    assert found.training[0].known is None
    assert prepare_run(folder, data, settings=TINY).training == run.training
    with pytest.raises(SettingsError, match="other settings"):
        prepare_run(folder, data, settings=replace(TINY, rate=1e-5))
    with pytest.raises(SettingsError, match="other images or objects"):
        prepare_run(folder, replace(data, training=data.training[:1]), settings=TINY)
    with pytest.raises(ModelError):
        prepare_run(tmp_path / "none", data, model=tmp_path / "none.pt")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(FileError, match="holds something else"):
        prepare_run(tmp_path / "full", data)
    (tmp_path / "plain").touch()
    with pytest.raises(FileError, match="Name a folder"):
        prepare_run(tmp_path / "plain" / "run", data)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a new", "full", "plain"]


@pytest.fixture
def files(drawn, tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        imsave(tmp_path / "images" / f"cell{number}.png", np.rot90(drawn.pixels, number), check_contrast=False)
        imsave(tmp_path / "labels" / f"cell{number}.png", np.rot90(drawn.labels, number).astype(np.uint16),
               check_contrast=False)  # fmt: skip
    return ["train", "--images", str(tmp_path / "images"), "--labels", str(tmp_path / "labels")]


SET = [f"--set={name}={getattr(TINY, name)}" for name in
       ("steps", "steps_per_epoch", "batch", "objects", "corrections", "crop", "warmup", "clicks")]  # fmt: skip


def test_the_command_trains_goes_on_and_writes_weights(files, tmp_path, capsys, monkeypatch):
    run = ["--folder", str(tmp_path / "run"), "-d", "cpu", "--no-preflight"]
    real = training_work._Work._wanted

    def interrupted(self, step, save):
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, step, save)

    monkeypatch.setattr(training_work._Work, "_wanted", interrupted)
    assert main([*files, *run, *SET]) == 130
    assert "Run the same command to go on" in capsys.readouterr().err
    monkeypatch.undo()
    assert main([*files, *run, *SET, "-o", str(tmp_path / "mine.pt")]) == 0
    out = capsys.readouterr().out
    assert "nano on cpu, from step 2" in out
    assert "mSA" in out
    assert "The weights are in model.safetensors." in out
    assert load_model(tmp_path / "mine.pt").distances is not None


def test_a_bar_follows_the_steps_and_lines_stand_above_it(capsys):
    shown = []
    train._show({"kind": "progress", "step": 3, "steps": 9, "loss": 0.5}, shown.append)
    train._show({"kind": "paused", "step": 3}, shown.append)
    assert [(one.done, one.total, one.unit) for one in shown] == [(3, 9, "steps")]
    assert capsys.readouterr().out == "paused at step 3\n"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--set", "lora=3"], "There is no setting 'lora'"),
        (["--set", "crop=many"], "Write it as crop=256"),
        (["--preset", "gpu8"], "The crops of preset gpu8 do not suit nano."),
        (["--preset", "big"], "There is no preset 'big'"),
        (["--projects", "here"], "There are images and projects"),
        (["-m", "none"], "none"),
        (["--share", "2"], "A share of 2"),
    ],
)
def test_a_wrong_command_says_what_is_right(files, tmp_path, capsys, more, said):
    assert main([*files, "--folder", str(tmp_path / "run"), *more]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_training_that_is_there_goes_on_as_it_was_begun(tmp_path, capsys):
    assert main(["train", "--folder", str(tmp_path), "--set", "steps=9", "-m", "vit_b"]) == 2
    assert "without --model, --set" in capsys.readouterr().err


def test_a_copy_of_the_data_that_is_damaged_is_told(data, tmp_path):
    run = prepare_run(tmp_path / "run", data, settings=TINY)
    path = run.folder / "data" / "training_0000.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(FileError, match="in another folder"):
        read_data(run)


def test_a_folder_without_training_is_refused(tmp_path, capsys):
    assert main(["train", "--folder", str(tmp_path)]) == 2
    assert "holds no training" in capsys.readouterr().err


def test_two_processes_learn_together(files, tmp_path):
    """torchrun: both take part in every step, and only the first writes and prints."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--standalone"]
    done = subprocess.run(
        [*command, "-m", "microsam_nb", *files, "--folder", str(run), "-d", "cpu", *SET],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert kinds(TrainingRun(run)) == ["begun", "before", "preview", "epoch", "preview", "epoch", "preview", "finished"]
    assert done.stdout.count("step      4") == 1
    alone = tmp_path / "alone"
    assert main([*files, "--folder", str(alone), "-d", "cpu", "--no-preflight", "-q", *SET]) == 0
    assert not same(weights_of(TrainingRun(run).result), weights_of(TrainingRun(alone).result))
