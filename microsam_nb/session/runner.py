"""The worker thread: takes requests to a service and hands its answers to the session."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable

from ..core import MicrosamError
from .actions import Action, Failed
from .requests import Predict, Request
from .session import Session

_log = logging.getLogger("microsam_nb")


class Runner:
    """Works off the requests of a session on one thread; of waiting predictions only the newest is kept."""

    def __init__(self, session: Session, service: Callable[[Request], Action]) -> None:
        self._session, self._service = session, service
        self._waiting: list[Request] = []
        self._busy = False
        self._closed = False
        self._wake = threading.Condition()
        session.wanted.connect(self.submit)
        # A thread that computes while the interpreter goes down would abort the process.
        atexit.register(self.close)
        self._thread = threading.Thread(target=self._work, name="microsam-worker", daemon=True)
        self._thread.start()
        for request in session.pending():
            self.submit(request)

    def submit(self, request: Request) -> None:
        """Queue one request."""
        with self._wake:
            if self._closed:
                return
            if isinstance(request, Predict):
                # Two threads may hand in their requests in another order than they made them.
                others = [r for r in self._waiting if isinstance(r, Predict)]
                request = max([*others, request], key=lambda r: r.ticket)
                self._waiting = [r for r in self._waiting if not isinstance(r, Predict)]
            self._waiting.append(request)
            self._wake.notify_all()

    def wait(self, timeout: float = 60.0) -> None:
        """Return when nothing is left to do. Raises TimeoutError after ``timeout`` seconds."""
        with self._wake:
            if not self._wake.wait_for(lambda: not self._waiting and not self._busy, timeout):
                raise TimeoutError(f"The model is still working after {timeout:g} s; wait longer.")

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do."""
        with self._wake:
            return not self._waiting and not self._busy

    def close(self) -> None:
        """Stop the thread after the work in hand."""
        with self._wake:
            self._closed = True
            self._waiting.clear()
            self._wake.notify_all()
        atexit.unregister(self.close)
        if threading.current_thread() is not self._thread:
            self._thread.join(30.0)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                request = self._waiting.pop(0)
                self._busy = True
            try:
                self._answer(request)
            finally:
                with self._wake:
                    self._busy = False
                    self._wake.notify_all()

    def _answer(self, request: Request) -> None:
        ticket = request.ticket if isinstance(request, Predict) else None
        try:
            answer = self._service(request)
        except MicrosamError as error:
            answer = Failed(str(error), ticket)
        except Exception as error:  # noqa: BLE001 - a worker that dies leaves the user without answers
            _log.exception("A request failed.")
            answer = Failed(
                f"The model failed ({error.__class__.__name__}: {error}). Undo the last prompt and try again; "
                "the log holds the details.",
                ticket,
            )
        try:
            self._session.handle(answer)
        except MicrosamError as error:
            self._session.say(str(error), error=True)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("An answer could not be applied.")
            self._session.say(
                "An answer could not be applied. Undo the last step; the log holds the details.", error=True
            )
