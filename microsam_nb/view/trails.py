"""Where picked tracks come from: lines through their last places."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ..core import Box, LabelError
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
            (_, y0, x0), (_, y1, x1) = (box := self._session.box(track)).start, box.stop
            places = np.argwhere(self._session.crop(Box((frame, y0, x0), (frame + 1, y1, x1)))[0] == track)
            if not len(places):
                raise LabelError(f"Track {track} is not in frame {frame}.", "Choose another frame.")
            y, x = places.mean(axis=0)
            self._middles[track, frame] = y0 + 0.5 + float(y), x0 + 0.5 + float(x)
        return self._middles[track, frame]
