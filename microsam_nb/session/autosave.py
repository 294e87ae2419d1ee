"""The thread that keeps labels.zarr up to date."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..core import Box
from ..core.box import Triple
from .stored import Stamp, StoredLabels

_log = logging.getLogger("microsam_nb")


class Say(Protocol):
    """Shows a sentence in the status line."""

    def __call__(self, text: str, *, error: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """When labels are saved, in seconds: ``quiet`` after the last change, at the latest ``latest`` after the first.

    What could not be written is tried again after ``retry``.
    """

    quiet: float = 1.0
    latest: float = 5.0
    retry: float = 10.0


class Autosave:
    """Writes the chunks that were touched, a moment later, on a thread of its own.

    ``lock`` is the one that the labels are changed under. It is only held while one chunk is copied, so nobody waits.
    ``read`` copies a part of the labels, ``stamp`` says which moment they are at.
    """

    def __init__(
        self,
        stored: StoredLabels,
        lock: threading.RLock,
        read: Callable[[Box], NDArray[np.uint32]],
        stamp: Callable[[], Stamp],
        say: Say,
        pace: Pace | None = None,
    ) -> None:
        self._stored, self._read, self._stamp, self._say = stored, read, stamp, say
        self._pace = pace or Pace()
        self._dirty: set[Triple] = set()
        self._first = self._last = self._not_before = 0.0
        self._unfinished = self._failed = self._closed = False
        self._wake = threading.Condition(lock)
        self._one = threading.Lock()
        self._thread: threading.Thread | None = None
        #: What was written until now.
        self.chunks = self.nbytes = 0
        # Notebooks are seldom closed by hand.
        atexit.register(self.close)

    def touch(self, chunks: Iterable[Triple]) -> None:
        """Have chunks written soon."""
        with self._wake:
            if self._closed:
                return
            now = time.monotonic()
            if not self._dirty:
                self._first = now
            before = len(self._dirty)
            self._dirty.update(chunks)
            if not self._dirty:
                return
            self._last = now
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="microsam-autosave", daemon=True)
                self._thread.start()
            elif not before:
                self._wake.notify_all()

    def flush(self) -> bool:
        """Bring labels.zarr up to date now; return whether that was possible."""
        with self._one:
            try:
                self._save()
            except OSError as error:
                self._complain(error)
                return False
            self._recovered()
            return True

    def close(self) -> None:
        """Bring labels.zarr up to date and stop."""
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
            except Exception as error:  # noqa: BLE001 - a thread that dies would leave the labels unsaved
                _log.exception("The labels could not be saved.")
                self._complain(error)

    def _left(self) -> float | None:
        """Return the seconds until it is time to save, None while there is nothing to."""
        if not (self._dirty or self._unfinished):
            return None
        due = min(self._last + self._pace.quiet, self._first + self._pace.latest)
        return max(0.0, max(due, self._not_before) - time.monotonic())

    def _save(self) -> None:
        with self._wake:
            if not (self._dirty or self._unfinished):
                self._renew()
                return
            self._unfinished = True
        self._stored.begin()
        while True:
            with self._wake:
                if not self._dirty:
                    # At this moment the file and the labels are the same.
                    stamp = self._stamp()
                    break
                chunk = self._dirty.pop()
                labels = self._read(self._stored.box(chunk))
            try:
                self.nbytes += self._stored.write(chunk, labels)
                self.chunks += 1
            except BaseException:
                with self._wake:
                    self._dirty.add(chunk)
                raise
        self._stored.finish(stamp)
        with self._wake:
            self._unfinished = False

    def _renew(self) -> None:
        """Say that what is there holds for now too: nothing that happened since changed labels."""
        old = self._stored.stamp()
        if old is not None:
            new = self._stamp()
            if new != old:
                self._stored.finish(new)

    def _complain(self, error: Exception) -> None:
        with self._wake:
            self._not_before = time.monotonic() + self._pace.retry
            known, self._failed = self._failed, True
        if not known:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self._say(
                f"{self._stored.folder.name} cannot be written ({why}). Your objects are safe in the journal and in "
                "memory: free some disk space, and see that the project folder can be written. It is tried again by "
                "itself.",
                error=True,
            )

    def _recovered(self) -> None:
        with self._wake:
            known, self._failed = self._failed, False
        if known:
            self._say("The labels are saved in the project folder again.")
