"""Which objects a table lists, and in which order."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence

from ..core import Lineage
from ..session import Row

#: Columns by which a table can be sorted.
KEYS = ("label", "area", "planes", "mother", "daughters", "score", "name", "category", "checked")

_COMPARED = re.compile(r"^(id|size|area|score)\s*(<=|>=|<|>|=)\s*([\d.]+)$")
_COMPARABLE = ("id", "size", "area", "score")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq,
}  # fmt: skip


def arrange(
    rows: Sequence[Row],
    text: str,
    key: str,
    descending: bool,
    pixel: float = 1.0,
    lineage: Lineage | None = None,
) -> list[Row]:
    """Return the rows that fit a filter, sorted; those without score, name, class or relatives come last either way.

    The filter is a part of a name or class, a number, or a comparison such as "size < 50" or "score<0.8"; several
    words must all fit. ``pixel``: area of a pixel in the unit that sizes are compared in; ``lineage``: of tracks.
    """
    mothers = {} if lineage is None else lineage.parents

    def value(row: Row) -> float | str | None:
        return _value(row, key, mothers, lineage)

    kept = [row for row in rows if _fits(row, test, pixel)] if (test := _tests(text)) else list(rows)
    filled = [row for row in kept if value(row) not in (None, "")]
    empty = [row for row in kept if value(row) in (None, "")]
    filled.sort(key=lambda row: row.label)
    filled.sort(key=lambda row: _comparable(value(row)), reverse=descending)
    return filled + empty


def unknown_column(text: str) -> str:
    """Return what a filter compares that is no column, "" when there is nothing of the kind."""
    for one in _tests(text):
        found = re.match(r"([^<>=]+)(<=|>=|<|>|=)", one)
        if found and _COMPARED.match(one) is None and found[1] not in _COMPARABLE:
            return found[1]
    return ""


def _value(row: Row, key: str, mothers: Mapping[int, int], lineage: Lineage | None) -> float | str | None:
    if key in ("label", "area"):
        return int(getattr(row, key))
    if key == "planes":
        # By the plane in which an object begins.
        return row.box.start[0]
    if key == "mother":
        return mothers.get(row.label)
    if key == "daughters":
        # By how many there are.
        return len(lineage.daughters.get(row.label, ())) or None if lineage is not None else None
    if key == "checked":
        return 1 if row.info.checked else None
    found: float | str | None = getattr(row.info, key)
    return found


def _comparable(value: float | str | None) -> list[tuple[int, float, str]]:
    """Make "cell 10" come after "cell 9"."""
    if not isinstance(value, str):
        return [(0, float(value or 0), "")]
    parts = re.split(r"(\d+)", value.casefold())
    return [(0, float(one), "") if one.isdigit() else (1, 0.0, one) for one in parts if one]


def _tests(text: str) -> list[str]:
    tight = re.sub(r"\s*(<=|>=|<|>|=)\s*", r"\1", text.casefold())
    return tight.split()


def _fits(row: Row, tests: list[str], pixel: float) -> bool:
    return all(_fits_one(row, one, pixel) for one in tests)


def _fits_one(row: Row, test: str, pixel: float) -> bool:
    found = _COMPARED.match(test)
    if found is None:
        texts = (row.info.name.casefold(), row.info.category.casefold())
        return any(test in text for text in texts) or test == str(row.label)
    name, sign, number = found.groups()
    value = {"id": row.label, "size": row.area * pixel, "area": row.area * pixel, "score": row.info.score}[name]
    try:
        return value is not None and _OPERATORS[sign](float(value), float(number))
    except ValueError:
        return False
