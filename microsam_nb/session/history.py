"""The line of states that undo and redo walk along."""

from __future__ import annotations

from dataclasses import dataclass

from ..core import Delta
from .state import State


@dataclass(frozen=True, slots=True)
class Step:
    """One entry: the state reached and the write to the labels that led there, if any."""

    state: State
    delta: Delta | None = None


class History:
    """Steps up to now and beyond it. The oldest are forgotten when their deltas and masks
    exceed ``capacity`` bytes."""

    def __init__(self, first: State, capacity: int = 256 * 2**20) -> None:
        self._steps = [Step(first)]
        self._now = 0
        self._capacity = capacity

    @property
    def state(self) -> State:
        return self._steps[self._now].state

    @property
    def can_undo(self) -> bool:
        return self._now > 0

    @property
    def can_redo(self) -> bool:
        return self._now + 1 < len(self._steps)

    def push(self, step: Step) -> None:
        """Add a step after now; what had been undone is forgotten."""
        del self._steps[self._now + 1 :]
        self._steps.append(step)
        self._now += 1
        self._trim()

    def amend(self, state: State) -> None:
        """Replace the present state without a new step."""
        self._steps[self._now] = Step(state, self._steps[self._now].delta)

    def back(self) -> Delta | None:
        """Move one step back; return the write that undoes it."""
        delta = self._steps[self._now].delta
        self._now -= 1
        return delta.reverse() if delta else None

    def forward(self) -> Delta | None:
        """Move one step forward; return its write."""
        self._now += 1
        return self._steps[self._now].delta

    def _trim(self) -> None:
        while self._now > 1 and self._nbytes() > self._capacity:
            # The second step's state becomes the new origin; its write can no longer be undone.
            self._steps[:2] = [Step(self._steps[1].state)]
            self._now -= 1

    def _nbytes(self) -> int:
        # Steps share the proposal until a new answer comes.
        masks = {id(p): p.mask.bitmap.nbytes for s in self._steps if (p := s.state.proposal)}
        return sum(masks.values()) + sum(s.delta.nbytes for s in self._steps if s.delta)
