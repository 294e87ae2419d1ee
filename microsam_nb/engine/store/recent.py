"""Recently used embeddings."""

from __future__ import annotations

import threading
from collections import OrderedDict

from ..embedding import Embedding
from ..tiling import Window
from .shelf import Item

#: A stored embedding, or a window of a plane.
Key = Item | tuple[int, Window]


class Recent:
    """The embeddings used last, up to a budget in bytes; safe to share between threads."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Embedding] = OrderedDict()

    @property
    def bytes(self) -> int:
        """Memory in use."""
        with self._lock:
            return sum(map(_size, self._kept.values()))

    def get(self, item: Key) -> Embedding | None:
        """Return a kept embedding, which becomes the newest, or None."""
        with self._lock:
            if item in self._kept:
                self._kept.move_to_end(item)
            return self._kept.get(item)

    def put(self, item: Key, embedding: Embedding) -> None:
        """Keep an embedding and forget the oldest ones beyond the budget."""
        with self._lock:
            self._kept[item] = embedding
            self._kept.move_to_end(item)
            # Counted anew each time, because embeddings grow by the closer looks that they remember.
            used = sum(map(_size, self._kept.values()))
            while used > self._budget and self._kept:
                used -= _size(self._kept.popitem(last=False)[1])


def _size(embedding: Embedding) -> int:
    pixels = 0 if embedding.pixels is None else embedding.pixels.nbytes
    return embedding.features.nbytes + pixels + sum(map(_size, tuple(embedding.looks.values())))
