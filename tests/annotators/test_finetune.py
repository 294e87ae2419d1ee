"""A training on screen, with somebody else in the place of its process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microsam_nb.annotators import finetune as door
from microsam_nb.annotators.finetune import export_weights, finetune, newest
from microsam_nb.annotators.finetuner import Finetuner, Prepared, Works
from microsam_nb.core import FileError, ModelError, SettingsError
from microsam_nb.session.finetuning import Phase
from microsam_nb.session.training_run import TrainingRun, Wish, write_training
from microsam_nb.widgets.training_setup import PresetChoice

DATA = {"training": [{"name": "a<b", "objects": 3, "shape": [8, 9]}], "validation": [], "notes": ["b is small."]}
PLAIN = {"steps": 100, "rate": 3e-4, "batch": 4, "objects": 4, "lora_rank": 0}


def options() -> list[Any]:
    from microsam_nb.engine.training.settings import FinetuningSettings

    return FinetuningSettings.describe()


def make_run(folder: Path) -> TrainingRun:
    folder.mkdir(parents=True)
    write_training(folder, {"model": "nano", "settings": PLAIN, "data": DATA})
    return TrainingRun(folder)


class Somebody:
    """Does what a finetuner has others do, and remembers it."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.error: Exception | None = None

    def works(self) -> Works:
        return Works(
            self.prepare, self.begin, self.start, self.use, export_weights, ((".safetensors", ".safetensors"),)
        )

    def prepare(self, told: Callable[[str], object]) -> Prepared:
        told("a.tif")
        if self.error is not None:
            raise self.error
        presets = [PresetChoice("Processor", PLAIN), PresetChoice("GPU", PLAIN | {"batch": 8})]
        return Prepared(None, DATA, options(), presets, PLAIN)  # type: ignore[arg-type]

    def begin(self, folder: Path, prepared: Prepared, settings: dict[str, Any]) -> TrainingRun:
        self.done.append(("begin", folder.name, settings["steps"]))
        return make_run(folder)

    def start(self, run: TrainingRun) -> None:
        self.done.append(("start", run.folder.name))

    def use(self, path: Path) -> int:
        self.done.append(("use", path.name))
        return 2


@pytest.fixture
def somebody() -> Somebody:
    return Somebody()


@pytest.fixture
def show(somebody: Somebody, tmp_path: Path) -> Iterator[Callable[..., Finetuner]]:
    shown: list[Finetuner] = []

    def do(run: TrainingRun | None = None) -> Finetuner:
        shown.append(Finetuner(run.folder if run else tmp_path / "finetuned", run, somebody.works()))
        shown[-1].wait(90)
        return shown[-1]

    yield do
    for one in shown:
        one.close()


def until(tuner: Finetuner, check: Callable[[], object]) -> None:
    end = time.monotonic() + 90
    while not check():
        assert time.monotonic() < end
        tuner.session.look()
        tuner._loop.wait()


def seen(widget: Any) -> bool:
    return widget.layout.display != "none"


def tell_all(run: TrainingRun) -> None:
    """What a process tells until the end of its first epoch, with pictures of one crop."""
    scores = {"first_iou": 0.5, "last_iou": 0.6, "accuracy": 0.2, "total": 0.43}
    run.tell("begun", model="nano", device="cpu", settings=PLAIN, step=0)
    run.tell("preflight", text="One epoch takes 5 s.", settings=PLAIN)
    run.keep_crops([np.zeros((20, 30, 3), np.uint8)], [np.pad(np.ones((8, 8), np.int32), ((6, 6), (6, 16)))])
    run.tell("before", score=scores)
    for step, score in ((0, 0.1), (50, 0.7)):
        labels = np.zeros((20, 30), np.int32)
        labels[5 : 9 + step // 10, 5:14] = 1
        if step:
            run.tell("epoch", step=step, loss=1.5, score={**scores, "accuracy": 0.4}, best=True, notes=["A note."])
        run.tell("preview", step=step, file=run.keep_preview(step, [labels]), scores=[score])


def test_a_training_is_set_up_and_started_with_what_the_form_says(show: Any, somebody: Somebody):
    tuner = show()
    assert tuner.session.state.phase is Phase.SETUP
    assert "a&lt;b" in tuner._data.text.value
    assert "b is small." in tuner._data.text.value
    setup = tuner._setup
    assert setup is not None
    assert (setup.preset.value, setup.learns.value) == ("Processor", "Everything")
    assert not seen(setup.others.box)
    setup.fold.click()
    setup.common.fields["steps"].value = 70
    tuner.wait(90)
    assert seen(setup.others.box)
    assert setup.preset.value == "Own settings"
    setup.preset.value = "GPU"
    setup.learns.value = "Decoders only"
    tuner.wait(90)
    assert setup.common.fields["batch"].value == 8
    assert setup.others.fields["freeze_image_encoder"].value
    setup.common.fields["steps"].value = 60
    tuner._bar.start.click()
    until(tuner, lambda: somebody.done)
    assert somebody.done == [("begin", "finetuned", 60)]
    until(tuner, lambda: tuner.session.state.phase is Phase.STARTING)
    assert not tuner._left.children


def test_a_running_training_is_watched_paused_and_stopped(show: Any, somebody: Somebody, tmp_path: Path):
    run = make_run(tmp_path / "ft")
    with run.held():
        tell_all(run)
        tuner = Finetuner(run.folder, TrainingRun(run.folder), somebody.works())
        bar = tuner._bar
        until(tuner, lambda: tuner._crops.pairs.children and tuner._curves)
        assert (seen(bar.pause), seen(bar.stop), seen(bar.resume), seen(bar.start)) == (True, True, False, False)
        for words in ("One epoch takes 5 s.", "A note."):
            assert words in bar.line.value
        ((left, right),) = (pair.children for pair in tuner._crops.pairs.children)
        assert [card.children[0].value for card in (left, right)] == [
            "Before: mSA <b>0.10</b>", "After step 50: mSA <b>0.70</b>",
        ]  # fmt: skip
        assert left.children[1].value != right.children[1].value
        msa = tuner._curves.plots[2]
        assert (msa.curves[0].x.tolist(), msa.curves[0].y.tolist()) == ([0.0, 50.0], [0.2, 0.4])
        assert msa.before[0].y.tolist() == [0.2, 0.2]
        assert (msa.best.x.tolist(), msa.best.y.tolist()) == ([50.0], [0.4])
        assert list(tuner.scores["msa"]) == [0.2, 0.4]
        bar.pause.click()
        until(tuner, lambda: run.wish is Wish.PAUSE)
        bar.resume.click()
        until(tuner, lambda: run.wish is Wish.RUN)
        bar.stop.click()
        until(tuner, lambda: seen(bar.question))
        assert "of step 50, are kept" in bar.asked.value
        assert run.wish is Wish.RUN
        bar.no.click()
        until(tuner, lambda: not seen(bar.question))
        bar.stop.click()
        bar.sure.click()
        until(tuner, lambda: run.wish is Wish.STOP)
        tuner.close()
        assert run.wish is Wish.STOP


def test_a_training_that_was_killed_is_resumed_by_a_new_process(show: Any, somebody: Somebody, tmp_path: Path):
    run = make_run(tmp_path / "ft")
    run.tell("begun", model="nano", device="cpu", settings=PLAIN, step=0)
    tuner = show(run)
    assert tuner.session.state.phase is Phase.INTERRUPTED
    tuner.resume()
    until(tuner, lambda: somebody.done == [("start", "ft")])
    until(tuner, lambda: tuner.session.state.phase is Phase.STARTING)
    tell_all(run)
    run.tell("finished", step=50, file="model.safetensors", why="")
    until(tuner, lambda: tuner.session.state.phase is Phase.FINISHED)
    assert not tuner.session.state.busy
    assert not tuner._bar.anew.disabled
    tuner.wait(20)


def test_a_training_that_failed_can_be_tried_again(show: Any, somebody: Somebody, tmp_path: Path):
    run = make_run(tmp_path / "ft")
    run.tell("begun", model="nano", device="cpu", settings=PLAIN, step=0)
    run.tell("failed", message="It was full.", remedy="Make room.")
    tuner = show(run)
    assert seen(tuner._bar.resume)
    tuner._bar.resume.click()
    until(tuner, lambda: somebody.done == [("start", "ft")])


def test_weights_are_used_and_exported_and_another_training_can_begin(show: Any, somebody: Somebody, tmp_path: Path):
    run = make_run(tmp_path / "finetuned")
    (run.folder / "model.safetensors").write_bytes(b"weights")
    tell_all(run)
    run.tell("finished", step=50, file="model.safetensors", why="")
    tuner = show(run)
    assert tuner.path == run.folder / "model.safetensors"
    tuner._result.use.click()
    until(tuner, lambda: "2 open annotators change over to it." in tuner._bar.line.value)
    tuner._result.path.value = str(tmp_path / "mine")
    tuner._result.export.click()
    until(tuner, lambda: "mine.safetensors" in tuner._bar.line.value)
    assert (tmp_path / "mine.safetensors").read_bytes() == b"weights"
    tuner._bar.anew.click()
    until(tuner, lambda: tuner.session.state.phase is Phase.SETUP)
    assert tuner.folder == tmp_path / "finetuned-2"
    assert not seen(tuner._crops.box)
    assert tuner.path is None
    tuner.start()
    until(tuner, lambda: ("begin", "finetuned-2", 100) in somebody.done)


def test_data_that_cannot_be_used_are_said_with_the_remedy(show: Any, somebody: Somebody):
    somebody.error = FileError("There are no images.", "Give another folder.")
    tuner = show()
    assert "There are no images. Give another folder." in tuner._bar.line.value
    assert not seen(tuner._bar.start)


def test_the_door_says_what_is_missing(tmp_path: Path):
    with pytest.raises(FileError, match="Give the images to learn from"):
        finetune(folder=tmp_path / "nothing")
    with pytest.raises(SettingsError, match="Give a dict"):
        finetune("images", "labels", settings=5, folder=tmp_path / "nothing")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="nano"):
        finetune("images", "labels", model="nanu", folder=tmp_path / "nothing")


def test_the_same_call_shows_the_newest_training_in_place_of_the_earlier_widget(tmp_path: Path):
    make_run(tmp_path / "finetuned")
    make_run(tmp_path / "finetuned-2")
    (tmp_path / "finetuned-3").mkdir()
    assert newest(tmp_path / "finetuned") == tmp_path / "finetuned-2"
    first = finetune(folder=tmp_path / "finetuned")
    second = finetune(folder=tmp_path / "finetuned")
    assert first.widget.comm is None
    assert second.folder.name == "finetuned-2"
    assert door._open[second.folder] is second
    second.close()


def test_weights_that_cannot_be_written_are_refused(tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(FileError, match="folder that you may write to"):
        export_weights(tmp_path / "model.safetensors", tmp_path / "no" / "such.safetensors")
