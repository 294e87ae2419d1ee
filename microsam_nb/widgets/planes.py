"""The bar of planes: where in the volume the screen is, and what of the object in hand lies where."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import ipywidgets as widgets
import numpy as np

from ..core import Candidate, Image, Stop
from ..session import Session
from ..view import Command, worded
from .buttons import command_button, group, plain_button, visible
from .hands import Bound, Hands

#: So many planes with prompts have a button of their own.
_LISTED = 12


class PlaneBar:
    """A slider through the planes with a strip of marks below it, and what can be done with an object of several.

    On the strip: the extent of the object in hand, planes with prompts, and stops. Planes are counted from 0, as in
    sentences and arrays; those of a movie are called frames.
    """

    def __init__(self, image: Image, session: Session, hands: Hands) -> None:
        self._session, self._hands = session, hands
        self._count = image.shape[0]
        movie = image.axes[0] == "t"
        self._word = "frame" if movie else "plane"
        size = image.voxel_size
        self._deep = None if size is None or size.z is None or self._word == "frame" else (size.z, size.unit)
        self.buttons = {
            command: command_button(command, icon, worded(words, movie=movie), hands.act, worded(text, movie=movie))
            for command, icon, words, text in (
                (Command.FIRST_PLANE, "fast-backward", "First plane", ""),
                (Command.PREVIOUS_PLANE, "chevron-left", "The plane before", ""),
                (Command.NEXT_PLANE, "chevron-right", "Next plane", ""),
                (Command.LAST_PLANE, "fast-forward", "Last plane", ""),
                (Command.SEGMENT_OBJECT, "cubes", "Segment the object through all planes", "Segment object"),
                (Command.STOP_HERE, "flag-checkered", "The object ends before this plane", "Stop here"),
            )
        }
        self.slider = widgets.IntSlider(
            0,
            0,
            self._count - 1,
            readout=False,
            tooltip=f"The {self._word} that is shown; the wheel with Shift goes on",
        )
        self.slider.add_class("msam-plane-slider")
        # As wide as its longest text: the slider must not move under the hand.
        self.text = widgets.HTML(layout={"min_width": f"{0.56 * self._longest():.1f}em"})
        self.text.add_class("msam-plane-text")
        self.strip = widgets.HTML()
        self.strip.add_class("msam-strip")
        self.prompted = widgets.HTML()
        self.prompted.add_class("msam-note")
        self.listed: list[widgets.Button] = []
        self._planes: list[int] = []
        self._list = group("msam-prompted", [self.prompted])
        track = widgets.VBox([self.slider, self.strip])
        track.add_class("msam-plane-track")
        b = self.buttons
        row = widgets.HBox([b[Command.FIRST_PLANE], b[Command.PREVIOUS_PLANE], track, b[Command.NEXT_PLANE],
                            b[Command.LAST_PLANE], self.text])  # fmt: skip
        row.add_class("msam-plane-row")
        #: In movies: whose daughters are being marked, and the button that ends it.
        self.mother = widgets.HTML()
        self.mother.add_class("msam-mother")
        self.done = command_button(
            Command.DAUGHTERS_DONE,
            "check",
            "No more daughters: what is committed next has no mother",
            hands.act,
            "Done",
        )
        self.daughters = group("msam-daughters", [self.mother, self.done])
        visible(self.daughters, False)
        below = group("msam-object", [b[Command.SEGMENT_OBJECT], b[Command.STOP_HERE], self.daughters, self._list])
        self.box = widgets.VBox([row, below])
        self.box.add_class("msam-planes")
        self._bound = Bound(self.slider, hands, lambda plane: hands.look_at(int(plane), None, None))
        self._known: tuple[object, tuple[tuple[int, int], ...]] = ((), ())

    def show(self, session: Session) -> None:
        """Show the plane, and where prompts and the object in hand are; called on the screen's thread."""
        state = session.state
        plane, working = state.browsing.plane, bool(state.prompts or state.proposals)
        self._bound.show(plane)
        depth = f" <span>{found}</span>" if (found := self._depth(plane)) else ""
        self.text.value = f"{self._word} <b>{plane}</b> of 0–{self._count - 1}{depth}"
        for command in (Command.FIRST_PLANE, Command.PREVIOUS_PLANE):
            self.buttons[command].disabled = plane == 0
        for command in (Command.NEXT_PLANE, Command.LAST_PLANE):
            self.buttons[command].disabled = plane == self._count - 1
        for command in (Command.SEGMENT_OBJECT, Command.STOP_HERE):
            self.buttons[command].disabled = not working
        visible(self.daughters, bool(state.mother))
        self.mother.value = f"Daughters of track {state.mother}" if state.mother else ""
        stops = sorted({one.plane for one in state.prompts if isinstance(one, Stop)})
        prompted = sorted({one.plane for one in state.prompts} - set(stops))
        self.strip.value = self._strip(self._extent(session.shown), prompted, stops)
        self._list_planes([*prompted, *stops], len(prompted))

    def _depth(self, plane: int) -> str:
        """Return how deep a plane lies, "" where that is not known."""
        return "" if self._deep is None else f"z {plane * self._deep[0]:.4g} {self._deep[1]}"

    def _longest(self) -> int:
        """Return how many letters the text may have."""
        deepest = max((len(self._depth(plane)) for plane in range(self._count)), default=0)
        return len(f"{self._word} {self._count - 1} of 0–{self._count - 1} ") + deepest

    def _extent(self, shown: tuple[Candidate, ...]) -> tuple[tuple[int, int], ...]:
        """Return the runs (first, last) of planes in which the object in hand is; remembered."""
        if shown is not self._known[0]:
            held = np.zeros(self._count, bool)
            for one in shown:
                start = one.mask.start[0]
                held[start : start + one.mask.bitmap.shape[0]] |= one.mask.bitmap.any(axis=(1, 2))
            self._known = shown, tuple(_runs(np.flatnonzero(held).tolist()))
        return self._known[1]

    def _strip(self, runs: Iterable[tuple[int, int]], prompted: list[int], stops: list[int]) -> str:
        marks = [self._mark("extent", a, b) for a, b in runs]
        marks += [self._mark("prompt", p, p) for p in prompted] + [self._mark("stop", p, p) for p in stops]
        return f"<div>{''.join(marks)}</div>"

    def _mark(self, kind: str, first: int, last: int) -> str:
        whole = max(1, self._count - 1)
        left, right = max(0.0, (first - 0.5) / whole), min(1.0, (last + 0.5) / whole)
        place = f"{self._word} {first}" if first == last else f"{self._word}s {first} to {last}"
        words = {"extent": "the object in hand", "prompt": "prompts", "stop": "the object ends here"}[kind]
        style = f"left:{100 * left:.2f}%;width:{100 * (right - left):.2f}%"
        return f"<i class='msam-{kind}' style='{style}' title='{place}: {words}'></i>"

    def _list_planes(self, planes: list[int], prompted: int) -> None:
        """Offer a button for each plane with prompts or a stop, of many the first ones."""
        shown = planes[:_LISTED]
        more = f" and {len(planes) - _LISTED} more" if len(planes) > _LISTED else ""
        self.prompted.value = f"Prompts in {self._word}s{more}" if planes else ""
        while len(self.listed) < len(shown):
            place = len(self.listed)
            self.listed.append(plain_button("msam-go", "", f"Go to this {self._word}", self._going(place), "0"))
            self._list.children = (self.prompted, *self.listed)
        self._planes = shown
        for place, button in enumerate(self.listed):
            visible(button, place < len(shown))
            if place < len(shown):
                stop = planes.index(shown[place]) >= prompted
                button.description, button.icon = str(shown[place]), "flag-checkered" if stop else ""

    # Buttons: these callbacks only queue.

    def _going(self, place: int) -> Callable[[], None]:
        def go() -> None:
            if place < len(self._planes):
                self._hands.look_at(self._planes[place], None, None)

        return lambda: self._hands.post(go)


def _runs(planes: list[int]) -> Iterable[tuple[int, int]]:
    """Yield (first, last) of each run of numbers without a gap."""
    first = last = None
    for plane in planes:
        if first is None or last is None or plane != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = plane
        last = plane
    if first is not None and last is not None:
        yield first, last
