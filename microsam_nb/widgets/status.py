"""The line that says what happens, what runs in the background, and the keys."""

from __future__ import annotations

import html
from collections.abc import Callable

import ipywidgets as widgets

from ..session import Session
from ..view import help_rows
from .buttons import visible
from .progress import Progress


class Status:
    """Two lines above the image, so that no common sentence moves it; under them a table of keys.

    ``warning`` stays on screen whatever else happens. ``cancel`` is called by the button beside the progress.
    """

    def __init__(self, warning: str = "", cancel: Callable[[], None] = lambda: None) -> None:
        self.line = widgets.HTML()
        self.line.add_class("msam-status")
        self.progress = Progress(cancel)
        # Made when it is asked for: most of the time it is not.
        self.help = widgets.HTML()
        self.help.add_class("msam-help")
        visible(self.help, False)
        self.warning = widgets.HTML(_alert(warning) if warning else "")
        self.warning.add_class("msam-warning")
        visible(self.warning, bool(warning))
        # Side by side: work that begins or ends must not move the image under the pointer.
        news = widgets.Box([self.line, self.progress.box])
        news.add_class("msam-news")
        self.box = widgets.VBox([news, self.help])

    def show(self, session: Session) -> None:
        """Show the session's notice, marked when it is an error, whether the model is working, and other work."""
        notice = session.notice
        text = _alert(notice.text) if notice.error else html.escape(notice.text)
        if session.awaiting is not None:
            # The style lets it appear only after a moment: fast answers must not make it flicker.
            text += " <span class='msam-late'>The model is working ...</span>"
        self.line.value = f"<div>{text}</div>"
        self.progress.show(session.work)

    def toggle_help(self) -> None:
        if not self.help.value:
            self.help.value = f"<div class='msam-keys'>{''.join(_entry(*row) for row in help_rows())}</div>"
        visible(self.help, self.help.layout.display == "none")


def _entry(keys: str, words: str) -> str:
    marked = ", ".join(f"<kbd>{html.escape(key)}</kbd>" for key in keys.split(", "))
    return f"<div><b>{marked}</b><span>{html.escape(words)}</span></div>"


def _alert(text: str) -> str:
    return f"<span class='msam-alert' role='alert'>&#9888; {html.escape(text)}</span>"
