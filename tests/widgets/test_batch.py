"""The traps of ipycanvas that cannot snap here: see what is sent to the browser."""

import json
import threading

import numpy as np
import pytest
from ipycanvas import Canvas
from ipycanvas.canvas import _CANVAS_MANAGER, _CanvasManager

from microsam_nb.view import Patch
from microsam_nb.widgets.batch import batch, number, numbers, put


@pytest.fixture
def sent(monkeypatch):
    """Lists of commands, one per message."""
    messages = []
    monkeypatch.setattr(_CanvasManager, "_send_custom", lambda self, command, buffers=(): messages.append(command))
    return messages


def test_one_block_is_one_message(sent):
    canvas = Canvas(width=10, height=10)
    with batch():
        for i in range(50):
            canvas.fill_rect(i, 0, 1, 1)
    assert len(sent) == 1
    assert len(sent[0]) == 51


def test_an_exception_sends_nothing_and_the_next_block_works(sent):
    canvas = Canvas(width=10, height=10)
    with pytest.raises(RuntimeError), batch():  # noqa: PT012
        canvas.fill_rect(0, 0, 1, 1)
        raise RuntimeError
    assert sent == []
    assert not _CANVAS_MANAGER._caching
    with batch():
        canvas.fill_rect(0, 0, 1, 1)
    assert len(sent) == 1


def test_every_block_names_its_canvas_again(sent):
    canvas = Canvas(width=10, height=10)
    for _ in range(2):
        with batch():
            canvas.fill_rect(0, 0, 1, 1)
    assert sent[0] == sent[1], "a reloaded page has not heard of the canvas"
    assert "IPY_MODEL_" in json.dumps(sent[1][0])


def test_nested_blocks_send_once(sent):
    canvas = Canvas(width=10, height=10)
    with batch():
        with batch():
            canvas.fill_rect(0, 0, 1, 1)
        assert sent == []
        canvas.fill_rect(1, 0, 1, 1)
    assert len(sent) == 1


def test_threads_do_not_mix(sent):
    canvases = [Canvas(width=10, height=10) for _ in range(2)]

    def draw(canvas):
        for _ in range(100):
            with batch():
                for i in range(5):
                    canvas.fill_rect(i, 0, 1, 1)

    threads = [threading.Thread(target=draw, args=(c,)) for c in canvases]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(sent) == 200
    assert {len(m) for m in sent} == {6}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_would_freeze_the_page_are_refused(value):
    with pytest.raises(ValueError, match="give finite coordinates"):
        number(value)


def test_numpy_numbers_become_plain_ones():
    assert type(number(np.int64(3))) is float


def test_an_empty_picture_is_not_sent(sent):
    canvas = Canvas(width=10, height=10)
    with batch():
        put(canvas, Patch(0, 0, 0, 0, b""))
    assert sent == []


@pytest.mark.parametrize("data", [b"GIF89a", b"\x00" * 50, b"<svg></svg>"])
def test_bytes_that_are_no_picture_are_refused(sent, data):
    canvas = Canvas(width=10, height=10)
    with pytest.raises(ValueError, match="encode the picture first"), batch():
        put(canvas, Patch(0, 0, 5, 5, data))
    assert sent == []


def test_a_clear_patch_clears(sent):
    canvas = Canvas(width=10, height=10)
    with batch():
        put(canvas, Patch(1, 2, 3, 4, b""))
    (_, clear) = sent[0]
    assert clear[1] == [2, 1, 4, 3]


@pytest.mark.parametrize("values", [np.arange(4, dtype=np.uint64), np.array([True, False]), [np.int64(1), 2.5]])
def test_arrays_become_what_the_browser_knows(values):
    assert numbers(values).dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_arrays_that_would_freeze_the_page_are_refused(value):
    with pytest.raises(ValueError, match="give finite coordinates"):
        numbers([1.0, value])
