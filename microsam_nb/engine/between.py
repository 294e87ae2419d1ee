"""The shape of an object between two planes in which it is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core import Mask
from ..core.sections import middle


def between(lower: Mask, upper: Mask, plane: int) -> Mask:
    """Return the shape in ``plane`` between two masks of one plane each, where signed distances are interpolated.

    The middles of both are laid on each other first, so that what moves does not vanish on the way. Shape-based
    interpolation, Raya and Udupa, IEEE Transactions on Medical Imaging 1990.
    """
    first, last = lower.start[0], upper.start[0]
    share = (plane - first) / (last - first)
    from_y, from_x = middle(lower)
    to_y, to_x = middle(upper)
    at_y, at_x = from_y + share * (to_y - from_y), from_x + share * (to_x - from_x)
    moved = [(m, round(at_y - y), round(at_x - x)) for m, (y, x) in ((lower, (from_y, from_x)), (upper, (to_y, to_x)))]
    y0 = min(m.start[1] + dy for m, dy, _ in moved) - 1
    x0 = min(m.start[2] + dx for m, _, dx in moved) - 1
    y1 = max(m.start[1] + dy + m.bitmap.shape[1] for m, dy, _ in moved) + 1
    x1 = max(m.start[2] + dx + m.bitmap.shape[2] for m, _, dx in moved) + 1
    depths = []
    for mask, dy, dx in moved:
        inside = np.zeros((y1 - y0, x1 - x0), bool)
        top, left = mask.start[1] + dy - y0, mask.start[2] + dx - x0
        inside[top : top + mask.bitmap.shape[1], left : left + mask.bitmap.shape[2]] = mask.bitmap[0]
        depths.append(_signed(inside))
    return Mask.crop(((1 - share) * depths[0] + share * depths[1] > 0)[None], (plane, y0, x0))


def _signed(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance to the boundary, positive inside."""
    out: NDArray[np.float64] = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    return out
