import pytest

from microsam_nb.session import Tool
from microsam_nb.view import KEYS, MOVIE, SERIES, TOOLS, VOLUME, Command, command_for, help_rows, key_of, worded


@pytest.mark.parametrize(
    ("key", "modifiers", "command"),
    [
        ("c", {}, Command.COMMIT),
        ("C", {"shift": True}, Command.CLEAR),
        ("C", {}, Command.COMMIT),
        ("t", {}, Command.TOGGLE),
        ("s", {}, Command.SEGMENT),
        ("n", {}, Command.NEXT),
        ("z", {"ctrl": True}, Command.UNDO),
        ("Z", {"ctrl": True, "shift": True}, Command.REDO),
        ("z", {}, None),
        ("?", {"shift": True}, Command.HELP),
        ("=", {}, Command.CLOSER),
        ("+", {"shift": True}, Command.CLOSER),
        # On French keyboards digits need the shift key.
        ("3", {"shift": True}, Command.SHOW_CANDIDATES),
        ("c", {"ctrl": True}, None),
        ("j", {}, None),
        ("Enter", {}, None),
        ("z", {"shift": True}, None),
        ("PageDown", {}, None),
        ("x", {"shift": True}, None),
        ("z", {"volume": True}, Command.NEXT_PLANE),
        ("PageDown", {"volume": True}, Command.NEXT_PLANE),
        ("Z", {"shift": True, "volume": True}, Command.PREVIOUS_PLANE),
        ("PageUp", {"volume": True}, Command.PREVIOUS_PLANE),
        ("Home", {"volume": True}, Command.FIRST_PLANE),
        ("End", {"volume": True}, Command.LAST_PLANE),
        ("S", {"shift": True, "volume": True}, Command.SEGMENT_OBJECT),
        ("X", {"shift": True, "volume": True}, Command.STOP_HERE),
        ("j", {"volume": True}, Command.SHOW_NEIGHBOURS),
        ("z", {"ctrl": True, "volume": True}, Command.UNDO),
        ("s", {"volume": True}, Command.SEGMENT),
        ("x", {"volume": True}, Command.SPLIT),
        ("D", {"shift": True, "movie": True}, Command.DIVIDE),
        ("E", {"shift": True, "movie": True}, Command.END_TRACK),
        ("K", {"shift": True, "movie": True}, Command.CUT_TRACK),
        ("D", {"shift": True, "volume": True}, None),
        ("d", {"movie": True}, Command.DELETE_TOOL),
        ("y", {}, None),
        ("y", {"series": True}, Command.DONE_IMAGE),
        ("Y", {"shift": True, "series": True}, Command.SKIP_IMAGE),
        (">", {"shift": True, "series": True}, Command.NEXT_IMAGE),
        ("<", {"series": True}, Command.PREVIOUS_IMAGE),
    ],
)
def test_keys(key, modifiers, command):
    assert command_for(key, **modifiers) is command


def test_every_key_is_told_and_unique():
    assert len({(k.name, k.ctrl, k.shift) for k in KEYS}) == len(KEYS)
    assert {k.command for k in KEYS} == set(Command)
    told = " ".join(keys for keys, _ in help_rows(volume=True, movie=True, series=True))
    assert all(k.text in told for k in KEYS)
    plain = [words for _, words in help_rows()]
    assert not {k.help for k in KEYS if k.command in VOLUME | MOVIE | SERIES} & set(plain)
    assert not {k.help for k in KEYS if k.command in MOVIE} & {words for _, words in help_rows(volume=True)}
    assert not any("plane" in words for words in plain)
    assert key_of(Command.CLEAR) == "Shift-C"


def test_every_tool_has_a_key():
    assert set(TOOLS.values()) == set(Tool)


def test_keys_held_down_repeat_only_what_is_meant_to_go_on():
    repeated = {k.command for k in KEYS if k.repeats}
    assert {Command.UNDO, Command.LARGER, Command.CLOSER, Command.NEXT_PLANE, Command.PREVIOUS_PLANE} <= repeated
    assert not repeated & {Command.COMMIT, Command.TOGGLE, Command.DELETE, Command.SAVE, Command.STOP_HERE, *TOOLS}


def test_in_a_movie_planes_are_frames_and_objects_are_followed():
    rows = dict(help_rows(volume=True, movie=True))
    assert not any("plane" in words.lower() for words in rows.values())
    assert rows["Z, Page down"] == "Next frame"
    assert rows["Shift-S"] == "Follow the cell through all frames"
    assert worded("Segment object", movie=True) == "Follow"
    assert worded("Segment object", movie=False) == "Segment object"
