"""Where the user looks: another plane, another part of it, an object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..core import Box
from ..session import Action, Select, Session, SetPlane, SetView
from ..widgets import Screen

#: What is looked at closely fills this share of the screen, in the direction in which it is longer.
_SHARE = 1 / 3
#: Pixels of the canvas per pixel of the image beyond which nothing is seen better.
_CLOSE = 24.0


class Looking:
    """Moves the view of one screen by actions; only for the screen's thread. ``handle`` takes the actions."""

    def __init__(self, session: Session, screen: Screen, handle: Callable[[Action], None]) -> None:
        self._session, self._screen, self._handle = session, screen, handle

    def pan(self, rows: float, columns: float) -> None:
        """Move the image by pixels of the canvas."""
        view = self._screen.viewport
        y, x = view.y - rows / view.zoom, view.x - columns / view.zoom
        moved = replace(view, y=y, x=x).bounded().view
        self._handle(SetView(moved.y, moved.x, moved.zoom))

    def zoom(self, factor: float) -> None:
        """Come closer to the middle, or go away from it."""
        view = self._screen.viewport.zoomed(factor).view
        self._handle(SetView(view.y, view.x, view.zoom))

    def step(self, step: int) -> None:
        """Go to the next object after the picked one by its number, or, with -1, to the one before."""
        labels = sorted(self._session.labels)
        if not labels:
            self._session.say("There are no objects yet. Click on one, then C keeps it.")
            return
        picked = self._session.selected
        at = labels.index(picked[-1]) + step if picked else (0 if step > 0 else -1)
        self.go_to(labels[at % len(labels)])

    def look_at(self, plane: int, y: float | None = None, x: float | None = None) -> None:
        """Show a plane, or the nearest one that there is; when a place of it is out of sight, move it into the middle.

        The place must be None in both directions or in neither.
        """
        plane = min(max(plane, 0), self._session.shape[0] - 1)
        if plane != self._session.state.browsing.plane:
            self._handle(SetPlane(plane))
        if y is not None and x is not None:
            self._bring(y, x, y, x)

    def go_to(self, label: int) -> None:
        """Pick an object; when it is out of sight, show a plane in its middle, and move it into that of the screen."""
        self._handle(Select((label,)))
        box = self._session.box(label)
        (_, y0, x0), (_, y1, x1) = box.start, box.stop
        self.look_at(self._plane_of(label))
        self._bring(y0, x0, y1, x1)

    def close_up(self, where: Box) -> None:
        """Show a box in the middle, a third of the screen large; a plane of it, unless one is shown already."""
        (p0, y0, x0), (p1, y1, x1) = where.start, where.stop
        if not p0 <= self._session.state.browsing.plane < p1:
            self.look_at((p0 + p1 - 1) // 2)
        view = self._screen.viewport
        farthest, closest = view.limits
        zoom = _SHARE * min(view.height / max(1, y1 - y0), view.width / max(1, x1 - x0))
        zoom = max(farthest, min(closest, zoom, _CLOSE))
        self._centre((y0 + y1) / 2, (x0 + x1) / 2, zoom)

    def _plane_of(self, label: int) -> int:
        """Return the plane that is shown if the object is in it, else the middle one of those in which it is."""
        shown, planes = self._session.state.browsing.plane, self._session.frames(label)
        return shown if shown in planes else planes[len(planes) // 2]

    def _bring(self, y0: float, x0: float, y1: float, x1: float) -> None:
        """Move a part of the plane into the middle of the screen, unless all of it can be seen."""
        view = self._screen.viewport
        top, left = view.to_image(0, 0)
        bottom, right = view.to_image(view.height, view.width)
        if top <= y0 and left <= x0 and y1 <= bottom and x1 <= right:
            return
        self._centre((y0 + y1) / 2, (x0 + x1) / 2, view.zoom)

    def _centre(self, y: float, x: float, zoom: float) -> None:
        view = self._screen.viewport
        self._handle(SetView(y - view.height / zoom / 2, x - view.width / zoom / 2, zoom))
