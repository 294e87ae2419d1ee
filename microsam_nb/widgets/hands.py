"""How panels reach the session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import ipywidgets as widgets

from ..core import Box
from ..session import Action
from ..view import Command


class Poster(Protocol):
    """Whatever calls functions on the screen's thread, one after the other."""

    @property
    def post(self) -> Callable[[Callable[[], None]], None]: ...


@dataclass(frozen=True, slots=True)
class Hands:
    """What a panel may do. Every call returns at once, on any thread; the screen's thread does the work.

    ``act`` does what a key says, ``handle`` an action; ``post`` calls a function on the screen's thread,
    ``go_to`` picks an object and moves it into sight, and ``look_at`` shows a plane, and moves a place (y, x) of it
    into sight unless that is None; ``close_up`` shows a box so large that it can be judged.
    """

    act: Callable[[Command], None]
    handle: Callable[[Action], None]
    post: Callable[[Callable[[], None]], None]
    go_to: Callable[[int], None]
    look_at: Callable[[int, float | None, float | None], None]
    close_up: Callable[[Box], None]


class Bound:
    """Ties a widget's value to the session: the user's changes go out, ``show`` brings the session's in.

    What ``show`` sets is never sent back, and of changes that come faster than they are worked off only the newest is
    sent. ``send`` gets the new value on the screen's thread.
    """

    def __init__(
        self, widget: widgets.Widget, hands: Poster, send: Callable[[Any], None], trait: str = "value"
    ) -> None:
        self.widget, self._hands, self._send, self._trait = widget, hands, send, trait
        self._setter: int | None = None
        self._waiting = False
        self._lock = threading.Lock()
        widget.observe(self._changed, trait)

    def show(self, value: Any) -> None:
        """Set the value without sending it; not while a newer one of the user is on its way."""
        with self._lock:
            if self._waiting:
                return
        with self.quiet():
            setattr(self.widget, self._trait, value)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Send nothing of what the block does to the widget."""
        # Observers run on the thread that sets: the user's change on another one is still told apart.
        self._setter = threading.get_ident()
        try:
            yield
        finally:
            self._setter = None

    def _changed(self, _: object) -> None:
        if self._setter == threading.get_ident():
            return
        with self._lock:
            if self._waiting:
                return
            self._waiting = True
        self._hands.post(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            self._waiting = False
        self._send(getattr(self.widget, self._trait))
