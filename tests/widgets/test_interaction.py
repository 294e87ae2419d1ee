import json

import pytest
from ipycanvas import MultiCanvas

from microsam_nb.core import Point
from microsam_nb.session import Browsing, State, Tool
from microsam_nb.view import (
    KEYS,
    Click,
    Drag,
    Handle,
    Outline,
    Parts,
    Removal,
    Shift,
    Stroke,
    Viewport,
    shortcuts,
)  # fmt: skip
from microsam_nb.widgets import Interaction, close_tree, gesture_of

VIEW = Viewport.fit(300, 200, (100, 120))


@pytest.fixture
def interaction():
    canvas = MultiCanvas(2)
    one = Interaction(canvas)
    yield one
    close_tree(one)
    close_tree(canvas)


@pytest.fixture
def sent(interaction, monkeypatch):
    """Messages of the comm: (update or custom, content)."""
    out = []
    monkeypatch.setattr(interaction, "_send", lambda message, buffers=None: out.append(json.loads(json.dumps(message))))
    return out


@pytest.mark.parametrize(
    ("message", "gesture"),
    [
        ({"kind": "click", "y": 1, "x": 2.5, "button": 2, "shift": True}, Click(1, 2.5, 2, True)),
        ({"kind": "click", "y": 1, "x": 2}, Click(1, 2)),
        ({"kind": "drag", "y0": 1, "x0": 2, "y1": 3, "x1": 4, "button": 0, "shift": False}, Drag(1, 2, 3, 4)),
        ({"kind": "stroke", "points": [1, 2, 3, 4], "width": 6, "button": 2}, Stroke(((1, 2), (3, 4)), 6, 2)),
        ({"kind": "outline", "points": [1, 2, 3, 4, 5, 6]}, Outline(((1, 2), (3, 4), (5, 6)))),
        ({"kind": "parts", "points": [1, 2, 3, 4]}, Parts(((1, 2), (3, 4)))),
        (
            {"kind": "shift", "prompt": [3, "point", False, 1, 2], "part": -1, "dy": 1, "dx": 2},
            Shift(Handle(3, "point", False, (1, 2)), -1, 1, 2),
        ),
        ({"kind": "removal", "prompt": [0, "box", True, 1, 2, 3, 4]}, Removal(Handle(0, "box", True, (1, 2, 3, 4)))),
        ({"kind": "ready", "width": 3}, None),
        ({}, None),
    ],
)
def test_messages_become_gestures(message, gesture):
    assert gesture_of(message) == gesture


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "stroke", "points": [1, 2, 3], "width": 1},
        {"kind": "click", "y": None, "x": 2},
        {"kind": "shift", "prompt": [], "part": 0, "dy": 0, "dx": 0},
    ],
)
def test_a_broken_message_is_no_gesture(message):
    with pytest.raises((ValueError, TypeError)):
        gesture_of(message)


def test_the_table_of_keys_says_what_the_browser_needs(interaction):
    assert len(interaction.shortcuts) == len(shortcuts(volume=False)) < len(KEYS)
    by_name = {(k["name"], k["ctrl"], k["shift"]): k for k in interaction.shortcuts}
    assert by_name["w", False, False]["tool"] == "brush"
    assert by_name["d", False, False]["tool"] == "delete"
    assert by_name["[", False, False]["loose"]
    assert by_name["c", False, False] == {
        "name": "c", "ctrl": False, "shift": False, "loose": False, "repeats": False, "command": "commit", "tool": ""
    }  # fmt: skip


def test_a_volume_has_more_keys_and_says_how_many_planes():
    canvas = MultiCanvas(2)
    one = Interaction(canvas, 7)
    try:
        assert one.planes == 7
        by_name = {(k["name"], k["ctrl"], k["shift"]): k for k in one.shortcuts}
        assert len(by_name) == len([k for k in KEYS if not k.movie and not k.series])
        assert by_name["PageDown", False, False]["repeats"]
    finally:
        close_tree(one)
        close_tree(canvas)


def test_a_movie_in_a_series_has_all_keys():
    canvas = MultiCanvas(2)
    one = Interaction(canvas, 7, movie=True, series=True)
    try:
        assert len(one.shortcuts) == len(KEYS)
    finally:
        close_tree(one)
        close_tree(canvas)


def test_the_next_picture_is_announced_once(interaction, sent):
    state = State(browsing=Browsing(tool=Tool.BRUSH, positive=False, brush=4.0), prompts=(Point(0, 3, 4),))
    interaction.show(state, VIEW, {"a": 2}, {"a": 7})
    update, announced = sent
    # One update for all traits, and before the picture.
    assert update["state"] == {"tool": "brush", "positive": False, "brush": 4.0, "prompts": [[0, "point", True, 3, 4]]}
    content = announced["content"]
    assert (content["answers"], content["done"], content["rows"], content["columns"]) == ({"a": 2}, {"a": 7}, 100, 120)
    interaction.show(state, VIEW, {"a": 2}, {"a": 7})
    assert len(sent) == 2
    interaction.show(state, VIEW, {"a": 2}, {"a": 8})
    assert len(sent) == 3
    interaction.show(state, VIEW, {"a": 2}, {"a": 8}, anew=True)
    assert len(sent) == 4


def test_three_hundred_prompts_stay_small(interaction, sent):
    points = tuple(Point(0, i * 1.23456, i * 2.34567) for i in range(300))
    interaction.show(State(prompts=points), VIEW, {}, {})
    assert sum(len(json.dumps(one)) for one in sent) < 12_000
