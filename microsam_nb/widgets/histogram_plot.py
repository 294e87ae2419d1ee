"""A histogram with two handles; the only place that uses bqplot, which takes a third of a second to import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bqplot
import ipywidgets as widgets
import numpy as np
from bqplot.interacts import BrushIntervalSelector

from ..view.histogram import Histogram
from .hands import Bound, Hands


class HistogramPlot:
    """Counts on a logarithmic axis; the range between black and white is dragged at its edges or as a whole.

    ``dragged`` gets (low, high), or None when the range was rubbed out.
    """

    def __init__(self, hands: Hands, dragged: Callable[[tuple[float, float] | None], None]) -> None:
        self._x, self._y = bqplot.LinearScale(), bqplot.LinearScale(min=0.0)
        self._line = bqplot.Lines(
            x=[0.0, 1.0], y=[0.0, 0.0], scales={"x": self._x, "y": self._y},
            colors=["#4a90d9"], fill="bottom", fill_opacities=[0.6], stroke_width=1,
        )  # fmt: skip
        self._axis = bqplot.Axis(scale=self._x, num_ticks=5, grid_lines="none")
        self.selector = BrushIntervalSelector(scale=self._x, color="orange")
        self.figure = bqplot.Figure(
            marks=[self._line], axes=[self._axis], interaction=self.selector,
            animation_duration=0, display_toolbar=False,
            fig_margin={"top": 4, "bottom": 22, "left": 14, "right": 14}, padding_x=0.0, padding_y=0.02,
            min_aspect_ratio=0.2, max_aspect_ratio=20.0,
            layout={"height": "120px", "width": "auto", "min_width": "0"},
        )  # fmt: skip
        self._bound = Bound(self.selector, hands, lambda found: dragged(_pair(found)), "selected")
        self._shown: Histogram | None = None
        self._reach = (0.0, 1.0)

    def show(self, histogram: Histogram, low: float, high: float) -> None:
        if histogram is not self._shown:
            self._shown = histogram
            self._reach = float(histogram.edges[0]), float(histogram.edges[-1])
            # Steps, so that a bin looks like one; the logarithm keeps rare bright pixels in sight.
            counts = np.log10(1.0 + histogram.counts)
            with self._line.hold_sync():
                self._line.x = np.repeat(histogram.edges, 2)[1:-1]
                self._line.y = np.repeat(counts, 2)
        # Black and white are on the axis also when no pixel is as dark or as bright, or they could not be dragged. It
        # never becomes shorter again: under a hand that drags one edge the other one would mean something else.
        self._reach = min(self._reach[0], low), max(self._reach[1], high)
        with self._x.hold_sync():
            self._x.min, self._x.max = self._reach
        shown = np.array([low, high], np.float64)
        now = self.selector.selected
        if now is None or len(now) != 2 or not np.allclose(now, shown, rtol=0, atol=1e-9):
            self._bound.show(shown)

    def close(self) -> None:
        """Close the parts that are no children of the figure."""
        parts: list[widgets.Widget] = [
            self._line, self._axis, self.selector, self._x, self._y, self.figure.scale_x, self.figure.scale_y,
        ]  # fmt: skip
        for one in parts:
            one.close()


def _pair(found: Any) -> tuple[float, float] | None:
    if found is None or len(found) != 2:
        return None
    return float(min(found)), float(max(found))
