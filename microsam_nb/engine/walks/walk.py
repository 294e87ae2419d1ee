"""One way of an object through planes, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ...core import Mask, Section


@dataclass(frozen=True, slots=True)
class Question:
    """What does an object look like in a plane that in a neighbouring one is ``mask``, which lies there already?"""

    plane: int
    mask: Mask
    step: int = 0


class Walk(Protocol):
    """A walk asks, takes the answers to all of its questions, and asks again until it is done."""

    @property
    def done(self) -> bool: ...

    def questions(self) -> list[Question]: ...

    def take(self, question: Question, mask: Mask, score: float) -> list[Section]: ...

    def after(self) -> Walk | None:
        """Return what goes on when this walk is done, where its end was none."""
