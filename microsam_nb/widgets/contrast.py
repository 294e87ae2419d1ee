"""The panel of contrast: which intensities are black and white, and the colours of channels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np

from ..core import Image
from ..session import Change, Channel, Session, SetChannels
from ..view import Pictures
from ..view.histogram import Histogram, histograms
from .buttons import mark, plain_button
from .closing import close_tree
from .hands import Bound, Hands
from .panels import title

if TYPE_CHECKING:
    from .histogram_plot import HistogramPlot

_RGB = ("Red", "Green", "Blue", "Alpha")


class ContrastPanel:
    """A histogram of one channel at a time, numbers for its range, and a line per channel.

    ``pictures`` of the image tell what colours and ranges its channels have where the user has chosen none.
    """

    def __init__(self, image: Image, session: Session, hands: Hands, pictures: Pictures | None = None) -> None:
        from .histogram_plot import HistogramPlot

        self._image, self._session, self._hands = image, session, hands
        self._pictures = pictures or Pictures(image)
        self._count = max(1, image.channels)
        self._chosen = 0
        self._plane = -1
        #: What was said last about numbers that make no range.
        self._complaint = ""
        self._histograms: list[Histogram] = []
        self.plot: HistogramPlot = HistogramPlot(hands, self._dragged)
        self.low, self.high = (
            widgets.FloatText(description=text, continuous_update=False, style={"description_width": "38px"})
            for text in ("Black", "White")
        )
        self._bound = [
            Bound(self.low, hands, lambda value: self._set_range(value, None)),
            Bound(self.high, hands, lambda value: self._set_range(None, value)),
        ]
        self.auto = plain_button("msam-auto", "magic", "The range that is found in the pixels", self._auto, "Auto")
        self.full = plain_button("msam-full", "arrows-h", "From the darkest to the brightest pixel", self._full, "Full")
        self.reset = plain_button("msam-reset", "undo", "Show the image its own way again", self._reset, "Reset")
        # The channels of a photograph belong together: changed apart, its colours would shift.
        self.together = widgets.Checkbox(self._pictures.photograph, description="All channels together", indent=False)
        self.together.layout.flex = "0 0 auto"
        self.lines = [_Line(self, index, hands) for index in range(self._count)] if self._count > 1 else []
        children = [
            title("Contrast", "drag the edges of the range"), self.plot.figure, widgets.HBox([self.low, self.high]),
            widgets.HBox([self.auto, self.full, self.reset]), *(line.box for line in self.lines),
        ]  # fmt: skip
        if self.lines:
            children.append(self.together)
        self.box = widgets.VBox(children)

    def show(self, change: Change) -> None:
        browsing = self._session.state.browsing
        if not (change.layers or (change.view and browsing.plane != self._plane)):
            return
        if browsing.plane != self._plane:
            self._histograms = histograms(self._image, browsing.plane)
            self._plane = browsing.plane
        low, high = self._window(self._chosen)
        self.plot.show(self._histograms[self._chosen], low, high)
        edges = self._histograms[self._chosen].edges
        for bound, value in zip(self._bound, (low, high), strict=True):
            bound.show(_plain(value, float(edges[-1] - edges[0])))
        channels = self._channels()
        for line in self.lines:
            line.show(channels[line.index], line.index == self._chosen)

    def close(self) -> None:
        self.plot.close()
        # A grey image does not show it.
        close_tree(self.together)

    def name_of(self, index: int) -> str:
        """What a channel is called."""
        return _RGB[index] if self._pictures.photograph else f"Channel {index + 1}"

    def own_colour(self, index: int) -> str:
        """The colour of a channel in the image's own way."""
        return self._pictures.colour(index)

    # On the screen's thread.

    def choose(self, index: int) -> None:
        """Show the histogram of another channel."""
        self._chosen = index
        self.show(Change(layers=True))

    def change(self, index: int, **changes: Any) -> None:
        """Change how one channel is shown, or its range together with those of the others."""
        together = self.together.value and self.lines and ("low" in changes or "high" in changes)
        channels = list(self._channels())
        for one in range(self._count) if together else (index,):
            channels[one] = replace(channels[one], **changes)
        self._set(tuple(channels))

    def _set(self, channels: tuple[Channel, ...]) -> None:
        self._hands.handle(SetChannels(channels))
        if self._complaint and self._session.notice.text == self._complaint:
            self._session.say("")

    def _channels(self) -> tuple[Channel, ...]:
        found = self._session.state.browsing.channels
        return found if len(found) == self._count else (Channel(),) * self._count

    def _window(self, index: int) -> tuple[float, float]:
        """Return the range of a channel as it is shown now."""
        low, high = self._pictures.windows(self._plane)[index]
        channel = self._channels()[index]
        return low if channel.low is None else channel.low, high if channel.high is None else channel.high

    def _dragged(self, found: tuple[float, float] | None) -> None:
        if found is None:
            self.show(Change(layers=True))
            return
        if not found[1] > found[0]:
            return
        # The range may reach beyond the histogram: an end that stayed where it is drawn has not been dragged.
        edges = self._histograms[self._chosen].edges
        reach = (edges[-1] - edges[0]) / 200
        old = self._window(self._chosen)
        drawn = np.clip(old, edges[0], edges[-1])
        low, high = (
            o if abs(f - d) < reach and o != d else f for f, o, d in zip(found, old, drawn.tolist(), strict=True)
        )
        self.change(self._chosen, low=low, high=high)

    def _set_range(self, low: float | None, high: float | None) -> None:
        old = self._window(self._chosen)
        new = old[0] if low is None else low, old[1] if high is None else high
        if new[1] > new[0]:
            self.change(self._chosen, low=new[0], high=new[1])
            return
        self._complaint = f"Black ({new[0]:g}) must be darker than white ({new[1]:g}). Enter another number."
        self._session.say(self._complaint, error=True)
        self.show(Change(layers=True))

    # Buttons: these callbacks only queue.

    def _auto(self) -> None:
        def find() -> None:
            low = high = None
            if self._pictures.photograph:  # whose own range is that of its numbers
                low, high = self._histograms[self._chosen].range(self._image.contrast)
            self.change(self._chosen, low=low, high=high)

        self._hands.post(find)

    def _full(self) -> None:
        def stretch() -> None:
            edges = self._histograms[self._chosen].edges
            self.change(self._chosen, low=float(edges[0]), high=float(edges[-1]))

        self._hands.post(stretch)

    def _reset(self) -> None:
        self._set(())


def _plain(value: float, span: float) -> float:
    """Return a number for people: no finer than a millionth of the range that it belongs to."""
    digits = 6 - math.floor(math.log10(span)) if 0 < span < math.inf else 6
    return round(value, max(0, digits)) + 0.0


class _Line:
    """One channel: shown or not, its colour, and a button for its histogram."""

    def __init__(self, panel: ContrastPanel, index: int, hands: Hands) -> None:
        self.index = index
        self.check = widgets.Checkbox(True, description=panel.name_of(index), indent=False)
        self.colour = widgets.ColorPicker(concise=True, value=panel.own_colour(index))
        self.chooser = plain_button(
            "msam-channel", "bar-chart", f"Histogram of {panel.name_of(index).lower()}",
            lambda: hands.post(lambda: panel.choose(index)),
        )  # fmt: skip
        self.box = widgets.HBox([self.check, self.colour, self.chooser])
        self._own = panel.own_colour(index)
        self._bound = (
            Bound(self.check, hands, lambda on: panel.change(index, visible=on)),
            Bound(self.colour, hands, lambda colour: panel.change(index, colour=colour)),
        )

    def show(self, channel: Channel, chosen: bool) -> None:
        self._bound[0].show(channel.visible)
        self._bound[1].show(channel.colour or self._own)
        mark(self.chooser, chosen)
