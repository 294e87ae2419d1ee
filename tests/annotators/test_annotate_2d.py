"""The door and the annotator behind it, without a browser: messages as the browser sends them."""

import html
import json
import subprocess
import sys
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from microsam_nb import annotate_2d
from microsam_nb.annotators import base
from microsam_nb.annotators.base import Annotator, Methods
from microsam_nb.annotators.opening import _MODES, _options, model_choices
from microsam_nb.annotators.settings import AnnotatorSettings
from microsam_nb.core import FileError, Image, ImageError, LabelError, ModelError, Overlap, ProjectError, SettingsError
from microsam_nb.session import (
    AddPoint,
    Commit,
    Delete,
    Describe,
    LayerName,
    LoadModel,
    Predict,
    Select,
    SetLive,
    Tool,
    Undo,
)
from microsam_nb.view import MOVIE, PROOFREADING, SERIES, VOLUME, Command


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def opened():
    made = []
    yield made.append
    for one in made:
        one.close()


@pytest.fixture
def annotator(drawn_image, disks, opened):
    """An annotator on drawn discs with the fake engine and without project."""
    one = Annotator(drawn_image, disks(drawn_image.shape, radius=5), None, methods=Methods(_MODES, _options))
    opened(one)
    one.wait()
    return one


def say(annotator, **message):
    """Deliver a message of the interaction layer."""
    annotator._interaction._handle_custom_msg(message, [])
    annotator.wait()


def click(annotator, y, x, button=0, shift=False):
    say(annotator, kind="click", y=y, x=x, button=button, shift=shift)


def test_click_commit_undo_redo(annotator):
    click(annotator, 24, 26)
    assert annotator.session.state.proposal.mask.area > 60
    say(annotator, kind="key", key="c", ctrl=False, shift=False)
    kept = annotator.labels
    assert kept.dtype == np.uint32
    assert kept.shape == (96, 96)
    assert kept[24, 26] == 1
    say(annotator, kind="key", key="z", ctrl=True, shift=False)
    assert not annotator.labels.any()
    say(annotator, kind="key", key="Z", ctrl=True, shift=True)
    assert np.array_equal(annotator.labels, kept)


def test_labels_are_a_copy(annotator):
    annotator.labels[:] = 7
    assert not annotator.labels.any()


def test_buttons_do_what_keys_do(annotator):
    buttons = annotator._toolbar.buttons
    click(annotator, 24, 26)
    assert not buttons[Command.COMMIT].disabled
    buttons[Command.COMMIT].click()
    annotator.wait()
    assert annotator.labels.any()
    buttons[Command.UNDO].click()
    annotator.wait()
    assert not annotator.labels.any()
    assert not buttons[Command.REDO].disabled
    buttons[Command.TOGGLE].click()
    annotator.wait()
    assert buttons[Command.TOGGLE].description == "Negative"
    click(annotator, 5, 5)
    assert annotator.session.state.prompts[-1].positive is False
    buttons[Command.BOX].click()
    annotator.wait()
    assert annotator.session.state.browsing.tool is Tool.BOX
    assert annotator._interaction.tool == "box"
    say(annotator, kind="drag", y0=10, x0=12, y1=40, x1=44, button=0, shift=False)
    assert annotator.session.state.proposal.origin == "box"


def press(annotator, command):
    """Use the control of a command, wherever it is: a button, or in the panel of layers."""
    if command in annotator._toolbar.buttons:
        annotator._toolbar.buttons[command].click()
        return
    if command in (Command.ACCEPT_ALL, Command.REJECT_ALL):
        annotator._panels.switches["Automatic"].click()
        annotator.wait()
        panel = annotator._panels.made["Automatic"]
        (panel.accept if command is Command.ACCEPT_ALL else panel.reject).click()
        return
    if command in PROOFREADING or command in (Command.PARTS, Command.DELETE_INSIDE):
        annotator._panels.switches["Proofread"].click()
        annotator.wait()
        _button(annotator._panels.made["Proofread"].box, f"msam-{command.value}").click()
        return
    if not annotator._panels.is_open("Layers"):
        annotator._panels.switches["Layers"].click()
        annotator.wait()
    layers = annotator._panels.made["Layers"]
    if command in layers.buttons:
        layers.buttons[command].click()
    else:
        check = layers.checks[LayerName(command.value.removeprefix("show-"))]
        check.value = not check.value


def _button(widget, name):
    """Return the button of a class within a widget."""
    if name in widget._dom_classes:
        return widget
    inner = (_button(one, name) for one in getattr(widget, "children", ()))
    return next((one for one in inner if one is not None), None)


#: What there is only where a model can be asked what it sees.
MODEL = {Command.CLASSIFY}


@pytest.mark.parametrize("command", [one for one in Command if one not in VOLUME | MOVIE | SERIES | MODEL])
def test_every_command_has_a_control_and_does_something_or_says_why(annotator, folder, command):
    if command in (Command.POINT, Command.FIT):  # as it is at the beginning
        press(annotator, Command.BOX)
        press(annotator, Command.CLOSER)
        annotator.wait()
    if command in (Command.CLEAR, Command.ESCAPE):  # with nothing to leave, silence is right
        click(annotator, 24, 26)
        annotator.session.handle(AddPoint(30, 70))
        annotator.wait()
        if command is Command.ESCAPE:
            annotator.session.handle(Commit())
            annotator.session.handle(Select((1,)))
    annotator.session.say("")
    annotator.wait()
    before = annotator.session.state, annotator.session.notice, annotator._help.shown
    press(annotator, command)
    annotator.wait()
    after = annotator.session.state, annotator.session.notice, annotator._help.shown
    assert before != after


def test_a_click_outside_is_told_with_its_remedy(annotator):
    click(annotator, -3, 20)
    assert "Click inside" in annotator._status.line.value
    assert "role='alert'" in annotator._status.line.value
    assert annotator.session.state.prompts == ()


def test_commit_of_nothing_is_told(annotator):
    say(annotator, kind="key", key="c", ctrl=False, shift=False)
    assert "Click on an object first" in annotator._status.line.value


def test_text_of_notices_is_escaped(annotator):
    annotator.session.say("<b>&")
    annotator.wait()
    assert "&lt;b&gt;&amp;" in annotator._status.line.value


def test_view_messages_move_the_view_and_are_answered(annotator, monkeypatch):
    sent = []
    monkeypatch.setattr(annotator._interaction, "send", sent.append)
    say(annotator, kind="view", screen="a", number=5, y=10.0, x=20.0, zoom=20.0)
    view = annotator._screen.viewport
    assert (view.y, view.x, view.zoom) == (10.0, 20.0, 20.0)
    assert sent[-1]["answers"] == {"a": 5}
    assert sent[-1]["zoom"] == 20.0
    say(annotator, kind="key", key="f", ctrl=False, shift=False)
    assert annotator.session.state.browsing.view is None


def test_sizes_follow_the_browser(annotator):
    say(annotator, kind="ready", width=450, height=300, density=2)
    assert (annotator._screen.canvas.width, annotator._screen.canvas.height) == (900, 600)


def test_without_the_interaction_layer_events_of_ipycanvas_annotate(annotator):
    canvas = annotator._screen.canvas
    row, column = annotator._screen.viewport.to_screen(24, 26)
    for kind in ("mouse_down", "mouse_up"):
        canvas._handle_custom_msg({"event": kind, "x": column, "y": row}, [])
    annotator.wait()
    (point,) = annotator.session.state.prompts
    assert (point.y, point.x) == pytest.approx((24, 26))
    zoom = annotator._screen.viewport.zoom
    canvas._handle_custom_msg({"event": "mouse_wheel", "x": 0, "y": -100}, [])
    annotator.wait()
    assert annotator._screen.viewport.zoom > zoom
    key = {"event": "key_down", "key": "c", "shift_key": False, "ctrl_key": False, "meta_key": False}
    canvas._handle_custom_msg(key, [])
    annotator.wait()
    assert annotator.labels.any()


def test_callbacks_do_not_compute(annotator, disks):
    """A slow model holds nothing up: further clicks are taken, and only the newest is answered."""
    service = annotator._runner._service
    service.gate.clear()
    for x in (20, 30, 40, 50):
        annotator._interaction._handle_custom_msg({"kind": "click", "y": 24, "x": x, "button": 0, "shift": False}, [])
    annotator._loop.wait()
    assert len(annotator.session.state.prompts) == 4
    assert "working" in annotator._status.line.value
    service.gate.set()
    annotator.wait()
    assert "working" not in annotator._status.line.value
    assert len([r for r in service.requests if isinstance(r, Predict)]) <= 2
    assert annotator.session.state.answered


def test_commit_before_the_answer_waits_for_it(annotator):
    """Click, C, click: two objects, also when the model is slower than the user."""
    service = annotator._runner._service
    service.gate.clear()
    send = annotator._interaction._handle_custom_msg
    send({"kind": "click", "y": 24, "x": 26, "button": 0, "shift": False}, [])
    send({"kind": "key", "key": "c", "ctrl": False, "shift": False}, [])
    send({"kind": "click", "y": 70, "x": 40, "button": 0, "shift": False}, [])
    send({"kind": "key", "key": "c", "ctrl": False, "shift": False}, [])
    annotator._loop.wait()
    assert not annotator.labels.any()
    assert "as soon as the model has answered" in annotator._status.line.value
    # The view moves while the model works: that must not disturb the order.
    for number in (1, 2):
        send({"kind": "view", "screen": "a", "number": number, "y": 0.0, "x": 0.0, "zoom": 9.0 + number}, [])
    service.gate.set()
    annotator.wait()
    labels = annotator.labels
    assert (labels[24, 26], labels[70, 40]) == (1, 2)
    assert annotator.session.state.prompts == ()


def test_a_commit_that_fails_takes_no_later_click_with_it(annotator):
    """Click on nothing, C, click on a cell, C: the cell must not be mixed with the click on nothing."""
    service = annotator._runner._service
    service.gate.clear()
    send = annotator._interaction._handle_custom_msg
    send({"kind": "click", "y": 4, "x": 4, "button": 2, "shift": False}, [])
    send({"kind": "key", "key": "c", "ctrl": False, "shift": False}, [])
    send({"kind": "click", "y": 70, "x": 40, "button": 0, "shift": False}, [])
    send({"kind": "key", "key": "c", "ctrl": False, "shift": False}, [])
    annotator._loop.wait()
    service.gate.set()
    annotator.wait()
    assert not annotator.labels.any()
    assert len(annotator.session.state.prompts) == 1
    assert "The object is not committed" in annotator._status.line.value


def test_a_failing_model_is_told(drawn_image, opened):
    def service(request):
        raise RuntimeError("out of luck")

    one = Annotator(drawn_image, service, None)
    opened(one)
    one.session.handle(AddPoint(24, 26))
    one.wait()
    assert "out of luck" in one._status.line.value
    assert "try again" in one._status.line.value.lower()
    say(one, kind="key", key="c", ctrl=False, shift=False)
    assert "out of luck" in one._status.line.value
    assert "Undo the last prompt" in one._status.line.value


def test_a_missing_checkpoint_is_refused_at_once(folder, drawn_image):
    with pytest.raises(ModelError, match="Check the name and the folder"):
        annotate_2d(drawn_image, model="sam_vit_b_01ec64.pth")
    with pytest.raises(ModelError, match="Did you mean 'nano'"):
        annotate_2d(drawn_image, model="nanoo")
    assert list(folder.iterdir()) == []


def test_a_script_may_end_while_the_model_works(tmp_path):
    code = (
        "import numpy as np\nfrom microsam_nb import annotate_2d\n"
        "annotate_2d(np.random.default_rng(0).random((300, 300)), project=False)\nraise SystemExit(3)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")


def test_a_wrong_checkpoint_is_told_on_screen(drawn_image, tmp_path, opened):
    path = tmp_path / "broken.pth"
    path.write_bytes(b"nothing of the kind")
    one = annotate_2d(drawn_image, model=path, project=False)
    opened(one)
    one.wait()
    assert "broken.pth cannot be read as a checkpoint" in one._status.line.value
    assert "Download it again" in one._status.line.value


@pytest.mark.parametrize(
    ("image", "error", "remedy"),
    [
        (None, ImageError, "numpy array, or the path"),
        ("nowhere.tif", FileError, "Check the name"),
        (np.zeros((0, 5)), ImageError, "read or cropped"),
        (np.full((4, 4), np.nan), ImageError, "computed"),
        (np.zeros((4, 5, 6)), ImageError, r"annotate_2d\(volume\[0\]\)"),
        (np.zeros((4, 4), complex), ImageError, "real number type"),
        (np.zeros(7), ImageError, "axes y and x"),
        (np.zeros((2, 2, 2, 2, 2)), ImageError, "name the axes"),
    ],
)
def test_bad_images(folder, image, error, remedy):
    with pytest.raises(error, match=remedy):
        annotate_2d(image)
    assert list(folder.iterdir()) == [], "nothing is left behind"


def test_wrong_axes(folder):
    with pytest.raises(ImageError, match="Use one of"):
        annotate_2d(np.zeros((4, 4)), axes="xy")
    with pytest.raises(ImageError, match="Name 2 axes"):
        annotate_2d(np.zeros((4, 4)), axes="yxc")


def test_an_image_with_some_nan_is_shown(opened):
    pixels = np.random.default_rng(0).random((40, 50))
    pixels[3:9, 4:20] = np.nan
    one = annotate_2d(pixels, project=False)
    opened(one)
    one.wait()
    assert "Ready" in one._status.line.value


def test_work_is_kept_by_default_and_opened_again(folder, drawn_image, opened):
    one = annotate_2d(drawn_image.pixels, name="discs")
    one.wait()
    one.session.handle(AddPoint(24, 26))
    one.wait()
    one.session.handle(Commit())
    kept = one.labels
    again = annotate_2d(drawn_image.pixels, name="discs")
    opened(again)
    assert np.array_equal(again.labels, kept)
    with pytest.raises(ProjectError, match="Continue in the newer one"):
        one.session.handle(AddPoint(5, 5))
    one.close()
    assert [p.suffix for p in folder.iterdir()] == [".msam"]
    assert not any(t.is_alive() for t in one._runner._threads), "the replaced annotator lets go of its model"


def test_closing_leaves_no_widget_behind(drawn_image, disks):
    from ipywidgets.widgets.widget import _instances

    before = set(_instances)
    one = Annotator(drawn_image, disks(drawn_image.shape), None, models=model_choices)
    one.wait()
    for switch in one._panels.switches.values():
        switch.click()
    one.wait()
    assert set(one._panels.made) == {"Layers", "Contrast", "Objects", "Proofread", "Models"}
    one.close()
    assert set(_instances) <= before


def test_a_project_that_cannot_be_opened_lets_go_of_its_lock(folder, drawn_image, opened):
    one = annotate_2d(drawn_image.pixels, project="mine.msam")
    one.session.handle(AddPoint(24, 26))
    one.wait()
    one.close()
    journal = folder / "mine.msam" / "journal.jsonl"
    text = journal.read_bytes()
    body = b'{"do":"Teleport"}'
    journal.write_bytes(b'{"crc":"%08x",%s\n' % (zlib.crc32(body), body[1:]) + text)
    with pytest.raises(ProjectError, match="newer version"):
        annotate_2d(drawn_image.pixels, project="mine.msam")
    journal.write_bytes(text)
    opened(annotate_2d(drawn_image.pixels, project="mine.msam"))


def test_what_was_recovered_of_a_damaged_project_stays_on_screen(folder, drawn_image, opened):
    one = annotate_2d(drawn_image.pixels, project="mine.msam")
    one.session.handle(AddPoint(24, 26))
    one.wait()
    one.close()
    journal = folder / "mine.msam" / "journal.jsonl"
    journal.write_text("nonsense\n" + journal.read_text())
    again = annotate_2d(drawn_image.pixels, project="mine.msam")
    opened(again)
    again.wait()
    assert again.session.recovered
    assert html.escape(again.session.recovered) in again._status.warning.value


def test_the_image_is_the_one_that_was_given(opened):
    pixels = np.zeros((20, 30), np.uint8)
    pixels[5:9, 5:9] = 200
    one = annotate_2d(pixels, project=False)
    opened(one)
    pixels[:] = 0
    assert one.image.pixels.max() == 200


def test_a_folder_that_cannot_be_written_does_not_stop_the_work(tmp_path, monkeypatch, drawn_image, opened):
    def refuse(*args):
        raise ProjectError("The project folder cannot be written.", "Choose another place.") from OSError(
            30, "read-only"
        )

    monkeypatch.setattr("microsam_nb.annotators.opening.Project.open", refuse)
    one = annotate_2d(drawn_image.pixels)
    opened(one)
    one.wait()
    assert one.project is None
    assert "Ready" in one._status.line.value
    assert "Choose another place" in one._status.warning.value
    assert one._status.warning.layout.display == ""
    with pytest.raises(ProjectError, match="Choose another place"):
        annotate_2d(drawn_image.pixels, project=tmp_path / "here.msam")


def test_names_become_file_names(folder, drawn_image, opened):
    one = annotate_2d(drawn_image.pixels, name="../my: cells/1")
    opened(one)
    assert [p.name[: p.name.index("-")] for p in folder.iterdir()] == ["my_cells_1"]


def test_another_image_is_refused(folder, drawn_image, opened):
    opened(annotate_2d(drawn_image.pixels, project="mine.msam"))
    with pytest.raises(ProjectError, match="choose another project folder"):
        annotate_2d(255 - drawn_image.pixels, project="mine.msam")


def test_save(annotator, folder):
    click(annotator, 24, 26)
    annotator.session.handle(Commit())
    path = annotator.save()
    assert path.name.startswith("discs-")
    assert np.array_equal(tifffile.imread(path), annotator.labels)
    assert annotator.save("mine.tif").name == "mine.tif"
    with pytest.raises(FileError, match=r"ending in \.tif"):
        annotator.save("labels.png")
    with pytest.raises(FileError, match="folder that exists"):
        annotator.save("nowhere/labels.tif")


def test_saving_says_what_and_what_not(annotator, folder):
    click(annotator, 24, 26)
    annotator.session.handle(Commit())
    path = annotator.save("mine.tif")
    annotator.wait()
    assert f"1 object is saved in {path.absolute()}." in annotator._status.line.value
    click(annotator, 70, 40)
    annotator.save("mine.tif")
    annotator.wait()
    assert "The object in hand is not among them: commit it with C." in annotator._status.line.value
    # The button says what went wrong.
    (folder / stem_of(annotator)).mkdir()
    annotator._toolbar.buttons[Command.SAVE].click()
    annotator.wait()
    assert "role='alert'" in annotator._status.line.value
    assert "Choose a folder" in annotator._status.line.value


def stem_of(annotator):
    from microsam_nb.annotators.base import stem

    return f"{stem(annotator.image)}_labels.tif"


def test_panels_are_made_when_they_are_opened_and_kept_up_to_date(annotator):
    panels = annotator._panels
    assert panels.made == {}
    assert panels.side.layout.display == "none"
    panels.switches["Objects"].click()
    annotator.wait()
    assert panels.side.layout.display == ""
    assert panels.switches["Objects"].button_style
    click(annotator, 24, 26)
    annotator.session.handle(Commit())
    annotator.wait()
    table = panels.made["Objects"].table
    assert [row[0] for row in table.rows] == [1]
    panels.switches["Objects"].click()
    annotator.wait()
    assert panels.side.layout.display == "none"
    annotator.session.handle(Delete((1,)))
    annotator.wait()
    assert [row[0] for row in table.rows] == [1], "a closed panel costs nothing"
    panels.switches["Objects"].click()
    annotator.wait()
    assert table.rows == []


def test_the_table_goes_to_an_object(annotator):
    for y, x in ((24, 26), (70, 40)):
        click(annotator, y, x)
        annotator.session.handle(Commit())
    say(annotator, kind="view", screen="a", number=1, y=0.0, x=0.0, zoom=30.0)
    annotator._panels.switches["Objects"].click()
    annotator.wait()
    table = annotator._panels.made["Objects"].table
    table._handle_custom_msg({"kind": "pick", "label": 2, "more": False}, [])
    annotator.wait()
    view = annotator._screen.viewport
    assert view.to_image(view.height / 2, view.width / 2) == pytest.approx((70, 40), abs=1)
    assert annotator.session.selected == (2,)
    assert table.picked == [2]
    annotator.session.handle(Delete((2,)))
    table._handle_custom_msg({"kind": "pick", "label": 2, "more": False}, [])
    annotator.wait()
    assert "Use the number of a committed object" in annotator._status.line.value


def test_the_cancel_button_stops_what_runs(drawn_image, disks, opened):
    service = disks(drawn_image.shape)
    one = Annotator(drawn_image, service, None, models=model_choices)
    opened(one)
    one.wait()
    one._panels.switches["Models"].click()
    one.wait()
    menu = one._panels.made["Models"]
    service.gate.clear()
    menu.list.value = "vit_b_lm"
    menu.use.click()
    end = time.monotonic() + 20
    while not any(isinstance(r, LoadModel) for r in service.requests) and time.monotonic() < end:
        time.sleep(0.01)
    one._loop.wait()
    assert "Loading the model vit_b_lm" in one._status.progress.text.value
    assert one._status.progress.box.layout.display == ""
    one._status.progress.cancel.click()
    one._loop.wait()
    assert one._status.progress.box.layout.display == "none"
    assert "Stopped" in one._status.line.value
    service.gate.set()
    one.wait()


def test_a_model_that_cannot_be_downloaded_leaves_the_old_one(drawn_image, opened, tmp_path, monkeypatch):
    from microsam_nb.engine import download

    monkeypatch.setenv("MICROSAM_CACHEDIR", str(tmp_path / "empty"))
    monkeypatch.setattr(download, "_ATTEMPTS", 1)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    one = annotate_2d(drawn_image, project=False)
    opened(one)
    one.wait()
    one._panels.switches["Models"].click()
    one.wait()
    menu = one._panels.made["Models"]
    menu.list.value = "vit_b"
    menu.use.click()
    one.wait(120)
    assert "role='alert'" in one._status.line.value
    assert "with a browser or on another computer" in one._status.line.value
    assert one.session.model.startswith("nano")
    assert "nano" in menu.now.value
    assert not menu.use.disabled
    click(one, 24, 26)
    assert one.session.state.proposals, "the old model answers"


def test_labels_to_begin_with(folder, drawn, opened):
    first = annotate_2d(drawn.pixels, labels=drawn.labels, project="mine.msam")
    assert np.array_equal(first.labels, drawn.labels)
    assert "4 objects are loaded" in first.session.notice.text or "Loading" in first.session.notice.text
    first.session.handle(Undo())
    assert np.array_equal(first.labels, drawn.labels), "they are no step"
    assert "the 4 objects that the image was opened with stay" in first.session.notice.text
    first.session.handle(Delete((1,)))
    first.close()
    again = annotate_2d(drawn.pixels, labels=drawn.labels.astype(np.uint8), project="mine.msam")
    opened(again)
    assert 1 not in again.labels, "work that is there already is not overwritten"
    # The same cell once more is how one goes on.
    assert "It goes on with what was done; labels= was used" in again._status.warning.value
    assert "msam-alert" not in again._status.warning.value
    again.close()
    again = annotate_2d(drawn.pixels, labels=drawn.labels * 2, project="mine.msam")
    opened(again)
    assert 1 not in again.labels
    assert "were not loaded" in again._status.warning.value
    assert "Choose another project folder" in again._status.warning.value
    tifffile.imwrite("labels.tif", drawn.labels.astype(np.uint16))
    third = annotate_2d(drawn.pixels, labels="labels.tif", project=False)
    opened(third)
    assert np.array_equal(third.labels, drawn.labels)


@pytest.mark.parametrize(
    ("labels", "error", "remedy"),
    [
        (np.zeros((4, 4), int), LabelError, "made for this image"),
        (np.full((96, 96), 0.5), LabelError, "whole numbers"),
        (np.full((96, 96), -1), LabelError, "whole numbers from 0"),
        ("nowhere.tif", FileError, "Check the name"),
    ],
)
def test_labels_that_do_not_fit(folder, drawn, labels, error, remedy):
    with pytest.raises(error, match=remedy):
        annotate_2d(drawn.pixels, labels=labels)
    assert list(folder.iterdir()) == [], "nothing is left behind"


def test_settings_of_a_new_annotation(folder, drawn_image, opened):
    one = annotate_2d(
        drawn_image, project="mine.msam", settings={"live": False, "brush": 33, "overlap": "replace", "height": 300}
    )
    now = one.session.state.browsing
    assert (now.live, now.brush, now.overlap, now.batched) == (False, 33.0, Overlap.REPLACE, False)
    assert one._screen.box.layout.height == "300px"
    one.session.handle(SetLive(True))
    one.session.handle(Describe(1)) if one.session.labels.count() else one.session.handle(AddPoint(24, 26))
    one.close()
    again = annotate_2d(drawn_image, project="mine.msam", settings=AnnotatorSettings(live=False))
    opened(again)
    assert again.session.state.browsing.live, "a project keeps what the user chose"


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"life": False}, "live, batched, overlap, brush, height"),
        ({"brush": 0}, "from 1 to 1000"),
        ({"overlap": "sometimes"}, "keep existing, replace, whole object"),
        ({"live": "yes"}, "The default is True"),
        (3, "a dict such as"),
    ],
)
def test_settings_that_are_not_possible(folder, drawn_image, settings, remedy):
    with pytest.raises(SettingsError, match=remedy):
        annotate_2d(drawn_image, settings=settings)
    assert list(folder.iterdir()) == []


def test_two_annotators_share_nothing(drawn_image, disks, opened):
    both = [Annotator(drawn_image, disks(drawn_image.shape), None) for _ in range(2)]
    for one in both:
        opened(one)
    click(both[0], 24, 26)
    both[0].session.handle(Commit())
    assert both[0].labels.any()
    assert not both[1].labels.any()


def test_it_shows_as_a_widget(annotator):
    bundle = annotator._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data
    (kind,) = {"image/png", "image/jpeg"} & set(data)
    picture = data.pop(kind)
    assert picture.startswith(b"\x89PNG")
    json.dumps(data)


def test_closing_twice(annotator):
    annotator.close()
    annotator.close()


def test_rgb_is_shown_in_colour(disks, opened):
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[..., 0] = np.arange(40) * 6
    image = Image(pixels)
    one = Annotator(image, disks(image.shape), None)
    opened(one)
    one.wait()
    assert one.image.shown().shape == (30, 40, 3)
    assert one.labels.shape == (30, 40)


@pytest.fixture(autouse=True)
def _no_thread_dies_silently():
    with warnings.catch_warnings():
        warnings.simplefilter("error", pytest.PytestUnhandledThreadExceptionWarning)
        yield


def test_saving_by_key_does_not_hold_up_the_screen(annotator, folder, monkeypatch):
    click(annotator, 24, 26)
    press(annotator, Command.COMMIT)
    annotator.wait()
    gate, begun = threading.Event(), threading.Event()
    real = base.write_labels

    def slow(path, labels):
        begun.set()
        gate.wait(20)
        real(path, labels)

    monkeypatch.setattr(base, "write_labels", slow)
    press(annotator, Command.SAVE)
    assert begun.wait(20)
    press(annotator, Command.SAVE)
    annotator.session.handle(AddPoint(30, 70))
    annotator._loop.wait()
    annotator._runner.wait()
    assert annotator.session.state.answered
    assert len(annotator.session.state.prompts) == 1
    with pytest.raises(TimeoutError, match="wait longer"):
        annotator.wait(0.2)
    gate.set()
    annotator.wait()
    (path,) = Path.cwd().glob("*_labels.tif")
    assert int(tifffile.imread(path).max()) == 1


def test_a_save_by_key_that_fails_is_told(annotator, monkeypatch):
    click(annotator, 24, 26)
    press(annotator, Command.COMMIT)
    monkeypatch.setattr(base, "write_labels", lambda *_: (_ for _ in ()).throw(ValueError("odd")))
    press(annotator, Command.SAVE)
    annotator.wait()
    assert "odd" in annotator.session.notice.text
    assert "annotator.save('labels.tif')" in annotator.session.notice.text
