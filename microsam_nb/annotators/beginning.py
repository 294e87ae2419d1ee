"""Objects to begin with: read for the first time, and known again when the same cell runs another time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from ..core import Image, Tracks
from ..session import LoadLabels, LoadTracks
from .inputs import read_labels

#: Bytes of a file that are read together.
_PIECE = 2**22


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a new project begins with.

    ``make`` returns the action that loads it; ``argument``: what the user has given it as; ``fingerprint``: the same
    for the same objects, "" where that cannot be told.
    """

    make: Callable[[], LoadLabels | LoadTracks]
    fingerprint: str
    argument: str = "labels"


def begin_with(labels: Any, image: Image) -> Beginning | None:
    """Return what an annotation of ``image`` begins with, of an array or a path; None for nothing.

    Raises LabelError or FileError.
    """
    if labels is None:
        return None
    found = read_labels(labels, image)
    action = LoadLabels.of(*found)
    return Beginning(lambda: action, _of_array(found[0], str(sorted(found[2].items()))))


def fingerprint_of(given: Any) -> str:
    """Return what tells labels or tracks from others, of files their content; "" where nothing does."""
    try:
        if isinstance(given, str | os.PathLike):
            return _of_files(Path(given).expanduser())
        if isinstance(given, Tracks):
            return _of_array(given.labels, str(given.lineage))
        computed = given.compute() if hasattr(given, "compute") else given
        return _of_array(np.asarray(computed if isinstance(computed, np.ndarray) else computed[...]), "")
    except (OSError, TypeError, ValueError, KeyError):
        return ""  # what is wrong with it is told by those who read it


def _of_array(array: NDArray[np.generic], more: str) -> str:
    # The type of whole numbers does not matter: the same objects may come from a file or from memory.
    kind = np.uint32 if array.dtype.kind in "iub" else array.dtype
    made = xxhash.xxh3_128(f"{array.shape} {more}".encode())
    for part in array if array.ndim > 2 else [array]:
        made.update(np.ascontiguousarray(part, dtype=kind).data)
    return made.hexdigest()


def _of_files(path: Path) -> str:
    # A folder is a zarr, or has one file per frame.
    made = xxhash.xxh3_128()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if not file.is_file():
            continue
        made.update(file.relative_to(path).as_posix().encode())
        with file.open("rb") as source:
            while piece := source.read(_PIECE):
                made.update(piece)
    return made.hexdigest()
