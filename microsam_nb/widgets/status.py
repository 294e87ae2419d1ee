"""The line that says what happens, and what runs in the background."""

from __future__ import annotations

import html
from collections.abc import Callable

import ipywidgets as widgets

from ..session import Session
from .buttons import visible
from .progress import Progress


class Status:
    """Two lines above the image, so that no common sentence moves it.

    ``warning`` stays on screen whatever else happens; so does ``aside``, which is nothing to worry about. ``cancel`` is
    called by the button beside the progress; ``options`` are those of the chosen tool.
    """

    def __init__(
        self,
        warning: str = "",
        cancel: Callable[[], None] = lambda: None,
        options: widgets.Widget | None = None,
        aside: str = "",
    ) -> None:
        self.line = widgets.HTML()
        self.line.add_class("msam-status")
        self.progress = Progress(cancel)
        parts = [alert(warning)] if warning else []
        parts += [f"<span class='msam-note'>{html.escape(aside)}</span>"] if aside else []
        self.warning = widgets.HTML(" ".join(parts))
        self.warning.add_class("msam-warning")
        visible(self.warning, bool(parts))
        # Side by side: work that begins or ends must not move the image under the pointer.
        self.box = widgets.Box([self.line, *([options] if options is not None else []), self.progress.box])
        self.box.add_class("msam-news")

    def show(self, session: Session) -> None:
        """Show the session's notice, marked when it is an error, whether the model is working, and other work."""
        notice = session.notice
        text = alert(notice.text) if notice.error else html.escape(notice.text)
        if session.awaiting is not None:
            # The style lets it appear only after a moment: fast answers must not make it flicker.
            text += " <span class='msam-late'>The model is working ...</span>"
        self.line.value = f"<div>{text}</div>"
        self.progress.show(session.work)


def alert(text: str) -> str:
    """Return an error as HTML."""
    return f"<span class='msam-alert' role='alert'>&#9888; {html.escape(text)}</span>"
