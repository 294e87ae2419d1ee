"""Suspicious objects, one after the other: where they are, why, and whether they look right."""

from __future__ import annotations

import html

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from ..core import Image, MicrosamError
from ..core.suspects import Suspect, suspects
from ..session import Change, Check, Select, Session
from ..view import Command
from ..view.review import LEAST, Review, intensities, place_of, with_surroundings
from .background import Background
from .buttons import command_button
from .hands import Hands
from .panels import EVERYTHING, title

_KIND = "suspects"


class SuspiciousSection:
    """Goes through the suspicious objects; what makes them so is computed in the background.

    After changes the order is computed anew when the next one is asked for, and meanwhile the old one is followed.
    """

    def __init__(self, image: Image, session: Session, hands: Hands, background: Background) -> None:
        self._image, self._session, self._hands, self._background = image, session, hands, background
        self._review = Review(session)
        self._pixels: NDArray[np.generic] | None = None
        #: Whether objects have changed since they were judged, and whether they ever were.
        self._stale, self._known = True, False
        self._wanted = False
        self.previous = command_button(
            Command.PREVIOUS_SUSPECT, "chevron-left", "The suspicious object before", hands.act
        )
        self.next = command_button(
            Command.NEXT_SUSPECT, "chevron-right", "Go to the next suspicious object", hands.act, "Next suspicious"
        )
        self.right = command_button(
            Command.LOOKS_RIGHT, "check", "It looks right: it is marked as checked, and the next one comes", hands.act,
            "Looks right",
        )  # fmt: skip
        self.place = widgets.HTML("")
        self.place.add_class("msam-suspect-place")
        self.reasons = widgets.HTML("")
        self.reasons.add_class("msam-suspect-reasons")
        row = widgets.Box([self.previous, self.next, self.right, self.place])
        row.add_class("msam-group")
        self.box = widgets.VBox([title("Proofread", "the most suspicious first"), row, self.reasons])

    def show(self, change: Change) -> None:
        """Bring it up to date."""
        self._stale |= change is EVERYTHING or change.labels is not None
        if not self._known and self._session.labels.count():
            self._judge()
        if change.objects or change.labels is not None or change.notice:
            self._tell()

    def do(self, command: Command) -> None:
        """Do what a key says; only on the screen's thread."""
        if command is Command.PREVIOUS_SUSPECT:
            self._go(self._review.previous(), "There is no suspicious object before.")
            return
        if command is Command.LOOKS_RIGHT:
            meant = self._session.selected
            self._hands.handle(Check(meant))
            if not meant:
                return
        self._next()

    # On the screen's thread.

    def _next(self) -> None:
        if not self._session.labels.count():
            self._session.say(f"There are no {self._session.noun.lower()}s to look at.")
            return
        if self._stale:
            self._judge()
        if not self._known:
            self._wanted = True
            self._session.say("Looking for suspicious objects ...")
            return
        self._go(self._review.next(), self._over())

    def _over(self) -> str:
        total = self._review.place[1]
        found = f"All {total} have been looked at" if total else "None of them is suspicious"
        return f"{found}: the other objects look like each other."

    def _go(self, found: Suspect | None, else_: str) -> None:
        if found is None:
            self._session.say(else_)
        else:
            try:
                where = place_of(self._session, found.label, found.plane)
            except MicrosamError as error:
                self._session.say(str(error), error=True)
                return
            self._hands.handle(Select((found.label,)))
            self._hands.close_up(with_surroundings(where, self._review.usual, self._session.shape))
        self._tell()

    def _judge(self) -> None:
        if self._background.busy(_KIND):
            return
        self._stale = False
        infos, movie = dict(self._session.infos), self._session.movie

        def judge() -> list[Suspect]:
            if self._pixels is None:
                self._pixels = intensities(self._image)
            return suspects(self._session.snapshot(), infos, self._pixels, movie=movie)

        self._background.ask(_KIND, judge, self._take)

    def _take(self, found: list[Suspect]) -> None:
        self._review.take(found)
        self._known = True
        if self._wanted:
            self._wanted = False
            self._go(self._review.next(), self._over())
        self._tell()

    def _tell(self) -> None:
        """Say what is known of the picked object, and enable what is possible."""
        there, picked = bool(self._session.labels.count()), self._session.selected
        now, (place, total) = self._review.now, self._review.place
        self.next.disabled = not there
        self.previous.disabled = place < 2
        self.right.disabled = not picked
        if not there:
            self.place.value, self.reasons.value = "", "There are no objects yet."
        elif not self._known:
            self.place.value, self.reasons.value = "", "Looking for suspicious objects ..."
        else:
            left = len(self._review.rest())
            here = now is not None and picked == (now.label,)
            self.place.value = f"{place} of {total}" if here else f"{left} to look at" if left else ""
            none = "" if total else "No object is suspicious."
            self.reasons.value = self._words(picked[0]) if len(picked) == 1 else none

    def _words(self, label: int) -> str:
        """Return what was found of an object that is there, as HTML."""
        name, found = f"{self._session.noun} {label}", self._review.judged(label)
        info = self._session.infos.get(label)
        checked = " ✓ looks right" if info is not None and info.checked else ""
        if found is None:
            return f"<b>{name}</b>{checked}: new, not judged yet."
        where = f" ({self._session.word} {found.plane})" if self._session.shape[0] > 1 else ""
        if found.suspicion < LEAST:
            why, where = "nothing about it is suspicious", ""
        else:
            why = html.escape("; ".join(found.reasons) or "several small signs together")
        # What is said of it is what it was.
        since = " has changed since it was judged" if self._review.changed(label) else ""
        return f"<b>{name}</b>{where}{checked}{since}: {why}."
