"""Buttons that look and behave alike."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from ..view import Command, key_of


def command_button(
    command: Command, icon: str, words: str, act: Callable[[Command], None], text: str = ""
) -> widgets.Button:
    """Return a button for a command; its tooltip says what it does, and its key."""
    return plain_button(f"msam-{command.value}", icon, f"{words} [{key_of(command)}]", lambda: act(command), text)


def plain_button(name: str, icon: str, tooltip: str, pressed: Callable[[], None], text: str = "") -> widgets.Button:
    """Return a button of class ``name``: an icon, or an icon with a text."""
    button = widgets.Button(description=text, icon=icon, tooltip=tooltip)
    for one in ("msam-button", name, *(["msam-worded"] if text else [])):
        button.add_class(one)
    button.on_click(lambda _: pressed())
    return button


def mark(button: widgets.Button, on: bool, style: str = "info") -> None:
    """Show that what a button stands for is chosen, or not."""
    button.button_style = style if on else ""


def visible(widget: widgets.Widget, on: bool) -> None:
    """Show or hide a widget."""
    widget.layout.display = "" if on else "none"


def group(name: str, children: list[widgets.Widget]) -> widgets.Box:
    """Return widgets that stay together in a row that wraps."""
    box = widgets.Box(children)
    for one in ("msam-group", name):
        box.add_class(one)
    return box
