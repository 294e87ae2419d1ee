"""The panel of agreement: how well the object in hand goes on from plane to plane, and which planes to look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bqplot
import ipywidgets as widgets
import numpy as np

from ..core import Candidate, Stop
from ..session import Agreement, Change, Session
from ..view.doubts import Doubt, doubts
from ..view.ticks import ticks
from .buttons import plain_button, visible
from .hands import Hands
from .panels import title

#: So many doubtful planes are listed.
_LISTED = 8
_AGREEMENT, _SCORE, _PROMPT = "#4a90d9", "#e08a2c", "#00b050"


class CurvePanel:
    """Lines of agreement and predicted score over the planes; a click on a plane goes there.

    Of several objects the worst one of each plane counts. ``word``: what a plane is called.
    """

    def __init__(self, session: Session, hands: Hands, word: str = "plane") -> None:
        self._session, self._hands, self._word = session, hands, word
        self._count = session.shape[0]
        self._x = bqplot.LinearScale(min=-0.5, max=self._count - 0.5)
        self._y = bqplot.LinearScale(min=0.0, max=1.03)
        scales = {"x": self._x, "y": self._y}
        planes = np.arange(self._count, dtype=np.float64)
        #: One per plane, of full height: what is clicked, red where a plane is doubtful, grey where it is shown.
        self.bars = bqplot.Bars(
            x=planes, y=np.full(self._count, 1.03), scales=scales, padding=0.0, colors=["#888888"],
            stroke="transparent", opacities=[0.0] * self._count,
        )  # fmt: skip
        self.bars.on_element_click(self._clicked)
        self.score, self.agreement = (
            bqplot.Lines(x=[], y=[], scales=scales, colors=[colour], stroke_width=width)
            for colour, width in ((_SCORE, 1), (_AGREEMENT, 2))
        )
        self.prompts = bqplot.Scatter(x=[], y=[], scales=scales, colors=[_PROMPT], default_size=40)
        self._axes = [
            bqplot.Axis(scale=self._x, tick_values=ticks(self._count), tick_format="d", grid_lines="none"),
            bqplot.Axis(
                scale=self._y, side="left", tick_values=np.array([0.0, 0.5, 1.0]), tick_format=".1f", grid_lines="none"
            ),
        ]
        self._marks = [self.bars, self.score, self.agreement, self.prompts]
        self.figure = bqplot.Figure(
            marks=self._marks, axes=self._axes, animation_duration=0, display_toolbar=False,
            fig_margin={"top": 6, "bottom": 24, "left": 30, "right": 10}, padding_x=0.0, padding_y=0.0,
            min_aspect_ratio=0.2, max_aspect_ratio=20.0,
            layout={"height": "150px", "width": "auto", "min_width": "0"},
        )  # fmt: skip
        self.caption = widgets.HTML()
        self.caption.add_class("msam-note")
        self.listed = [
            plain_button("msam-go", "exclamation-triangle", f"Go to this {word}", self._going(place), "0")
            for place in range(_LISTED)
        ]
        row = widgets.Box(self.listed)
        row.add_class("msam-group")
        self._doubts: list[Doubt] = []
        self._drawn: tuple[Any, ...] = ()
        self.box = widgets.VBox([title("Agreement", f"click on a {word} to go there"), self.figure, self.caption, row])

    def show(self, change: Change) -> None:
        if not (change.proposal or change.prompts or change.view):
            return
        state = self._session.state
        prompted = {one.plane for one in state.prompts if not isinstance(one, Stop)}
        if self._drawn[:3] != (state.sections, prompted, state.proposals):
            self._doubts = _doubts(state.sections, prompted, state.proposals)
            self._draw(state.sections, prompted)
            self._list()
        if self._drawn != (state.sections, prompted, state.proposals, state.browsing.plane):
            self._mark(state.browsing.plane)
        self._drawn = state.sections, prompted, state.proposals, state.browsing.plane

    def close(self) -> None:
        """Close the parts that are no children of the figure."""
        for one in (*self._marks, *self._axes, self._x, self._y, self.figure.scale_x, self.figure.scale_y):
            one.close()

    def _draw(self, sections: tuple[Agreement, ...], prompted: set[int]) -> None:
        worst: dict[int, tuple[float, float]] = {}
        for one in sections:
            old = worst.get(one.plane, (1.0, 1.0))
            worst[one.plane] = min(old[0], one.agreement), min(old[1], one.score)
        planes = sorted(worst)
        for line, which in ((self.agreement, 0), (self.score, 1)):
            with line.hold_sync():
                line.x = np.array(planes, np.float64)
                line.y = np.array([worst[plane][which] for plane in planes], np.float64)
        seen = sorted(prompted & set(planes))
        with self.prompts.hold_sync():
            self.prompts.x = np.array(seen, np.float64)
            self.prompts.y = np.array([worst[plane][0] for plane in seen], np.float64)

    def _list(self) -> None:
        for place, button in enumerate(self.listed):
            there = place < len(self._doubts)
            visible(button, there)
            if there:
                button.description = str(self._doubts[place].plane)
                button.tooltip = f"Go to {self._word} {self._doubts[place].plane}: {self._doubts[place].reason}"
        lines = f"<b style='color:{_AGREEMENT}'>agreement</b>, <b style='color:{_SCORE}'>predicted score</b>, "
        lines += f"<b style='color:{_PROMPT}'>prompts</b>"
        if not self._session.state.sections:
            verb = "follows" if self._session.movie else "segments"
            self.caption.value = (
                f"There is no object in several {self._word}s in hand: Shift-S {verb} it through all of them."
            )
        elif not self._doubts:
            self.caption.value = f"{lines}. No {self._word} is doubtful."
        else:
            first = self._doubts[0]
            worst = f"{self._word.capitalize()} {first.plane}: {first.reason}."
            more = len(self._doubts) - _LISTED
            self.caption.value = f"{lines}. {worst} Look at{f' these and {more} more' if more > 0 else ''}:"

    def _mark(self, plane: int) -> None:
        doubtful = {one.plane for one in self._doubts}
        with self.bars.hold_sync():
            self.bars.colors = ["#e05050" if one in doubtful else "#888888" for one in range(self._count)]
            self.bars.opacities = [
                0.45 if one == plane else 0.25 if one in doubtful else 0.0 for one in range(self._count)
            ]

    # From the browser: these callbacks only queue.

    def _clicked(self, _: object, message: dict[str, Any]) -> None:
        plane = round(float(message.get("data", {}).get("x", -1)))
        if 0 <= plane < self._count:
            self._hands.post(lambda: self._hands.look_at(plane, None, None))

    def _going(self, place: int) -> Callable[[], None]:
        def go() -> None:
            if place < len(self._doubts):
                self._hands.look_at(self._doubts[place].plane, None, None)

        return lambda: self._hands.post(go)


def _doubts(sections: tuple[Agreement, ...], prompted: set[int], proposals: tuple[Candidate, ...]) -> list[Doubt]:
    """Return the doubtful planes of all objects in hand, each once, for its worst reason."""
    found: dict[int, Doubt] = {}
    for place in sorted({one.place for one in sections}):
        known = {one.plane: one.agreement for one in sections if one.place == place and one.plane not in prompted}
        areas = {}
        if place < len(proposals):
            mask = proposals[place].mask
            counted = np.count_nonzero(mask.bitmap, axis=(1, 2)).tolist()
            areas = {mask.start[0] + i: area for i, area in enumerate(counted)}
        for doubt in doubts(known, areas):
            found.setdefault(doubt.plane, doubt)
    return list(found.values())
