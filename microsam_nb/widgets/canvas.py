"""The canvas: pixels travel once, views and edits as small commands."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets
import numpy as np
from ipycanvas import Canvas, MultiCanvas
from numpy.typing import NDArray

from ..core import Box, BoxPrompt, Candidate, Point
from ..session import Change, Session
from ..view import Patch, Viewport, encode_image, label_patch, mask_patch, outline
from ..view.paint import shrinkage
from ..view.palette import NEGATIVE, POSITIVE, PROPOSAL
from .batch import batch, number, put
from .closing import close_tree

_IMAGE, _OBJECTS, _LINES, _TOP = range(4)


class Screen:
    """Draws a session on a MultiCanvas: image, objects, outlines and prompts; the top layer stays clear.

    Image and labels lie on hidden canvases at their own resolution, so that another view costs two commands.
    ``pixels`` gives the shown plane, uint8 (y, x) or (y, x, 3). Only one thread may call ``paint``.
    """

    def __init__(self, pixels: Callable[[int], NDArray[np.uint8]], session: Session, width: int, height: int) -> None:
        self._pixels, self._session = pixels, session
        _, rows, columns = session.shape
        self._plane_size = (rows, columns)
        self._shrink = shrinkage(self._plane_size)
        small = [-(-side // self._shrink) for side in self._plane_size]
        self._image, self._labels, self._proposal = (Canvas(width=small[1], height=small[0]) for _ in range(3))
        self._encoded: Patch | None = None
        self._outlined: Candidate | None = None
        self._rings: list[NDArray[np.float32]] = []
        self._density = 1.0
        self.opacity = 0.45
        self.canvas = MultiCanvas(4, width=width, height=height)
        self.canvas.layout.width = self.canvas.layout.height = "100%"
        self.box = widgets.Box(
            [self.canvas],
            layout=widgets.Layout(
                width=f"{width}px", max_width="100%", height=f"{height}px", max_height="65vh", overflow="hidden"
            ),
        )
        self.box.add_class("msam-canvas")

    @property
    def viewport(self) -> Viewport:
        """The visible part of the plane, in pixels of the canvas."""
        return Viewport.of(self.canvas.width, self.canvas.height, self._plane_size, self._session.state.browsing.view)

    def resize(self, width: float, height: float, density: float) -> bool:
        """Take the size in CSS pixels and the device pixels per CSS pixel; return whether anything changed."""
        density = min(max(number(density), 0.5), 4.0)
        size = (max(50, round(number(width) * density)), max(50, round(number(height) * density)))
        self._density = density
        if size == (self.canvas.width, self.canvas.height):
            return False
        with batch():
            self.canvas.width, self.canvas.height = size
        return True

    def paint(self, change: Change, *, everything: bool = False) -> None:
        """Draw what changed; with ``everything``, on a page that has nothing yet."""
        state = self._session.state
        with batch():
            if everything:
                put(self._image, self._picture())
            where = self._whole() if everything else change.labels
            if where is not None:
                put(self._labels, label_patch(self._session.labels.volume[0], where, self._shrink))
            if everything or change.proposal:
                self._proposal.clear_rect(0, 0, self._proposal.width, self._proposal.height)
                if state.proposal is not None:
                    put(self._proposal, mask_patch(state.proposal.mask, PROPOSAL, self._shrink))
            view = self.viewport
            moved = everything or change.view
            if moved:
                self._show(self.canvas[_IMAGE], [self._image], view, 1.0)
            if moved or change.proposal or where is not None:
                self._show(self.canvas[_OBJECTS], [self._labels, self._proposal], view, self.opacity)
            if moved or change.proposal or change.prompts:
                self._draw_lines(view)
            # The browser waits for this layer to know that a new picture is complete.
            self.canvas[_TOP].clear_rect(0, 0, 1, 1)

    def close(self) -> None:
        for one in (self._image, self._labels, self._proposal, *(self.canvas[i] for i in range(4))):
            close_tree(one)
        close_tree(self.box)

    def _picture(self) -> Patch:
        if self._encoded is None:
            self._encoded = encode_image(self._pixels(self._session.state.browsing.plane), self._shrink)
        return self._encoded

    def _whole(self) -> Box:
        return Box((0, 0, 0), (1, *self._plane_size))

    def _show(self, layer: Canvas, sources: list[Canvas], view: Viewport, opacity: float) -> None:
        layer.clear_rect(0, 0, view.width, view.height)
        zoom = number(view.zoom * self._shrink)
        layer.image_smoothing_enabled = zoom < 1
        layer.global_alpha = opacity
        layer.set_transform(zoom, 0, 0, zoom, number(-view.x * view.zoom), number(-view.y * view.zoom))
        for source in sources:
            layer.draw_image(source, 0, 0)
        layer.reset_transform()

    def _draw_lines(self, view: Viewport) -> None:
        layer, state, thick = self.canvas[_LINES], self._session.state, self._density
        layer.clear_rect(0, 0, view.width, view.height)
        if state.proposal is not None:
            if self._outlined is not state.proposal:
                self._outlined, self._rings = state.proposal, outline(state.proposal.mask)
            corner = np.array([view.y, view.x])
            rings = [(r - corner) * view.zoom for r in self._rings]
            layer.line_width = 1.5 * thick
            layer.stroke_style = _css(PROPOSAL)
            for ring in rings:
                layer.stroke_polygon(np.ascontiguousarray(ring[:, ::-1], np.float32))
        for prompt in state.prompts:
            if isinstance(prompt, Point):
                row, column = view.to_screen(prompt.y, prompt.x)
                _dot(layer, number(row), number(column), prompt.positive, thick)
            elif isinstance(prompt, BoxPrompt):
                row, column = view.to_screen(prompt.y0, prompt.x0)
                size = ((prompt.x1 - prompt.x0) * view.zoom, (prompt.y1 - prompt.y0) * view.zoom)
                layer.line_width = 2 * thick
                layer.stroke_style = _css(POSITIVE)
                layer.stroke_rect(number(column), number(row), number(size[0]), number(size[1]))


def _dot(layer: Canvas, row: float, column: float, positive: bool, thick: float) -> None:
    """Draw a point; a plus or minus tells its kind without colour."""
    arm = 3.5 * thick
    layer.fill_style = _css(POSITIVE if positive else NEGATIVE)
    layer.fill_circle(column, row, 6 * thick)
    layer.line_width = 1.5 * thick
    layer.stroke_style = "#ffffff"
    layer.stroke_circle(column, row, 6 * thick)
    layer.stroke_style = "#000000"
    layer.stroke_line(column - arm, row, column + arm, row)
    if positive:
        layer.stroke_line(column, row - arm, column, row + arm)


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
