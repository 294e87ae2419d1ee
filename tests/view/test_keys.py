import pytest

from microsam_nb.session import Tool
from microsam_nb.view import KEYS, TOOLS, Command, command_for, help_rows, key_of


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
    ],
)
def test_keys(key, modifiers, command):
    assert command_for(key, **modifiers) is command


def test_every_key_is_told_and_unique():
    assert len({(k.name, k.ctrl, k.shift) for k in KEYS}) == len(KEYS)
    assert {k.command for k in KEYS} == set(Command)
    told = " ".join(keys for keys, _ in help_rows())
    assert all(k.text in told for k in KEYS)
    assert key_of(Command.CLEAR) == "Shift-C"


def test_every_tool_has_a_key():
    assert set(TOOLS.values()) == set(Tool)


def test_keys_held_down_repeat_only_what_is_meant_to_go_on():
    repeated = {k.command for k in KEYS if k.repeats}
    assert {Command.UNDO, Command.LARGER, Command.CLOSER} <= repeated
    assert not repeated & {Command.COMMIT, Command.TOGGLE, Command.DELETE, Command.SAVE, *TOOLS}
