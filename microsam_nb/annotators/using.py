"""Other weights for all annotators that are open in this kernel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..session import UseModel

if TYPE_CHECKING:
    from .base import Annotator

#: Annotators that are open, or were closed and are not forgotten yet.
_open: WeakSet[Any] = WeakSet()


def opened(annotator: Annotator) -> None:
    """Remember an annotator as long as it lives."""
    _open.add(annotator)


def use_model(model: str | os.PathLike[str]) -> int:
    """Let every open annotator change over to a model, by name or file of weights; return how many do.

    Each does so after what its user did before. Committed objects stay as they are; embeddings of the new weights are
    computed when they are needed. A series takes the model for its next images, too.
    """
    some = [one for one in tuple(_open) if not one.closed]
    for one in some:
        one.handle(UseModel(os.fspath(model)))
    return len(some)
