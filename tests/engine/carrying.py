"""What tests of objects that are carried through planes draw, and a way to carry them by a rule."""

from __future__ import annotations

import numpy as np

from microsam_nb.core import Mask
from microsam_nb.engine.reprompt import ProjectSettings, Reprompt

SIZE = 64
NOTHING = Mask((0, 0, 0), np.zeros((0, 0, 0), bool))
#: Everything that ends an object is off.
FREE = ProjectSettings(Reprompt.MASK, iou=0.0)


def disk(plane, y, x, radius):
    rows, columns = np.ogrid[:SIZE, :SIZE]
    return Mask.crop(((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)[None], (plane, 0, 0))


def same(plane, mask):
    return mask


def planes(found, place=0):
    return sorted(plane for number, plane in found if number == place)


def column(first, last, radius=10):
    """The same disk in the planes from ``first`` to ``last``."""
    return Mask.crop(np.repeat(disk(0, 32, 32, radius).dense((1, SIZE, SIZE)), last - first + 1, axis=0), (first, 0, 0))
