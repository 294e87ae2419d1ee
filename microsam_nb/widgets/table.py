"""The browser's half of the table of objects."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets


class Table(anywidget.AnyWidget):
    """Shows a window of a long list and says what the user does with it; see table.js for its messages.

    ``rows`` are those from ``first`` on, of ``total``; each a list: number, colour, and a text per column. ``sorting``:
    the column and whether it descends; ``reveal``: the place to scroll into sight, and a number that tells it from the
    one before.
    """

    # The text, not the path: anywidget would keep every widget that was ever made, to tell it of changes of the file.
    _esm = Path(__file__).with_name("table.js").read_text(encoding="utf-8")
    columns = traitlets.List().tag(sync=True)
    rows = traitlets.List().tag(sync=True)
    first = traitlets.Int(0).tag(sync=True)
    total = traitlets.Int(0).tag(sync=True)
    picked = traitlets.List().tag(sync=True)
    sorting = traitlets.List(["label", False]).tag(sync=True)
    reveal = traitlets.List([0, 0]).tag(sync=True)
    #: What the rows are filtered by, also for a page that is opened later.
    filter = traitlets.Unicode("").tag(sync=True)
    #: What the field of the filter says while it is empty.
    hint = traitlets.Unicode("Filter: a name, a class, size<50, score<0.8 ...").tag(sync=True)
    summary = traitlets.Unicode("").tag(sync=True)
