"""Shapes that tests draw."""

from __future__ import annotations

import numpy as np


def disk(shape, y, x, radius):
    """Bool array of ``shape`` (h, w) with a filled disk around the continuous point (y, x)."""
    rows, columns = np.indices(shape) + 0.5
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
