"""Learning rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .settings import Schedule, TrainingSettings

#: Share of the highest rate that a cosine ends with.
_LAST = 0.01
#: What a plateau multiplies the rate with.
_LOWER = 0.5


def rate_at(settings: TrainingSettings, step: int) -> float:
    """Return the learning rate of a step, counted from 0, without what a plateau takes away."""
    s = settings
    if step < s.warmup:
        return s.rate * (step + 1) / s.warmup
    if s.schedule is not Schedule.COSINE:
        return s.rate
    done = min(1.0, (step - s.warmup) / max(1, s.steps - s.warmup))
    return s.rate * (_LAST + (1 - _LAST) * 0.5 * (1 + math.cos(math.pi * done)))


@dataclass(slots=True)
class Progress:
    """The best score so far (higher is better), epochs since then, and what plateaus left of the rate."""

    best: float = -math.inf
    since: int = 0
    factor: float = 1.0

    def tell(self, score: float, settings: TrainingSettings) -> bool:
        """Take the score of an epoch; return whether it is the best."""
        if score > self.best:
            self.best, self.since = score, 0
            return True
        self.since += 1
        if settings.schedule is Schedule.PLATEAU and self.since % settings.patience == 0:
            self.factor *= _LOWER
        return False
