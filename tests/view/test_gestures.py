import pytest

from microsam_nb.session import AddBox, AddPoint, Browsing, Tool
from microsam_nb.view import KEYS, Click, Command, Drag, Press, action_for, command_for, gestures, help_rows, key_of

POINT = Browsing()
BOX = Browsing(tool=Tool.BOX)


@pytest.mark.parametrize(
    ("gesture", "browsing", "action"),
    [
        (Click(3, 4), POINT, AddPoint(3, 4, True)),
        (Click(3, 4, button=2), POINT, AddPoint(3, 4, False)),
        (Click(3, 4), Browsing(positive=False), AddPoint(3, 4, False)),
        (Click(3, 4, button=1), POINT, None),
        (Click(3, 4), BOX, AddPoint(3, 4, True)),
        (Click(3, 4), Browsing(plane=7), AddPoint(3, 4, True, 7)),
        (Drag(1, 2, 3, 4), POINT, None),
        (Drag(1, 2, 3, 4), BOX, AddBox(1, 2, 3, 4)),
        (Drag(1, 2, 3, 4, shift=True), POINT, AddBox(1, 2, 3, 4)),
        (Drag(1, 2, 3, 4, button=1), BOX, None),
        (Drag(1, 2, 3, 4, button=2, shift=True), BOX, None),
    ],
)
def test_what_a_gesture_means(gesture, browsing, action):
    assert action_for(gesture, browsing) == action


def run(*events):
    pairs = gestures()
    next(pairs)
    return [p for p in (pairs.send(Press(*e)) for e in events) if p]


def test_a_press_and_release_is_a_click():
    (pair,) = run(("down", 5, 5), ("up", 6, 7))
    assert pair[0] is pair[1]


def test_a_far_release_is_a_drag_also_outside():
    for end in ("up", "out"):
        (pair,) = run(("down", 5, 5), (end, 50, 70))
        assert (pair[0].row, pair[1].column) == (5, 70)


def test_stray_releases_mean_nothing():
    assert run(("up", 1, 1), ("out", 2, 2), ("down", 3, 3)) == []
    # A right click sends a press without release; the next press begins anew.
    (pair,) = run(("down", 5, 5), ("down", 80, 80), ("up", 80, 80))
    assert pair[0].row == 80


@pytest.mark.parametrize(
    ("key", "modifiers", "command"),
    [
        ("c", {}, Command.COMMIT),
        ("C", {"shift": True}, Command.CLEAR),
        ("C", {}, Command.COMMIT),
        ("t", {}, Command.TOGGLE),
        ("z", {"ctrl": True}, Command.UNDO),
        ("Z", {"ctrl": True, "shift": True}, Command.REDO),
        ("z", {}, None),
        ("?", {"shift": True}, Command.HELP),
        ("=", {}, Command.CLOSER),
        ("c", {"ctrl": True}, None),
        ("q", {}, None),
    ],
)
def test_keys(key, modifiers, command):
    assert command_for(key, **modifiers) is command


def test_every_key_is_told_and_unique():
    assert len({(k.name, k.ctrl, k.shift) for k in KEYS}) == len(KEYS)
    told = " ".join(keys for keys, _ in help_rows())
    assert all(k.text in told for k in KEYS)
    assert key_of(Command.CLEAR) == "Shift-C"
