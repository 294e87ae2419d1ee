"""The keys, in one table; help is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Command(StrEnum):
    """What a key or a button does."""

    POINT = "point"
    BOX = "box"
    TOGGLE = "toggle"
    COMMIT = "commit"
    CLEAR = "clear"
    REMOVE = "remove"
    UNDO = "undo"
    REDO = "redo"
    FIT = "fit"
    CLOSER = "closer"
    FARTHER = "farther"
    SAVE = "save"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class Key:
    """One key: ``name`` as the browser's KeyboardEvent.key, letters in lower case. Ctrl is Cmd on a Mac."""

    name: str
    command: Command
    help: str
    ctrl: bool = False
    shift: bool = False

    @property
    def text(self) -> str:
        """How the key is written on screen."""
        name = self.name.upper() if len(self.name) == 1 else self.name
        return "-".join([*(["Ctrl"] if self.ctrl else []), *(["Shift"] if self.shift else []), name])


KEYS = (
    Key("p", Command.POINT, "Point tool: click on an object"),
    Key("b", Command.BOX, "Box tool: drag around an object"),
    Key("t", Command.TOGGLE, "Switch between positive and negative points"),
    Key("c", Command.COMMIT, "Commit: keep the object"),
    Key("c", Command.CLEAR, "Clear the prompts", shift=True),
    Key("Backspace", Command.REMOVE, "Remove the newest prompt"),
    Key("z", Command.UNDO, "Undo", ctrl=True),
    Key("z", Command.REDO, "Redo", ctrl=True, shift=True),
    Key("y", Command.REDO, "Redo", ctrl=True),
    Key("f", Command.FIT, "Fit the image to the window"),
    Key("+", Command.CLOSER, "Zoom in"),
    Key("-", Command.FARTHER, "Zoom out"),
    Key("s", Command.SAVE, "Save the labels as TIFF", ctrl=True),
    Key("?", Command.HELP, "Show or hide this help"),
)

_TYPED = {"+", "-", "?", "="}


def command_for(key: str, *, ctrl: bool = False, shift: bool = False) -> Command | None:
    """Return the command of a key press, or None. Characters that need the shift key on some keyboards ignore it."""
    name = key.lower() if len(key) == 1 else key
    name = "+" if name == "=" else name
    for one in KEYS:
        if one.name == name and one.ctrl == ctrl and (one.shift == shift or name in _TYPED):
            return one.command
    return None


def key_of(command: Command) -> str:
    """Return the first key of a command as text."""
    return next(k.text for k in KEYS if k.command is command)


def help_rows() -> list[tuple[str, str]]:
    """Return (keys, help) for every command, mouse first."""
    mouse = [
        ("Left click", "Add a point of the chosen kind"),
        ("Right click", "Add a negative point: this is not part of the object"),
        ("Shift-drag", "Draw a box, with any tool"),
        ("Drag, middle drag", "Move the image (with the box tool: middle button)"),
        ("Wheel", "Zoom at the pointer"),
    ]
    keys: dict[str, list[str]] = {}
    for one in KEYS:
        keys.setdefault(one.help, []).append(one.text)
    return mouse + [(", ".join(texts), words) for words, texts in keys.items()]
