"""Read prompts from a table."""

from __future__ import annotations

import csv
from pathlib import Path

from ..core import BoxPrompt, FileError, Point, Prompt


def read_prompts(path: Path) -> dict[int, list[Prompt]]:
    """Read prompts by object from a CSV file with a header.

    Columns: ``object`` (a number above 0), and ``y, x`` with optional ``positive`` (1 or 0) for a point, or
    ``y0, x0, y1, x1`` for a box. Optional ``plane``. Raises FileError naming the line.
    """
    if not path.is_file():
        raise FileError(f"There is no file {path}.", "Check the name and the folder.")
    objects: dict[int, list[Prompt]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines, skipinitialspace=True)
            if "object" not in (reader.fieldnames or ()):
                raise FileError(
                    f"{path} has no column 'object' in its first line.",
                    "Begin the file with the line object,y,x or object,y0,x0,y1,x1.",
                )
            for row in reader:
                number, prompt = _row(row, f"{path}, line {reader.line_num}")
                objects.setdefault(number, []).append(prompt)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path} is not a CSV table ({error}).", "Save the prompts as comma-separated text.") from error
    if not objects:
        raise FileError(f"{path} holds no prompts.", "Give one prompt per line below the header object,y,x.")
    return objects


def _row(row: dict[str, str | None], where: str) -> tuple[int, Prompt]:
    values = {k: v for k, v in row.items() if k is not None and v not in (None, "")}
    try:
        number = int(values.get("object", "") or "")
        plane = int(values.get("plane") or 0)
        if "y0" in values:
            y0, x0, y1, x1 = (float(values[k] or "") for k in ("y0", "x0", "y1", "x1"))
            return _positive(number), BoxPrompt(plane, y0, x0, y1, x1)
        sign = (values.get("positive") or "1").strip().lower()
        if sign not in ("0", "1", "true", "false"):
            raise ValueError(f"positive is {sign!r}")
        y, x = (float(values[k] or "") for k in ("y", "x"))
        return _positive(number), Point(plane, y, x, sign in ("1", "true"))
    except (KeyError, ValueError) as error:
        raise FileError(
            f"{where} is no prompt ({error}).", "Give object,y,x or object,y0,x0,y1,x1 as numbers below a header."
        ) from error


def _positive(number: int) -> int:
    if not 1 <= number < 2**32:
        raise ValueError(f"object is {number}, ids go from 1 to {2**32 - 1}")
    return number
