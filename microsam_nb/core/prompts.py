"""What the user points at. Coordinates are continuous: pixel ``i`` covers [i, i + 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .box import Triple
from .errors import PromptError


@dataclass(frozen=True, slots=True)
class Point:
    """A click on (``positive``) or beside the object."""

    plane: int
    y: float
    x: float
    positive: bool = True

    def check(self, shape: Triple) -> None:
        """Raise PromptError unless the point lies in an image of ``shape`` (planes, h, w)."""
        planes, height, width = shape
        if not (math.isfinite(self.y) and math.isfinite(self.x)):
            raise PromptError("The point has no finite coordinates.", "Give y and x in pixels.")
        if not (0 <= self.plane < planes and 0 <= self.y < height and 0 <= self.x < width):
            raise PromptError(
                f"The point ({_plane(self.plane, planes)}y {self.y:.1f}, x {self.x:.1f}) lies outside the image.",
                f"Click inside: {_extent(shape)}.",
            )


@dataclass(frozen=True, slots=True)
class BoxPrompt:
    """A rectangle around the object, from (y0, x0) to (y1, x1); corners may be given in any order."""

    plane: int
    y0: float
    x0: float
    y1: float
    x1: float

    def __post_init__(self) -> None:
        if self.y1 < self.y0 or self.x1 < self.x0:
            y0, y1 = sorted((self.y0, self.y1))
            x0, x1 = sorted((self.x0, self.x1))
            for name, value in (("y0", y0), ("y1", y1), ("x0", x0), ("x1", x1)):
                object.__setattr__(self, name, value)

    def check(self, shape: Triple) -> None:
        """Raise PromptError unless the box has an area within an image of ``shape`` (planes, h, w)."""
        planes, height, width = shape
        if not all(math.isfinite(v) for v in (self.y0, self.x0, self.y1, self.x1)):
            raise PromptError("The box has no finite coordinates.", "Give y0, x0, y1, x1 in pixels.")
        outside = self.y1 <= 0 or self.x1 <= 0 or self.y0 >= height or self.x0 >= width
        if not 0 <= self.plane < planes or outside:
            raise PromptError(
                f"The box ({_plane(self.plane, planes)}y {self.y0:.1f} to {self.y1:.1f}, "
                f"x {self.x0:.1f} to {self.x1:.1f}) lies outside the image.",
                f"Draw it inside: {_extent(shape)}.",
            )
        inner = self.clip(shape)
        if inner.y1 - inner.y0 < 1 or inner.x1 - inner.x0 < 1:
            raise PromptError(
                "The box covers less than one pixel of the image in height or width.",
                "Drag a larger box around the object.",
            )

    def clip(self, shape: Triple) -> BoxPrompt:
        """Return the part of the box inside an image of ``shape``."""
        _, height, width = shape
        return BoxPrompt(
            self.plane, max(self.y0, 0.0), max(self.x0, 0.0), min(self.y1, float(height)), min(self.x1, float(width))
        )


Prompt = Point | BoxPrompt


def _plane(plane: int, planes: int) -> str:
    return f"plane {plane}, " if planes > 1 or plane != 0 else ""


def _extent(shape: Triple) -> str:
    planes, height, width = shape
    first = f"plane from 0 to {planes - 1}, " if planes > 1 else ""
    return f"{first}y from 0 to {height}, x from 0 to {width}"
