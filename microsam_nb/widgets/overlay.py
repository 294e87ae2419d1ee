"""Objects of one kind in the browser: filled on one sheet, their outlines on another."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ipycanvas import Canvas

from ..core import Box
from ..view import Viewport
from ..view.edges import Pen
from ..view.overlays import Source, Style, edge_opacity, edge_patch, fill_patch
from ..view.raster import plan
from .sheet import Sheet

_FINEST = 2.0**-9  # image pixels per pixel of an outline, at the highest zoom of the smallest image


class Overlay:
    """Keeps the sheets of one kind of objects up to date; only within ``batch``."""

    def __init__(self) -> None:
        self.fill, self.lines = Sheet(), Sheet()
        self._style: Style | None = None
        self._pen: Pen | None = None

    def update(
        self,
        view: Viewport,
        source: Source,
        style: Style,
        density: float,
        filled: Sequence[Box],
        lined: Sequence[Box],
        marked: Collection[int] = (),
    ) -> bool:
        """Draw what is missing for a view, and what changed in the boxes; return whether anything did.

        ``filled`` are the boxes in which the objects changed, ``lined`` those in which only their outlines did.
        """
        pen = style.pen(density)
        if style != self._style or pen != self._pen:
            self.lines.forget()
            self._style, self._pen = style, pen
        drawn = False
        if style.filled:
            raster = plan(view, self.fill.raster)
            missing = self.fill.hold(raster)
            changed = [one for box in filled for one in source.around(box, raster.step)]
            again = [p for box in changed if (p := raster.around(box)) and missing != [raster]]
            for part in source.within(raster, missing) + again:
                self.fill.put(fill_patch(source, part, self.fill.corner, style))
                drawn = True
        else:
            self.fill.forget()
        raster = plan(view, self.lines.raster, least=_FINEST)
        missing = self.lines.hold(raster)
        boxes = [*(one for box in filled for one in source.around(box, raster.step)), *lined]
        again = [p for box in boxes if (p := raster.around(box, pen.reach)) and missing != [raster]]
        for part in source.within(raster, missing, pen.reach) + again:
            self.lines.put(edge_patch(source, part, self.lines.corner, style, pen, marked))
            drawn = True
        return drawn

    def empty(self) -> bool:
        """Show nothing; return whether there was something."""
        held = self.fill.raster is not None or self.lines.raster is not None
        for sheet in (self.fill, self.lines):
            sheet.wipe()
        return held

    def forget(self) -> None:
        """Hold nothing: the page may have lost or missed what was put."""
        for sheet in (self.fill, self.lines):
            sheet.forget()

    def show(self, layer: Canvas, view: Viewport, opacity: float) -> None:
        """Draw the objects on a layer of the screen."""
        if self._style is not None and self._style.filled:
            self.fill.show(layer, view, opacity, sharp=True)
        self.lines.show(layer, view, edge_opacity(opacity), sharp=False)
