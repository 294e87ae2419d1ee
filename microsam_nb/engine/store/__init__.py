"""Embeddings kept in memory, a folder, a zip file or a bucket."""

from .key import EmbeddingKey
from .shelf import Item
from .store import BUDGET, EmbeddingStore, open_store

__all__ = ["BUDGET", "EmbeddingKey", "EmbeddingStore", "Item", "open_store"]
