"""Prompts on the screen: lines of constant width, dots of constant size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ipycanvas import Canvas

from ..view import Viewport
from ..view.marks import Dot, Line
from .batch import number, numbers

_RADIUS, _ARM = 6.0, 3.5  # of a dot and its sign, in CSS pixels
_RIM = "rgba(0, 0, 0, 0.6)"


def draw_marks(layer: Canvas, marks: Sequence[Dot | Line], view: Viewport, density: float, opacity: float) -> None:
    """Draw prompts on a cleared layer; ``density`` device pixels are one CSS pixel."""
    layer.global_alpha = number(opacity)
    layer.line_join = layer.line_cap = "round"
    for one in marks:
        if isinstance(one, Line):
            _line(layer, one, view, density)
    for positive in (True, False):
        _dots(layer, [one for one in marks if isinstance(one, Dot) and one.positive == positive], view, density)
    layer.global_alpha = 1.0


def _line(layer: Canvas, line: Line, view: Viewport, density: float) -> None:
    points = numbers(((line.points - (view.y, view.x)) * view.zoom)[:, ::-1])
    stroke = layer.stroke_polygon if line.closed else layer.stroke_lines
    if line.width * view.zoom > 2 * density:
        layer.line_width, layer.stroke_style = number(line.width * view.zoom), _css(line.colour, 0.3)
        stroke(points)
    for width, style in ((4.0, _RIM), (2.0, _css(line.colour))):
        layer.line_width, layer.stroke_style = width * density, style
        stroke(points)


def _dots(layer: Canvas, dots: Sequence[Dot], view: Viewport, density: float) -> None:
    """Draw points of one kind with a few commands; a plus or minus tells the kind without colour."""
    radius, arm = _RADIUS * density, _ARM * density
    places = np.array([view.to_screen(one.y, one.x) for one in dots], np.float64).reshape(-1, 2)
    seen = ((places > -radius) & (places < (view.height + radius, view.width + radius))).all(axis=1)
    if not seen.any():
        return
    down, across = numbers(places[seen, 0]), numbers(places[seen, 1])
    layer.fill_style = _css(dots[0].colour)
    layer.fill_circles(across, down, radius)
    layer.line_width, layer.stroke_style = 1.5 * density, "#ffffff"
    layer.stroke_circles(across, down, radius)
    layer.stroke_style = "#000000"
    signs = [np.stack([across - arm, down, across + arm, down], axis=1)]
    if dots[0].positive:
        signs.append(np.stack([across, down - arm, across, down + arm], axis=1))
    layer.stroke_line_segments(numbers(np.concatenate(signs).reshape(-1, 2, 2)))


def _css(colour: tuple[int, int, int], opacity: float = 1.0) -> str:
    red, green, blue = colour
    return f"#{red:02x}{green:02x}{blue:02x}" if opacity == 1 else f"rgba({red}, {green}, {blue}, {opacity})"
