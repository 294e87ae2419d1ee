"""One thread for all that the models compute.

OpenMP keeps a team of threads for every thread that computes, and once there are more of them than cores they stop
waiting actively: a click answered from a second thread took 1.6 times as long (2 cores, torch 2.14). So everything
runs on one thread of the process, clicks before what nobody waits for.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_END: Any = object()


class ComputeThread:
    """Runs work for other threads, which wait for it. What is urgent comes before other work that waits."""

    def __init__(self) -> None:
        self._waiting: queue.PriorityQueue[tuple[bool, int, Callable[[], Any], Future[Any]]] = queue.PriorityQueue()
        self._number = itertools.count()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def call(self, work: Callable[[], T], *, urgent: bool = False) -> T:
        """Return what ``work`` returns, or raise what it raises."""
        if threading.current_thread() is self._thread:
            return work()
        self._start()
        done: Future[T] = Future()
        self._waiting.put((not urgent, next(self._number), work, done))
        return done.result()

    def steps(self, work: Iterator[T], *, urgent: bool = False) -> Iterator[T]:
        """Yield what ``work`` yields; every step is computed by itself, so that others come in between."""
        try:
            while (found := self.call(lambda: next(work, _END), urgent=urgent)) is not _END:
                yield found
        finally:
            close = getattr(work, "close", None)
            if close is not None:
                self.call(close, urgent=urgent)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                # A daemon that only waits disturbs nobody at the end; whoever has asked waits for it before that.
                self._thread = threading.Thread(target=self._run, name="microsam-compute", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            _, _, work, done = self._waiting.get()
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
                done.set_exception(error)
            # What was computed must not stay in memory until the next work comes.
            del work, done


#: The thread of this process.
compute = ComputeThread()
