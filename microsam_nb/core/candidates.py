"""What the engine proposes."""

from __future__ import annotations

from dataclasses import dataclass

from .mask import Mask


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mask with its predicted quality ``score`` in [0, 1] and its ``origin`` ("points", "box", ...).

    Candidates may overlap each other.
    """

    mask: Mask
    score: float
    origin: str

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise ValueError(f"A score lies in [0, 1], not {self.score}; clip the predicted IoU.")
