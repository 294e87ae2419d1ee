"""What has changed since the objects were loaded, on the image and as a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from ..core.comparing import Difference
from ..session import Change, Select, Session
from ..session.wording import counted
from ..view.differences import KIND_COLOURS, Comparison
from .background import Background
from .buttons import mark, plain_button, visible
from .hands import Hands
from .panels import EVERYTHING
from .table import Table

_WINDOW, _ABOVE = 80, 30
_KIND = "changes"


class DifferencesSection:
    """Compares the objects with what they were; in the background, and anew whenever they change.

    ``before`` returns what they were, uint32 (planes, h, w), None where that is not known; it is called on another
    thread. ``compare`` draws a comparison on the image, or none.
    """

    def __init__(
        self,
        session: Session,
        hands: Hands,
        background: Background,
        before: Callable[[], NDArray[np.uint32] | None],
        compare: Callable[[Comparison | None], None],
    ) -> None:
        self._session, self._hands, self._background = session, hands, background
        self._before, self._compare = before, compare
        self.on = False
        self._found: tuple[Difference, ...] = ()
        self._first, self._text = 0, ""
        self.switch = plain_button(
            "msam-changes", "exchange", "Show what is new, gone, changed, split and merged since the objects were "
            "loaded, or else since the annotator was opened", self._switch, "Show changes",
        )  # fmt: skip
        self.legend = widgets.HTML("")
        self.legend.add_class("msam-legend")
        self.table = Table(columns=_columns(), hint="Filter: new, gone, changed, split, merged, a number")
        self.table.on_msg(lambda _, message, __: hands.post(lambda: self._receive(message)))
        visible(self.table, False)
        self.box = widgets.VBox([widgets.Box([self.switch]), self.legend, self.table])

    def show(self, change: Change) -> None:
        """Bring it up to date."""
        if self.on and (change is EVERYTHING or change.labels is not None):
            self._ask()

    # On the screen's thread.

    def _switch(self) -> None:
        def switch() -> None:
            self.on = not self.on
            mark(self.switch, self.on)
            if self.on:
                self.legend.value = "Comparing ..."
                self._ask()
            else:
                self.legend.value, self._found = "", ()
                visible(self.table, False)
                self._compare(None)

        self._hands.post(switch)

    def _ask(self) -> None:
        def compute() -> Comparison | None:
            before = self._before()
            return None if before is None else Comparison.of(before, self._session.snapshot())

        self._background.ask(_KIND, compute, self._take)

    def _take(self, found: Comparison | None) -> None:
        if not self.on:
            return
        if found is None:
            self.legend.value = "What the objects were is not known: there are too many pixels to keep them twice."
            return
        self._found = found.differences
        counts = found.counts
        chips = [
            f"<span><i style='background: rgb{colour}'></i>{counts[kind]} {kind.value}</span>"
            for kind, colour in KIND_COLOURS.items()
            if counts[kind]
        ]
        self.legend.value = " ".join(chips) or "Nothing has changed."
        self._compare(found)
        visible(self.table, bool(self._found))
        self._list()

    def _receive(self, message: dict[str, Any]) -> None:
        kind = message.get("kind")
        if kind == "filter":
            self._text, self._first = str(message["text"]), 0
            self._list()
        elif kind == "window":
            self._first = int(message["first"])
            self._list()
        elif kind == "pick" and 0 <= int(message["label"]) - 1 < len(self._found):
            one = self._found[int(message["label"]) - 1]
            self._hands.handle(Select(one.after))
            self._hands.close_up(one.box)

    def _list(self) -> None:
        words = self._text.casefold().split()
        lines = [line for line in map(_line, self._found, range(1, len(self._found) + 1)) if _fits(line, words)]
        first = max(0, min(self._first - _ABOVE, len(lines) - _WINDOW))
        with self.table.hold_sync():
            self.table.rows, self.table.first, self.table.total = lines[first : first + _WINDOW], first, len(lines)
            self.table.filter = self._text
            self.table.summary = f"{counted(len(lines), 'change')}; click on one to go there"


def _line(one: Difference, number: int) -> list[Any]:
    colour = "#{:02x}{:02x}{:02x}".format(*KIND_COLOURS[one.kind])
    before, after = (", ".join(map(str, some)) or "–" for some in (one.before, one.after))
    return [number, colour, one.kind.value, before, after, f"{one.iou:.2f}"]


def _fits(line: list[Any], words: list[str]) -> bool:
    texts = [text for cell in line[2:] for text in str(cell).split(", ")]
    return all(any(text.startswith(word) for text in texts) for word in words)


def _columns() -> list[dict[str, Any]]:
    return [
        {"key": "kind", "title": "Change", "width": "70px", "number": False, "editable": False},
        {"key": "before", "title": "Was", "width": "minmax(40px, 1fr)", "number": False, "editable": False},
        {"key": "after", "title": "Is", "width": "minmax(40px, 1fr)", "number": False, "editable": False},
        {"key": "iou", "title": "Overlap", "width": "60px", "number": True, "editable": False},
    ]
