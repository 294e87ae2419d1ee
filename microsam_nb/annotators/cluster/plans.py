"""Plans of tasks, many at a time: what has to be computed for an image, stage after stage."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import xxhash

from ...core import MicrosamError, ModelError, SettingsError
from .clients import Cluster
from .workers import Passing, in_turn, may_pass

T = TypeVar("T")
#: Seconds before a task is done again that fails by something that may pass, such as a network disk; then it is not.
_PAUSES = (1.0, 5.0)
#: Tasks at the scheduler for every thread of its workers: enough to keep them busy, and soon gone after Ctrl-C.
_AHEAD, _LEAST = 4, 8
#: Seconds between two questions how many workers there are.
_ROUND = 1.0


@dataclass(frozen=True, slots=True)
class Call:
    """A task: ``what(*arguments)`` in a worker. Here ``before`` happens when it is sent, ``then`` with its answer.

    ``size``: how many units of progress it is.
    """

    what: Callable[..., Any]
    arguments: tuple[Any, ...]
    before: Callable[[], object] | None = None
    then: Callable[[Any], object] | None = None
    size: int = 1

    @property
    def key(self) -> str:
        """The name of the task, the same for the same content."""
        return f"microsam-{self.what.__name__}-{xxhash.xxh128_hexdigest(repr(self.arguments).encode())}"


#: What goes wrong with one image only.
_SAID = (MicrosamError, MemoryError, RuntimeError, OSError)
#: Yields calls, and is gone on with when all of them are done; what it returns is the result.
Plan = Generator[list[Call], None, T]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a plan was given up."""

    error: Exception


@dataclass(slots=True)
class _Running(Generic[T]):
    name: T
    plan: Plan[Any]
    waiting: deque[Call] = field(default_factory=deque)
    open: int = 0
    given_up: bool = False


def run_plans(
    cluster: Cluster, plans: Iterable[tuple[T, Plan[Any]]], told: Callable[[int, int, int], object] = lambda *_: None
) -> Iterator[tuple[T, Any]]:
    """Carry out plans, and yield the name of each with its result, or a ``Failure``, as they are done.

    Plans begin when workers have time for them. ``told``: how many units are done, how many are known, and how many
    workers there are. Tasks of workers that die are done again. Stop iterating to cancel: what was done is kept.
    """
    driver = _Driver(cluster, iter(plans), told)
    try:
        yield from driver.run()
    except (OSError, CancelledError) as error:
        raise SettingsError(
            f"The scheduler is gone ({error}).", "Start it again, then run the same command: what is done is kept."
        ) from error
    finally:
        driver.cancel()


class _Driver(Generic[T]):
    def __init__(
        self, cluster: Cluster, plans: Iterator[tuple[T, Plan[Any]]], told: Callable[[int, int, int], object]
    ) -> None:
        self._cluster, self._plans, self._told = cluster, plans, told
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._sent: dict[Any, tuple[_Running[T], Call, int]] = {}
        self._running: list[_Running[T]] = []
        #: When tasks are to be sent again.
        self._again: list[tuple[float, _Running[T], Call, int]] = []
        self._over: deque[tuple[T, Any]] = deque()
        self._done = self._total = 0
        self._more = True
        self._asked, self._known = -_ROUND, (0, _LEAST)

    def run(self) -> Iterator[tuple[T, Any]]:
        while True:
            workers, room = self._room()
            self._send_again()
            while len(self._sent) < room and self._send_next():
                pass
            self._told(self._done, self._total, workers)
            while self._over:
                yield self._over.popleft()
            if self._sent or self._again:
                due = min((one[0] for one in self._again), default=time.monotonic() + _ROUND)
                with suppress(Empty):  # meanwhile workers may come and go
                    self._answer(self._answers.get(timeout=min(_ROUND, max(0.0, due - time.monotonic()))))
            elif not self._more and not any(one.waiting for one in self._running):
                return

    def cancel(self) -> None:
        with suppress(Exception):  # the scheduler may be gone
            self._cluster.client.cancel(list(self._sent), force=True)
        for one in self._running:
            one.plan.close()

    def _room(self) -> tuple[int, int]:
        now = time.monotonic()
        if now > self._asked + _ROUND:
            self._asked, threads = now, self._cluster.client.nthreads()
            self._cluster.revive()
            self._known = len(threads), max(_LEAST, _AHEAD * sum(threads.values()))
        return self._known

    def _send_next(self) -> bool:
        """Send one call, of the plan that began first; return False when there is nothing to send."""
        for one in self._running:
            if one.waiting:
                self._send(one, one.waiting.popleft())
                return True
        begun = next(self._plans, None) if self._more else None
        self._more = begun is not None
        if begun is None:
            return False
        running = _Running(*begun)
        self._running.append(running)
        self._advance(running)
        return True

    def _send(self, running: _Running[T], call: Call, attempt: int = 0) -> None:
        try:
            if call.before is not None:
                call.before()
        except _SAID as error:
            self._failed(running, call, attempt, Passing(error) if may_pass(error) else error)
            return
        key = f"{call.key}-{attempt}" if attempt else call.key
        future = self._cluster.client.submit(
            in_turn, call.what, self._cluster.threads, *call.arguments, key=key, pure=False
        )
        running.open += 1
        self._sent[future] = running, call, attempt
        future.add_done_callback(self._answers.put)

    def _send_again(self) -> None:
        now = time.monotonic()
        due = [one for one in self._again if one[0] <= now]
        self._again = [one for one in self._again if one[0] > now]
        for _, running, call, attempt in due:
            running.open -= 1
            if not running.given_up:
                self._send(running, call, attempt)

    def _answer(self, future: Any) -> None:
        running, call, attempt = self._sent.pop(future)
        running.open -= 1
        if running.given_up:
            return
        if future.status in ("cancelled", "lost"):
            raise ConnectionError(f"a task is {future.status}")
        if future.status != "finished":
            self._failed(running, call, attempt, _error_of(future))
            return
        try:
            if call.then is not None:
                call.then(future.result())
        except _SAID as error:
            self._give_up(running, error)
            return
        self._done += call.size
        if not running.open and not running.waiting:
            self._advance(running)

    def _advance(self, running: _Running[T]) -> None:
        """Go on with a plan until it has something to be done, or has ended."""
        try:
            while not running.waiting:
                running.waiting.extend(next(running.plan))
        except StopIteration as end:
            self._over.append((running.name, end.value))
            self._running.remove(running)
        except _SAID as error:
            self._give_up(running, error)
        self._total += sum(call.size for call in running.waiting)

    def _failed(self, running: _Running[T], call: Call, attempt: int, error: Exception) -> None:
        lasting = isinstance(error, MicrosamError | ImportError) or _is_killed(error)
        if attempt < len(_PAUSES) and not lasting:
            running.open += 1
            self._again.append((time.monotonic() + _PAUSES[attempt], running, call, attempt + 1))
            return
        self._give_up(running, _explained(error.args[0] if isinstance(error, Passing) else error))

    def _give_up(self, running: _Running[T], error: Exception) -> None:
        running.given_up = True
        running.waiting.clear()
        running.plan.close()
        self._over.append((running.name, Failure(error)))
        self._running.remove(running)


def _error_of(future: Any) -> Exception:
    found = future.exception()
    return found if isinstance(found, Exception) else RuntimeError(f"the task was {future.status}")


def _is_killed(error: Exception) -> bool:
    from distributed.scheduler import KilledWorker

    return isinstance(error, KilledWorker)


def _explained(error: Exception) -> Exception:
    if _is_killed(error):
        return ModelError(
            "Workers died again and again over one task, probably because their memory did not suffice.",
            "Give them more, or use --tile or a smaller model; what is done is kept.",
        )
    if isinstance(error, ImportError):
        return ModelError(
            f"Workers cannot do the task ({error}).", "Install this version of microsam_nb in their environment."
        )
    return error
