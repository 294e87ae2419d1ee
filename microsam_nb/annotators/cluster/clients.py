"""A scheduler to send tasks to: one that runs elsewhere, or workers on this computer."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any

from ...core import ModelError, SettingsError

#: How often a local worker may die over one task before that is given up.
_DEATHS = 10
#: Seconds that a scheduler has to answer.
_PATIENCE = 15


@dataclass(frozen=True, slots=True)
class Cluster:
    """A client of dask.distributed, and the threads with which each worker computes (None: as many as it has).

    ``revive`` starts workers again that are gone for good.
    """

    client: Any
    threads: int | None
    revive: Callable[[], object] = bool


@contextlib.contextmanager
def connect(scheduler: str | None = None, workers: int | None = None, threads: int | None = None) -> Iterator[Cluster]:
    """Connect to the scheduler at an address, or start ``workers`` processes here, which end with the block.

    ``threads``: with which each worker computes, by default the cores of this computer are divided among local
    workers. Raises ModelError without dask, and SettingsError for a scheduler that does not answer.
    """
    if (scheduler is None) == (workers is None):
        raise SettingsError("A cluster is a scheduler, or workers here.", "Use --scheduler ADDRESS or --workers N.")
    for count, what in ((workers, "workers"), (threads, "threads")):
        if count is not None and count < 1:
            raise SettingsError(f"{count} {what} compute nothing.", f"Give --{what} 1 or more.")
    try:
        import dask
        import distributed
    except ImportError as error:
        raise ModelError(
            f"A cluster needs dask, and it is not installed ({error}).", "pip install 'microsam-nb[cluster]'"
        ) from error
    # Whoever dies is started again, or missed, and dask says so in a page of its own words.
    for name in ("distributed", "distributed.client"):  # the second has a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if scheduler is not None:
        try:
            client = distributed.Client(scheduler, timeout=_PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise SettingsError(
                f"The scheduler {scheduler} does not answer ({error}).",
                "Check the address; `dask scheduler` starts one and prints it, like tcp://node:8786.",
            ) from error
        with client:
            yield Cluster(client, threads)
        return
    assert workers is not None
    with contextlib.ExitStack() as stack:
        with _without_interrupts():
            stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": _DEATHS}))
            # No limit of memory: a paused worker, or one that is ended for its weights, would get nothing done.
            local = distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, memory_limit=0,
                dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
            )  # fmt: skip
            stack.enter_context(local)
        client = stack.enter_context(distributed.Client(local, set_as_default=False))
        # One that dies while it starts is given up after a time, and not missed by itself.
        yield Cluster(client, threads or max(1, (os.cpu_count() or 1) // workers), lambda: local.scale(workers))


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Put Ctrl-C off, and keep it from threads and processes that are begun meanwhile.

    It reaches all processes of a terminal; workers are ended by the one that has begun them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The first process that is begun would let it in again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
