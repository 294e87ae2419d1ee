"""labels.zarr: the committed objects on disk, in chunks, so that only what changed is written again.

Zarr format 2, deflated: every zarr library reads it. It is written without one: their threads take no work any more
while the interpreter goes down, and that is when the last change is saved.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Box, ObjectInfo
from ..core.box import Triple
from ..core.replacing import replaced_whole

#: Height and width of a chunk, in pixels.
SIDE = 512


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which moment of a session labels.zarr holds.

    ``upto``: the number of lines of the journal that are included; ``journal``: that journal's name, "" for a first
    one. ``objects`` and ``pixels`` count what must be found in it, ``next_id`` and ``infos`` go with the labels.
    """

    upto: int
    journal: str = ""
    next_id: int = 1
    objects: int = 0
    pixels: int = 0
    infos: Mapping[int, ObjectInfo] = field(default_factory=dict)


class StoredLabels:
    """The labels of shape ``shape`` (planes, h, w) in a folder."""

    def __init__(self, folder: Path, shape: Triple) -> None:
        self.folder = folder
        self._shape = shape
        self._chunk = (1, min(SIDE, shape[1]), min(SIDE, shape[2]))

    def exists(self) -> bool:
        """Whether there are labels of this shape, finished or not."""
        try:
            return bool(json.loads((self.folder / ".zarray").read_text()) == self._layout())
        except (OSError, ValueError):
            return False

    def touched(self, box: Box) -> Iterator[Triple]:
        """Yield the chunks that a box meets."""
        spans = (
            range(a // n, -(-b // n)) if b > a else range(0)
            for a, b, n in zip(box.start, box.stop, self._chunk, strict=True)
        )
        yield from product(*spans)

    def written(self) -> Iterator[Triple]:
        """Yield the chunks that have a file."""
        if self.exists():
            most = tuple(-(-size // n) for size, n in zip(self._shape, self._chunk, strict=True))
            for path in self.folder.iterdir():
                parts = path.name.split(".")
                if len(parts) == 3 and all(part.isdecimal() for part in parts):
                    plane, row, column = (int(part) for part in parts)
                    if plane < most[0] and row < most[1] and column < most[2]:
                        yield plane, row, column

    def box(self, chunk: Triple) -> Box:
        """Return the pixels of a chunk."""
        start = tuple(i * n for i, n in zip(chunk, self._chunk, strict=True))
        stop = tuple(min(a + n, size) for a, n, size in zip(start, self._chunk, self._shape, strict=True))
        return Box(start, stop)  # type: ignore[arg-type]

    def stamp(self) -> Stamp | None:
        """Return which moment is held, None when that is unknown: nothing there, or a write was cut short."""
        if not self.exists():
            return None
        try:
            found: dict[str, Any] = json.loads((self.folder / ".zattrs").read_text())
            infos = {int(label): ObjectInfo(**info) for label, info in found["infos"].items()}
            numbers = [found[name] for name in ("upto", "next_id", "objects", "pixels")]
            if any(isinstance(n, bool) or not isinstance(n, int) for n in numbers):
                return None
            upto, next_id, objects, pixels = numbers
            return Stamp(upto, str(found["journal"]), next_id, objects, pixels, infos)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def begin(self) -> None:
        """Say that what is there is being changed; lay it out first if need be. Raises OSError."""
        if not self.exists():
            put_aside(self.folder)
            self.folder.mkdir()
            _replace(self.folder / ".zarray", json.dumps(self._layout(), indent=1).encode())
        _replace(self.folder / ".zattrs", json.dumps({"_ARRAY_DIMENSIONS": _AXES, "writing": True}).encode())

    def write(self, chunk: Triple, labels: NDArray[np.uint32]) -> int:
        """Write the pixels of a chunk; return the bytes that it takes. Raises OSError."""
        path = self._path(chunk)
        if not labels.any():
            path.unlink(missing_ok=True)
            return 0
        full = np.zeros(self._chunk, "<u4")
        full[tuple(slice(0, n) for n in labels.shape)] = labels
        data = zlib.compress(full.tobytes(), 1)
        _replace(path, data)
        return len(data)

    def finish(self, stamp: Stamp) -> None:
        """Say which moment is held now. Raises OSError."""
        infos = {str(label): asdict(info) for label, info in sorted(stamp.infos.items())}
        about = {name: getattr(stamp, name) for name in ("upto", "journal", "next_id", "objects", "pixels")}
        _replace(self.folder / ".zattrs", json.dumps({"_ARRAY_DIMENSIONS": _AXES, **about, "infos": infos}).encode())

    def read(self) -> tuple[NDArray[np.uint32], bool]:
        """Return the labels, and whether every chunk that is there could be read; what could not is background."""
        out, whole = np.zeros(self._shape, np.uint32), True
        for chunk in self.written():
            box = self.box(chunk)
            try:
                data = zlib.decompress(self._path(chunk).read_bytes())
                full = np.frombuffer(data, "<u4").reshape(self._chunk)
            except (OSError, ValueError, zlib.error):
                whole = False
                continue
            out[box.slices] = full[tuple(slice(0, n) for n in box.shape)]
        return out, whole

    def tidy(self) -> None:
        """Remove what a killed process left half written."""
        with contextlib.suppress(OSError):
            for path in self.folder.glob("*.part"):
                path.unlink()

    def _path(self, chunk: Triple) -> Path:
        return self.folder / ".".join(str(n) for n in chunk)

    def _layout(self) -> dict[str, Any]:
        return {
            "zarr_format": 2,
            "shape": list(self._shape),
            "chunks": list(self._chunk),
            "dtype": "<u4",
            "compressor": {"id": "zlib", "level": 1},
            "fill_value": 0,
            "order": "C",
            "filters": None,
            "dimension_separator": ".",
        }


_AXES = ["plane", "y", "x"]


def put_aside(path: Path) -> Path | None:
    """Rename a file or folder so that its name is free; return the new name, None when there was nothing."""
    if not path.exists():
        return None
    kept = spare(path)
    shutil.move(path, kept)
    return kept


def spare(path: Path) -> Path:
    """Return a free name beside a path, such as journal-damaged-2025-03-01-120000.jsonl."""
    stem, suffix = path.stem, path.suffix
    base = f"{stem}-damaged-{time.strftime('%Y-%m-%d-%H%M%S')}"
    found, count = path.with_name(base + suffix), 1
    while found.exists():
        count += 1
        found = path.with_name(f"{base}-{count}{suffix}")
    return found


def _replace(path: Path, data: bytes) -> None:
    with replaced_whole(path) as part:
        part.write_bytes(data)
