"""The panel of automatic segmentation: how objects are found, what limits them, and what becomes of them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from ..core import Option
from ..session import Automatic, Change, FindAll, FitAll, Session, Setting, Spread
from ..session.wording import counted, worded
from ..view import Command
from ..view.histogram import Histogram
from .buttons import command_button, plain_button, visible
from .closing import close_tree
from .hands import Bound, Hands
from .panels import title
from .settings_form import SettingsForm

#: Seconds without a change after which what is found is kept.
_SETTLED = 0.5
_BINS = 40
#: The setting that is the least score, by mode.
_SCORES = {"amg": "pred_iou", "ais": "min_score", "apg": "min_score"}


class AutomaticPanel:
    """Finds all objects, and shows at once what other settings would give.

    ``modes``: what is written on the menu, and the mode; ``describe``: the options of a mode, in their order.
    """

    def __init__(
        self,
        session: Session,
        hands: Hands,
        modes: Sequence[tuple[str, str]],
        describe: Callable[[str], Sequence[Option]],
    ) -> None:
        from .histogram_plot import HistogramPlot

        self._session, self._hands, self._describe = session, hands, describe
        self._values: dict[str, Any] = {}
        #: What was changed since the last answer: all that counts for another model.
        self._changed_since: dict[str, Any] = {}
        self._mode, self._chosen = "", "auto"
        self._timer: threading.Timer | None = None
        self._known: Automatic | None = None
        self._spread: Spread | None = None
        self._closed = False
        self._forms: dict[str, SettingsForm] = {}

        def said(text: str) -> str:
            return worded(text, movie=session.movie)

        self.mode = widgets.Dropdown(
            options=list(modes), value="auto", description="Method", tooltip=said("How objects are found"),
            style={"description_width": "60px"}, layout={"width": "auto"},
        )  # fmt: skip
        self.mode.add_class("msam-mode")
        self._bound = Bound(self.mode, hands, self._choose)
        where = " of this frame" if session.movie else ""
        self.find = plain_button(
            "msam-find-all", "bullseye", said(f"Find all objects{where} [U]"), self._find,
            said(f"Find all objects{where}"),
        )  # fmt: skip
        #: In a movie there is no such thing: objects of all frames are linked to tracks, in the panel of those.
        self.find_volume = plain_button(
            "msam-find-volume", "cubes", "Find all objects of all planes, and join what belongs together",
            self._find_volume, "Find in all planes",
        )  # fmt: skip
        self.count = widgets.HTML("")
        self.count.add_class("msam-count")
        self.accept = command_button(
            Command.ACCEPT_ALL, "check", said("Keep all candidates as objects"), hands.act, "Accept all"
        )
        self.reject = command_button(Command.REJECT_ALL, "times", "Reject all candidates", hands.act, "Reject all")
        self.choose = command_button(
            Command.CHOOSE, "check-circle-o", "Click on a candidate to keep it, right-click to reject it, draw around "
            "several", hands.act, "Choose",
        )  # fmt: skip
        self.fit = plain_button(
            "msam-fit-settings", "sliders", said("Find the settings that give your committed objects best"), self._fit,
            said("Fit to my objects"),
        )  # fmt: skip
        self.scores = HistogramPlot(hands, self._score_range)
        self.sizes = HistogramPlot(hands, self._size_range)
        self._histograms = (_empty(), _empty())
        self._plots = widgets.VBox()
        self._form = widgets.VBox()
        self._results = widgets.VBox([self._plots, self._form])
        row = widgets.Box([self.accept, self.choose, self.reject, self.fit])
        row.add_class("msam-group")
        self.box = widgets.VBox(
            [
                title("Automatic", said("all objects at once")), self.mode, self.find,
                *([self.find_volume] if session.shape[0] > 1 and not session.movie else []), self.count, row,
                self._results,
            ]
        )  # fmt: skip

    def show(self, change: Change) -> None:
        stopped = change.work and not self._session.seeking and self._timer is None
        if change.candidates or stopped:
            # After a search that was stopped, what is shown is again what was found before.
            self._show_settings()
            self._show_spread()
        session = self._session
        if change.candidates or change.labels is not None or change.work:
            count = len(session.suggested)
            self.count.value = counted(count, "candidate") if count else ""
            for button in (self.accept, self.reject, self.choose):
                button.disabled = not count
            self.fit.disabled = session.labels.count() == 0

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for plot in (self.scores, self.sizes):
            plot.close()
            # Before the first result it is no child of the box, nor are the forms of other methods.
            close_tree(plot.figure)
        for form in self._forms.values():
            close_tree(form.box)
        close_tree(self.find_volume)

    # On the screen's thread.

    def _show_settings(self) -> None:
        known: Automatic | None = self._session.state.automatic
        if known is not self._known:
            # Another answer, an undo: what was being changed belongs to what was there before.
            self._known = known
            self._forget_timer()
        visible(self._results, known is not None)
        if known is None or self._session.sketching:
            return
        if known.mode != self._mode:
            self._mode = known.mode
            if known.mode not in self._forms:
                self._forms[known.mode] = SettingsForm(self._describe(known.mode), self._hands, self._changed)
            form = self._forms[known.mode]
            self._form.children = (form.box,)
        if self._timer is None:
            self._values = {one.name: one.value for one in known.options}
            self._changed_since = {}
            self._forms[known.mode].show(self._values)
        self._chosen = known.mode
        self._bound.show(known.mode)

    def _show_spread(self) -> None:
        spread = self._session.spread
        there = spread is not None and len(spread.areas) > 0 and spread.mode == self._mode and bool(self._values)
        visible(self._plots, there)
        if spread is None or not there:
            return
        if spread is not self._spread:
            self._spread = spread
            diameters = np.sqrt(spread.areas * 4 / math.pi)
            reach = max(1.0, float(np.percentile(diameters, 99.5)) * 1.05)
            self._histograms = (
                _histogram(spread.scores.astype(np.float64), 0.0, 1.0), _histogram(diameters, 0.0, reach)
            )  # fmt: skip
        scores, sizes = self._histograms
        self.scores.show(scores, float(self._values.get(_SCORES[self._mode], 0.0)), 1.0)
        self.sizes.show(sizes, *self._shown_sizes())
        if not self._plots.children:
            # A range that is set while its plot is hidden would not be drawn.
            self._plots.children = (
                _caption("Scores: drag the lower edge"), self.scores.figure,
                _caption("Diameters in pixels: drag the edges"), self.sizes.figure,
            )  # fmt: skip

    def _choose(self, mode: str) -> None:
        self._forget_timer()
        self._chosen = mode
        self._search(mode, ())

    def _changed(self, name: str, value: Any) -> None:
        """Show what a setting gives; keep it when the hand rests."""
        if self._values.get(name) == value or not self._mode:
            return
        self._values[name] = self._changed_since[name] = value
        if self._forms[self._mode].options[name].costly:
            self._search(self._mode, self._options())
            return
        self._search(self._mode, self._options(), final=False)
        self._settle()

    def _score_range(self, found: tuple[float, float] | None) -> None:
        name = _SCORES.get(self._mode, "")
        old = float(self._values.get(name, 0.0)), 1.0
        low = None if found is None else _dragged(found, old, self._histograms[0])[0]
        if low is None:
            self._show_spread()
        else:
            self._change({name: round(min(max(low, 0.0), 1.0), 3)})

    def _size_range(self, found: tuple[float, float] | None) -> None:
        end = float(self._histograms[1].edges[-1])
        old = self._shown_sizes()
        low, high = (None, None) if found is None else _dragged(found, old, self._histograms[1])
        new: dict[str, Any] = {}
        if low is not None:
            new["min_size"] = round(math.pi / 4 * max(0.0, low) ** 2)
        if high is not None:
            new["max_size"] = 0 if high >= end * 0.99 else max(1, round(math.pi / 4 * high**2))
        if new:
            self._change(new)
        else:
            self._show_spread()

    def _shown_sizes(self) -> tuple[float, float]:
        """Return the least and the largest diameter, as they are drawn."""
        least, most = float(self._values.get("min_size", 0)), float(self._values.get("max_size", 0))
        end = float(self._histograms[1].edges[-1])
        return min(_diameter(least), end), min(_diameter(most), end) if most else end

    def _change(self, values: dict[str, Any]) -> None:
        if not self._mode:
            return
        self._values.update(values)
        self._changed_since.update(values)
        self._forms[self._mode].show(values)
        self._search(self._mode, self._options(), final=False)
        self._settle()

    def _forget_timer(self) -> None:
        """What a hand left to be kept is no longer wanted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _settle(self) -> None:
        self._forget_timer()
        timer = self._timer = threading.Timer(_SETTLED, lambda: self._hands.post(lambda: self._keep(timer)))
        timer.daemon = True
        timer.start()

    def _keep(self, timer: threading.Timer) -> None:
        # Another one may have begun, or something else been chosen, since it rang.
        if timer is self._timer and not self._closed:
            self._timer = None
            self._search(self._mode, self._options())

    def _search(
        self, mode: str, options: tuple[Setting, ...], *, final: bool = True, volume: bool | None = None
    ) -> None:
        """Find with other settings, where ``volume`` is None in the planes of last time; a sketch is of one plane."""
        known = self._session.state.automatic
        same = known is not None and known.volume
        self._hands.handle(FindAll(mode, options, final, final and (same if volume is None else volume)))

    def _options(self) -> tuple[Setting, ...]:
        """Return the settings to search with: those on screen, unless they were found with another model."""
        known = self._session.state.automatic
        if known is None or known.model != self._session.model:
            return tuple(Setting(name, value) for name, value in self._changed_since.items())
        return tuple(Setting(name, value) for name, value in self._values.items())

    # Buttons: these callbacks only queue.

    def _find(self) -> None:
        self._hands.post(lambda: self._find_in(volume=False))

    def _find_volume(self) -> None:
        self._hands.post(lambda: self._find_in(volume=True))

    def _find_in(self, *, volume: bool) -> None:
        self._forget_timer()
        same = bool(self._mode) and self._chosen in ("auto", self._mode) and bool(self._options())
        self._search(self._mode if same else self._chosen, self._options() if same else (), volume=volume)

    def _fit(self) -> None:
        def fit() -> None:
            self._forget_timer()
            self._hands.handle(FitAll(self._mode or self._chosen, self._options()))

        self._hands.post(fit)


def _dragged(
    found: tuple[float, float], old: tuple[float, float], histogram: Histogram
) -> tuple[float | None, float | None]:
    """Return the ends of a range that were dragged, None for those that stayed where they are drawn."""
    # The browser gives back what it was given, rounded to pixels of the plot.
    reach = float(histogram.edges[-1] - histogram.edges[0]) / 100
    low, high = (None if abs(new - known) < reach else new for new, known in zip(found, old, strict=True))
    return low, high


def _diameter(area: float) -> float:
    return math.sqrt(max(0.0, area) * 4 / math.pi)


def _histogram(values: NDArray[np.float64], low: float, high: float) -> Histogram:
    counts, edges = np.histogram(values, _BINS, (low, high))
    return Histogram(counts.astype(np.int64), edges.astype(np.float64))


def _empty() -> Histogram:
    return Histogram(np.zeros(1, np.int64), np.array([0.0, 1.0]))


def _caption(text: str) -> widgets.HTML:
    out = widgets.HTML(text)
    out.add_class("msam-hint")
    return out
