"""One thread for all that the models compute.

OpenMP keeps a team of threads for every thread that computes, and once there are more of them than cores they stop
waiting actively: a click answered from a second thread took 1.6 times as long (2 cores, torch 2.14). So everything
runs on one thread of the process, clicks before what nobody waits for.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_END: Any = object()
#: Seconds that small steps are taken together: every change of threads takes time.
_TOGETHER = 0.2
#: Seconds that the end of the interpreter waits for the work in hand.
_PATIENCE = 30.0


class ComputeThread:
    """Runs work for other threads, which wait for it. What is urgent comes before other work that waits."""

    def __init__(self) -> None:
        self._urgent: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._other: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        #: How many urgent iterators are in the middle of their steps: nothing else comes in between.
        self._begun = 0
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def close(self) -> None:
        """Take no more work, and return when the work in hand is done.

        At the end of the interpreter: a thread that is in the middle of torch's code then would abort the process.
        """
        with self._wake:
            self._closed = True
            left = [done for _, done in (*self._urgent, *self._other)]
            self._urgent.clear()
            self._other.clear()
            self._wake.notify_all()
        for done in left:
            done.set_exception(RuntimeError("The interpreter ends."))
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)

    def call(self, work: Callable[[], T], *, urgent: bool = False) -> T:
        """Return what ``work`` returns, or raise what it raises."""
        if threading.current_thread() is self._thread:
            return work()
        done = self._put(work, urgent=urgent)
        try:
            return done.result()
        finally:
            # An error holds this frame, and would hold itself and all that its frames hold.
            del done

    def steps(self, work: Iterator[T], *, urgent: bool = False) -> Iterator[T]:
        """Yield what ``work`` yields. Each step is computed by itself, so that what is urgent comes in between.

        None says that there is nothing to tell: such steps are taken together for a moment, unless others wait.
        """

        def advance() -> T:
            until = time.perf_counter() + _TOGETHER
            while True:
                found: T = next(work, _END)
                if found is not None or self._waits(urgent) or time.perf_counter() > until:
                    return found

        self._count(urgent)
        ended = False
        try:
            while True:
                ended = True  # also by an error
                found = self.call(advance, urgent=urgent)
                if found is _END:
                    return
                ended = False
                yield found
        finally:
            close = getattr(work, "close", None)
            if not ended and close is not None:
                with contextlib.suppress(RuntimeError):  # at the end of the interpreter
                    self._put(close, urgent=urgent)  # nobody waits for it
            self._count(-urgent)

    def _count(self, change: int) -> None:
        with self._wake:
            self._begun += change
            self._wake.notify_all()

    def _put(self, work: Callable[[], T], *, urgent: bool) -> Future[T]:
        done: Future[T] = Future()
        with self._wake:
            if self._closed:
                raise RuntimeError("The interpreter ends; nothing more is computed.")
            (self._urgent if urgent else self._other).append((work, done))
            if self._thread is None:
                # A daemon that only waits disturbs nobody at the end.
                self._thread = threading.Thread(target=self._run, name="microsam-compute", daemon=True)
                self._thread.start()
            self._wake.notify_all()
        return done

    def _waits(self, urgent: bool) -> bool:
        """Whether there is something that comes before work that is ``urgent`` or not."""
        return bool(self._urgent) or (bool(self._begun) and not urgent)

    def _ready(self) -> bool:
        return bool(self._urgent) or (bool(self._other) and not self._begun)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._ready())
                if self._closed:
                    return
                work, done = (self._urgent or self._other).popleft()
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
                done.set_exception(error)
            # What was computed must not stay in memory until the next work comes.
            del work, done


#: The thread of this process.
compute = ComputeThread()
atexit.register(compute.close)
