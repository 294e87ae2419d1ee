"""The image in the browser: an overview of the plane, and the part that is looked at in detail.

Reading, stretching and encoding run on a thread of their own, so that a slow file never holds up the drawing.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from ipycanvas import Canvas
from numpy.typing import NDArray

from ..view import Look, Patch, Pictures, Raster, Viewport, encode_image
from ..view.paint import LOSSLESS
from ..view.raster import DETAIL, overview, plan
from .batch import batch
from .sheet import Sheet

_log = logging.getLogger("microsam_nb")

#: Seconds that the picture of another plane is waited for, so that it comes together with its objects.
_TOGETHER = 0.1

#: What of an overview is still to come.
Parts = Iterator[tuple[Raster, NDArray[np.uint8]]]


@dataclass(slots=True, eq=False)
class _Ahead:
    """The picture of a plane that is to be shown next: what has come of it, and what is still to come."""

    look: Look
    parts: Parts
    patches: list[Patch] = field(default_factory=list)
    done: bool = False


class Picture:
    """Two sheets and the thread that fills them.

    ``lock`` guards the screen; ``arrived`` is called under it, within ``batch``, when there is more to show, and
    ``failed`` without it.
    """

    def __init__(
        self,
        pictures: Pictures,
        shape: tuple[int, int],
        lock: threading.RLock,
        arrived: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.overview, self.detail = Sheet(), Sheet()
        self._pictures, self._arrived, self._failed = pictures, arrived, failed
        self._full = overview(shape)
        self._look: Look | None = None
        #: What of the overview is still to come; what has come, for pages that are opened later.
        self._parts: Parts | None = None
        self._sent: list[Patch] = []
        self._ahead: _Ahead | None = None
        #: The detail to show, and whether the sheet's is of another look.
        self._wanted: Raster | None = None
        self._stale = True
        #: Whether something was not sent that the sheets believe to hold.
        self._lost = False
        self._busy = self._closed = False
        self._wake = threading.Condition(lock)
        self._thread: threading.Thread | None = None

    def prepare(self, look: Look) -> None:
        """Read the picture of another plane before it is drawn, if that takes but a moment; not within ``batch``."""
        with self._wake:
            if self._look is None or look.plane == self._look.plane or self._closed:
                return
            ahead = self._ahead = _Ahead(look, self._pictures.overview(look))
            self._start()
            self._wake.wait_for(lambda: self._closed or ahead.done, _TOGETHER)

    def look(self, look: Look, view: Viewport, *, everything: bool) -> bool:
        """Say what is to be seen; return whether what can be shown has changed already. Only within ``batch``."""
        changed = everything = everything or self._lost
        if everything:
            self._lost = False
            self.overview.forget()
            self.detail.forget()
            self.overview.hold(self._full)
            for patch in self._sent:
                self.overview.put(patch)
        if look != self._look:
            if self._look is None or look.plane != self._look.plane:
                # Nothing is better than the wrong plane under the right objects.
                self.overview.wipe()
                self.detail.wipe()
                changed = True
            self._look, self._parts, self._sent = look, self._pictures.overview(look), []
            self._stale = True
        if self.overview.raster is None:
            self.overview.hold(self._full)
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.look == look and not self._sent:
            self._parts, self._sent = None if ahead.done else ahead.parts, ahead.patches
            for patch in ahead.patches:
                self.overview.put(patch)
        # In between, what is held will do and may be wanted again.
        if self._near(view):
            self._wanted = plan(view, None if self._stale else self.detail.raster)
        else:
            self._wanted = None
            if self._stale and self.detail.raster is not None:
                self.detail.wipe()
                changed = True
        if self._job():
            self._start()
        return changed

    def show(self, layer: Canvas, view: Viewport, opacity: float) -> None:
        """Draw the picture on a layer of the screen."""
        near = self._near(view)
        complete = near and self.detail.raster is not None and self.detail.raster.covers(view)
        if not complete:
            self.overview.show(layer, view, opacity, sharp=True)
        # From far away it would be a patch of another texture; and through a faint layer both would be seen.
        if complete or (near and opacity == 1):
            self.detail.show(layer, view, opacity, sharp=True)

    def wait(self, timeout: float) -> bool:
        """Return when nothing is left to be read, and whether that was before ``timeout`` seconds."""
        with self._wake:
            return self._wake.wait_for(lambda: self._closed or not (self._busy or self._job()), timeout)

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be read."""
        return self.wait(0)

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        atexit.unregister(self.close)
        if self._thread is not None and threading.current_thread() is not self._thread:
            self._thread.join(10.0)

    def _start(self) -> None:
        if self._thread is None:
            atexit.register(self.close)
            self._thread = threading.Thread(target=self._run, name="microsam-picture", daemon=True)
            self._thread.start()
        self._wake.notify_all()

    def _near(self, view: Viewport) -> bool:
        """Whether more can be seen than the overview has."""
        return self._full.step > 1 and view.zoom * self._full.step > DETAIL

    def _job(self) -> bool:
        return self._ahead_of() is not None or self._parts is not None or self._lacking() is not None

    def _ahead_of(self) -> _Ahead | None:
        """Return the picture that is waited for, if any."""
        return self._ahead if self._ahead is not None and not self._ahead.done else None

    def _lacking(self) -> Raster | None:
        """Return the detail to read, if any."""
        wanted = self._wanted
        return wanted if wanted is not None and (self._stale or wanted != self.detail.raster) else None

    def _run(self) -> None:
        while True:
            with self._wake:
                self._busy = False
                self._wake.notify_all()
                self._wake.wait_for(lambda: self._closed or self._job())
                if self._closed:
                    return
                self._busy = True
                look, parts, wanted, ahead = self._look, self._parts, self._lacking(), self._ahead_of()
                held = None if self._stale else self.detail.raster
                missing = [] if wanted is None else [wanted] if held is None else self.detail.missing(wanted)
            assert look is not None
            try:
                # What the user looks at comes first; the overview goes on in between.
                if ahead is not None:
                    self._fetch_part(ahead.look, ahead.parts)
                elif wanted is not None:
                    self._fetch_detail(look, wanted, held, missing)
                elif parts is not None:
                    self._fetch_part(look, parts)
            except Exception as error:  # noqa: BLE001 - the thread must live; the failure is shown
                with self._wake:
                    if ahead is not None:
                        # When it is drawn it is asked for again, and fails where that is told.
                        ahead.done, self._ahead = True, None
                        continue
                    if wanted is not None and self._wanted == wanted:
                        self._wanted = None
                    elif self._parts is parts and not self._lost:
                        self._parts = None
                self._failed(error)

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        try:
            with batch():
                yield
        except BaseException:
            # Nothing of it was sent: the next painting sends all again.
            self._lost = self._stale = True
            raise

    def _fetch_detail(self, look: Look, wanted: Raster, held: Raster | None, missing: list[Raster]) -> None:
        lossless = wanted.area <= LOSSLESS
        patches = [
            encode_image(
                self._pictures.part(look, part), part.top - wanted.top, part.left - wanted.left, lossless=lossless
            )
            for part in missing
        ]
        with self._wake:
            now = None if self._stale else self.detail.raster
            if self._closed or look != self._look or now != held:
                return
            with self._drawing():
                if held is None:
                    self.detail.wipe()
                self.detail.hold(wanted)
                for patch in patches:
                    self.detail.put(patch)
                self._stale = False
                self._arrived()

    def _fetch_part(self, look: Look, parts: Iterator[tuple[Raster, NDArray[np.uint8]]]) -> None:
        found = next(parts, None)
        patch = None
        if found is not None:
            raster, pixels = found
            patch = encode_image(pixels, raster.top, raster.left, lossless=self._full.area <= LOSSLESS)
        with self._wake:
            if self._ahead is not None and parts is self._ahead.parts:
                if patch is None:
                    self._ahead.done = True
                else:
                    self._ahead.patches.append(patch)
                return
            if self._closed or parts is not self._parts:
                return
            if patch is None:
                self._parts = None
                return
            self._sent.append(patch)
            with self._drawing():
                self.overview.put(patch)
                self._arrived()
