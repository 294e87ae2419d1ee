"""A series without a browser, with a fake engine: what is kept, opened, passed over and told."""

import csv
import gc
import importlib
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tifffile
from drawing import disk
from ipywidgets.widgets.widget import _instances

from microsam_nb import annotate_series
from microsam_nb.annotators.late import LateService
from microsam_nb.core import Candidate, FileError, Mask, MicrosamError, SettingsError
from microsam_nb.session import (
    AddPoint,
    Automatic,
    Clear,
    Commit,
    Embedded,
    ModelLoaded,
    Predict,
    Predicted,
    SegmentAll,
    Suggested,
    Undo,
)
from microsam_nb.session.records import Status
from microsam_nb.session.series import Finish, Jump, Turn
from microsam_nb.view import Command

#: The module, whose name in its package is that of the function.
door = importlib.import_module("microsam_nb.annotators.annotate_series")


class FakeService(LateService):
    """Answers at once with disks; counts what was prepared ahead."""

    prepared: ClassVar[list[str]] = []

    def __init__(self, image, *more):
        super().__init__(image, *more)
        self.image = image
        self.told = False

    def __call__(self, request):
        if isinstance(request, Predict):
            found = [Candidate(self.disk(own[-1].y, own[-1].x), 0.9, "points") for own in request.objects]
            yield Predicted(request.ticket, tuple(found))
        elif isinstance(request, SegmentAll):
            found = (Candidate(self.disk(10, 10), 0.8, "ais"), Candidate(self.disk(25, 25), 0.8, "ais"))
            yield Suggested(request.ticket, found, Automatic(request.mode, (), "fake"))
        elif not self.told:
            self.told = True
            yield ModelLoaded("fake", "cpu")
        else:
            yield Embedded(request.plane, 0.0, "fake")

    def disk(self, y, x):
        return Mask.crop(disk(self.image.shape[1:], y, x, 4.0), (0, 0, 0))

    def ahead(self, plane):
        FakeService.prepared.append(self.image.name)
        yield None

    def follows(self, request):
        return False


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setattr(door, "LateService", FakeService)
    FakeService.prepared = []


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four images of several sizes and kinds."""
    monkeypatch.chdir(tmp_path)
    where = tmp_path / "images"
    where.mkdir()
    random = np.random.default_rng(0)
    for name, shape, dtype in (
        ("a.tif", (40, 50), np.uint8), ("b ü.tif", (64, 40, 3), np.uint8), ("c.tif", (3, 40, 44), np.uint16),
        ("d.tif", (48, 48), np.float32),
    ):  # fmt: skip
        pixels = random.integers(0, 200, shape).astype(dtype)
        photometric = "rgb" if shape[-1] == 3 else "minisblack"
        tifffile.imwrite(where / name, pixels, photometric=photometric)
    return where


@pytest.fixture
def open_series(folder):
    made = []

    def make(images=folder, output="out", **more):
        made.append(annotate_series(images, output, **more))
        made[-1].wait()
        return made[-1]

    yield make
    for one in made:
        one.close()


def draw(one, y=20, x=20):
    """Click an object and commit it."""
    one.session.handle(AddPoint(y, x, plane=one.session.state.browsing.plane))
    one.annotator.wait()
    one.session.handle(Commit())


def do(one, action):
    one.handle(action)
    one.wait()


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def name(one):
    return one.series.current.name


def statuses(one):
    return [str(entry.status) for entry in one.series.entries]


def test_all_images_are_annotated_and_every_one_has_its_results(open_series, tmp_path):
    one = open_series()
    seen = []
    for _ in range(4):
        seen.append(name(one))
        draw(one)
        do(one, Finish())
    assert seen == ["a.tif", "b ü.tif", "c.tif", "d.tif"]
    assert "All images are finished" in one.series.notice.text
    table = one.summary()
    assert list(table["status"]) == ["done"] * 4
    assert list(table["objects"]) == [1] * 4
    assert list(table["results"]) == seen
    assert tifffile.imread(tmp_path / "out" / "c.tif").shape == (3, 40, 44)
    assert tifffile.imread(tmp_path / "out" / "b ü.tif").shape == (64, 40)
    one.close()
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["file"] for row in rows] == seen
    assert not list((tmp_path / "out").rglob("*.part"))


def test_results_are_written_on_every_change(open_series, tmp_path):
    one = open_series()
    draw(one)
    until((tmp_path / "out" / "a.tif").exists)
    draw(one, 10, 40)
    one.wait()
    assert np.array_equal(tifffile.imread(tmp_path / "out" / "a.tif"), one.labels)


def test_undo_goes_on_when_one_comes_back(open_series):
    one = open_series()
    draw(one)
    draw(one, 10, 40)
    do(one, Turn(1))
    assert name(one) == "b ü.tif"
    assert not one.labels.any()
    do(one, Turn(-1))
    assert one.labels.max() == 2
    one.session.handle(Undo())
    one.session.handle(Undo())
    one.session.handle(Undo())
    one.session.handle(Undo())
    assert not one.labels.any()
    assert statuses(one) == ["started", "untouched", "untouched", "untouched"]


def test_the_same_call_goes_on_where_it_was_left_and_sees_new_images(open_series, folder):
    one = open_series()
    draw(one)
    do(one, Finish())
    do(one, Finish(Status.SKIPPED))
    draw(one)
    one.close()
    tifffile.imwrite(folder / "a2.tif", np.zeros((30, 30), np.uint8))
    (folder / "d.tif").unlink()
    again = open_series()
    # a2 is new and comes before c.
    assert name(again) == "a2.tif"
    assert statuses(again) == ["done", "untouched", "skipped", "started", "missing"]
    do(again, Finish(Status.SKIPPED))
    assert name(again) == "c.tif"
    assert again.labels.max() == 1
    do(again, Finish())
    assert "Left: d.tif (missing)" in again.series.notice.text
    do(again, Jump(4))
    assert "put the file back" in again.series.notice.text
    assert name(again) == "c.tif"


def test_opening_it_again_takes_the_place_of_the_one_that_is_open(open_series):
    one = open_series()
    draw(one)
    again = open_series()
    assert again.labels.max() == 1
    assert one._closed


def test_what_cannot_be_read_is_passed_over_and_listed(open_series, folder):
    (folder / "a.tif").write_text("no image")
    (folder / "notes.md").write_text("")
    tifffile.imwrite(folder / "c2.tif", np.zeros((2, 3, 20, 20), np.uint8), metadata={"axes": "TZYX"}, imagej=True)
    one = open_series()
    assert name(one) == "b ü.tif"
    assert one.series.notice.text == "No images, left out: notes.md."
    do(one, Finish())
    do(one, Finish())
    assert name(one) == "d.tif"
    assert statuses(one) == ["unreadable", "done", "done", "unreadable", "untouched"]
    assert "c2.tif" in one.series.notice.text
    assert one.filmstrip.progress == [2, 0, 5, 2]
    problems = dict(zip(one.summary()["file"], one.summary()["problem"], strict=True))
    assert "Save it again" in problems["a.tif"]
    do(one, Finish())
    finished = "All images that can be read are finished: 3 done, 0 skipped. 2 cannot be read: a.tif, c2.tif."
    assert one.series.notice.text == finished
    one.close()
    again = open_series()
    # Nothing is left to do, and that is said at once.
    assert again.series.notice.text == f"No images, left out: notes.md. {finished}"


def test_nothing_that_can_be_opened(open_series, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.tif").write_text("")
    with pytest.raises(FileError, match="Check the files"):
        open_series(tmp_path / "bad")


def test_planes_only_or_volumes_only(open_series):
    one = open_series(ndim=2)
    assert statuses(one)[2] == "untouched"
    do(one, Jump(2))
    assert "Leave ndim=2 out" in one.series.notice.text
    one.close()
    one = open_series(output="other", ndim=3)
    assert name(one) == "c.tif"
    with pytest.raises(SettingsError, match="ndim=2 or ndim=3"):
        open_series(ndim=4)


def test_the_folder_of_the_images_is_no_output(open_series, folder):
    with pytest.raises(FileError, match="Name another folder"):
        open_series(output=folder)
    one = open_series(output=None)
    assert one.output == folder.parent / "images_annotated"


def test_an_output_of_other_images_is_refused(open_series, tmp_path, folder):
    open_series().close()
    (tmp_path / "others").mkdir()
    tifffile.imwrite(tmp_path / "others" / "a.tif", np.ones((20, 20), np.uint8))
    with pytest.raises(FileError, match="another output"):
        open_series(tmp_path / "others")


def test_labels_to_begin_with(open_series, tmp_path):
    (tmp_path / "labels").mkdir()
    given = np.zeros((40, 50), np.uint16)
    given[5:9, 5:9] = 7
    tifffile.imwrite(tmp_path / "labels" / "a_masks.tif", given)
    one = open_series(labels="labels", automatic=True)
    assert "1 of 4 images has labels" in one.series.notice.text
    assert np.array_equal(one.labels, given)
    assert one.series.current.status is Status.UNTOUCHED
    assert not one.session.state.candidates
    do(one, Finish())
    assert np.array_equal(tifffile.imread(tmp_path / "out" / "a.tif"), given)
    one.close()
    again = open_series(labels="labels")
    do(again, Jump(0))
    assert "labels= was used when the project was made" in again.annotator._status.warning.value
    assert "msam-alert" not in again.annotator._status.warning.value
    again.close()
    tifffile.imwrite(tmp_path / "labels" / "a_masks.tif", given * 2)
    other = open_series(labels="labels")
    do(other, Jump(0))
    assert "were not loaded: a.msam holds work already" in other.annotator._status.warning.value
    assert np.array_equal(other.labels, given)


def test_all_objects_are_found_once_in_images_that_nobody_has_touched(open_series):
    one = open_series(automatic="ais")
    assert len(one.session.state.candidates) == 2
    assert one.series.current.status is Status.UNTOUCHED
    one.session.handle(Undo())
    do(one, Turn(1))
    do(one, Turn(-1))
    # Who took them back does not get them again.
    assert not one.session.state.candidates
    with pytest.raises(SettingsError, match="'amg'"):
        open_series(automatic="magic")


def test_what_is_not_committed_is_asked_about_once(open_series):
    one = open_series(automatic=True)

    def press(what):
        message = {"kind": "do", "command": what, "at": one.series.at}
        one.filmstrip._handle_custom_msg(message, [])
        one.wait()

    press("done-image")
    assert "2 candidates are not kept" in one.series.notice.text
    assert name(one) == "a.tif"
    press("done-image")
    assert name(one) == "b ü.tif"
    one.session.handle(AddPoint(20, 20))
    one.wait()
    press("skip-image")
    assert "not committed" in one.series.notice.text
    press("next-image")
    assert name(one) == "c.tif"


def test_a_key_that_was_meant_for_another_image_does_nothing(open_series):
    one = open_series()
    first = one.annotator
    for _ in range(3):
        first._interaction._handle_custom_msg(
            {"kind": "key", "key": "y", "ctrl": False, "shift": False, "screen": "", "number": 1}, []
        )
    one.wait()
    assert statuses(one) == ["done", "untouched", "untouched", "untouched"]
    one.filmstrip._handle_custom_msg({"kind": "do", "command": "done-image", "at": 0}, [])
    one.wait()
    assert name(one) == "b ü.tif"


def test_the_next_image_is_prepared_while_one_is_open(open_series):
    one = open_series()
    one._ahead.wait()
    assert FakeService.prepared == ["b ü"]
    do(one, Turn(1))
    assert one.annotator.image.name == "b ü"
    one._ahead.wait()
    # It was read once: the service that has looked at it answers.
    assert FakeService.prepared == ["b ü", "c"]


def test_small_pictures_come_when_they_are_asked_for_and_are_kept(open_series, tmp_path, monkeypatch):
    one = open_series()
    sent = []
    monkeypatch.setattr(one.filmstrip, "send", lambda message, buffers=(): sent.append((message, buffers)))
    one.filmstrip._handle_custom_msg({"kind": "want", "places": [2, 0, 77]}, [])
    until(lambda: len(sent) == 2)
    assert [message["places"] for message, _ in sent] == [[2], [0]]
    assert all(bytes(buffers[0]).startswith(b"\xff\xd8") for _, buffers in sent)
    assert (tmp_path / "out" / "thumbnails" / "c.tif.jpg").exists()


def test_a_full_disk_keeps_the_image_open_and_its_work(open_series, tmp_path, monkeypatch):
    one = open_series()
    draw(one)
    one.wait()

    def full(*_, **__):
        raise FileError("a.tif cannot be written (No space left on device).", "Choose another folder.")

    with monkeypatch.context() as patch:
        patch.setattr(type(one.annotator), "write", full)
        draw(one, 10, 40)
        one.handle(Finish())
        one._loop.wait()
        assert name(one) == "a.tif"
        assert "kept in memory" in one.series.notice.text
        assert one.series.notice.error
        assert one.series.current.status is Status.STARTED
        assert one.labels.max() == 2
    do(one, Finish())
    assert name(one) == "b ü.tif"
    assert tifffile.imread(tmp_path / "out" / "a.tif").max() == 2


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_that_cannot_be_written(open_series, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(FileError, match="that you may write to"):
        open_series()


def test_an_output_that_is_a_file(open_series, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(FileError, match="that you may write to"):
        open_series()


def test_results_missing_after_a_kill_are_written_when_the_image_is_opened(open_series, tmp_path):
    one = open_series()
    draw(one)
    one.close()
    (tmp_path / "out" / "a.tif").unlink()
    again = open_series()
    assert again.labels.max() == 1
    assert tifffile.imread(tmp_path / "out" / "a.tif").max() == 1


HOLD = """
import sys
from pathlib import Path
from typing import ClassVar
from microsam_nb.annotators.inputs import read_input
from microsam_nb.session import Project
project = Project.open(Path(sys.argv[2]), read_input(sys.argv[1]), "nano")
print("open", flush=True)
sys.stdin.read()
"""


def test_two_people_on_one_folder(open_series, folder, tmp_path):
    place = tmp_path / "out" / "a.msam"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder / "a.tif"), str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"open\n"
        one = open_series()
        assert name(one) == "b ü.tif"
        assert statuses(one)[0] == "locked"
        do(one, Jump(0))
        assert f"process {other.pid}" in one.series.notice.text
        assert name(one) == "b ü.tif"
    finally:
        other.communicate(b"")
    do(one, Jump(0))
    assert name(one) == "a.tif"


def test_a_file_deleted_while_it_is_open_keeps_its_work(open_series, folder, tmp_path):
    one = open_series()
    (folder / "a.tif").unlink()
    draw(one)
    do(one, Finish())
    assert tifffile.imread(tmp_path / "out" / "a.tif").max() == 1
    do(one, Turn(-1))
    assert "first image" in one.series.notice.text
    assert statuses(one)[0] == "missing"
    assert json.loads((tmp_path / "out" / "a.msam" / "image.json").read_text())["kept"] == "done"


def test_switching_leaves_nothing_behind(open_series):
    one = open_series()
    do(one, Turn(1))
    gone = weakref.ref(one.annotator)
    do(one, Jump(0))
    do(one, Jump(1))
    do(one, Jump(0))
    one._ahead.wait()
    threads, widgets = threading.active_count(), len(_instances)
    for _ in range(4):
        do(one, Jump(1))
        do(one, Jump(0))
    one._ahead.wait()
    gc.collect()
    assert gone() is None
    assert threading.active_count() <= threads
    assert len(_instances) <= widgets


def test_a_page_that_shows_no_widgets_gets_a_picture(open_series):
    one = open_series()
    bundle = one._repr_mimebundle_()
    assert "image/png" in bundle
    assert bundle["text/plain"] == "Annotator of 4 images"
    assert Path(one.output, "summary.csv").exists()


@pytest.fixture
def slow(monkeypatch):
    """Lets images be opened one by one: a semaphore, and the annotators that were made."""
    gate, made, whole = threading.Semaphore(0), [], door.open_annotator

    def opened(*given, **more):
        if made:
            assert gate.acquire(timeout=30)
        made.append(whole(*given, **more))
        return made[-1]

    monkeypatch.setattr(door, "open_annotator", opened)
    return gate, made


def press(annotator, key):
    message = {"kind": "key", "key": key, "ctrl": False, "shift": False, "screen": "", "number": 1}
    annotator._interaction._handle_custom_msg(message, [])


def click(annotator, y, x):
    message = {"kind": "click", "y": y, "x": x, "button": 0, "screen": "", "number": 2}
    annotator._interaction._handle_custom_msg(message, [])


def test_what_is_done_while_an_image_is_left_goes_nowhere(open_series, slow):
    gate, _ = slow
    one = open_series()
    first, sent = one.annotator, []
    one.filmstrip.send = lambda message, buffers=(): sent.append(message)
    click(first, 20, 20)
    press(first, ">")
    click(first, 10, 10)
    first._act(Command.COMMIT)
    first.handle(Clear())
    first._loop.wait()
    until(lambda: one.filmstrip.about.startswith("Opening"))
    # At once, whatever takes long.
    assert sent == [{"kind": "leaving", "text": "Opening b ü.tif ..."}]
    assert one.filmstrip.about == "Opening b ü.tif ..."
    assert [(p.y, p.x) for p in first.session.state.prompts] == [(20, 20)]
    gate.release()
    one.wait()
    assert [one["kind"] for one in sent] == ["leaving", "opened"]
    assert name(one) == "b ü.tif"
    assert statuses(one) == ["started", "untouched", "untouched", "untouched"]


def test_an_image_that_stays_takes_clicks_again(open_series):
    one = open_series()
    do(one, Jump(3))
    press(one.annotator, ">")
    one.wait()
    assert "last image" in one.series.notice.text
    click(one.annotator, 20, 20)
    one.wait()
    assert len(one.session.state.prompts) == 1


def test_title_and_picture_change_together(open_series):
    one = open_series()
    seen = []
    one._stage.observe(lambda _: seen.append((one.filmstrip.about, one.filmstrip.at)), "children")
    do(one, Turn(1))
    assert seen == [("b ü.tif · 0 objects · 0:00", 1)]


def test_an_image_that_is_being_opened_when_the_series_is_closed_is_closed_too(open_series, slow, monkeypatch):
    gate, made = slow
    one = open_series()
    with monkeypatch.context() as patch:
        # As if it took longer than anybody waits for it.
        patch.setattr(one._loop, "close", lambda: None)
        one.handle(Turn(1))
        until(lambda: one.filmstrip.about.startswith("Opening"))
        one.close()
        gate.release()
        one._loop.wait()
    one._loop.close()
    assert [each._closed for each in made] == [True, True]
    assert one.annotator is made[0]


def test_the_time_at_an_image_that_was_only_looked_at_is_kept(open_series, tmp_path):
    now = [100.0]
    one = open_series()
    one.series._clock = lambda: now[0]
    do(one, Turn(1))
    for then in (Turn(1), Turn(-1)):
        now[0] += 20
        do(one, then)
    now[0] += 10
    one.close()
    kept = [json.loads((tmp_path / "out" / f"{stem}.msam" / "image.json").read_text()) for stem in ("b ü", "c")]
    assert [each["seconds"] for each in kept] == [30, 20]
    assert [each["kept"] for each in kept] == ["untouched"] * 2


def test_a_call_with_a_mistake_leaves_what_is_open(open_series):
    one = open_series()
    mistakes = [{what: "nowhere"} for what in ("images", "labels", "embeddings", "model")]
    for mistake in (*mistakes, {"results": ".doc"}, {"automatic": "magic"}, {"ndim": 7}, {"settings": {"brush": -1}}):
        with pytest.raises(MicrosamError):
            open_series(**mistake)
        assert not one._closed, mistake
    draw(one)
    assert one.labels.max() == 1


def test_the_model_that_was_used_last_answers_the_next_images_and_after_a_restart(folder, tmp_path):
    mine = tmp_path / "mine.safetensors"
    mine.touch()
    made = annotate_series(folder, "out")
    made._ahead.wait()
    before = made._ahead._prepared
    assert made._service.source == "nano"
    made._service._given = (made._service._given[0], str(mine), *made._service._given[2:])
    made.handle(Turn(1))
    made.wait()
    assert made._service.source == str(mine), "it was prepared with the earlier model"
    assert made._learner() == str(mine)
    assert before.service is not made._service
    made.close()
    again = annotate_series(folder, "out")
    assert again._service.source == str(mine)
    again.close()
    given = annotate_series(folder, "out", model="nano")
    assert given._service.source == "nano"
    given.close()
    assert json.loads((tmp_path / "out" / "model.json").read_text()) == {"model": "nano"}
    (tmp_path / "out" / "model.json").write_text(json.dumps({"model": str(mine)}))
    mine.unlink()
    gone = annotate_series(folder, "out")
    assert gone._service.source == "nano"
    assert "are gone: nano answers" in gone.series.notice.text
    gone.close()


def test_a_model_learns_from_what_is_annotated_so_far(folder):
    made = annotate_series(folder, "out")
    training = made._training
    made._loop.post(training.toggle)
    made.wait()
    first = training.finetuner
    until(lambda: first.session.state.notice.error)
    assert "No image in" in first.session.state.notice.text
    for _ in range(2):
        for y, x in ((10, 10), (25, 25)):
            made.session.handle(AddPoint(y, x))
            made.wait()
            made.session.handle(Commit())
        made.handle(Finish(Status.DONE))
        made.wait()
    for _ in range(2):
        made._loop.post(training.toggle)
    made.wait()
    shown = training.finetuner
    assert shown is not first
    assert first.widget.comm is None
    until(lambda: shown.session.state.data)
    data = shown.session.state.data
    assert sorted(one["objects"] for part in ("training", "validation") for one in data[part]) == [2, 2]
    assert shown.folder == made.output / "finetuned"
    assert made.finetune().widget in training.box.children[1].children
    made.close()


def test_a_model_without_a_file_is_not_trained_as_another_one(folder):
    made = annotate_series(folder, "out")
    made._service._given = (made._service._given[0], object(), *made._service._given[2:])
    made._loop.post(made._training.toggle)
    made._loop.wait()
    assert "Open the series with model=" in made.series.notice.text
    assert made._training.finetuner is None
    made.close()
