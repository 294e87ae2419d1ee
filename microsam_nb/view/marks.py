"""Prompts as dots and lines, for whatever can draw them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import BoxPrompt, Ellipse, Point, Polygon, Prompt, Scribble
from .palette import NEGATIVE, POSITIVE

_CORNERS = 96  # of an ellipse


@dataclass(frozen=True, slots=True)
class Dot:
    """A point in image coordinates; its kind is told by a plus or minus too."""

    y: float
    x: float
    positive: bool

    @property
    def colour(self) -> tuple[int, int, int]:
        return POSITIVE if self.positive else NEGATIVE


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line through ``points``, float64 (n, 2) as image (y, x); ``width`` is a band around it in image pixels."""

    points: NDArray[np.float64]
    closed: bool
    colour: tuple[int, int, int]
    width: float = 0.0


def marks(prompts: Iterable[Prompt], plane: int) -> list[Dot | Line]:
    """Return the prompts of a plane, in their order; masks and stops are drawn otherwise."""
    return [one for prompt in prompts if prompt.plane == plane for one in _marks(prompt)]


def _marks(prompt: Prompt) -> Iterable[Dot | Line]:
    if isinstance(prompt, Point):
        if math.isfinite(prompt.y) and math.isfinite(prompt.x):
            yield Dot(prompt.y, prompt.x, prompt.positive)
        return
    if isinstance(prompt, BoxPrompt):
        y0, x0, y1, x1 = prompt.y0, prompt.x0, prompt.y1, prompt.x1
        line = Line(np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)], np.float64), True, POSITIVE)
    elif isinstance(prompt, Ellipse):
        (y, x), ry, rx = prompt.middle, (prompt.y1 - prompt.y0) / 2, (prompt.x1 - prompt.x0) / 2
        angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
        line = Line(np.stack([y + ry * np.sin(angles), x + rx * np.cos(angles)], axis=1), True, POSITIVE)
    elif isinstance(prompt, Polygon):
        line = Line(np.array(prompt.points, np.float64), True, POSITIVE)
    elif isinstance(prompt, Scribble):
        points = prompt.points if len(prompt.points) > 1 else prompt.points * 2
        colour = POSITIVE if prompt.positive else NEGATIVE
        line = Line(np.array(points, np.float64), False, colour, prompt.width)
    else:
        return
    if np.isfinite(line.points).all():
        yield line
