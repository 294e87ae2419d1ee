"""The door and the annotator behind it, without a browser: messages as the browser sends them."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tifffile

from microsam_nb import annotate_2d
from microsam_nb.annotators.base import Annotator
from microsam_nb.core import FileError, Image, ImageError, ModelError, ProjectError
from microsam_nb.session import AddPoint, Commit, Predict, Tool
from microsam_nb.view import Command


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
    one = Annotator(drawn_image, disks(drawn_image.shape, radius=5), None)
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


@pytest.mark.parametrize("command", list(Command))
def test_every_command_has_a_button_and_does_something_or_says_why(annotator, folder, command):
    before = annotator.session.state, annotator.session.notice, annotator._status.help.layout.display
    annotator._toolbar.buttons[command].click()
    annotator.wait()
    after = annotator.session.state, annotator.session.notice, annotator._status.help.layout.display
    assert before != after or command in (Command.POINT, Command.FIT, Command.CLEAR)


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
    assert "try again" in one._status.line.value
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
    assert not one._runner._thread.is_alive(), "the replaced annotator lets go of its model"


def test_closing_leaves_no_widget_behind(drawn_image, disks):
    from ipywidgets.widgets.widget import _instances

    before = set(_instances)
    one = Annotator(drawn_image, disks(drawn_image.shape), None)
    one.wait()
    one.close()
    assert set(_instances) <= before


def test_a_damaged_project_lets_go_of_its_lock(folder, drawn_image, opened):
    one = annotate_2d(drawn_image.pixels, project="mine.msam")
    one.session.handle(AddPoint(24, 26))
    one.wait()
    one.close()
    journal = folder / "mine.msam" / "journal.jsonl"
    text = journal.read_text()
    journal.write_text("nonsense\n" + text)
    with pytest.raises(ProjectError, match="restore it"):
        annotate_2d(drawn_image.pixels, project="mine.msam")
    journal.write_text(text)
    opened(annotate_2d(drawn_image.pixels, project="mine.msam"))


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

    monkeypatch.setattr("microsam_nb.annotators.annotate_2d.Project.open", refuse)
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
