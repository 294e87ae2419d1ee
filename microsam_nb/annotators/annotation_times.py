"""How long people worked on the images of a series, by what is kept in their project folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core import FileError
from ..session.records import Record, read_record

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True)
class AnnotationTime:
    """Seconds of work on one image, without breaks, and how many objects came of it."""

    name: str
    seconds: float
    objects: int
    model: str

    @property
    def seconds_per_object(self) -> float:
        """Seconds for each object; NaN where there is none."""
        return self.seconds / self.objects if self.objects else float("nan")


def annotation_times(folder: str | os.PathLike[str]) -> list[AnnotationTime]:
    """Return the times of all project folders (.msam) in a folder, and below, that a series has worked on.

    Raises FileError where there is none.
    """
    root = Path(folder).expanduser()
    projects = [root] if root.suffix == ".msam" else sorted(root.rglob("*.msam"))
    records = [(project, read_record(project)) for project in projects]
    # A folder without a record, or untouched, says nothing of how long something takes.
    out = [_time(project, record) for project, record in records if record.seconds > 0]
    if not out:
        raise FileError(
            f"Nothing in {root} says how long somebody worked.",
            "Give the output folder of a series, made with annotate_series; single projects keep no times.",
        )
    return out


def table_of(times: Sequence[AnnotationTime]) -> DataFrame:
    """Return times as a table, a row per image."""
    from pandas import DataFrame

    return DataFrame(
        [(one.name, one.objects, one.seconds, one.seconds_per_object, one.model) for one in times],
        columns=["image", "objects", "seconds", "seconds per object", "model"],
    )


def _time(project: Path, record: Record) -> AnnotationTime:
    return AnnotationTime(project.stem, record.seconds, record.objects, record.model)
