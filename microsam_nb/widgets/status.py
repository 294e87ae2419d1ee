"""The status line and the help under it."""

from __future__ import annotations

import html

import ipywidgets as widgets

from ..session import Notice
from ..view import help_rows


class Status:
    """A line that says what happens, and a table of keys that can be shown.

    ``warning`` stays on screen whatever else happens.
    """

    def __init__(self, warning: str = "") -> None:
        self.line = widgets.HTML()
        self.line.add_class("msam-status")
        entries = "".join(
            f"<div><b style='display:inline-block;min-width:12em'>{html.escape(keys)}</b>{html.escape(words)}</div>"
            for keys, words in help_rows()
        )
        # Two columns where there is room, so that the image stays in sight.
        self.help = widgets.HTML(f"<div style='columns:26em auto;line-height:1.5'>{entries}</div>")
        self.help.add_class("msam-help")
        self.help.layout.display = "none"
        self.warning = widgets.HTML(_alert(warning) if warning else "")
        self.warning.layout.display = "" if warning else "none"
        self.box = widgets.VBox([self.warning, self.line, self.help])

    def show(self, notice: Notice, busy: bool) -> None:
        """Show a notice, red and marked when it is an error, and whether the model is working."""
        text = _alert(notice.text) if notice.error else html.escape(notice.text)
        if busy:
            text += " <i>The model is working ...</i>"
        value = f"<div style='line-height:1.4;min-height:1.4em'>{text}</div>"
        if self.line.value != value:
            self.line.value = value

    def toggle_help(self) -> None:
        hidden = self.help.layout.display == "none"
        self.help.layout.display = "" if hidden else "none"


def _alert(text: str) -> str:
    return f"<span style='color:#c62828' role='alert'>&#9888; {html.escape(text)}</span>"
