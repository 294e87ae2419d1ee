"""The picture that stays in a saved notebook: what is published, and when."""

import time

import IPython.display
import pytest

from microsam_nb.widgets import Still, still


class Handle:
    def __init__(self):
        self.pictures = []

    def update(self, data, raw):
        assert raw
        self.pictures.append(data)


@pytest.fixture
def shown(monkeypatch):
    """Outputs as the notebook gets them, and the handle of the picture."""
    outputs, handle = [], Handle()

    def display(data, raw, display_id=None):
        outputs.append(data)
        return handle if display_id else None

    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(still, "_REST", 0.05)
    return outputs, handle


def test_the_picture_comes_after_the_annotator(shown):
    outputs, handle = shown
    one = Still(lambda: b"png")
    one.display({"text/plain": "annotator"})
    assert [list(o) for o in outputs] == [["text/html", "text/plain"], ["text/plain"], ["text/plain"]]
    assert outputs[1] == {"text/plain": "annotator"}
    one.flush()
    assert handle.pictures == [{"image/png": "cG5n", "text/plain": "Annotated image"}]


def test_many_changes_are_one_picture(shown):
    drawn = []
    one = Still(lambda: drawn.append(True) or b"png")
    one.display({})
    for _ in range(20):
        one.changed()
    end = time.monotonic() + 10
    while not drawn and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.15)
    assert len(drawn) == 1
    one.flush()
    assert len(drawn) == 1, "nothing has changed"


def test_changes_without_end_are_drawn_at_last(shown, monkeypatch):
    monkeypatch.setattr(still, "_LONGEST", 0.3)
    drawn = []
    one = Still(lambda: drawn.append(True) or b"png")
    one.display({})
    end = time.monotonic() + 10
    while not drawn and time.monotonic() < end:
        one.changed()
        time.sleep(0.01)
    assert drawn


def test_a_quick_hand_does_not_make_more_pictures(shown, monkeypatch):
    """It is the time that counts, not how many changes there are."""
    monkeypatch.setattr(still, "_REST", 1.0)
    monkeypatch.setattr(still, "_LONGEST", 100.0)
    drawn = []
    one = Still(lambda: drawn.append(True) or b"png")
    one.display({})
    for _ in range(300):
        one.changed()
    one._timer.cancel()
    started = []
    monkeypatch.setattr(still.threading.Timer, "start", lambda self: started.append(self))
    one.changed()
    assert started, "changes of a moment put the picture off, however many"
    one._timer.cancel()


def test_where_nothing_is_shown_nothing_is_drawn():
    one = Still(lambda: pytest.fail("drawn"))
    one.changed()
    one.flush()


def test_a_picture_that_fails_disturbs_nobody(shown, caplog):
    one = Still(lambda: 1 / 0)
    one.display({})
    one.flush()
    assert "could not be made" in caplog.text
