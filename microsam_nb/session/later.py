"""Work that is done a moment after the last of many changes, again and again until it is possible."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable

from ..core import MicrosamError
from .autosave import Pace

_log = logging.getLogger("microsam_nb")


class Later:
    """Does ``work`` on a thread of its own, at the ``pace`` of autosaves; ``tell`` hears what went wrong, "" when
    it went well again.

    ``work`` raises OSError or MicrosamError when it is not possible now.
    """

    def __init__(self, work: Callable[[], None], tell: Callable[[str], None], pace: Pace | None = None) -> None:
        self._work, self._tell, self._pace = work, tell, pace or Pace()
        self._first: float | None = None
        self._last = self._not_before = 0.0
        self._failed = self._closed = False
        self._wake, self._one = threading.Condition(), threading.Lock()
        self._thread: threading.Thread | None = None
        # Notebooks are seldom closed by hand.
        atexit.register(self.close)

    @property
    def waiting(self) -> bool:
        """Whether there is something left to do."""
        return self._first is not None

    def touch(self) -> None:
        """Have the work done soon."""
        with self._wake:
            if self._closed:
                return
            self._last = time.monotonic()
            if self._first is None:
                self._first = self._last
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="microsam-results", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def flush(self, *, anyway: bool = False) -> bool:
        """Do now what waits, or ``anyway``; return whether that was possible."""
        with self._one:
            with self._wake:
                if self._first is None and not anyway:
                    return True
                first, self._first = self._first, None
            try:
                self._work()
            except BaseException as error:
                # Whatever it was: it is not done.
                with self._wake:
                    self._first = first if first is not None else time.monotonic()
                    self._not_before = time.monotonic() + self._pace.retry
                self._failed = True
                if not isinstance(error, OSError | MicrosamError):
                    raise
                self._tell(str(error))
                return False
            if self._failed:
                self._failed = False
                self._tell("")
            return True

    def close(self) -> None:
        """Do what waits, and stop."""
        with self._wake:
            if self._closed:
                return
            self._closed = True
            self._wake.notify_all()
        atexit.unregister(self.close)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self.flush()

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not self._closed and (left := self._left()) != 0:
                    self._wake.wait(left)
                if self._closed:
                    return
            try:
                self.flush()
            except Exception as error:  # noqa: BLE001 - a thread that dies would leave the rest undone
                _log.exception("Results could not be written.")
                self._tell(f"Results could not be written ({error.__class__.__name__}: {error}).")

    def _left(self) -> float | None:
        """Return the seconds until it is time, None while there is nothing to do."""
        if self._first is None:
            return None
        due = min(self._last + self._pace.quiet, self._first + self._pace.latest)
        return max(0.0, max(due, self._not_before) - time.monotonic())
