"""The panel of proofreading: suspicious objects, what corrects them, their classes, and what has changed."""

from __future__ import annotations

import html
from collections.abc import Callable

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from ..core import Image
from ..session import (
    Action,
    Change,
    ColourByClass,
    FillHoles,
    Grow,
    KeepLargest,
    Merge,
    Relabel,
    Session,
    SetClass,
    Smooth,
    SplitAt,
)
from ..view import TOOLS, Command
from ..view.classes import Classes
from ..view.differences import Comparison
from .background import Background
from .buttons import command_button, group, mark, plain_button, visible
from .differences import DifferencesSection
from .hands import Hands
from .suspicious import SuspiciousSection

_QUEUE = (Command.NEXT_SUSPECT, Command.PREVIOUS_SUSPECT, Command.LOOKS_RIGHT)


class ProofreadPanel:
    """Corrects the picked objects, in 2D, volumes and movies.

    ``before`` and ``compare`` as in ``DifferencesSection``.
    """

    def __init__(
        self,
        image: Image,
        session: Session,
        hands: Hands,
        before: Callable[[], NDArray[np.uint32] | None],
        compare: Callable[[Comparison | None], None],
    ) -> None:
        self._session, self._hands = session, hands
        self._background = Background(hands.post, self._failed)
        self.suspicious = SuspiciousSection(image, session, hands, self._background)
        self.differences = DifferencesSection(session, hands, self._background, before, compare)
        act = hands.act
        self.fill = command_button(Command.FILL_HOLES, "fill-drip", "Fill the holes", act, "Fill holes")
        self.smooth = command_button(Command.SMOOTH, "magic", "Smooth the outline by a disc of", act, "Smooth")
        self.radius = _number(2, "Radius of the disc in pixels: larger is smoother")
        self.grow = command_button(Command.GROW, "expand", "Grow, never over others", act, "Grow")
        self.shrink = command_button(Command.SHRINK, "compress", "Shrink", act, "Shrink")
        self.pixels = _number(1, "Pixels to grow or shrink by")
        self.largest = plain_button(
            "msam-keep-largest", "filter", "Keep only the largest of its parts", self._keep_largest, "Largest part"
        )
        self.alone = command_button(
            Command.SPLIT_ALONE, "object-ungroup", "Split at the waist, into as many parts as it has", act, "Split"
        )
        self.parts = command_button(
            Command.PARTS, "map-pin", "Click once on each part of an object, Enter splits it", act, "Split at points"
        )
        self.merge = plain_button(
            "msam-merge-these", "object-group", "Make the picked objects one; Shift-click picks several", self._merge,
            "Merge",
        )  # fmt: skip
        self.improve = command_button(
            Command.IMPROVE, "edit", "Its mask becomes a prompt: click on what is missing", act, "Improve"
        )
        self.lasso = command_button(
            Command.DELETE_INSIDE, "times-circle", "Draw around objects to remove them", act, "Delete inside"
        )
        self.renumber = plain_button(
            "msam-renumber", "sort-numeric-asc", "Number all objects from 1, without gaps", self._renumber, "Renumber"
        )
        #: Only in volumes: of movies it is always one frame.
        self.here = widgets.Checkbox(
            False, description="In this plane only", indent=False, layout={"width": "auto", "flex": "0 0 auto"}
        )
        visible(self.here, session.shape[0] > 1 and not session.movie)
        self.reason = widgets.HTML("")
        self.reason.add_class("msam-note")
        self.category = widgets.Combobox(placeholder="Class", ensure_option=False, layout={"width": "130px"})
        self.category.add_class("msam-class-field")
        self.assign = plain_button(
            "msam-set-class",
            "tag",
            "Give the picked objects this class; empty takes it away",
            self._assign,
            "Set class",
        )
        self.by_class = plain_button(
            "msam-by-class", "tint", "Objects in the colours of their classes", self._colour, "Colours"
        )
        self.classes = widgets.HTML("")
        self.classes.add_class("msam-legend")
        self.box = widgets.VBox(
            [
                self.suspicious.box,
                group("msam-shapes", [self.fill, self.smooth, self.radius, self.largest]),
                group("msam-sizes", [self.grow, self.shrink, self.pixels, self.here]),
                group("msam-joints", [self.alone, self.parts, self.merge, self.improve]),
                group("msam-many", [self.lasso, self.renumber]),
                self.reason,
                group("msam-classing", [self.category, self.assign, self.by_class]),
                self.classes, self.differences.box,
            ]
        )  # fmt: skip

    def show(self, change: Change) -> None:
        self.suspicious.show(change)
        self.differences.show(change)
        self._enable()
        if change.objects or change.layers:
            self._show_classes()

    def close(self) -> None:
        self._background.close()

    def do(self, command: Command) -> None:
        """Do what a key says; only on the screen's thread."""
        picked, plane = self._session.selected, self._session.state.browsing.plane
        here = plane if self.here.value else None
        actions: dict[Command, Callable[[], Action]] = {
            Command.FILL_HOLES: lambda: FillHoles(picked, here),
            Command.SMOOTH: lambda: Smooth(picked, float(self.radius.value), here),
            Command.GROW: lambda: Grow(picked, float(self.pixels.value), here),
            Command.SHRINK: lambda: Grow(picked, -float(self.pixels.value), here),
            Command.SPLIT_ALONE: lambda: SplitAt(picked[0], (), plane),
        }
        if command in _QUEUE:
            self.suspicious.do(command)
        elif reason := self._missing(command):
            self._session.say(reason, error=True)
        else:
            self._hands.handle(actions[command]())

    def _missing(self, command: Command) -> str:
        """Return why a command can do nothing now, or ""."""
        count, noun = len(self._session.selected), self._session.noun.lower()
        if not count:
            return f"No {noun} is picked. Click on one with the pick tool (V), or on Next suspicious."
        if count > 1 and command is Command.SPLIT_ALONE:
            return f"{count} {noun}s are picked. Pick the one that is to be split."
        return ""

    def _enable(self) -> None:
        picked, browsing = self._session.selected, self._session.state.browsing
        self.reason.value = self._missing(Command.FILL_HOLES) or ""
        for one in (self.fill, self.smooth, self.grow, self.shrink, self.largest, self.assign):
            one.disabled = not picked
        state = self._session.state
        self.alone.disabled = len(picked) != 1
        self.improve.disabled = len(picked) != 1 or bool(state.prompts or state.proposals)
        self.merge.disabled = len(picked) < 2
        self.renumber.disabled = not self._session.labels.count()
        for command, button in ((Command.PARTS, self.parts), (Command.DELETE_INSIDE, self.lasso)):
            mark(button, browsing.tool is TOOLS[command])

    def _show_classes(self) -> None:
        found = Classes.shown(self._session)
        self.category.options = found.names
        on = self._session.state.browsing.layers.by_class
        mark(self.by_class, on)
        colours = zip(found.names, found.colours, strict=False)
        chips = [f"<span><i style='background: rgb{colour}'></i>{html.escape(name)}</span>" for name, colour in colours]
        self.classes.value = " ".join(chips) if on else ""

    def _failed(self, error: Exception) -> None:
        self._session.say(f"Proofreading failed ({error.__class__.__name__}: {error}). Undo the last step.", error=True)

    # Buttons: these callbacks only queue.

    def _keep_largest(self) -> None:
        def keep() -> None:
            here = self._session.state.browsing.plane if self.here.value else None
            self._hands.handle(KeepLargest(self._session.selected, here))

        self._hands.post(keep)

    def _merge(self) -> None:
        self._hands.post(lambda: self._hands.handle(Merge(self._session.selected)))

    def _renumber(self) -> None:
        self._hands.handle(Relabel())

    def _assign(self) -> None:
        self._hands.post(lambda: self._hands.handle(SetClass(self._session.selected, self.category.value)))

    def _colour(self) -> None:
        self._hands.handle(ColourByClass())


def _number(value: int, tooltip: str) -> widgets.BoundedIntText:
    field = widgets.BoundedIntText(value, 1, 200, tooltip=tooltip, layout={"width": "52px"})
    field.add_class("msam-pixels")
    return field
