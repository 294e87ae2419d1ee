"""A table of measurements, for pandas, R and spreadsheets."""

from __future__ import annotations

from pathlib import Path

from ..replacing import replacing
from .results import Results


def write_table(path: Path, results: Results) -> None:
    """Write one line per object and plane, as ``measure_objects`` gives them. Raises FileError."""
    table = results.table()
    with replacing(path) as part:
        # The mark at the beginning tells Excel that names may hold any letter.
        table.to_csv(part, index=False, encoding="utf-8-sig")
