"""The picture that stays in a notebook when no kernel runs: a saved page, GitHub, nbconvert."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from ..view.snapshot import compact

_log = logging.getLogger("microsam_nb")

#: Seconds without a change before a new picture is made, and the longest that changes wait for one.
_REST, _LONGEST = 2.0, 15.0

# While the annotator is alive the picture below it is hidden; without a kernel the annotator's place is.
_STYLE = """<style class="msam-still">
.jp-OutputArea-child:has(style.msam-still) + .jp-OutputArea-child:has(.msam-annotator) + .jp-OutputArea-child {
  display: none !important; }
.jp-OutputArea-child:has(style.msam-still) { display: none !important; }
.jp-OutputArea-child:has(style.msam-still) + .jp-OutputArea-child:not(:has(.msam-annotator)) {
  display: none !important; }
</style>"""


class Still:
    """Shows an annotator with a picture below it, which is drawn anew some time after changes.

    An output that is replaced would take the living annotator off the page; so the picture is an output of its own.
    """

    def __init__(self, draw: Callable[[], bytes]) -> None:
        self._draw = draw
        self._handles: list[Any] = []
        self._timer: threading.Timer | None = None
        #: When the first of the changes came that wait.
        self._since = 0.0
        self._lock, self._drawing = threading.Lock(), threading.Lock()

    def display(self, bundle: dict[str, Any]) -> None:
        """Show an annotator's mime bundle in the cell that runs."""
        from IPython.display import display

        display({"text/html": _STYLE, "text/plain": ""}, raw=True)
        display(bundle, raw=True)
        handle = display({"text/plain": ""}, raw=True, display_id=True)
        if handle is not None:
            with self._lock:
                self._handles.append(handle)
            self.changed()

    def changed(self) -> None:
        """Draw soon, when nothing more happens for a moment."""
        with self._lock:
            if not self._handles:
                return
            now = time.monotonic()
            if self._timer is None:
                self._since = now
            elif now - self._since >= _LONGEST:
                return
            else:
                self._timer.cancel()
            self._timer = threading.Timer(_REST, self.flush)
            self._timer.name, self._timer.daemon = "microsam-still", True
            self._timer.start()

    def flush(self) -> None:
        """Draw now, if something changed; when it returns, the newest picture has been sent."""
        with self._drawing:
            with self._lock:
                if self._timer is None:
                    return
                self._timer.cancel()
                self._timer = None
                handles = list(self._handles)
            try:
                kind, picture = compact(self._draw())
                data = {kind: base64.b64encode(picture).decode("ascii"), "text/plain": "Annotated image"}
                for handle in handles:
                    handle.update(data, raw=True)
            except Exception:  # noqa: BLE001 - a missing picture must not disturb the work
                _log.exception("The picture for the saved notebook could not be made.")
