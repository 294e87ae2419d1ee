"""Work in batches that fit the memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_log = logging.getLogger("microsam_nb")


class Batches:
    """Cuts work into batches of ``size``; halves it, for good, whenever the memory does not suffice.

    ``notes`` collects what there is to say about that; the log says it too.
    """

    def __init__(self, size: int) -> None:
        self.size = max(1, size)
        self.notes: list[str] = []

    def run(self, items: Sequence[_In], work: Callable[[Sequence[_In]], _Out]) -> Iterator[_Out]:
        """Yield what ``work`` makes of every batch. A batch of one that does not fit raises what it raised."""
        start = 0
        while start < len(items):
            done: list[_Out] = []
            try:
                done.append(work(items[start : start + self.size]))
            except (MemoryError, RuntimeError) as error:
                if self.size == 1 or not is_out_of_memory(error):
                    raise
            if done:
                start += self.size
                yield done[0]
            else:
                # Not inside the handler: the traceback would keep the tensors that do not fit.
                self._halve()

    def _halve(self) -> None:
        before, self.size = self.size, self.size // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.notes.append(f"The memory did not suffice for {before} at a time; now it is {self.size}.")
        _log.warning(self.notes[-1])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is used up, on a GPU or a processor."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    words = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")
    return isinstance(error, RuntimeError) and any(one in text for one in words)
