"""What a series does in the background: the next image is prepared, and small pictures are made."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core import Image, MicrosamError
from ..core.replacing import replaced_whole
from ..session.records import Entry
from ..view.series import small_picture
from .base import Annotator
from .late import LateService

if TYPE_CHECKING:
    from ..engine import Model

_log = logging.getLogger("microsam_nb")

#: Seconds between two looks whether the open image needs nothing more.
_PAUSE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An image that was read before it is opened, and the service that has looked at it."""

    image: Image
    service: LateService


class Ahead:
    """Reads and prepares the image that comes next, when the open one needs nothing more. Clicks come first."""

    def __init__(
        self,
        read: Callable[[Entry], Image],
        serve: Callable[[Entry, Image, Model | str | os.PathLike[str]], LateService],
    ) -> None:
        self._read, self._serve = read, serve
        self._entry: Entry | None = None
        self._age = 0.0
        self._prepared: Prepared | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, entry: Entry | None, now: Annotator, service: LateService) -> None:
        """Prepare an image while another one is open; None for nothing."""
        self.end()
        if entry is None:
            return
        self._entry, self._stop = entry, threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(entry, now, service, self._stop), name="microsam-ahead", daemon=True
        )
        self._thread.start()

    def take(self, entry: Entry) -> Prepared | None:
        """Return what was prepared of an image, None when that is another one, or has changed since; and stop."""
        self.end()
        found, self._prepared = self._prepared, None
        same = self._entry is not None and self._entry.name == entry.name
        return found if found is not None and same and _age(entry.path) == self._age else None

    def wait(self) -> None:
        """Return when nothing more is being prepared."""
        if self._thread is not None:
            self._thread.join()

    def end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, entry: Entry, now: Annotator, service: LateService, stop: threading.Event) -> None:
        try:
            while not (now.session.model and now.ready):
                if stop.wait(_PAUSE):
                    return
            self._age = _age(entry.path)
            image = self._read(entry)
            image.fingerprint()
            made = self._serve(entry, image, service.source)
            self._prepared = Prepared(image, made)
            for _ in made.ahead(image.shape[0] // 2 if image.axes[0] == "z" else 0):
                if stop.is_set():
                    return
        except MicrosamError:
            pass  # it is told when the image is opened
        except Exception:  # noqa: BLE001 - the image will be read when it is opened
            _log.exception("%s could not be prepared.", entry.name)


class SmallPictures:
    """Makes small pictures of images on a thread of its own, those that were asked for last first.

    They are kept in ``folder``. ``made`` gets the place of an image and its picture as JPEG, ``failed`` the place and
    why there is none.
    """

    def __init__(
        self,
        folder: Path,
        read: Callable[[Entry], Image],
        made: Callable[[int, bytes], None],
        failed: Callable[[int, MicrosamError], None],
    ) -> None:
        self._folder, self._read, self._made, self._failed = folder, read, made, failed
        self._wanted: dict[int, Entry] = {}
        self._wake = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def want(self, entries: dict[int, Entry]) -> None:
        """Have pictures made, by the places of their images."""
        with self._wake:
            if self._closed:
                return
            # Taken from the end: what is in sight now comes first, from the left.
            self._wanted = {**self._wanted, **dict(reversed(entries.items()))}
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="microsam-thumbnails", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._wanted)
                if self._closed:
                    return
                place, entry = self._wanted.popitem()
            try:
                self._made(place, self._picture(entry))
            except MicrosamError as error:
                self._failed(place, error)
            except Exception:  # noqa: BLE001 - the others can still be shown
                _log.exception("There is no small picture of %s.", entry.name)

    def _picture(self, entry: Entry) -> bytes:
        kept = self._folder / f"{entry.name}.jpg"
        with contextlib.suppress(OSError):
            if kept.stat().st_mtime >= entry.path.stat().st_mtime:
                return kept.read_bytes()
        picture = small_picture(self._read(entry))
        with contextlib.suppress(OSError):  # it can be made again
            kept.parent.mkdir(parents=True, exist_ok=True)
            with replaced_whole(kept) as part:
                part.write_bytes(picture)
        return picture


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
