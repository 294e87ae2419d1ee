"""The journal: one action per line, flushed, replayed at opening."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..core import ProjectError
from .actions import Action, Commit, from_json, to_json


class Journal:
    """Append-only list of actions in a file.

    A last line that was torn by a crash is dropped; damage elsewhere raises ProjectError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[bytes] = []

    def read(self) -> Iterator[Action]:
        """Yield every action; a torn last line is cut off the file."""
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with self.path.open("r+b") as file:
                file.truncate(whole)
        for number, line in enumerate(data[:whole].splitlines(), start=1):
            try:
                yield from_json(json.loads(line))
            except (ValueError, KeyError, TypeError, zlib.error) as error:
                raise self.damaged(number, error) from error

    def damaged(self, number: int, error: Exception) -> ProjectError:
        """Return the error that says that line ``number`` makes no sense."""
        return ProjectError(
            f"Line {number} of {self.path} cannot be read ({error}).",
            "The file was changed or made by a newer version: restore it, or open another project.",
        )

    def append(self, action: Action) -> None:
        """Write one action. Raises OSError; the line is then kept and written with the next one."""
        line = json.dumps(to_json(action), separators=(",", ":")) + "\n"
        self._waiting.append(line.encode())
        start = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as file:
                file.write(b"".join(self._waiting))
                file.flush()
                if isinstance(action, Commit):
                    # A committed object must survive a power cut, not only a crash of the kernel.
                    os.fsync(file.fileno())
        except OSError:
            self._cut(start)
            raise
        self._waiting.clear()

    def _cut(self, size: int) -> None:
        try:
            os.truncate(self.path, size)
        except OSError:
            return  # the torn line is dropped at the next opening
