"""Items that are being encoded, by whoever goes on with it."""

from __future__ import annotations

from collections.abc import Callable

from ..embedding import Embedding
from ..stepwise import Steps
from .shelf import Item


class Begun:
    """An encoding that was begun and may have been left; who needs its items goes on with it, one at a time."""

    def __init__(self, items: tuple[Item, ...], begin: Callable[[], Steps[list[Embedding]]]) -> None:
        self.items = items
        #: What was made, in the order of the items, once it is done.
        self.made: list[Embedding] | None = None
        #: Whether that is where it belongs.
        self.stored = False
        self._begin = begin
        self._steps = begin()

    def step(self) -> list[Embedding] | None:
        """Take one step, unless it is done; return what was made then, else None. After an error it begins anew."""
        if self.made is None:
            try:
                next(self._steps)
            except StopIteration as end:
                self.made = end.value
            except BaseException:
                self._steps = self._begin()
                raise
        return self.made
