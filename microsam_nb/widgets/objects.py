"""The panel of objects, of a movie the tracks: a table of what is committed, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from ..core import VoxelSize
from ..session import Change, Describe, Merge, Row, Select, Session
from ..session.wording import counted, worded
from ..view import Command, colour_of
from ..view.listing import KEYS, arrange, unknown_column
from .buttons import command_button, plain_button
from .hands import Hands
from .panels import title
from .table import Table

#: Rows sent to the browser at once, and how many of them lie above what is in sight.
_WINDOW, _ABOVE = 80, 30
#: Whether the user has found an object right.
_CHECKED = {"key": "checked", "title": "✓", "width": "18px", "number": True, "editable": False}


class ObjectsPanel:
    """Lists objects; of ten thousand only those in sight travel, and only when they change."""

    def __init__(self, session: Session, hands: Hands, voxel_size: VoxelSize | None = None) -> None:
        self._session, self._hands = session, hands
        self._volume, self._movie = session.shape[0] > 1, session.movie
        self._mothers: Mapping[int, int] = {}
        self._pixel, unit = _unit(voxel_size, self._volume)
        self._physical = bool(unit)
        self._rows: list[Row] = []
        self._listed: list[Row] = []
        self._text, self._key, self._down, self._first = "", "label", False, 0
        self._picked: tuple[int, ...] = ()
        self.table = Table(columns=_track_columns() if self._movie else _columns(unit, self._physical, self._volume))
        self.table.on_msg(lambda _, message, __: hands.post(lambda: self._receive(message)))

        def said(text: str) -> str:
            return worded(text, movie=session.movie)

        self.pick_all = plain_button(
            "msam-pick-all", "check-square-o", said("Pick all objects that the table lists"), self._pick_all, "Pick all"
        )
        self.merge = plain_button(
            "msam-merge-picked", "object-group", said("Make the picked objects one; Shift-click picks several"),
            self._merge, "Merge",
        )  # fmt: skip
        self.improve = command_button(
            Command.IMPROVE, "edit", said("Improve the picked object: its mask becomes a prompt"), hands.act, "Improve"
        )
        self.delete = command_button(Command.DELETE, "trash", said("Delete the picked objects"), hands.act, "Delete")
        #: Only in volumes and movies.
        self.delete_here: widgets.Button | None = None
        if session.shape[0] > 1:
            words = f"Delete what the picked one has in this {session.word} only"
            self.delete_here = command_button(Command.DELETE_HERE, "trash-o", words, hands.act, "Here")
        here = [] if self.delete_here is None else [self.delete_here]
        row = widgets.Box([self.pick_all, self.merge, self.improve, self.delete, *here])
        row.add_class("msam-group")
        self.box = widgets.VBox([title("Table of tracks" if self._movie else "Objects"), self.table, row])

    def show(self, change: Change) -> None:
        if not (change.objects or change.labels is not None or change.lineage):
            return
        self._rows = self._session.rows()
        self._arrange()
        self._mark()

    def close(self) -> None:
        """All widgets are children of the box."""

    # On the screen's thread.

    def _receive(self, message: dict[str, Any]) -> None:
        kind = message.get("kind")
        if kind == "sort" and message.get("key") in KEYS:
            self._down = not self._down if message["key"] == self._key else False
            self._key, self._first = message["key"], 0
            self._arrange()
            self._reveal(0)
        elif kind == "filter":
            self._text, self._first = str(message["text"]), 0
            self._arrange()
        elif kind == "window":
            self._first = int(message["first"])
            self._send()
        elif kind == "pick":
            self._pick(int(message["label"]), bool(message["more"]))
        elif kind == "edit":
            field = {"name": "name", "category": "category"}[message["key"]]
            self._hands.handle(Describe(int(message["label"]), **{field: str(message["text"])}))

    def _pick(self, label: int, more: bool) -> None:
        if more:
            self._hands.handle(Select((label,), more=True))
        else:
            self._hands.go_to(label)

    def _arrange(self) -> None:
        lineage = self._session.state.lineage
        self._mothers = {} if lineage is None else lineage.parents
        self._listed = arrange(self._rows, self._text, self._key, self._down, self._pixel, lineage)
        self._send()

    def _send(self) -> None:
        first = max(0, min(self._first - _ABOVE, len(self._listed) - _WINDOW))
        rows = [self._line(row) for row in self._listed[first : first + _WINDOW]]
        picked = list(self._session.selected)
        with self.table.hold_sync():
            self.table.rows, self.table.first, self.table.total = rows, first, len(self._listed)
            self.table.sorting, self.table.filter = [self._key, self._down], self._text
            self.table.picked, self.table.summary = picked, self._summary(len(picked))

    def _mark(self) -> None:
        """Bring an object into sight that was picked, on the image or here, and enable what is possible."""
        picked = self._session.selected
        if picked != self._picked and picked:
            place = next((i for i, row in enumerate(self._listed) if row.label == picked[-1]), None)
            if place is not None:
                self._reveal(place)
        self._picked = picked
        self.merge.disabled = len(picked) < 2
        self.delete.disabled = not picked
        if self.delete_here is not None:
            self.delete_here.disabled = len(picked) != 1
        self.improve.disabled = len(picked) != 1
        self.pick_all.disabled = not self._listed

    def _reveal(self, place: int) -> None:
        self._first = place
        self._send()
        self.table.reveal = [place, self.table.reveal[1] + 1]

    def _line(self, row: Row) -> list[Any]:
        score = "" if row.info.score is None else f"{row.info.score:.2f}"
        size = f"{row.area * self._pixel:.4g}" if self._physical else str(row.area)
        colour = "#{:02x}{:02x}{:02x}".format(*colour_of(row.label))
        right = "✓" if row.info.checked else ""
        first, last = row.box.start[0], row.box.stop[0] - 1
        planes = [f"{first}–{last}" if last > first else str(first)] if self._volume or self._movie else []
        if self._movie:
            lineage = self._session.state.lineage
            daughters = () if lineage is None else lineage.daughters.get(row.label, ())
            kin = [str(self._mothers.get(row.label, "")), ", ".join(map(str, daughters))]
            return [row.label, colour, str(row.label), *planes, *kin, row.info.name, row.info.category, right]
        return [row.label, colour, str(row.label), size, *planes, score, row.info.name, row.info.category, right]

    def _summary(self, picked: int) -> str:
        listed, total = len(self._listed), len(self._rows)
        noun = "track" if self._movie else "object"
        if not total and self._movie:
            return "No tracks yet. Click on a cell, Shift-S follows it through the frames, C keeps it."
        if not total:
            return "No objects yet. Click on one in the image, then C keeps it."
        if strange := unknown_column(self._text):
            return f"There is no column '{strange}': compare id, size or score, or write a part of a name or class."
        text = counted(total, noun) if listed == total else f"{listed} of {counted(total, noun)}"
        return f"{text}, {picked} picked" if picked else text

    # Buttons: these callbacks only queue.

    def _pick_all(self) -> None:
        self._hands.post(lambda: self._hands.handle(Select(_labels(self._listed))))

    def _merge(self) -> None:
        self._hands.post(lambda: self._hands.handle(Merge(self._session.selected)))


def _labels(rows: Sequence[Row]) -> tuple[int, ...]:
    return tuple(row.label for row in rows)


def _unit(size: VoxelSize | None, volume: bool) -> tuple[float, str]:
    """Return how large a pixel is, or in a volume a voxel, and the unit of that; 1 and "" where it is not known."""
    if size is None or (volume and size.z is None):
        return 1.0, ""
    if volume and size.z is not None:
        return size.z * size.y * size.x, f"{size.unit}³"
    return size.y * size.x, f"{size.unit}²"


def _columns(unit: str, physical: bool, volume: bool) -> list[dict[str, Any]]:
    size = f"Size ({unit})" if physical else "Size"
    return [
        {"key": "label", "title": "Id", "width": "44px", "number": True, "editable": False},
        {"key": "area", "title": size, "width": "72px" if physical else "58px", "number": True, "editable": False},
        *([{"key": "planes", "title": "Planes", "width": "52px", "number": True, "editable": False}] if volume else []),
        {"key": "score", "title": "Score", "width": "46px", "number": True, "editable": False},
        {"key": "name", "title": "Name", "width": "minmax(40px, 1fr)", "number": False, "editable": True},
        {"key": "category", "title": "Class", "width": "minmax(40px, 1fr)", "number": False, "editable": True},
        _CHECKED,
    ]


def _track_columns() -> list[dict[str, Any]]:
    return [
        {"key": "label", "title": "Track", "width": "54px", "number": True, "editable": False},
        {"key": "planes", "title": "Frames", "width": "56px", "number": True, "editable": False},
        {"key": "mother", "title": "Mother", "width": "56px", "number": True, "editable": False},
        {"key": "daughters", "title": "Daughters", "width": "84px", "number": True, "editable": False},
        {"key": "name", "title": "Name", "width": "minmax(40px, 1fr)", "number": False, "editable": True},
        {"key": "category", "title": "Class", "width": "minmax(40px, 1fr)", "number": False, "editable": True},
        _CHECKED,
    ]
