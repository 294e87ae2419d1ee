"""Reads and draws the pictures of a volume from its sides, on a thread of its own."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Image, Labels, Mask
from ..session import Layers
from ..view import Look, Patch, Pictures, encode_image
from ..view.ortho import Arrangement, Cut, Side, label_section, mask_section, overlay, project, read
from ..view.paint import encode_overlay

_log = logging.getLogger("microsam_nb")

#: Seconds after which what is read so far is shown.
_PAUSE = 0.25

#: The pictures of the image lie below those of the objects.
PIXELS, OBJECTS = 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """What is to be seen: the place of the sections, how the image is shown, and the objects over it.

    ``number`` tells whether the objects are other ones.
    """

    plane: int
    y: int
    x: int
    look: Look
    labels: Labels
    layers: Layers
    masks: tuple[Mask, ...] = ()
    target: int = 0
    picked: tuple[int, ...] = ()
    number: int = 0

    def place(self, side: Side) -> int:
        """Where a section lies: its row, or its column."""
        return self.y if side is Side.FRONT else self.x


class Sections:
    """Makes the pictures that are wanted; only the newest wish counts. What was read is kept for another look.

    ``arrived`` gets (layer, side, patch) and ``failed`` errors, both on the thread of this.
    """

    def __init__(
        self,
        image: Image,
        pictures: Pictures,
        arrangement: Arrangement,
        arrived: Callable[[int, Side, Patch], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._image, self._pictures, self._arranged = image, pictures, arrangement
        self._arrived, self._failed = arrived, failed
        self._wanted: Wanted | None = None
        self._cuts: dict[Side, Cut] = {}
        self._reading: Iterator[int] | None = None
        self._projecting: Iterator[NDArray[np.generic]] | None = project(image, arrangement)
        self._brightest: NDArray[np.generic] | None = None
        self._projected = 0
        #: Of each picture, what it was drawn of.
        self._drawn: dict[Any, Any] = {}
        self._busy = self._closed = False
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def want(self, wanted: Wanted, *, anew: bool = False) -> None:
        """Say what is to be seen; ``anew``: the page has lost all that was drawn."""
        with self._wake:
            if anew:
                self._drawn.clear()
            self._wanted = wanted
            self._busy = True
            if self._thread is None:
                atexit.register(self.close)
                self._thread = threading.Thread(target=self._run, name="microsam-sections", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def wait(self, timeout: float = 30.0) -> None:
        """Return when all that is wanted is drawn. Raises TimeoutError."""
        with self._wake:
            if not self._wake.wait_for(lambda: self._closed or not self._busy, timeout):
                raise TimeoutError(f"The sections are still being read after {timeout:g} s; wait longer.")

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        atexit.unregister(self.close)
        if self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join(10.0)

    def _run(self) -> None:
        seen: Wanted | None = None
        more = False
        while True:
            with self._wake:
                self._busy = more or seen is not self._wanted
                self._wake.notify_all()
                while not (self._closed or more or seen is not self._wanted):
                    self._wake.wait()
                if self._closed:
                    return
                seen = self._wanted
            assert seen is not None
            try:
                more = self._step(seen)
            except Exception as error:  # noqa: BLE001 - the thread must live; the failure is shown
                more, self._reading, self._projecting = False, None, None
                self._failed(error)

    def _step(self, wanted: Wanted) -> bool:
        """Do one piece of what is wanted; return whether there may be more."""
        moved = [s for s in (Side.FRONT, Side.RIGHT) if s not in self._cuts or self._cuts[s].place != wanted.place(s)]
        if moved:
            self._cuts.update((side, Cut(side, wanted.place(side))) for side in moved)
            half = [cut for cut in self._cuts.values() if not cut.complete]
            self._reading = read(self._image, self._arranged, half, wanted.plane)
        if self._reading is not None and not self._advance(self._reading, wanted):
            self._reading = None
        self._draw(wanted)
        if self._reading is None and self._projecting is not None:
            if not self._advance(self._projecting, wanted):
                self._projecting = None
            self._draw(wanted)
        return self._reading is not None or self._projecting is not None

    def _advance(self, steps: Iterator[Any], wanted: Wanted) -> bool:
        """Go on until it is time to show something, or something else is wanted; return whether there is more."""
        start = time.monotonic()
        for found in steps:
            if isinstance(found, np.ndarray):
                self._brightest = found
                self._projected += 1
            elif (now := self._wanted) is None or (now.y, now.x) != (wanted.y, wanted.x):
                return True
            if self._closed or time.monotonic() - start > _PAUSE:
                return True
        return False

    def _draw(self, wanted: Wanted) -> None:
        """Draw what is not as it is wanted."""
        for side in Side:
            pixels = self._brightest if side is Side.TOP else self._cuts[side].shown(self._arranged)
            if pixels is None:
                continue
            about: tuple[Any, ...] = (wanted.look, self._projected if side is Side.TOP else wanted.place(side))
            partial = side is not Side.TOP and not self._cuts[side].complete
            if partial or self._drawn.get((PIXELS, side)) != about:
                picture = self._pictures.through(wanted.look, pixels)
                self._drawn[PIXELS, side] = None if partial else about
                self._arrived(PIXELS, side, encode_image(picture, lossless=False))
        for side in Side:
            place = 0 if side is Side.TOP else wanted.place(side)
            if self._drawn.get((OBJECTS, side)) == (wanted.number, place):
                continue
            self._drawn[OBJECTS, side] = wanted.number, place
            ids = label_section(wanted.labels, self._arranged, side, place, wanted.target)
            mine = mask_section(wanted.masks, self._arranged, side, place)
            self._arrived(OBJECTS, side, encode_overlay(overlay(ids, mine, wanted.layers, wanted.picked)))


def still(look: Look) -> Look:
    """Return a look that is the same for every plane."""
    return replace(look, plane=0)
