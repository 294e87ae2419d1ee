"""The one place that touches ipycanvas' private state.

ipycanvas keeps one command cache for the whole process. Its ``hold_canvas`` is neither safe in threads nor against
exceptions, and it remembers the current canvas across page reloads, after which nothing is drawn any more.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ipycanvas import Canvas
from ipycanvas.canvas import _CANVAS_MANAGER, COMMANDS

from ..view import Patch

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
    """Draw an encoded picture at its place, replacing what was there. An empty patch draws nothing."""
    if not patch.data or not patch.height or not patch.width:
        # One undecodable picture stops the drawing of every canvas of the page for good.
        return
    canvas.clear_rect(patch.column, patch.row, patch.width, patch.height)
    _CANVAS_MANAGER.send_draw_command(
        canvas, COMMANDS["putImageData"], [patch.column, patch.row], [memoryview(patch.data)]
    )


def number(value: float) -> float:
    """Return a plain finite float; NaN or infinity would stop all drawing of the page."""
    plain = float(value)
    if not math.isfinite(plain):
        raise ValueError(f"{value} cannot be drawn; give finite coordinates.")
    return plain
