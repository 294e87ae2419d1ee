"""What a search for settings found, as a plot."""

from __future__ import annotations

from typing import Any, Protocol

import ipywidgets as widgets


class Searched(Protocol):
    """A result of ``tune``."""

    @property
    def metric(self) -> str: ...

    def curves(self) -> dict[str, list[tuple[Any, float]]]:
        """Return for each setting its values and the best score that each of them reached."""


def plot_tuning(found: Searched) -> widgets.HBox:
    """Return a plot for every setting that was varied: the best score that each of its values reached."""
    import bqplot

    y = bqplot.LinearScale()
    figures = []
    for name, points in found.curves().items():
        plain = all(isinstance(value, int | float) and not isinstance(value, bool) for value, _ in points)
        x = bqplot.LinearScale() if plain else bqplot.OrdinalScale()
        values = [float(value) if plain else str(value) for value, _ in points]
        scores = [score for _, score in points]
        line = bqplot.Lines(x=values, y=scores, scales={"x": x, "y": y}, marker="circle", colors=["#4a90d9"])
        axes = [
            bqplot.Axis(scale=x, label=name.replace("_", " ")),
            bqplot.Axis(scale=y, side="left", label=found.metric),
        ]
        figures.append(
            bqplot.Figure(marks=[line], axes=axes, animation_duration=0, layout={"height": "240px", "width": "320px"})
        )
    return widgets.HBox(figures, layout={"flex_flow": "row wrap"})
