"""Models for several images: loaded once, however often the image changes."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..engine import Model


class Loader:
    """Loads models as ``load_model`` does, and keeps the newest: who turns to another image while the first one's
    model is being loaded must not wait for it twice."""

    def __init__(self) -> None:
        self._newest: tuple[tuple[object, ...], Model] | None = None
        self._lock = threading.Lock()

    def __call__(self, name: str | os.PathLike[str], device: str) -> Model:
        # Torch takes seconds to import.
        from ..engine.load import load_model

        with self._lock:
            asked = os.fspath(name), device, _state(name)
            if self._newest is None or self._newest[0] != asked:
                self._newest = asked, load_model(name, device)
            return self._newest[1]


def _state(name: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return what changes when a file of weights is written anew, as a training does; None for what is no file."""
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
