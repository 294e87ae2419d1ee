"""The table of keys, over the image."""

from __future__ import annotations

import html

import ipywidgets as widgets

from ..view import help_rows
from .buttons import plain_button, visible


class KeyHelp:
    """Lies over the image, so that nothing moves; it closes by its button, ``?`` or Escape.

    ``volume``, ``movie``, ``series``: with the keys of several planes, of tracks, and of several images.
    """

    def __init__(self, *, volume: bool = False, movie: bool = False, series: bool = False) -> None:
        self._volume, self._movie, self._series = volume, movie, series
        # Made when it is asked for: most of the time it is not.
        self.table = widgets.HTML()
        close = plain_button("msam-close-help", "times", "Close the table of keys", lambda: visible(self.box, False))
        self.box = widgets.VBox([close, self.table])
        self.box.add_class("msam-help-table")
        visible(self.box, False)

    @property
    def shown(self) -> bool:
        return self.box.layout.display != "none"

    def toggle(self) -> None:
        if not self.table.value:
            shown = help_rows(volume=self._volume, movie=self._movie, series=self._series)
            rows = "".join(_entry(*row) for row in shown)
            self.table.value = f"<div class='msam-keys'>{rows}</div>"
        visible(self.box, not self.shown)

    def hide(self) -> bool:
        """Close the table; return whether it was open."""
        shown = self.shown
        visible(self.box, False)
        return shown


def _entry(keys: str, words: str) -> str:
    marked = ", ".join(f"<kbd>{html.escape(key)}</kbd>" for key in keys.split(", "))
    return f"<div><b>{marked}</b><span>{html.escape(words)}</span></div>"
