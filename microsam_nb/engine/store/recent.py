"""Recently used embeddings."""

from __future__ import annotations

import threading
from collections import OrderedDict

from ..embedding import Embedding
from .shelf import Item


class Recent:
    """The embeddings used last, up to a budget in bytes; safe to share between threads."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self._kept: OrderedDict[Item, Embedding] = OrderedDict()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Memory in use by the features."""
        return self._bytes

    def get(self, item: Item) -> Embedding | None:
        """Return a kept embedding, which becomes the newest, or None."""
        with self._lock:
            if item in self._kept:
                self._kept.move_to_end(item)
            return self._kept.get(item)

    def put(self, item: Item, embedding: Embedding) -> None:
        """Keep an embedding and forget the oldest ones beyond the budget."""
        with self._lock:
            if item in self._kept:
                self._bytes -= _size(self._kept.pop(item))
            self._kept[item] = embedding
            self._bytes += _size(embedding)
            while self._bytes > self._budget and self._kept:
                self._bytes -= _size(self._kept.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0


def _size(embedding: Embedding) -> int:
    return embedding.features.nbytes
