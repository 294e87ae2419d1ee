"""The journal: one action per line, flushed, replayed at opening."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..core import ProjectError
from .actions import Action, from_json, to_json
from .actions.base import is_step
from .actions.former import renewed
from .plain import Unknown

_HEAD = b'{"crc":"'


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that makes no sense, why, and whether it may have been a step that can be undone."""

    number: int
    why: str
    step: bool


class Journal:
    """Append-only list of actions in a file.

    Every line carries a checksum, the first thing in it, so that damage can be told from what a newer version wrote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Number of actions, those that could not be written yet included.
        self.lines = 0
        self._waiting: list[bytes] = []
        self._sealed = False
        self._whole: int | None = None  # size of the file up to its last whole line

    @property
    def waiting(self) -> int:
        """Number of actions that could not be written yet."""
        return len(self._waiting)

    def read(self) -> Iterator[Action | Damage]:
        """Yield every action, or what is wrong with its line; a torn last line is cut off the file.

        Raises ProjectError for a line of a newer version.
        """
        self.lines = 0
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        lines = data[:whole].split(b"\n")[:-1]
        # Where any line has a checksum, one without lost it: only journals of format 1 have none.
        self._sealed = any(line.startswith(_HEAD) for line in lines)
        for number, line in enumerate(lines, start=1):
            found = self._decode(number, line)
            self.lines = number
            yield found
        if whole < len(data):
            with self.path.open("r+b") as file:
                file.truncate(whole)

    def append(self, line: bytes, *, lasting: bool) -> None:
        """Write what ``encode`` returned. Raises OSError; the line is then kept and written with the next one."""
        self._waiting.append(line)
        self.lines += 1
        # A committed object must survive a power cut, not only a crash of the kernel.
        self._write(sync=lasting)

    def finish(self) -> None:
        """Write what could not be written before, if that is possible now."""
        if self._waiting:
            with contextlib.suppress(OSError):
                self._write(sync=True)

    def begin_again(self, first: Action, kept: Path) -> None:
        """Begin a new journal with one action; the old one is kept beside it. Raises OSError with nothing changed."""
        part = self.path.with_name(self.path.name + ".part")
        try:
            with part.open("wb") as file:
                file.write(encode(first))
                file.flush()
                os.fsync(file.fileno())
            if self.path.exists():
                try:
                    os.link(self.path, kept)
                except OSError:  # not every file system can
                    shutil.copy2(self.path, kept)
            os.replace(part, self.path)
        except OSError:
            for left in (part, kept):
                if left != self.path:
                    left.unlink(missing_ok=True)
            raise
        self._whole, self.lines = None, 1

    def _decode(self, number: int, line: bytes) -> Action | Damage:
        intact = line.startswith(_HEAD)
        try:
            if intact:
                line = _checked(line)
            data = json.loads(line)
            # Lines without a checksum are of format 1.
            return from_json(data if intact else renewed(data))
        except _Corrupt as error:
            return _damage(number, line, error)
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
            # What is written as it should be, and yet not understood, is not damaged.
            if intact or (isinstance(error, Unknown) and not self._sealed):
                raise ProjectError(
                    f"Line {number} of {self.path} was written by a newer version ({error}).",
                    "Update microsam_nb to open this project; nothing in it was changed.",
                ) from error
            return _damage(number, line, error)

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


def encode(action: Action) -> bytes:
    """Return an action as a line of the journal. Raises TypeError for values that a line cannot hold."""
    body = json.dumps(to_json(action), separators=(",", ":")).encode()
    return b'%s%08x",%s\n' % (_HEAD, zlib.crc32(body), body[1:])


class _Corrupt(ValueError):
    """A line is not what was written."""


def _checked(line: bytes) -> bytes:
    """Return a line without its checksum. Raises _Corrupt when that is another one."""
    body = b"{" + line[len(_HEAD) + 10 :]
    if line != b'%s%08x",%s' % (_HEAD, zlib.crc32(body), body[1:]):
        raise _Corrupt("it was changed after it was written")
    return body


def _damage(number: int, line: bytes, error: Exception) -> Damage:
    named = re.search(rb'"do":\s*"(\w+)"', line)
    return Damage(number, str(error), named is None or is_step(named[1].decode("ascii", "replace")))
