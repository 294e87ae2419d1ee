"""The curves of a training: the loss, and how good the weights are on the validation images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import bqplot
import ipywidgets as widgets
import numpy as np

from ..session.course import Course, Epoch, Scores
from .buttons import visible

_BLUE, _ORANGE, _BEST = "#4a90d9", "#e08a2c", "#00a843"


@dataclass(frozen=True, slots=True)
class _Line:
    """One curve: how its values are read from epochs, and from the scores before."""

    name: str
    colour: str
    value: Callable[[Epoch], float]
    before: Callable[[Scores], float] | None = None


_LOSS = (_Line("", _BLUE, lambda one: one.loss),)
_IOU = (
    _Line("first click", _BLUE, lambda one: one.scores.first, lambda scores: scores.first),
    _Line("with corrections", _ORANGE, lambda one: one.scores.last, lambda scores: scores.last),
)
_MSA = (_Line("", _BLUE, lambda one: one.scores.accuracy, lambda scores: scores.accuracy),)


class TrainingCurves:
    """Three plots side by side, or below each other where there is no room."""

    def __init__(self) -> None:
        self.plots = [
            _Plot("Loss", _LOSS, share=False),
            _Plot("Clicks (IoU)", _IOU, share=True),
            _Plot("Automatic (mSA)", _MSA, share=True),
        ]
        self.box = widgets.Box([one.box for one in self.plots])
        self.box.add_class("msam-curves")

    def show(self, course: Course) -> None:
        for one in self.plots:
            one.show(course)

    def close(self) -> None:
        """Close the parts that are no children of the figures."""
        for one in self.plots:
            one.close()


class _Plot:
    """One plot over the steps; what was measured before the training is a dashed line, the best epoch a green dot."""

    def __init__(self, words: str, lines: Sequence[_Line], *, share: bool) -> None:
        self._words, self._lines, self._share = words, lines, share
        self._x, self._y = bqplot.LinearScale(min=0.0, max=1.0), bqplot.LinearScale(min=0.0, max=1.0)
        scales = {"x": self._x, "y": self._y}
        self.curves = [
            bqplot.Lines(x=[], y=[], scales=scales, colors=[one.colour], stroke_width=2) for one in lines
        ]  # fmt: skip
        self.before = [
            bqplot.Lines(x=[], y=[], scales=scales, colors=[one.colour], stroke_width=1, line_style="dashed")
            for one in lines
        ]
        self.best = bqplot.Scatter(x=[], y=[], scales=scales, colors=[_BEST], default_size=50)
        self._axes = [
            bqplot.Axis(scale=self._x, tick_values=[0.0], tick_format="d", grid_lines="none"),
            bqplot.Axis(scale=self._y, side="left", tick_values=[0.0, 0.5, 1.0], tick_format=".1f", grid_lines="none"),
        ]
        self._marks = [*self.before, *self.curves, self.best]
        self.figure = bqplot.Figure(
            marks=self._marks, axes=self._axes, animation_duration=0, display_toolbar=False,
            fig_margin={"top": 8, "bottom": 24, "left": 36, "right": 12}, padding_x=0.0, padding_y=0.0,
            min_aspect_ratio=0.2, max_aspect_ratio=20.0,
            layout={"height": "150px", "width": "auto", "min_width": "0"},
        )  # fmt: skip
        self.caption = widgets.HTML()
        self.box = widgets.VBox([self.caption, self.figure])
        self.box.add_class("msam-curve")
        self._drawn: object = None

    def show(self, course: Course) -> None:
        if self._drawn == (course.epochs, course.before, course.steps):
            return
        self._drawn = course.epochs, course.before, course.steps
        points = [_points(one, course) for one in self._lines]
        visible(self.box, any(ys for _, ys in points))
        self._x.max = float(max(course.steps, 1))
        self._axes[0].tick_values = np.unique([0, course.steps // 2, course.steps]).astype(np.float64)
        if not self._share:
            top = _rounded(max((value for _, values in points for value in values), default=1.0))
            self._y.max, self._axes[1].tick_values = top, np.array([0.0, top / 2, top])
        for line, mark, dashed, (steps, values) in zip(self._lines, self.curves, self.before, points, strict=True):
            _put(mark, steps, values)
            old = line.before(course.before) if line.before and course.before else math.nan
            _put(dashed, [0.0, self._x.max], [old] * 2) if not math.isnan(old) else _put(dashed, [], [])
        best = course.best
        chosen = [] if best is None or not best.best else [one.value(best) for one in self._lines]
        chosen = [value for value in chosen if not math.isnan(value)]
        _put(self.best, [float(best.step)] * len(chosen) if best else [], chosen)
        self.caption.value = self._said(course, points)

    def close(self) -> None:
        for one in (*self._marks, *self._axes, self._x, self._y, self.figure.scale_x, self.figure.scale_y):
            one.close()

    def _said(self, course: Course, points: Sequence[tuple[list[float], list[float]]]) -> str:
        parts = []
        for line, (_, values) in zip(self._lines, points, strict=True):
            if not values:
                continue
            name = f"<b style='color:{line.colour}'>{line.name}</b> " if line.name else ""
            old = line.before(course.before) if line.before and course.before else math.nan
            best = course.best
            now = values[-1] if best is None or line.before is None else line.value(best)
            parts.append(f"{name}{now:.2f}" if math.isnan(old) or best is None else f"{name}{old:.2f} → {now:.2f}")
        return f"<span class='msam-title'>{self._words}</span> {', '.join(parts)}"


def _points(line: _Line, course: Course) -> tuple[list[float], list[float]]:
    """Return steps and values that are numbers; the scores before the training stand at step 0."""
    found = [(0.0, line.before(course.before))] if line.before and course.before else []
    found += [(float(one.step), line.value(one)) for one in course.epochs]
    known = [(step, value) for step, value in found if math.isfinite(value)]
    return [step for step, _ in known], [value for _, value in known]


def _rounded(value: float) -> float:
    """Return the least even number that is not below a value, or tenth where that is small."""
    return 2.0 * max(1, math.ceil(value / 2)) if value > 1 else 0.2 * max(1, math.ceil(value * 5))


def _put(mark: bqplot.Mark, steps: Sequence[float], values: Sequence[float]) -> None:
    with mark.hold_sync():
        mark.x, mark.y = np.array(steps, np.float64), np.array(values, np.float64)
