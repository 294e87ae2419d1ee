"""The worker threads: requests go to a service, its answers to the session."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from types import UnionType

from ..core import MicrosamError
from .actions import Action, Failed, Working
from .requests import (
    Embed,
    LoadModel,
    LongWork,
    Predict,
    Question,
    Request,
    Search,
    StopQuestion,
    StopSearch,
    StopWork,
)
from .session import Session

_log = logging.getLogger("microsam_nb")

#: Answers a request with actions; long work yields one after the other, and may be left in between.
Service = Callable[[Request], Iterable[Action]]


def _kind(request: Request | None) -> type | UnionType:
    """Return what a request is about: of those that need all objects only the newest matters."""
    return Search if isinstance(request, Search) else type(request)


class Runner:
    """Works off the requests of a session on two threads.

    One answers prompts and carries objects through planes; of waiting questions only the newest is kept, and what was
    asked before, or is no longer awaited, is left after the step in hand. The other does what takes long, loading
    models and preparing planes, so that a click waits for a step of it at most: newer work of the same kind takes the
    place of older, ``StopWork`` ends it, ``StopSearch`` only what needs all objects, and each happens after the action
    in hand. ``patience``: seconds that what the session wants already is put off, unless ``start`` is called or a new
    prompt is asked about: a picture is shown first.
    """

    def __init__(self, session: Session, service: Service, patience: float = 0.0) -> None:
        self._session, self._service = session, service
        self._question: Question | None = None
        self._work: list[LongWork] = []
        self._running: LongWork | None = None
        self._leave = False
        self._busy: set[str] = set()
        self._closed = False
        self._started = not patience
        self._wake = threading.Condition()
        self._timer = self._later(patience) if patience else threading.Timer(0, self.start)
        session.wanted.connect(self.submit)
        # A thread that computes while the interpreter goes down would abort the process.
        atexit.register(self.close)
        self._threads = [
            threading.Thread(target=self._loop, args=(self._next_question,), name="microsam-worker", daemon=True),
            threading.Thread(target=self._loop, args=(self._next_work,), name="microsam-background", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        for request in session.pending():
            self._queue(request)

    def start(self, after: float = 0.0) -> None:
        """Begin with what takes long, if that was put off; now, or some seconds from now."""
        with self._wake:
            if self._started or self._closed:
                return
            self._timer.cancel()
            if after:
                self._timer = self._later(after)
                return
            self._started = True
            self._wake.notify_all()

    def _later(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self.start)
        timer.daemon = True
        timer.start()
        return timer

    def submit(self, request: Request) -> None:
        """Queue one request."""
        with self._wake:
            if isinstance(request, Question):
                self._started = True
            self._queue(request)

    def _queue(self, request: Request) -> None:
        with self._wake:
            if self._closed:
                return
            if isinstance(request, Question):
                # Two threads may hand in their requests in another order than they made them.
                older = self._question
                self._question = request if older is None or request.ticket > older.ticket else older
            elif isinstance(request, StopQuestion):
                # One that runs is no longer awaited, and left by that.
                waits, meant = self._question, request.ticket
                if waits is not None and (meant is None or waits.ticket <= meant):
                    self._question = None
            elif isinstance(request, StopSearch):
                self._work = [one for one in self._work if not isinstance(one, Search)]
                self._leave |= isinstance(self._running, Search)
            elif isinstance(request, StopWork):
                self._work.clear()
                self._question = None
                self._leave = True
            else:
                self._work = [one for one in self._work if _kind(one) is not _kind(request)]
                self._work.append(request)
                running = self._running
                # Planes that are being prepared for another model, or another place, can wait; so can all objects.
                leaves = isinstance(running, Embed) or _kind(running) is _kind(request)
                self._leave |= leaves or (running is not None and isinstance(request, LoadModel))
                if isinstance(running, Embed) and isinstance(request, Search):
                    # It is gone on with afterwards.
                    self._work = [*(one for one in self._work if not isinstance(one, Embed)), running]
            self._wake.notify_all()

    def wait(self, timeout: float = 60.0) -> None:
        """Return when nothing is left to do. Raises TimeoutError after ``timeout`` seconds."""
        self.start()
        with self._wake:
            if not self._wake.wait_for(self._idle, timeout):
                raise TimeoutError(f"The model is still working after {timeout:g} s; wait longer.")

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do."""
        with self._wake:
            return self._idle()

    def close(self) -> None:
        """Stop the threads after the work in hand."""
        with self._wake:
            self._closed = True
            self._question = None
            self._work.clear()
            self._leave = True
            self._wake.notify_all()
        atexit.unregister(self.close)
        self._timer.cancel()
        for thread in self._threads:
            if threading.current_thread() is not thread:
                thread.join(30.0)

    def _idle(self) -> bool:
        return self._question is None and not self._work and not self._busy

    def _next_question(self) -> Question | None:
        if not self._started:
            return None
        found, self._question = self._question, None
        return found

    def _next_work(self) -> LongWork | None:
        # A model that is to be loaded decides what planes are prepared for.
        self._work.sort(key=lambda one: not isinstance(one, LoadModel))
        return self._work.pop(0) if self._work and self._started else None

    def _loop(self, take: Callable[[], Request | None]) -> None:
        name = threading.current_thread().name
        while True:
            with self._wake:
                request: Request | None = None

                def ready() -> bool:
                    nonlocal request
                    request = None if self._closed else take()
                    return self._closed or request is not None

                self._wake.wait_for(ready)
                if request is None:
                    return
                self._busy.add(name)
                if isinstance(request, LongWork):
                    self._running, self._leave = request, False
            try:
                self._answer(request)
            finally:
                with self._wake:
                    self._busy.discard(name)
                    if self._running is request:
                        self._running = None
                    self._wake.notify_all()

    def _answer(self, request: Request) -> None:
        for action in self._actions(request):
            if isinstance(action, Working) and self._left(request):
                return  # it would show work that nobody does any more
            try:
                self._session.handle(action)
            except MicrosamError as error:
                self._session.say(str(error), error=True)
            except Exception:  # noqa: BLE001 - a worker that dies leaves the user without answers
                _log.exception("An answer could not be applied.")
                self._session.say(
                    "An answer could not be applied. Undo the last step; the log holds the details.", error=True
                )
            if self._left(request):
                if isinstance(action, Working):
                    self._session.handle(Working(None))  # it was left while that was shown
                return

    def _left(self, request: Request) -> bool:
        if isinstance(request, Question):
            return self._session.awaiting != request.ticket
        with self._wake:
            return self._leave and self._running is request

    def _actions(self, request: Request) -> Iterator[Action]:
        ticket = request.ticket if isinstance(request, Question | Search) else None
        try:
            yield from self._service(request)
        except MicrosamError as error:
            yield Failed(str(error), ticket)
        except Exception as error:  # noqa: BLE001 - as above
            _log.exception("A request failed.")
            remedy = "Undo the last prompt and try again" if isinstance(request, Predict) else "Try again"
            yield Failed(
                f"The model failed ({error.__class__.__name__}: {error}). {remedy}; the log holds the details.", ticket
            )
