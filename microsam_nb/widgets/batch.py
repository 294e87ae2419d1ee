"""The one place that touches ipycanvas' private state.

ipycanvas keeps one command cache for the whole process. Its ``hold_canvas`` is neither safe in threads nor against
exceptions, and it remembers the current canvas across page reloads, after which nothing is drawn any more.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ipycanvas import Canvas
from ipycanvas.canvas import _CANVAS_MANAGER, COMMANDS
from numpy.typing import NDArray

from ..view import Patch

#: How PNG and JPEG files begin.
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")

_lock = threading.RLock()
_depth = 0


@contextmanager
def batch() -> Iterator[None]:
    """Send all drawing of the block as one message, or, after an exception, none of it."""
    global _depth
    with _lock:
        if _depth:
            yield
            return
        manager = _CANVAS_MANAGER
        _depth = 1
        # A page that was opened after the last batch does not know the current canvas: name it again.
        manager._current_canvas = None
        manager._commands_cache, manager._buffers_cache = [], []
        manager._caching = True
        try:
            yield
            manager.flush()
        finally:
            manager._commands_cache, manager._buffers_cache = [], []
            manager._caching = False
            manager._current_canvas = None
            _depth = 0


def put(canvas: Canvas, patch: Patch) -> None:
    """Draw an encoded picture at its place, replacing what was there; one without data clears.

    Raises ValueError for data that is no picture: one of them stops the drawing of every canvas of the page for good.
    """
    if not patch.height or not patch.width:
        return
    if patch.data and not patch.data.startswith(_PICTURES):
        raise ValueError("These bytes are neither PNG nor JPEG; encode the picture first.")
    canvas.clear_rect(patch.column, patch.row, patch.width, patch.height)
    if patch.data:
        _CANVAS_MANAGER.send_draw_command(
            canvas, COMMANDS["putImageData"], [patch.column, patch.row], [memoryview(patch.data)]
        )


def number(value: float) -> float:
    """Return a plain finite float; NaN or infinity would stop all drawing of the page."""
    plain = float(value)
    if not math.isfinite(plain):
        raise ValueError(f"{value} cannot be drawn; give finite coordinates.")
    return plain


def numbers(values: Any) -> NDArray[np.float32]:
    """Return finite float32 of the same shape; other types of array would stop all drawing of the page too."""
    plain = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(plain).all():
        raise ValueError("NaN and infinity cannot be drawn; give finite coordinates.")
    return plain
