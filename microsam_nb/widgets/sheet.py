"""A hidden canvas in the browser that holds a part of a plane, so that pixels travel only once."""

from __future__ import annotations

from ipycanvas import Canvas

from ..view import Patch, Raster, Viewport
from .batch import number, put

_GRAIN = 128  # sizes are multiples of it: a canvas that changes its size is blank


class Sheet:
    """Holds the pixels of one raster; only within ``batch``.

    The canvas is made at once, small, and never closed before the page: a command that names a canvas which the
    page does not know would stop all drawing.
    """

    def __init__(self) -> None:
        self.canvas = Canvas(width=1, height=1)
        self.raster: Raster | None = None
        self._bare = True

    @property
    def corner(self) -> tuple[int, int]:
        """Top and left of the raster."""
        assert self.raster is not None
        return self.raster.top, self.raster.left

    def missing(self, raster: Raster) -> list[Raster]:
        """Return the parts of ``raster`` that must be put when it is held."""
        if self.raster is None or not self._room(raster):
            return [raster]
        return raster.without(self.raster)

    def hold(self, raster: Raster) -> list[Raster]:
        """Hold another raster, keep what both have in common, and return the parts that must be put."""
        if raster == self.raster:
            return []
        missing, old = self.missing(raster), self.raster
        canvas = self.canvas
        if not self._room(raster):
            canvas.width = max(canvas.width, -(-raster.width // _GRAIN) * _GRAIN)
            canvas.height = max(canvas.height, -(-raster.height // _GRAIN) * _GRAIN)
        if old is None or missing == [raster]:
            canvas.clear_rect(0, 0, canvas.width, canvas.height)
            self._bare = True
        elif not self._bare:
            canvas.global_composite_operation = "copy"
            canvas.draw_image(canvas, old.left - raster.left, old.top - raster.top)
            canvas.global_composite_operation = "source-over"
            # What lies beyond the raster would not be kept up to date.
            canvas.clear_rect(raster.width, 0, canvas.width - raster.width, canvas.height)
            canvas.clear_rect(0, raster.height, canvas.width, canvas.height - raster.height)
        self.raster = raster
        return missing

    def put(self, patch: Patch) -> None:
        """Draw a picture at its place in the raster, or clear the place."""
        if patch.data:
            self._bare = False
        if not self._bare:
            put(self.canvas, patch)

    def wipe(self) -> None:
        """Hold nothing, and show nothing."""
        if not self._bare:
            self.canvas.clear_rect(0, 0, self.canvas.width, self.canvas.height)
        self.forget()

    def forget(self) -> None:
        """Hold nothing: the page may have lost or missed what was put."""
        self.raster, self._bare = None, True

    def show(self, layer: Canvas, view: Viewport, opacity: float, *, sharp: bool) -> None:
        """Draw the raster where it belongs on a layer of the screen; with ``sharp``, large pixels have corners."""
        if self.raster is None or self._bare or not opacity:
            return
        scale = number(view.zoom * self.raster.step)
        layer.image_smoothing_enabled = not (sharp and scale >= 1)
        layer.global_alpha = number(opacity)
        left, top = (self.raster.left * self.raster.step - view.x), (self.raster.top * self.raster.step - view.y)
        layer.set_transform(scale, 0, 0, scale, number(left * view.zoom), number(top * view.zoom))
        layer.draw_image(self.canvas, 0, 0)
        layer.reset_transform()
        layer.global_alpha = 1.0

    def _room(self, raster: Raster) -> bool:
        return bool(raster.width <= self.canvas.width and raster.height <= self.canvas.height)
