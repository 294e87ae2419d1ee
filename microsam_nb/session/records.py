"""What is known of the images of a series, each in its own project folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..core.replacing import replaced_whole
from .project import holder


class Status(StrEnum):
    """What has become of an image; the last three say why it cannot be opened now."""

    UNTOUCHED = "untouched"
    STARTED = "started"
    DONE = "done"
    SKIPPED = "skipped"
    LOCKED = "locked"
    MISSING = "missing"
    UNREADABLE = "unreadable"


#: Nothing is left to do.
FINISHED = (Status.DONE, Status.SKIPPED)
#: Cannot be opened.
CLOSED = (Status.LOCKED, Status.MISSING, Status.UNREADABLE)


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept about an image in its project folder: ``kept`` is a status, ``seconds`` the time somebody worked."""

    kept: Status = Status.UNTOUCHED
    objects: int = 0
    seconds: float = 0.0
    model: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a series: its file, its project folder and the file of its results.

    ``obstacle``: why it cannot be opened, with the sentence in ``problem``.
    """

    name: str
    path: Path
    folder: Path
    result: Path
    record: Record = Record()
    obstacle: Status | None = None
    problem: str = ""

    @property
    def status(self) -> Status:
        return self.obstacle or self.record.kept

    def refreshed(self) -> Entry:
        """Return it as it is on disk now: what others have done, and whether the file is there."""
        record = read_record(self.folder)
        if not self.path.exists():
            return replace(
                self, record=record, obstacle=Status.MISSING, problem=f"{self.name} is gone: put the file back."
            )
        if (who := holder(self.folder)) is not None:
            return replace(
                self, record=record, obstacle=Status.LOCKED, problem=f"{self.name} is being annotated by {who}."
            )
        unreadable = self.obstacle is Status.UNREADABLE
        return self if unreadable else replace(self, record=record, obstacle=None, problem="")


def read_record(folder: Path) -> Record:
    """Return what a project folder says of its image; nothing of what cannot be read."""
    try:
        found: dict[str, Any] = json.loads((folder / "image.json").read_text(encoding="utf-8"))
        kept = Status(found["kept"])
        if kept in CLOSED:
            raise ValueError(f"{kept} is never kept")
        return Record(kept, int(found["objects"]), float(found["seconds"]), str(found["model"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Record()


def write_record(folder: Path, record: Record) -> None:
    """Write what is known of an image, wholly or not at all. Raises OSError."""
    with replaced_whole(folder / "image.json") as part:
        part.write_text(json.dumps({**asdict(record), "seconds": round(record.seconds, 1)}), encoding="utf-8")
