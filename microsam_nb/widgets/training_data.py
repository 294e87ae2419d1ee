"""What a training learns from and is measured with, in a few lines."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets

from ..view.training import totals
from .buttons import visible
from .panels import title

#: Images that are listed by name.
_LISTED = 50


class TrainingDataPanel:
    """Images and objects of both parts, what is to be said of them, and their names in a list that folds out."""

    def __init__(self) -> None:
        self.text = widgets.HTML()
        self.box = widgets.VBox([title("Data"), self.text])
        self.box.add_class("msam-data")
        self._shown: Mapping[str, Any] = {}

    def show(self, data: Mapping[str, Any]) -> None:
        visible(self.box, bool(data))
        if data is self._shown or not data:
            return
        self._shown = data
        lines = [f"<div>{html.escape(line)}</div>" for line in totals(data)]
        notes = [f"<li>{html.escape(str(note))}</li>" for note in data.get("notes", ())]
        lines += [f"<ul class='msam-data-notes'>{''.join(notes)}</ul>"] if notes else []
        names = "".join(_names(word, data.get(word, ())) for word in ("training", "validation"))
        self.text.value = "".join(lines) + f"<details><summary>Images</summary>{names}</details>"


def _names(word: str, images: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for one in images[:_LISTED]:
        size = " × ".join(str(side) for side in one.get("shape", ()))
        cells = (html.escape(str(one.get("name", ""))), size, str(one.get("objects", "")))
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    more = f"<div>and {len(images) - _LISTED} more</div>" if len(images) > _LISTED else ""
    head = "<tr><th>" + "</th><th>".join([word.capitalize(), "Pixels", "Objects"]) + "</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>{more}"
