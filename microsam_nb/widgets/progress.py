"""Work in the background: how far it is, how long it still takes, and a button that stops it."""

from __future__ import annotations

import html
from collections.abc import Callable

import ipywidgets as widgets

from ..session import Work
from .buttons import plain_button, visible


class Progress:
    """A line with a bar; it takes no room when nothing runs."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self.text = widgets.HTML()
        self.text.add_class("msam-work")
        self.cancel = plain_button("msam-cancel", "stop", "Stop; what is done so far stays", cancel, "Cancel")
        self.box = widgets.HBox([self.text, self.cancel])
        self.box.add_class("msam-progress")
        visible(self.box, False)

    def show(self, work: Work | None) -> None:
        visible(self.box, work is not None)
        if work is None:
            return
        known = work.total > 0
        share = f"width:{100 * min(1.0, work.done / work.total):.0f}%" if known else ""
        bar = f"<div class='msam-track{'' if known else ' msam-unknown'}'><div style='{share}'></div></div>"
        self.text.value = f"<div role='status'>{html.escape(in_words(work))}{bar}</div>"


def in_words(work: Work) -> str:
    """Say how far some work is: "Downloading x: 12 of 90 MB, about 20 s left"."""
    parts = []
    if work.total:
        parts.append(f"{work.done} of {work.total} {work.unit}".strip())
    elif work.done:
        parts.append(f"{work.done} {work.unit}".strip())
    if work.left is not None and work.left >= 1:
        parts.append(f"about {duration(work.left)} left")
    return f"{work.what}: {', '.join(parts)}" if parts else f"{work.what} ..."


def duration(seconds: float) -> str:
    """Return a time for people: "20 s", "3 min", "2 h 10 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
