"""One thread between the browser and the session: events keep their order, of paintings only the newest counts."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable

from ..session import Change

_log = logging.getLogger("microsam_nb")

#: Seconds that a painting waits at most for events that keep coming.
PATIENCE = 0.2


class Loop:
    """Runs posted events and repaints.

    Callbacks of the kernel only call ``post`` or ``repaint``, which return at once on any thread. ``failed`` is told
    of exceptions.
    """

    def __init__(self, paint: Callable[[Change, bool], None], failed: Callable[[Exception], None]) -> None:
        self._paint, self._failed = paint, failed
        self._events: deque[tuple[Callable[[], object], Hashable]] = deque()
        self._change: Change | None = None
        self._changed = 0.0
        self._everything = False
        self._closed = False
        self._busy = False
        self._wake = threading.Condition()
        atexit.register(self.close)
        self._thread = threading.Thread(target=self._run, name="microsam-screen", daemon=True)
        self._thread.start()

    def post(self, event: Callable[[], object], slot: Hashable = None) -> None:
        """Queue an event. It takes the place of the newest that waits if both have the same ``slot``."""
        with self._wake:
            if slot is not None and self._events and self._events[-1][1] == slot:
                self._events.pop()
            self._events.append((event, slot))
            self._wake.notify_all()

    def repaint(self, change: Change, everything: bool = False) -> None:
        """Paint soon; changes that wait are painted together."""
        with self._wake:
            if self._change is None:
                self._change, self._changed = change, time.monotonic()
            else:
                self._change |= change
            self._everything |= everything
            self._wake.notify_all()

    def wait(self, timeout: float = 30.0) -> None:
        """Return when nothing is left to do. Raises TimeoutError."""
        with self._wake:
            if not self._wake.wait_for(self._idle, timeout):
                raise TimeoutError(f"The screen is still busy after {timeout:g} s; wait longer.")

    @property
    def here(self) -> bool:
        """Whether this is the loop's own thread."""
        return threading.current_thread() is self._thread

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do."""
        with self._wake:
            return self._idle()

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        atexit.unregister(self.close)
        if not self.here:
            self._thread.join(10.0)

    def _idle(self) -> bool:
        # What a closed loop has not done it never does.
        return not self._busy and (self._closed or (not self._events and self._change is None))

    def _run(self) -> None:
        while True:
            with self._wake:
                self._busy = False
                self._wake.notify_all()
                self._wake.wait_for(lambda: self._events or self._change is not None or self._closed)
                if self._closed:
                    return
                self._busy = True
                # Events first: painting in between would only show states that are already past. But not forever.
                overdue = self._change is not None and time.monotonic() - self._changed > PATIENCE
                event = self._events.popleft()[0] if self._events and not overdue else None
                change, everything = self._change, self._everything
                if event is None:
                    self._change, self._everything = None, False
            try:
                if event is not None:
                    event()
                elif change is not None:
                    self._paint(change, everything)
            except Exception as error:  # noqa: BLE001 - the thread must live; the failure is shown
                self._tell(error)

    def _tell(self, error: Exception) -> None:
        try:
            self._failed(error)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("A failure of the screen cannot be shown.")
            _log.error("The failure was:", exc_info=error)
