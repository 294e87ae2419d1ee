"""From what the hand does on the screen to actions. Everything here is a function of its arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ..core import BoxPrompt, Ellipse, LabelError, Point, Polygon, Prompt, PromptError, Scribble
from ..core.prompts import Vertices
from ..session import (
    AcceptCandidates,
    Action,
    AddBox,
    AddPoint,
    AddPrompt,
    Browsing,
    ClassifyAlong,
    Delete,
    DeleteInside,
    Erase,
    Fill,
    Merge,
    Paint,
    RejectCandidates,
    RemovePrompt,
    ReplacePrompt,
    Select,
    SetClass,
    Split,
    SplitAt,
    State,
    TakeCandidate,
    Tool,
)

LEFT, MIDDLE, RIGHT = 0, 1, 2

#: Tools that draw a line while the button is down; with the others a drag moves the image, or spans a rectangle.
DRAWN = (Tool.LASSO, Tool.SCRIBBLE, Tool.BRUSH, Tool.ERASER, Tool.SPLIT, Tool.CHOOSE, Tool.DELETE_INSIDE, Tool.CLASSIFY)
SPANNED = (Tool.BOX, Tool.ELLIPSE)
#: Tools that are clicked several times before Enter ends them.
CLICKED = (Tool.POLYGON, Tool.PARTS)

#: Prompts of more vertices than these are held as a whole: their corners are too close to be taken one by one.
_CORNERS = 30
#: So many of the newest prompts can be taken hold of.
_HELD = 400


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


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line that was drawn through (y, x) vertices; ``width`` in image pixels, None for the chosen brush."""

    points: Vertices
    width: float | None = None
    button: int = LEFT


@dataclass(frozen=True, slots=True)
class Outline:
    """A closed line around something, through (y, x) vertices."""

    points: Vertices


@dataclass(frozen=True, slots=True)
class Parts:
    """Places (y, x), one in each part of something."""

    points: Vertices


@dataclass(frozen=True, slots=True)
class Handle:
    """A prompt as the browser takes hold of it.

    ``index`` is its place in the list, ``at`` its coordinates (y, x, y, x ...) in hundredths of a pixel's precision;
    of a "line" no single corner can be moved.
    """

    index: int
    kind: str
    positive: bool
    at: tuple[float, ...]

    @property
    def plain(self) -> list[Any]:
        """The handle as a list that JSON can carry."""
        return [self.index, self.kind, self.positive, *self.at]

    @classmethod
    def of(cls, plain: list[Any]) -> Handle:
        index, kind, positive, *at = plain
        return cls(int(index), str(kind), bool(positive), tuple(float(v) for v in at))


@dataclass(frozen=True, slots=True)
class Shift:
    """A prompt dragged by (dy, dx). ``part`` is one of its corners, 4 to 7 a side, -1 the whole of it."""

    handle: Handle
    part: int
    dy: float
    dx: float


@dataclass(frozen=True, slots=True)
class Removal:
    """A right click on a prompt."""

    handle: Handle


Gesture = Click | Drag | Stroke | Outline | Parts | Shift | Removal
#: The object at (plane, y, x), 0 for none.
LabelAt = Callable[[int, float, float], int]


def action_for(gesture: Gesture, state: State, label_at: LabelAt) -> Action | None:
    """Return what a gesture means with the chosen tool, or None. The right button means "not this"."""
    browsing = state.browsing
    plane, tool = browsing.plane, browsing.tool
    if isinstance(gesture, Shift):
        index = find(gesture.handle, state)
        return None if index is None else ReplacePrompt(index, _shifted(state.prompts[index], gesture))
    if isinstance(gesture, Removal):
        index = find(gesture.handle, state)
        return None if index is None else RemovePrompt(index)
    if isinstance(gesture, Parts):
        return SplitAt(_common(gesture.points, plane, label_at), gesture.points, plane)
    if isinstance(gesture, Outline):
        if tool is Tool.DELETE_INSIDE:
            return DeleteInside(gesture.points, plane)
        return AddPrompt(Polygon(plane, gesture.points))
    if isinstance(gesture, Drag):
        # With shift any tool draws a box.
        if gesture.button != LEFT or not (gesture.shift or tool in SPANNED):
            return None
        corners = gesture.y0, gesture.x0, gesture.y1, gesture.x1
        ellipse = tool is Tool.ELLIPSE and not gesture.shift
        return AddPrompt(Ellipse(plane, *corners)) if ellipse else AddBox(*corners, plane)
    positive = browsing.positive and gesture.button == LEFT
    if isinstance(gesture, Stroke):
        width = browsing.brush if gesture.width is None else gesture.width
        if tool is Tool.SCRIBBLE:
            return AddPrompt(Scribble(plane, gesture.points, positive=positive))
        if tool is Tool.SPLIT:
            return Split(gesture.points, plane)
        if tool is Tool.CHOOSE:
            choice = RejectCandidates if gesture.button == RIGHT else AcceptCandidates
            return choice((), gesture.points, plane)
        if tool is Tool.CLASSIFY:
            return ClassifyAlong(gesture.points, plane, _class(browsing, gesture.button))
        if tool is Tool.ERASER or gesture.button == RIGHT:
            return Erase(gesture.points, width, plane)
        return Paint(gesture.points, width, plane)
    return _clicked(gesture, state, positive, label_at)


def _common(points: Vertices, plane: int, label_at: LabelAt) -> int:
    """Return the one object under some places. Raises PromptError for places on none, or on several."""
    found = {label_at(plane, y, x) for y, x in points}
    if len(found) != 1 or 0 in found:
        raise PromptError("The points are not on one object.", "Click once on each part of the same object.")
    return found.pop()


def _clicked(click: Click, state: State, positive: bool, label_at: LabelAt) -> Action | None:
    browsing = state.browsing
    plane, y, x = browsing.plane, click.y, click.x
    label = label_at(plane, y, x)
    match browsing.tool:
        case _ if click.button not in (LEFT, RIGHT):
            return None
        case Tool.POINT | Tool.BOX | Tool.ELLIPSE | Tool.LASSO | Tool.SCRIBBLE | Tool.POLYGON:
            return AddPoint(y, x, positive, plane)
        case Tool.BRUSH | Tool.ERASER:
            kind = Erase if browsing.tool is Tool.ERASER or click.button == RIGHT else Paint
            return kind(((y, x),), browsing.brush, plane)
        case Tool.CHOOSE:
            meant = _candidate(state, y, x)
            choice = RejectCandidates if click.button == RIGHT else AcceptCandidates
            return None if meant is None else choice((meant,))
        case Tool.CLASSIFY:
            category = _class(browsing, click.button)
            return SetClass((label,), category) if label else ClassifyAlong(((y, x),), plane, category)
        case _ if click.button != LEFT:
            return None
        case Tool.FILL:
            return Fill(y, x, plane)
        case Tool.PICK:
            candidate = _candidate(state, y, x)
            if not label and candidate is not None:
                return TakeCandidate(candidate)
            return Select((label,), click.shift) if label else None if click.shift else Select()
        case Tool.MERGE:
            picked = browsing.selected
            if not label or not picked:
                return Select((label,)) if label else Select()
            return None if label in picked and len(picked) == 1 else Merge((*picked, label))
        case Tool.DELETE:
            return Delete((label,) if label else ())
    return None


def _class(browsing: Browsing, button: int) -> str:
    """Return the class to give, "" for the right button. Raises LabelError when none is chosen."""
    if button != RIGHT and not browsing.category:
        raise LabelError("There are no classes yet.", "Name one in the panel Classes first.")
    return "" if button == RIGHT else browsing.category


def _candidate(state: State, y: float, x: float) -> int | None:
    """Return the smallest candidate that is seen at a place, by its number in the list."""
    if not state.browsing.layers.candidates.visible:
        return None
    hit = [i for i, one in enumerate(state.candidates) if one.mask.holds(state.browsing.plane, y, x)]
    return min(hit, key=lambda i: state.candidates[i].mask.area, default=None)


def handles(state: State) -> list[Handle]:
    """Return the prompts on screen that can be moved, reshaped and removed by hand; masks cannot."""
    browsing = state.browsing
    if not browsing.layers.prompts.visible:
        return []
    found = (_handle(i, prompt) for i, prompt in enumerate(state.prompts) if prompt.plane == browsing.plane)
    return [one for one in found if one is not None][-_HELD:]


def _handle(index: int, prompt: Prompt) -> Handle | None:
    kind, positive = "line", True
    at: tuple[float, ...]
    if isinstance(prompt, Point):
        kind, positive, at = "point", prompt.positive, (prompt.y, prompt.x)
    elif isinstance(prompt, BoxPrompt | Ellipse):
        kind = "box" if isinstance(prompt, BoxPrompt) else "ellipse"
        at = (prompt.y0, prompt.x0, prompt.y1, prompt.x1)
    elif isinstance(prompt, Polygon | Scribble):
        points = prompt.points
        closed = isinstance(prompt, Polygon)
        positive = closed or (isinstance(prompt, Scribble) and prompt.positive)
        if closed and len(points) <= _CORNERS:
            kind = "polygon"
        else:
            points = points[:: max(1, len(points) // _CORNERS)]
            points = (*points, points[0]) if closed else points
        at = tuple(v for pair in points for v in pair)
    else:
        return None
    return Handle(index, kind, positive, tuple(round(v, 2) for v in at))


def find(handle: Handle, state: State) -> int | None:
    """Return the place in the list of the prompt that was held; None when it is no longer what it was."""
    count = len(state.prompts)
    # Most often it is where it was; prompts before it may have gone.
    order = sorted(range(count), key=lambda i: abs(i - handle.index))
    return next((i for i in order if _handle(i, state.prompts[i]) == replace(handle, index=i)), None)


def _shifted(prompt: Prompt, shift: Shift) -> Prompt:
    part, dy, dx = shift.part, shift.dy, shift.dx
    if isinstance(prompt, BoxPrompt | Ellipse) and part >= 0:
        # Corners 0 to 3 clockwise from the upper left, sides 4 to 7 from the upper one.
        upper, lower = part in (0, 1, 4), part in (2, 3, 6)
        left, right = part in (0, 3, 7), part in (1, 2, 5)
        return replace(
            prompt,
            y0=prompt.y0 + dy * upper,
            x0=prompt.x0 + dx * left,
            y1=prompt.y1 + dy * lower,
            x1=prompt.x1 + dx * right,
        )
    if isinstance(prompt, Polygon) and 0 <= part < len(prompt.points):
        points = list(prompt.points)
        points[part] = (points[part][0] + dy, points[part][1] + dx)
        return replace(prompt, points=tuple(points))
    return prompt.moved(dy, dx)


@dataclass(frozen=True, slots=True)
class Press:
    """A raw event of the canvas: ``kind`` is "down", "move", "up", "out", or a key of an open polygon.

    (row, column) are pixels of the canvas, (y, x) the place in the image.
    """

    kind: str
    tool: Tool
    row: float = 0.0
    column: float = 0.0
    y: float = 0.0
    x: float = 0.0


@dataclass(frozen=True, slots=True)
class Pan:
    """The image moved by hand, in pixels of the canvas."""

    rows: float
    columns: float


@dataclass(frozen=True, slots=True)
class Corners:
    """A polygon, or points of parts, not ended yet, and how many there are."""

    count: int


def gestures(reach: float = 4.0) -> Generator[Gesture | Pan | Corners | None, Press, None]:
    """Make gestures of raw events: send in one ``Press`` after the other, get what has come of it.

    For browsers without the interaction layer, whose events tell neither button nor modifier. A drag also ends when
    the pointer leaves. What moves less than ``reach`` pixels of the canvas is a click. A polygon is closed by Enter,
    by a click on its first corner, or by a second click in one place.
    """
    path: list[Press] = []
    corners: list[Press] = []
    far = False
    out: Gesture | Pan | Corners | None = None
    while True:
        event = yield out
        out = None
        if event.tool not in CLICKED or (corners and event.tool is not corners[0].tool):
            corners = []
        if event.kind == "down":
            path, far = [event], False
        elif event.kind in ("move", "up", "out") and path:
            far = far or _apart(path[0], event) >= reach
            tool = path[0].tool
            if far and tool not in DRAWN and tool not in SPANNED:
                out = Pan(event.row - path[-1].row, event.column - path[-1].column)
            if far:
                path.append(event)
            if event.kind == "move":
                continue
            if not far and tool is Tool.PARTS:
                corners.append(path[0])
                out = Corners(len(corners))
            elif not far and tool is Tool.POLYGON:
                out = _corner(corners, path[0], 2 * reach)
            elif not far:
                out = Click(path[0].y, path[0].x)
            elif tool in DRAWN or tool in SPANNED:
                out = _drawn(tool, path)
            path = []
        elif corners and event.kind == "Enter":
            out = _closed(corners)
        elif corners and event.kind in ("Backspace", "Escape"):
            del corners[-1 if event.kind == "Backspace" else 0 :]
            out = Corners(len(corners))


def _corner(corners: list[Press], at: Press, reach: float) -> Outline | Parts | Corners:
    """Add a corner to a polygon, or close it."""
    known = [one for one in corners[:1] + corners[-1:] if _apart(one, at) < reach]
    if known and len(corners) >= 3:
        return _closed(corners)
    if not known:
        corners.append(at)
    return Corners(len(corners))


def _closed(corners: list[Press]) -> Outline | Parts | Corners:
    parts = corners[0].tool is Tool.PARTS
    if len(corners) < (2 if parts else 3):
        return Corners(len(corners))
    points = tuple((one.y, one.x) for one in corners)
    corners.clear()
    return Parts(points) if parts else Outline(points)


def _drawn(tool: Tool, path: list[Press]) -> Gesture:
    start, end = path[0], path[-1]
    if tool in SPANNED:
        return Drag(start.y, start.x, end.y, end.x)
    places = [(one.y, one.x) for one in path]
    points = tuple(places[:1] + [new for old, new in pairwise(places) if new != old])
    return Outline(points) if tool in (Tool.LASSO, Tool.DELETE_INSIDE) else Stroke(points)


def _apart(one: Press, other: Press) -> float:
    return math.hypot(one.row - other.row, one.column - other.column)
