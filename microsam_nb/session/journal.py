"""The journal: one action per line, flushed, replayed at opening."""

from __future__ import annotations

import contextlib
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
        self._whole: int | None = None  # size of the file up to its last whole line

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
        # A committed object must survive a power cut, not only a crash of the kernel.
        self._write(sync=isinstance(action, Commit))

    def finish(self) -> None:
        """Write what could not be written before, if that is possible now."""
        if self._waiting:
            with contextlib.suppress(OSError):
                self._write(sync=True)

    def _write(self, *, sync: bool) -> None:
        if self._whole is None:
            self._whole = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as file:
                # What a failed write left behind must not be glued to the next line.
                file.truncate(self._whole)
                file.write(b"".join(self._waiting))
                file.flush()
                if sync:
                    os.fsync(file.fileno())
                whole = file.tell()
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(self.path, self._whole)
            raise
        self._whole = whole
        self._waiting.clear()
