"""Numbers along an axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ticks(count: int) -> NDArray[np.float64]:
    """Return round numbers of ``count`` planes, at most eight."""
    steps = (size * factor for size in (1, 10, 100, 1000, 10000) for factor in (1, 2, 5))
    return np.arange(0, count, next(step for step in steps if count <= 8 * step), dtype=np.float64)
