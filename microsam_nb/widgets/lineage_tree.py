"""The panel of tracks: a tree of who descends from whom, and what can be done with the picked tracks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import anywidget
import bqplot
import ipywidgets as widgets
import numpy as np
import traitlets

from ..core import LabelError, Lineage, Option
from ..session import Change, Select, Session
from ..session.wording import counted, listed
from ..view import Command, colour_of, key_of
from ..view.kin import possible
from ..view.ticks import ticks
from ..view.tree import REACH, Branch, between, branches, elbows, family, gaps, strokes, track_at
from .buttons import command_button
from .hands import Bound, Hands
from .linking import LinkForm
from .panels import title

#: Pixels of a row: of few tracks, and of many; of how many rows on they are lower.
_HIGH, _LOW, _MANY = 15, 8, 80
#: Pixels above the rows and below them, for the axis.
_ABOVE, _BELOW = 4, 22
#: So many rows are drawn at once, those in sight among them: a browser takes seconds for thousands of lines.
_WINDOW = 160
#: Of so many tracks each has its number beside it, of more only the picked ones.
_NUMBERED = 60

_ONE = (
    (Command.DIVIDE, "code-fork", "The picked track, or the object in hand, divides in this frame", "Divide here"),
    (Command.CUT_TRACK, "cut", "From this frame on it is another track", "Cut here"),
    (Command.END_TRACK, "flag-checkered", "Nothing of the track from this frame on", "End here"),
    (Command.DELETE_HERE, "trash", "The picked track is missing in this frame; the rest of it stays", "Delete here"),
    (Command.ORPHAN, "chain-broken", "The track is no daughter of another one", "No mother"),
)
_TWO = (
    (Command.JOIN, "link", "The later one of two picked tracks goes on with the earlier one", "Join"),
    (Command.SWAP, "exchange", "From this frame on two picked tracks are exchanged", "Swap from here"),
    (Command.REPARENT, "sitemap", "The second of two picked tracks becomes the mother of the first", "New mother"),
)


class TreeLayer(anywidget.AnyWidget):
    """The browser's half: where the tree is pressed; see tree.js for its message and traits."""

    # The text, not the path: anywidget would keep every widget that was ever made, to tell it of changes of the file.
    _esm = Path(__file__).with_name("tree.js").read_text(encoding="utf-8")
    span = traitlets.List([0.0, 1.0, 0.0, 1.0]).tag(sync=True)
    rows = traitlets.Int(0).tag(sync=True)
    bars = traitlets.List().tag(sync=True)
    reveal = traitlets.List([0.0, 0]).tag(sync=True)


class TracksPanel:
    """A tree of all tracks, or of the picked lineage; a click picks a track and goes to the frame.

    ``linking``: the options of the linker, None where there is none.
    """

    def __init__(self, session: Session, hands: Hands, linking: Callable[[], Sequence[Option]] | None = None) -> None:
        self._session, self._hands = session, hands
        self._count = session.shape[0]
        self._branches: tuple[Branch, ...] = ()
        self._known: tuple[object, ...] = ()
        self._picked: tuple[int, ...] = ()
        self._frame = -1
        #: The branches that are drawn, and the first row of the window that they lie in.
        self._drawn: tuple[Branch, ...] = ()
        self._top = 0
        # Numbers stand before the lines.
        self._left, self._right = -0.5 - max(1.0, 0.07 * self._count), self._count - 0.5
        self._x = bqplot.LinearScale(min=self._left, max=self._right)
        self._y = bqplot.LinearScale(min=-1.0, max=1.0, reverse=True)
        scales = {"x": self._x, "y": self._y}

        def lines(**how: Any) -> bqplot.Lines:
            return bqplot.Lines(x=[], y=[], scales=scales, **how)

        self.now = lines(colors=["#d9534f"], stroke_width=1)
        self.elbows, self.gaps = lines(colors=["#888888"], stroke_width=1), lines(stroke_width=1, line_style="dashed")
        self.lines, self.thick = lines(stroke_width=2), lines(stroke_width=5)
        self.numbers = bqplot.Label(x=[], y=[], text=[], scales=scales, align="end", x_offset=-3, y_offset=0,
                                    default_size=10, font_weight="normal")  # fmt: skip
        self._marks = [self.now, self.elbows, self.gaps, self.lines, self.thick, self.numbers]
        self._axis = bqplot.Axis(scale=self._x, tick_values=ticks(self._count), tick_format="d", grid_lines="none")
        self.figure = bqplot.Figure(
            marks=self._marks, axes=[self._axis], animation_duration=0, display_toolbar=False,
            fig_margin={"top": _ABOVE, "bottom": _BELOW, "left": 6, "right": 8}, padding_x=0.0, padding_y=0.0,
            min_aspect_ratio=0.005, max_aspect_ratio=100.0,
            layout={"height": "60px", "width": "100%", "min_width": "0"},
        )  # fmt: skip
        self.layer = TreeLayer()
        self.layer.on_msg(lambda _, message, __: hands.post(lambda: self._heard(message)))
        self._body = widgets.Box([self.figure, self.layer])
        self._body.add_class("msam-tree-body")
        scrolled = widgets.Box([self._body])
        scrolled.add_class("msam-tree")
        self.only = widgets.Checkbox(
            False, description="Only the picked lineage", indent=False, tooltip="Leave out what is no relative"
        )
        self._only = Bound(self.only, hands, lambda _: self._refresh())
        self.caption = widgets.HTML()
        self.caption.add_class("msam-note")
        self.buttons = {
            command: command_button(command, icon, words, hands.act, text) for command, icon, words, text in _ONE + _TWO
        }
        rows = [widgets.Box([self.buttons[command] for command, *_ in some]) for some in (_ONE, _TWO)]
        for row in rows:
            row.add_class("msam-group")
        self.linking = None if linking is None else LinkForm(session, hands, linking)
        self.box = widgets.VBox(
            [
                title("Tracks", "click on one to go there, Shift-click picks another"), scrolled, self.only,
                self.caption, *rows, *([self.linking.box] if self.linking is not None else []),
            ]
        )  # fmt: skip

    def show(self, change: Change) -> None:
        """Draw what is new; when only the frame is, a line is moved."""
        if change.objects or change.lineage or change.labels is not None:
            self._refresh()
        state = self._session.state
        if state.browsing.plane != self._frame:
            self._frame = state.browsing.plane
            self._draw_frame()
        if (
            change.objects
            or change.lineage
            or change.labels is not None
            or change.view
            or change.prompts
            or (change.proposal)
        ):
            self._offer()

    def close(self) -> None:
        """Close the parts that are no children of the figure."""
        for one in (*self._marks, self._axis, self._x, self._y, self.figure.scale_x, self.figure.scale_y):
            one.close()

    # On the screen's thread.

    def _refresh(self) -> None:
        """Draw tracks and picked ones again where they are others than those drawn."""
        lineage, picked = self._session.state.lineage or Lineage({}), self._session.selected
        try:
            frames = {track: self._session.frames(track) for track in lineage}
        except LabelError:
            return  # another change is on its way
        picked = tuple(track for track in picked if track in frames)
        only = family(lineage, picked) if self.only.value and picked else None
        known = lineage, frames, only
        fresh = known != self._known
        if fresh:
            self._known = known
            self._branches = branches(lineage, frames, only)
            self._draw()
            self._draw_frame()
        if fresh or picked != self._picked:
            self._draw_picked(picked)
        self._picked = picked

    def _draw(self) -> None:
        rows = self._rows()
        high = _HIGH if rows <= _MANY else _LOW
        self._top = min(self._top, max(0, rows - _WINDOW))
        top, bottom = self._top - 0.6, min(max(rows, 2), self._top + _WINDOW) - 0.4
        known = between(self._branches, top, bottom) if rows > _WINDOW else self._branches
        self._drawn = shown = tuple(known)
        self._body.layout.height = f"{round(high * (max(rows, 2) + 0.2)) + _ABOVE + _BELOW}px"
        self.figure.layout.height = f"{round(high * (bottom - top)) + _ABOVE + _BELOW}px"
        self.figure.layout.margin = f"{high * self._top}px 0 0 0"
        with self._y.hold_sync():
            self._y.min, self._y.max = top, bottom
        broken = [one for one in shown if len(one.runs) > 1]
        _put(self.lines, strokes(shown), [_css(one.track) for one in shown])
        _put(self.gaps, gaps(broken), [_css(one.track) for one in broken])
        _put(self.elbows, elbows(shown))
        with self.layer.hold_sync():
            self.layer.span = [self._left, self._right, top, bottom]
            self.layer.rows = rows
            self.layer.bars = [[one.track, one.row, one.first, one.last] for one in shown]

    def _draw_frame(self) -> None:
        with self.now.hold_sync():
            self.now.x = np.array([self._frame, self._frame], np.float64)
            self.now.y = np.array([self._y.min, self._y.max], np.float64)

    def _draw_picked(self, picked: tuple[int, ...]) -> None:
        chosen = [one for one in self._branches if one.track in picked]
        thick = [one for one in self._drawn if one.track in picked]
        _put(self.thick, strokes(thick), [_css(one.track) for one in thick])
        named = self._branches if len(self._branches) <= _NUMBERED else thick
        with self.numbers.hold_sync():
            self.numbers.x = np.array([one.first - REACH for one in named], np.float64)
            self.numbers.y = np.array([one.row for one in named], np.float64)
            self.numbers.text = [str(one.track) for one in named]
            self.numbers.colors = [_css(one.track) for one in named] or ["#888888"]
        if chosen and picked[-1:] != self._picked[-1:]:
            row = next((one.row for one in chosen if one.track == picked[-1]), chosen[-1].row)
            self.layer.reveal = [row, self.layer.reveal[1] + 1]

    def _offer(self) -> None:
        """Enable what is possible, and say what is picked."""
        can = possible(self._session, self._session.state.browsing.plane)
        for command, button in self.buttons.items():
            button.disabled = command not in can
        first, second = self._picked if len(self._picked) == 2 else ("the first", "the second")
        self.buttons[Command.REPARENT].tooltip = (
            f"Track {second} becomes the mother of track {first} [{key_of(Command.REPARENT)}]"
            if len(self._picked) == 2
            else f"{_TWO[2][2]} [{key_of(Command.REPARENT)}]"
        )
        self.caption.value = self._said()
        if self.linking is not None:
            self.linking.show()

    def _said(self) -> str:
        lineage = self._session.state.lineage
        if lineage is None or not len(lineage):
            return "No tracks yet. Click on a cell, Shift-S follows it through the frames, C keeps it."
        told = {one.track: one for one in self._branches}
        picked = [told[track] for track in self._picked if track in told and track in lineage]
        if not picked:
            divided = sum(len(lineage.children(track)) > 1 for track in lineage)
            return f"{counted(len(lineage), 'track')}, {counted(divided, 'division')}. Nothing is picked."
        if len(picked) > 2:
            return f"{len(picked)} tracks are picked: {', '.join(str(one.track) for one in picked)}."
        return "<br>".join(_described(one, lineage.children(one.track)) for one in picked)

    def _rows(self) -> int:
        return round(max((one.row for one in self._branches), default=0.0)) + 1

    def _heard(self, message: dict[str, Any]) -> None:
        if message["kind"] == "scroll":
            self._scrolled(float(message["first"]), float(message["last"]))
        else:
            self._pressed(message)

    def _scrolled(self, first: float, last: float) -> None:
        """Draw the rows around those in sight, where these are not drawn."""
        lowest = max(0, self._rows() - _WINDOW)
        top = min(max(0, round((first + last - _WINDOW) / 2)), lowest)
        if top != self._top:
            self._top = top
            self._draw()
            self._draw_frame()
            self._draw_picked(self._picked)

    def _pressed(self, message: dict[str, Any]) -> None:
        frame = min(max(round(float(message["x"])), 0), self._count - 1)
        track = track_at(self._branches, float(message["x"]), float(message["y"]))
        if not track:
            self._hands.look_at(frame, None, None)
            return
        self._hands.handle(Select((track,), more=bool(message["more"])))
        self._hands.look_at(frame, *self._place(track, frame))

    def _place(self, track: int, frame: int) -> tuple[float, float] | tuple[None, None]:
        """Return the middle (y, x) of a track in a frame; None where it is not there."""
        try:
            return self._session.middle(track, frame)
        except LabelError:
            return None, None


def _put(mark: bqplot.Lines, points: tuple[Any, Any], colours: Collection[str] = ()) -> None:
    with mark.hold_sync():
        mark.x, mark.y = points
        if colours:
            mark.colors = list(colours)


def _css(track: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour_of(track))


def _described(one: Branch, daughters: tuple[int, ...]) -> str:
    missing = sum(b[0] - a[1] - 1 for a, b in zip(one.runs, one.runs[1:], strict=False))
    parts = [f"frames {one.first}–{one.last}" if one.last > one.first else f"frame {one.first}"]
    parts += [f"missing in {missing} of them"] if missing else []
    parts += [f"mother {one.mother}"] if one.mother else []
    parts += [listed(daughters, "daughter", len(daughters))] if daughters else []
    return f"<b>Track {one.track}</b>: {'; '.join(parts)}"
