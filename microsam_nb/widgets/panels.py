"""Panels beside the image, or below it where there is no room; each is made when it is first opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import ipywidgets as widgets

from ..session import Change
from .buttons import group, mark, plain_button, visible
from .hands import Hands

#: What a panel is told when it is opened.
EVERYTHING = Change(
    prompts=True,
    proposal=True,
    candidates=True,
    view=True,
    tool=True,
    layers=True,
    objects=True,
    notice=True,
    work=True,
)


class Panel(Protocol):
    """Something that can be opened beside the image."""

    @property
    def box(self) -> widgets.Widget: ...

    def show(self, change: Change) -> None:
        """Bring it up to date; called on the screen's thread, only while the panel is open."""

    def close(self) -> None:
        """Close widgets that are no children of ``box``."""


class Panels:
    """The switches of all panels (``bar``), and those that are open (``side``).

    ``makers``: name on the switch -> icon, tooltip, and what makes the panel.
    """

    def __init__(self, makers: dict[str, tuple[str, str, Callable[[], Panel]]], hands: Hands) -> None:
        self._makers = {name: make for name, (_, _, make) in makers.items()}
        self.made: dict[str, Panel] = {}
        self.switches: dict[str, widgets.Button] = {}
        for name, (icon, words, _) in makers.items():

            def pressed(name: str = name) -> None:
                hands.post(lambda: self.toggle(name))

            self.switches[name] = plain_button(f"msam-open-{name.lower()}", icon, words, pressed, name)
        self.bar = group("msam-switches", list(self.switches.values()))
        self.side = widgets.VBox()
        self.side.add_class("msam-side")
        visible(self.side, False)

    def is_open(self, name: str) -> bool:
        """Whether a panel is on screen."""
        return name in self.made and self.made[name].box.layout.display != "none"

    def open(self, name: str) -> None:
        """Open a panel, if there is one of that name, unless it is open; only on the screen's thread."""
        if name in self.switches and not self.is_open(name):
            self.toggle(name)

    def toggle(self, name: str) -> None:
        """Open a panel, or close it; only on the screen's thread."""
        opening = not self.is_open(name)
        if name not in self.made:
            panel = self.made[name] = self._makers[name]()
            for one in ("msam-panel", f"msam-{name.lower()}"):
                panel.box.add_class(one)
            visible(panel.box, False)
        if opening:
            self.made[name].show(EVERYTHING)
        visible(self.made[name].box, opening)
        visible(self.side, any(map(self.is_open, self.made)))
        ordered = [self.made[one].box for one in self._makers if one in self.made]
        if list(self.side.children) != ordered:
            self.side.children = ordered
        mark(self.switches[name], opening)

    def show(self, change: Change) -> None:
        for name, panel in self.made.items():
            if self.is_open(name):
                panel.show(change)

    def close(self) -> None:
        for panel in self.made.values():
            panel.close()


def title(text: str, hint: str = "") -> widgets.HTML:
    """Return the heading of a panel, with a hint beside it."""
    head = widgets.HTML(f"{text} <span class='msam-hint'>{hint}</span>" if hint else text)
    head.add_class("msam-title")
    return head
