"""Work for a panel on a thread of its own: of what waits only the newest of each kind is done."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

_log = logging.getLogger("microsam_nb")


class Background:
    """Computes one thing after the other. The thread ends when nothing is left to do.

    ``post`` calls a function on the screen's thread; ``failed`` is called there with what went wrong.
    """

    def __init__(self, post: Callable[[Callable[[], None]], None], failed: Callable[[Exception], None]) -> None:
        self._post, self._failed = post, failed
        self._waiting: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {}
        self._running = ""
        self._closed = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def busy(self, kind: str) -> bool:
        """Whether work of a kind is being done, or waits."""
        with self._lock:
            return kind == self._running or kind in self._waiting

    def ask(self, kind: str, compute: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Compute something, and give it to ``done`` on the screen's thread; instead of what waits of this kind."""
        with self._lock:
            if self._closed:
                return
            self._waiting[kind] = compute, done
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="microsam-panel", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Begin nothing new, and wait for what runs."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(30.0)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._running = next(iter(self._waiting), "")
                if not self._running:
                    self._thread = None
                    return
                compute, done = self._waiting.pop(self._running)
            self._do(compute, done)

    def _do(self, compute: Callable[[], Any], done: Callable[[Any], None]) -> None:
        try:
            found = compute()
        except Exception as error:  # noqa: BLE001 - the thread goes on; the failure is shown
            _log.exception("The work of a panel failed.")
            failure = error
            self._deliver(lambda: self._failed(failure))
            return
        self._deliver(lambda: done(found))

    def _deliver(self, event: Callable[[], None]) -> None:
        with self._lock:
            # What is delivered is not being done any more: whoever looks then must not wait for it.
            self._running = ""
            closed = self._closed
        if not closed:
            self._post(event)
