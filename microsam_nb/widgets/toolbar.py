"""The buttons: every key has one."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from ..session import Browsing, Tool
from ..view import Command, key_of

_BUTTONS = (
    (Command.POINT, "Point", "crosshairs", "Click on an object"),
    (Command.BOX, "Box", "square-o", "Drag a box around an object"),
    (Command.TOGGLE, "Positive", "plus", "Switch between positive and negative points"),
    (Command.COMMIT, "Commit", "check", "Keep the object"),
    (Command.REMOVE, "Remove", "eraser", "Remove the newest prompt"),
    (Command.CLEAR, "Clear", "times", "Clear the prompts"),
    (Command.UNDO, "Undo", "undo", "Undo"),
    (Command.REDO, "Redo", "repeat", "Redo"),
    (Command.FIT, "", "arrows-alt", "Fit the image to the window"),
    (Command.CLOSER, "", "search-plus", "Zoom in"),
    (Command.FARTHER, "", "search-minus", "Zoom out"),
    (Command.SAVE, "Save", "save", "Save the labels as TIFF"),
    (Command.HELP, "", "question-circle", "Show or hide the help"),
)


class Toolbar:
    """A row of buttons that call ``act`` with their command."""

    def __init__(self, act: Callable[[Command], None]) -> None:
        self.buttons: dict[Command, widgets.Button] = {}
        for command, text, icon, words in _BUTTONS:
            button = widgets.Button(
                description=text, icon=icon, tooltip=f"{words} [{key_of(command)}]", layout=widgets.Layout(width="auto")
            )
            button.add_class(f"msam-{command.value}")
            button.on_click(lambda _, command=command: act(command))
            self.buttons[command] = button
        self.box = widgets.HBox(list(self.buttons.values()), layout=widgets.Layout(flex_flow="row wrap"))

    def show(self, browsing: Browsing, *, can_undo: bool, can_redo: bool, prompted: bool, proposed: bool) -> None:
        """Mark the chosen tool, and disable what can do nothing now."""
        b = self.buttons
        b[Command.POINT].button_style = "info" if browsing.tool is Tool.POINT else ""
        b[Command.BOX].button_style = "info" if browsing.tool is Tool.BOX else ""
        kind = b[Command.TOGGLE]
        kind.description = "Positive" if browsing.positive else "Negative"
        kind.icon = "plus" if browsing.positive else "minus"
        kind.button_style = "success" if browsing.positive else "danger"
        b[Command.UNDO].disabled = not can_undo
        b[Command.REDO].disabled = not can_redo
        b[Command.REMOVE].disabled = b[Command.CLEAR].disabled = not prompted
        b[Command.COMMIT].disabled = not proposed
        b[Command.COMMIT].button_style = "primary" if proposed else ""
