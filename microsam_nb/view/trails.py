"""Where picked tracks come from: lines through their last places."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ..core import LabelError
from ..session import Session
from .marks import Line
from .palette import colour_of

#: So many places of a track are joined, and so many tracks have a trail.
LENGTH, MOST = 10, 20


class Trails:
    """The trails of tracks; their middles are remembered until labels are written."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._middles: dict[tuple[int, int], tuple[float, float]] = {}

    def forget(self) -> None:
        """Look at the labels anew."""
        self._middles.clear()

    def lines(self, picked: Collection[int], frame: int) -> list[Line]:
        """Return a line through the last places of each picked track, up to a frame; of two places or more."""
        found = []
        for track in list(picked)[:MOST]:
            try:
                frames = [one for one in self._session.frames(track) if one <= frame][-LENGTH:]
                points = [self._middle(track, one) for one in frames]
            except LabelError:
                continue  # it is gone
            if len(points) > 1:
                found.append(Line(np.array(points, np.float64), False, colour_of(track)))
        return found

    def _middle(self, track: int, frame: int) -> tuple[float, float]:
        """Return the middle (y, x) of a track in a frame. Raises LabelError when it is not there."""
        if (track, frame) not in self._middles:
            self._middles[track, frame] = self._session.middle(track, frame)
        return self._middles[track, frame]
