"""One thing happened, several want to know."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_log = logging.getLogger("microsam_nb")


class Signal(Generic[T]):
    """Calls every connected function with what happened; one that fails does not keep it from the others."""

    def __init__(self) -> None:
        self._slots: list[Callable[[T], None]] = []

    def connect(self, slot: Callable[[T], None]) -> None:
        self._slots.append(slot)

    def disconnect(self, slot: Callable[[T], None]) -> None:
        self._slots.remove(slot)

    def emit(self, value: T) -> None:
        for slot in tuple(self._slots):
            try:
                slot(value)
            except Exception:  # noqa: BLE001 - one listener must not silence the others
                _log.exception("A listener failed.")
