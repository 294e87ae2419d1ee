"""What made the tables of a folder: the same command goes on after it, another one makes them anew."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path

import xxhash

#: Beside the tables: a comment in a table would be in the way of those who read it.
NAME = "classified.jsonl"


class Earlier(Enum):
    """What is in the place of a table."""

    NOTHING = auto()
    SAME = auto()
    #: Made of something else.
    OLD = auto()
    #: Made or changed by somebody else.
    STRANGE = auto()


class Made:
    """The lines of a file beside the tables, each with the name and the hash of a table, and what it was made of."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._of: dict[tuple[str, str], str] = {}
        lines: Sequence[str] = ()
        with contextlib.suppress(OSError):
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines:
            # One that was torn by an interruption says nothing.
            with contextlib.suppress(ValueError, KeyError, TypeError):
                known = json.loads(line)
                self._of[known["table"], known["hash"]] = known["of"]

    def find(self, table: Path, of: str) -> Earlier:
        """Say what is in the place of a table that is to be made ``of`` something."""
        if not table.exists():
            return Earlier.NOTHING
        try:
            known = self._of.get((table.name, _hash(table)))
        except OSError:
            known = None
        if known is None:
            return Earlier.STRANGE
        return Earlier.SAME if known == of else Earlier.OLD

    def note(self, table: Path, part: Path, of: str) -> None:
        """Write what a table is made of, before ``part`` is put in its place. Raises OSError."""
        hash_ = _hash(part)
        line = json.dumps({"table": table.name, "hash": hash_, "of": of})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        self._of[table.name, hash_] = of


def _hash(table: Path) -> str:
    return xxhash.xxh3_128_hexdigest(table.read_bytes())
