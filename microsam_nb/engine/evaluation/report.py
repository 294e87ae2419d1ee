"""What an evaluation has found, with where it comes from, as a table, CSV and JSON."""

from __future__ import annotations

import csv
import html
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ...core.replacing import replaced_whole
from .scores import Scores, pooled

#: What says which rows belong together.
_GROUP = ("model", "mode", "step")


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of one image, ``step`` corrections after the first prompt; ``others``: further measures by name."""

    image: str
    model: str = ""
    mode: str = ""
    step: int = 0
    scores: Scores | None = None
    others: Mapping[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Return everything by name, for a table."""
        measures = {} if self.scores is None else self.scores.row()
        return {"image": self.image, **{name: getattr(self, name) for name in _GROUP}, **measures, **self.others}

    def as_dict(self) -> dict[str, Any]:
        """Return everything, for JSON; see ``from_dict``."""
        scores = None if self.scores is None else self.scores.as_dict()
        own = {name: getattr(self, name) for name in ("image", *_GROUP)}
        return {**own, "scores": scores, "others": dict(self.others)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what ``as_dict`` has made a dictionary of."""
        scores = values["scores"]
        return cls(**{**values, "scores": None if scores is None else Scores.from_dict(scores)})


@dataclass(frozen=True, slots=True)
class Report:
    """Scores of images, and their ``provenance``: models and their hashes, settings, data, version and date."""

    rows: tuple[Scored, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def summary(self) -> list[dict[str, Any]]:
        """Return for each model, mode and step the means over images, and ``pooled mSA``: as of one large image."""
        groups: dict[tuple[Any, ...], list[Scored]] = {}
        for one in self.rows:
            groups.setdefault(tuple(getattr(one, name) for name in _GROUP), []).append(one)
        out = []
        for group, some in groups.items():
            line: dict[str, Any] = {**dict(zip(_GROUP, group, strict=True)), "images": len(some)}
            rows = [one.row() for one in some]
            for name in [key for key in rows[0] if key not in ("image", *_GROUP)]:
                # A distance of outlines that are not there is no number.
                values = [row[name] for row in rows if row.get(name) is not None and row[name] == row[name]]
                total = name in ("objects", "found")
                line[name] = (sum(values) if total else statistics.fmean(values)) if values else float("nan")
            scores = [one.scores for one in some if one.scores is not None]
            if scores:
                line["pooled mSA"] = pooled(scores).msa
            out.append(line)
        return out

    def to_csv(self, path: Path) -> None:
        """Write one line per image and step. Raises OSError."""
        rows = [one.row() for one in self.rows]
        names = list(dict.fromkeys(name for row in rows for name in row))
        with replaced_whole(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)

    def to_json(self, path: Path) -> None:
        """Write all counts, and where they come from; ``from_json`` reads it. Raises OSError."""
        content = {"provenance": dict(self.provenance), "rows": [one.as_dict() for one in self.rows]}
        with replaced_whole(path) as part:
            part.write_text(json.dumps(content, indent=1), encoding="utf-8")

    @classmethod
    def from_json(cls, path: Path) -> Self:
        """Read what ``to_json`` has written. Raises OSError, and ValueError for another file."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(tuple(Scored.from_dict(one) for one in content["rows"]), content["provenance"])

    def __str__(self) -> str:
        return _text(self.summary())

    def _repr_html_(self) -> str:
        rows = self.summary()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in _names(rows))
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_shown(row.get(name, '')))}</td>" for name in _names(rows)) + "</tr>"
            for row in rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table whose columns are as wide as they need be."""
    names = _names(rows)
    cells = [names, *([_shown(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
