"""Presses, moves and releases to actions."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

from ..session import Action, AddBox, AddPoint, Browsing, Tool

LEFT, MIDDLE, RIGHT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Press:
    """A raw pointer event in screen pixels: ``kind`` is "down", "up" or "out"."""

    kind: str
    row: float
    column: float


@dataclass(frozen=True, slots=True)
class Click:
    """A press and release in one place, in image coordinates."""

    y: float
    x: float
    button: int = LEFT
    shift: bool = False


@dataclass(frozen=True, slots=True)
class Drag:
    """A press in one place and release in another, in image coordinates."""

    y0: float
    x0: float
    y1: float
    x1: float
    button: int = LEFT
    shift: bool = False


Gesture = Click | Drag


def action_for(gesture: Gesture, browsing: Browsing) -> Action | None:
    """Return what a gesture means with the chosen tool, or None.

    A click of the left button adds a point of the chosen kind, one of the right button a negative point. A drag
    of the left button draws a box with the box tool, or with the shift key; other drags move the view, which the
    browser does by itself.
    """
    if isinstance(gesture, Click):
        if gesture.button == MIDDLE:
            return None
        positive = browsing.positive and gesture.button == LEFT
        return AddPoint(gesture.y, gesture.x, positive, browsing.plane)
    if gesture.button == LEFT and (browsing.tool is Tool.BOX or gesture.shift):
        return AddBox(gesture.y0, gesture.x0, gesture.y1, gesture.x1, browsing.plane)
    return None


def gestures(reach: float = 4.0) -> Generator[tuple[Press, Press] | None, Press, None]:
    """Pair raw presses: send in one ``Press`` after the other, get (press, release) when a gesture ends.

    For browsers without the interaction layer, whose events tell neither button nor modifier. A drag ends when the
    pointer leaves. Pairs nearer than ``reach`` screen pixels come back with equal ends: they are clicks.
    """
    start: Press | None = None
    ended: tuple[Press, Press] | None = None
    while True:
        event = yield ended
        ended = None
        if event.kind == "down":
            start = event
        elif start is not None:
            near = math.hypot(event.row - start.row, event.column - start.column) < reach
            ended, start = (start, start if near else event), None
