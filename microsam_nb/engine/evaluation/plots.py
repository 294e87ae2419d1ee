"""Plots of a report as SVG, which browsers, Inkscape and word processors open, drawn without a plotting library."""

from __future__ import annotations

import html
import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .matching import THRESHOLDS
from .report import Report, Scored

#: Width and height of a plot, and where its axes begin and end, in pixels.
_WIDTH, _HEIGHT = 360, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 348, 30, 200
#: Colours that people tell apart who see no red or no green (Okabe and Ito).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


@dataclass(frozen=True, slots=True)
class Line:
    """Points (x, y) of one model and mode, y in 0..1; the same ``colour`` in all plots."""

    name: str
    points: tuple[tuple[float, float], ...]
    colour: str


def plots(report: Report) -> str:
    """Return what a report shows as SVG pictures, one after the other; "" where there is nothing to draw.

    mSA of all images, the worst first; F1 by the IoU from which on an object counts as found; mSA by the rounds of
    corrections where they were simulated.
    """
    ways: dict[str, list[Scored]] = {}
    for one in report.rows:
        if one.scores is not None:
            ways.setdefault(" ".join(filter(None, [one.model, one.mode])) or "labels", []).append(one)
    last = {name: [one for one in rows if one.step == max(r.step for r in rows)] for name, rows in ways.items()}
    colours = dict(zip(ways, itertools.cycle(_COLOURS), strict=False))
    images = [
        Line(name, tuple(enumerate(sorted(_values(rows)), start=1)), colours[name]) for name, rows in last.items()
    ]
    limits = [
        Line(name, tuple((t, _mean_f1(rows, t)) for t in THRESHOLDS), colours[name]) for name, rows in last.items()
    ]
    rounds = [Line(name, _rounds(rows), colours[name]) for name, rows in ways.items()]
    drawn = []
    if any(len(one.points) > 1 for one in images):
        drawn.append(_svg("mSA of the images, the worst first", "image", images))
    if limits:
        drawn.append(_svg("F1 by the IoU from which on it counts", "IoU", limits))
    if any(len(one.points) > 1 for one in rounds):
        drawn.append(_svg("mSA by rounds of corrections", "rounds", [one for one in rounds if len(one.points) > 1]))
    return "\n".join(drawn)


def _values(rows: Sequence[Scored]) -> list[float]:
    return [one.scores.msa for one in rows if one.scores is not None]


def _mean_f1(rows: Sequence[Scored], threshold: float) -> float:
    return statistics.fmean(one.scores.f1(threshold) for one in rows if one.scores is not None)


def _rounds(rows: Sequence[Scored]) -> tuple[tuple[float, float], ...]:
    """Return the mean over images after every round."""
    steps = sorted({one.step for one in rows})
    return tuple((step, statistics.fmean(_values([one for one in rows if one.step == step]))) for step in steps)


def _svg(title: str, below: str, lines: Sequence[Line]) -> str:
    """Draw lines over axes; y goes from 0 to 1."""
    across = [x for one in lines for x, _ in one.points]
    low, high = min(across), max(across)
    wide = (high - low) or 1.0

    def place(x: float, y: float) -> str:
        return f"{_LEFT + (x - low) / wide * (_RIGHT - _LEFT):.1f},{_BOTTOM - y * (_BOTTOM - _TOP):.1f}"

    height = _HEIGHT + 16 * len(lines)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="11" role="img"><title>{html.escape(title)}</title>',
        f'<text x="{_LEFT}" y="16" font-weight="bold">{html.escape(title)}</text>',
    ]
    for y in (0.0, 0.25, 0.5, 0.75, 1.0):
        start, end = place(low, y), place(low + wide, y)
        parts.append(f'<polyline points="{start} {end}" stroke="#ddd" fill="none"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{start.split(",")[1]}" text-anchor="end" dy="4">{y:g}</text>')
    for x, anchor in ((low, "start"), (high, "end")):
        at = place(x, 0).split(",")[0]
        parts.append(f'<text x="{at}" y="{_BOTTOM + 16}" text-anchor="{anchor}">{x:.3g}</text>')
    middle = (_LEFT + _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_BOTTOM + 16}" text-anchor="middle">{html.escape(below)}</text>')
    for number, one in enumerate(lines):
        colour, y = one.colour, _HEIGHT + 16 * number
        points = " ".join(place(*point) for point in one.points)
        parts.append(f'<polyline points="{points}" stroke="{colour}" stroke-width="2" fill="none"/>')
        if len(one.points) == 1:
            left, top = points.split(",")
            parts.append(f'<circle cx="{left}" cy="{top}" r="3" fill="{colour}"/>')
        parts.append(f'<text x="{_LEFT}" y="{y}" fill="{colour}">&#9632; {html.escape(one.name)}</text>')
    return "".join([*parts, "</svg>"])
