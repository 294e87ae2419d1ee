import pytest

from microsam_nb.session import AddPoint, Failed, Working
from microsam_nb.session.state import Work
from microsam_nb.widgets import Status
from microsam_nb.widgets.progress import duration, in_words


@pytest.fixture
def status(desk):
    one = desk()
    cancelled = []
    made = Status("careful <b>", lambda: cancelled.append(True))
    made.cancelled, made.session = cancelled, one.session

    class Panel:
        box = made.box

        def show(self, _):
            made.show(one.session)

        def close(self):
            from microsam_nb.widgets import close_tree

            close_tree(made.warning)

    one.panel = Panel()
    made.show(one.session)
    return made


def test_errors_are_alerts_and_text_is_escaped(status):
    status.session.say("a < b")
    assert "a &lt; b" in status.line.value
    assert "alert" not in status.line.value
    status.session.say("It failed. Do <this>.", error=True)
    assert "role='alert'" in status.line.value
    assert "Do &lt;this&gt;." in status.line.value
    assert "careful &lt;b&gt;" in status.warning.value


def test_that_the_model_is_working_appears_late(status):
    status.session.handle(AddPoint(5, 5))
    assert "msam-late" in status.line.value, "the style delays it, so that fast answers do not flicker"
    assert "working" in status.line.value


def test_progress_is_there_while_something_runs(status):
    box = status.progress.box
    assert box.layout.display == "none"
    status.session.handle(Working(Work("Downloading vit_b", 30, 120, "MB", 41.0)))
    assert box.layout.display == ""
    assert "Downloading vit_b: 30 of 120 MB, about 41 s left" in status.progress.text.value
    assert "width:25%" in status.progress.text.value
    status.progress.cancel.click()
    assert status.cancelled == [True]
    status.session.handle(Working(Work("Loading <x>")))
    assert "Loading &lt;x&gt; ..." in status.progress.text.value
    assert "msam-unknown" in status.progress.text.value
    status.session.handle(Failed("The download failed. Try again."))
    assert box.layout.display == "none"
    assert "Try again" in status.line.value


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (Work("Encoding"), "Encoding ..."),
        (Work("Encoding", 3, 0, "tiles"), "Encoding: 3 tiles"),
        (Work("Encoding", 3, 9, "tiles", 0.2), "Encoding: 3 of 9 tiles"),
        (Work("Encoding", 3, 9, "tiles", 200.0), "Encoding: 3 of 9 tiles, about 3 min left"),
    ],
)
def test_work_in_words(work, words):
    assert in_words(work) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.1, "1 s"), (89, "89 s"), (95, "2 min"), (3600, "60 min"), (7800, "2 h 10 min")]
)
def test_durations(seconds, words):
    assert duration(seconds) == words
