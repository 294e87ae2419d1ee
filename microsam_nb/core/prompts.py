"""What the user points at. Coordinates are continuous: pixel ``i`` covers [i, i + 1).

Every kind has a ``plane``, ``check(shape)`` that raises PromptError unless the prompt can be used in an image of
``shape`` (planes, h, w), and ``moved(dy, dx)``, the same prompt elsewhere, for example in a tile.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np

from .box import Triple
from .errors import PromptError
from .mask import Mask

#: Vertices as (y, x).
Vertices = tuple[tuple[float, float], ...]

_FAR = 1e9  # pixels; beyond it coordinates are a mistake, and their arithmetic inexact


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
        if not _finite(self.y, self.x):
            raise PromptError("The point has no finite coordinates.", "Give y and x in pixels.")
        if not (_in(self.plane, planes) and 0 <= self.y < height and 0 <= self.x < width):
            raise PromptError(
                f"The point ({_plane(self.plane, planes)}y {self.y:.1f}, x {self.x:.1f}) lies outside the image.",
                f"Click inside: {_extent(shape)}.",
            )

    def moved(self, dy: float, dx: float) -> Point:
        """Return this point ``dy`` lower and ``dx`` further right."""
        return replace(self, y=self.y + dy, x=self.x + dx)


@dataclass(frozen=True, slots=True)
class _Corners:
    """A rectangle from (y0, x0) to (y1, x1); corners may be given in any order."""

    plane: int
    y0: float
    x0: float
    y1: float
    x1: float

    def __post_init__(self) -> None:
        if _finite(self.y0, self.x0, self.y1, self.x1) and (self.y1 < self.y0 or self.x1 < self.x0):
            y0, y1 = sorted((self.y0, self.y1))
            x0, x1 = sorted((self.x0, self.x1))
            for name, value in (("y0", y0), ("y1", y1), ("x0", x0), ("x1", x1)):
                object.__setattr__(self, name, value)

    @property
    def middle(self) -> tuple[float, float]:
        """The centre (y, x)."""
        return (self.y0 + self.y1) / 2, (self.x0 + self.x1) / 2

    def moved(self, dy: float, dx: float) -> Self:
        """Return the same, ``dy`` lower and ``dx`` further right."""
        return replace(self, y0=self.y0 + dy, x0=self.x0 + dx, y1=self.y1 + dy, x1=self.x1 + dx)

    def _check(self, shape: Triple, name: str) -> None:
        planes, height, width = shape
        if not _finite(self.y0, self.x0, self.y1, self.x1):
            raise PromptError(f"The {name} has no finite coordinates.", "Give y0, x0, y1, x1 in pixels.")
        outside = self.y1 <= 0 or self.x1 <= 0 or self.y0 >= height or self.x0 >= width
        if not _in(self.plane, planes) or outside:
            raise PromptError(
                f"The {name} ({_plane(self.plane, planes)}y {self.y0:.1f} to {self.y1:.1f}, "
                f"x {self.x0:.1f} to {self.x1:.1f}) lies outside the image.",
                f"Draw it inside: {_extent(shape)}.",
            )


@dataclass(frozen=True, slots=True)
class BoxPrompt(_Corners):
    """A rectangle around the object, from (y0, x0) to (y1, x1); corners may be given in any order."""

    def check(self, shape: Triple) -> None:
        """Raise PromptError unless the box has an area within an image of ``shape`` (planes, h, w)."""
        self._check(shape, "box")
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


@dataclass(frozen=True, slots=True)
class Ellipse(_Corners):
    """An ellipse drawn around the object; it fills the rectangle from (y0, x0) to (y1, x1), as it was dragged."""

    def check(self, shape: Triple) -> None:
        """Raise PromptError unless the ellipse has an area and its rectangle meets an image of ``shape``."""
        self._check(shape, "ellipse")
        if not (self.y1 > self.y0 and self.x1 > self.x0):
            raise PromptError("The ellipse has no area.", "Drag it from corner to corner around the object.")


@dataclass(frozen=True, slots=True)
class Polygon:
    """An outline drawn around the object, by corners or with a lasso.

    ``points`` are its (y, x) vertices, three or more; the last is joined to the first. Where the line crosses itself
    everything that it winds around is inside. Raises PromptError for fewer vertices.
    """

    plane: int
    points: Vertices

    def __post_init__(self) -> None:
        points = _vertices(self.points)
        points = tuple(p for i, p in enumerate(points, start=1) if p != points[i % len(points)])
        if len(points) < 3:
            raise PromptError(
                f"A polygon needs at least 3 corners, not {len(points)}.", "Draw further around the object."
            )
        object.__setattr__(self, "points", points)

    def check(self, shape: Triple) -> None:
        """Raise PromptError unless the polygon's bounding box meets an image of ``shape`` (planes, h, w)."""
        _check_line("polygon", self.plane, self.points, shape)

    def moved(self, dy: float, dx: float) -> Polygon:
        """Return the same, ``dy`` lower and ``dx`` further right."""
        return replace(self, points=_shift(self.points, dy, dx))


@dataclass(frozen=True, slots=True)
class Scribble:
    """A line drawn on the object (``positive``) or beside it.

    ``points`` are the (y, x) vertices it runs through, one or more; ``width`` in pixels is how thick it is painted.
    Raises PromptError without a vertex or with a negative width.
    """

    plane: int
    points: Vertices
    width: float = 1.0
    positive: bool = True

    def __post_init__(self) -> None:
        points = _vertices(self.points)
        if not points:
            raise PromptError("The scribble has no vertices.", "Draw a line on the object.")
        if not (_finite(self.width) and 0 <= self.width <= _FAR):
            raise PromptError(f"A scribble cannot be {self.width} pixels wide.", "Give a width from 0 pixels.")
        object.__setattr__(self, "points", points)

    def check(self, shape: Triple) -> None:
        """Raise PromptError unless the scribble's bounding box meets an image of ``shape`` (planes, h, w)."""
        _check_line("scribble", self.plane, self.points, shape)

    def moved(self, dy: float, dx: float) -> Scribble:
        """Return the same, ``dy`` lower and ``dx`` further right."""
        return replace(self, points=_shift(self.points, dy, dx))


@dataclass(frozen=True, slots=True)
class MaskPrompt:
    """What is known of the object: its ``mask`` in one plane.

    ``size`` is the (height, width) of the image that it was made for, where that is known; ``check`` refuses another.
    Raises PromptError for an empty mask, one of several planes, and anything else.
    """

    mask: Mask
    size: tuple[int, int] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        given: Any = self.mask
        if not isinstance(given, Mask):
            raise PromptError(f"A {type(given).__name__} is no mask.", "Make one with Mask.crop(array).")
        if not self.mask.area:
            raise PromptError("The mask is empty.", "Give a mask with at least one pixel of the object.")
        if self.mask.bitmap.shape[0] != 1:
            raise PromptError(
                f"The mask reaches through {self.mask.bitmap.shape[0]} planes.", "Give one mask prompt per plane."
            )

    @property
    def plane(self) -> int:
        return self.mask.start[0]

    def check(self, shape: Triple) -> None:
        """Raise PromptError unless the mask lies within an image of ``shape`` (planes, h, w)."""
        if self.size is not None and self.size != tuple(shape[1:]):
            raise PromptError(
                f"The mask was drawn in {self.size[0]} x {self.size[1]} pixels, but the image has "
                f"{shape[1]} x {shape[2]}.",
                f"Give a mask of {shape[1]} x {shape[2]} pixels, made for this image.",
            )
        box = self.mask.box
        if min(box.start) < 0 or any(stop > size for stop, size in zip(box.stop, shape, strict=True)):
            (plane, y0, x0), (_, y1, x1) = box.start, box.stop
            raise PromptError(
                f"The mask ({_plane(plane, shape[0])}y {y0} to {y1}, x {x0} to {x1}) reaches outside the image.",
                f"Give a mask made for this image: {_extent(shape)}.",
            )

    def moved(self, dy: float, dx: float) -> MaskPrompt:
        """Return the same, ``dy`` lower and ``dx`` further right; both are rounded to whole pixels."""
        plane, y, x = self.mask.start
        return MaskPrompt(Mask((plane, y + round(dy), x + round(dx)), self.mask.bitmap))


@dataclass(frozen=True, slots=True)
class Stop:
    """The object ends before this plane: it is not continued into it, nor beyond."""

    plane: int

    def check(self, shape: Triple) -> None:
        """Raise PromptError unless the plane is one of an image of ``shape`` (planes, h, w)."""
        if not _in(self.plane, shape[0]):
            raise PromptError(f"The stop in plane {self.plane} lies outside the image.", f"Use a {_planes(shape)}.")

    def moved(self, dy: float, dx: float) -> Stop:
        """Return this stop: it has no place in its plane."""
        return self


Prompt = Point | BoxPrompt | Ellipse | Polygon | Scribble | MaskPrompt | Stop

#: The word for each kind in files and journals.
KINDS: dict[str, type[Prompt]] = {
    "point": Point,
    "box": BoxPrompt,
    "ellipse": Ellipse,
    "polygon": Polygon,
    "scribble": Scribble,
    "mask": MaskPrompt,
    "stop": Stop,
}
_WORDS = {kind: word for word, kind in KINDS.items()}


def prompt_to_json(prompt: Prompt) -> dict[str, Any]:
    """Return a prompt as plain values: its ``kind`` and fields; vertices are [y, x] pairs."""
    out: dict[str, Any] = {"kind": _WORDS[type(prompt)]}
    for one in fields(prompt):
        if not one.compare:
            continue
        value = getattr(prompt, one.name)
        if isinstance(value, Mask):
            value = value.to_json()
        elif isinstance(value, np.generic):
            value = value.item()
        elif isinstance(value, tuple):
            value = [list(vertex) for vertex in value]
        out[one.name] = value
    return out


def prompt_from_json(data: dict[str, Any]) -> Prompt:
    """Read what ``prompt_to_json`` returned; a missing ``plane`` is 0.

    Raises PromptError for a prompt that is malformed, and ValueError, KeyError or TypeError for other data.
    """
    values = dict(data)
    word = values.pop("kind")
    if word not in KINDS:
        raise ValueError(f"{word!r} is no kind of prompt; there are {', '.join(KINDS)}")
    kind = KINDS[word]
    known = {one.name: one for one in fields(kind) if one.compare}
    for name in values:
        if name not in known:
            raise ValueError(f"a {word} has no {name!r}")
    if kind is MaskPrompt:
        return MaskPrompt(Mask.from_json(values["mask"]))
    read = {name: _read(name, value) for name, value in {"plane": 0, **values}.items()}
    return kind(**read)


def _read(name: str, value: Any) -> Any:
    if name == "points":
        return _vertices(value)
    if name == "positive":
        if not isinstance(value, bool):
            raise ValueError(f"positive is {value!r}, not true or false")
        return value
    whole = name == "plane"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ValueError(f"{name} is {value!r}, not a {'whole ' if whole else ''}number")
    return value if whole else float(value)


def _vertices(points: Iterable[Iterable[float]]) -> Vertices:
    """Return (y, x) pairs as plain floats. Raises PromptError for anything else."""
    try:
        pairs = tuple((float(y), float(x)) for y, x in points)
    except (TypeError, ValueError) as error:
        raise PromptError("The vertices are not pairs of numbers.", "Give [[y, x], [y, x], ...] in pixels.") from error
    if not all(abs(value) <= _FAR for pair in pairs for value in pair):
        raise PromptError("A vertex has no finite coordinates.", "Give y and x in pixels.")
    return pairs


def _shift(points: Vertices, dy: float, dx: float) -> Vertices:
    return tuple((y + dy, x + dx) for y, x in points)


def _check_line(name: str, plane: int, points: Vertices, shape: Triple) -> None:
    planes, height, width = shape
    rows, columns = zip(*points, strict=True)
    outside = max(rows) < 0 or max(columns) < 0 or min(rows) >= height or min(columns) >= width
    if not _in(plane, planes) or outside:
        raise PromptError(
            f"The {name} ({_plane(plane, planes)}y {min(rows):.1f} to {max(rows):.1f}, "
            f"x {min(columns):.1f} to {max(columns):.1f}) lies outside the image.",
            f"Draw it inside: {_extent(shape)}.",
        )


def _finite(*values: Any) -> bool:
    """Whether all values are finite numbers."""
    try:
        return all(math.isfinite(value) for value in values)
    except (TypeError, OverflowError):
        return False


def _in(plane: Any, planes: int) -> bool:
    """Whether there is such a plane. Raises PromptError for what is no whole number."""
    try:
        return 0 <= operator.index(plane) < planes
    except TypeError:
        raise PromptError(f"{plane!r} is no plane.", f"Use a whole number from 0 to {planes - 1}.") from None


def _plane(plane: int, planes: int) -> str:
    return f"plane {plane}, " if planes > 1 or plane != 0 else ""


def _planes(shape: Triple) -> str:
    return f"plane from 0 to {shape[0] - 1}"


def _extent(shape: Triple) -> str:
    planes, height, width = shape
    first = f"{_planes(shape)}, " if planes > 1 else ""
    return f"{first}y from 0 to {height}, x from 0 to {width}"
