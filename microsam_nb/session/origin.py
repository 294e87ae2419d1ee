"""Where the image of a project lies, as the project remembers it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def origin_of(source: Path | None, folder: Path) -> dict[str, str]:
    """Return what a project in ``folder`` remembers of the path of its image, nothing for an array.

    Seen from the project, so that both can be moved together, and as a whole, so that the project can be moved alone.
    """
    if source is None:
        return {}
    # Only its folder is resolved: what a link leads to may not have the ending that says how to read it.
    whole = source.absolute().parent.resolve() / source.name
    known = {"absolute": str(whole)}
    with contextlib.suppress(ValueError):  # they lie on two drives of Windows
        known["relative"] = Path(os.path.relpath(whole, folder.resolve())).as_posix()
    return known


def places_of(origin: Any, folder: Path) -> tuple[Path, ...]:
    """Return where the image may lie, the likeliest place first; () where nothing is remembered."""
    known = origin if isinstance(origin, Mapping) else {}
    found = [folder.resolve() / str(known["relative"])] if known.get("relative") else []
    found += [Path(str(known["absolute"]))] if known.get("absolute") else []
    return tuple(dict.fromkeys(Path(os.path.normpath(one)) for one in found))
