"""A series of images: which one is open, what has become of the others, and where to go next."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from .records import FINISHED, Entry, Record, Status, write_record
from .session import Session
from .signal import Signal
from .state import Change, Notice

#: Seconds without any action after which somebody is not at work any more.
_IDLE = 60.0


@dataclass(frozen=True, slots=True)
class Open:
    """Wanted: the image ``index``. If that is not possible: the next one that is, ``step`` further each time."""

    index: int
    step: int = 0
    unfinished: bool = False


class SeriesAction:
    """Something that the user or the opener did; ``apply`` returns what is to be opened.

    ``said``: what was told before no longer matters.
    """

    __slots__ = ()
    said: ClassVar[bool] = True

    def target(self, series: SeriesSession) -> Open | None:
        """Return what ``apply`` will want to be opened, and change nothing; None also where only that tells."""
        return None

    def apply(self, series: SeriesSession) -> Open | None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Begin(SeriesAction):
    """Open the first image that is not finished; when all are, the first one."""

    def apply(self, series: SeriesSession) -> Open | None:
        return series.seek(0, 1, unfinished=True) or series.seek(0, 1, unfinished=False)


@dataclass(frozen=True, slots=True)
class Turn(SeriesAction):
    """Go to the next image, or with -1 to the one before, finished or not."""

    step: int

    def target(self, series: SeriesSession) -> Open | None:
        return series.seek(series.at + self.step, self.step, unfinished=False)

    def apply(self, series: SeriesSession) -> Open | None:
        found = self.target(series)
        if found is None:
            series.notice = Notice(f"This is the {'last' if self.step > 0 else 'first'} image that can be opened.")
        return found


@dataclass(frozen=True, slots=True)
class Jump(SeriesAction):
    """Go to one image."""

    index: int

    def target(self, series: SeriesSession) -> Open | None:
        there = 0 <= self.index < len(series.entries) and self.index != series.at
        return Open(self.index) if there else None

    def apply(self, series: SeriesSession) -> Open | None:
        return self.target(series)


@dataclass(frozen=True, slots=True)
class Finish(SeriesAction):
    """The open image is done, or skipped; go to the next one that is not finished, from the end to the beginning."""

    kept: Status = Status.DONE

    def target(self, series: SeriesSession) -> Open | None:
        return series.seek(series.at + 1, 1, unfinished=True) or series.seek(0, 1, unfinished=True)

    def apply(self, series: SeriesSession) -> Open | None:
        series.mark(self.kept)
        found = self.target(series)
        if found is None:
            series.notice = Notice(series.conclusion())
        return found


@dataclass(frozen=True, slots=True)
class Opened(SeriesAction):
    """An image is open."""

    index: int
    session: Session
    said: ClassVar[bool] = False

    def apply(self, series: SeriesSession) -> None:
        series.enter(self.index, self.session)


@dataclass(frozen=True, slots=True)
class Refused(SeriesAction):
    """An image cannot be opened: try the one after it, if any would do."""

    wanted: Open
    obstacle: Status
    problem: str

    def apply(self, series: SeriesSession) -> Open | None:
        index = self.wanted.index
        entry = replace(series.entries[index], obstacle=self.obstacle, problem=self.problem)
        series.entries[index] = entry
        series.notice = Notice(self.problem, error=True)
        if not self.wanted.step:
            return None
        step, unfinished = self.wanted.step, self.wanted.unfinished
        found = series.seek(index + step, step, unfinished=unfinished)
        return found or (series.seek(0, 1, unfinished=True) if unfinished else None)


@dataclass(frozen=True, slots=True)
class Noted(SeriesAction):
    """It was found out in the background that an image cannot be opened."""

    index: int
    obstacle: Status
    problem: str
    said: ClassVar[bool] = False

    def apply(self, series: SeriesSession) -> None:
        if self.index != series.at:
            entry = series.entries[self.index]
            series.entries[self.index] = replace(entry, obstacle=self.obstacle, problem=self.problem)


class SeriesSession:
    """All images of a series, and the session of the one that is open. ``handle`` is the only way in.

    What is known of an image lies in its project folder, so that two people can work on one series: each image
    belongs to the one who has it open. Safe to call from several threads.
    """

    def __init__(self, entries: Sequence[Entry], clock: Callable[[], float] = time.monotonic) -> None:
        self.entries = list(entries)
        self.changed: Signal[None] = Signal()
        self.at = -1
        self.session: Session | None = None
        self.notice = Notice("")
        self._clock = clock
        self._acted: float | None = None
        self._lock = threading.RLock()
        # Records are written one at a time, the newest last; always taken before the other lock.
        self._writing = threading.RLock()

    def handle(self, action: SeriesAction) -> Open | None:
        """Apply an action, tell listeners, and return the image that is to be opened, if any."""
        with self._writing, self._lock:
            if action.said:
                self.notice = Notice("")
            wanted = action.apply(self)
        self.changed.emit(None)
        return wanted

    @property
    def current(self) -> Entry | None:
        """The image that is open."""
        with self._lock:
            return self.entries[self.at] if self.at >= 0 else None

    def count(self, *kinds: Status) -> int:
        """Return how many images have one of some statuses."""
        with self._lock:
            return sum(one.record.kept in kinds for one in self.entries)

    @property
    def unreadable(self) -> tuple[Entry, ...]:
        """The images whose files cannot be read, finished ones left out: nobody can do anything about them here."""
        with self._lock:
            return tuple(
                one for one in self.entries if one.obstacle is Status.UNREADABLE and one.record.kept not in FINISHED
            )

    def conclusion(self) -> str:
        """Return the sentence for the end, "" before it: all that can be read are finished, or others have the rest."""
        with self._lock:
            unread = self.unreadable
            left = [one for one in self.entries if one.record.kept not in FINISHED and one not in unread]
        if any(one.obstacle is None for one in left):
            return ""
        broken = f" {len(unread)} cannot be read: {_listed(one.name for one in unread)}." if unread else ""
        if not left:
            done, skipped = self.count(Status.DONE), self.count(Status.SKIPPED)
            which = "All images that can be read" if unread else "All images"
            return f"{which} are finished: {done} done, {skipped} skipped.{broken}"
        some = _listed(f"{one.name} ({one.obstacle})" for one in left)
        return f"All images that can be opened are finished. Left: {some}.{broken}"

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a sentence beside the filmstrip."""
        with self._lock:
            self.notice = Notice(text, error)
        self.changed.emit(None)

    def refresh(self) -> None:
        """Look what others have done, and which files are there."""
        for index, entry in enumerate(tuple(self.entries)):
            if index == self.at:
                continue
            found = entry.refreshed()
            with self._lock:
                # What was found out meanwhile is newer.
                if index != self.at and self.entries[index] is entry:
                    self.entries[index] = found
        self.changed.emit(None)

    def keep(self) -> None:
        """Write what is known of the open image to its project folder. Raises OSError."""
        with self._writing:
            with self._lock:
                entry = self.current
                if entry is None or self.session is None:
                    return
                record = replace(
                    self._timed(entry.record),
                    objects=self.session.labels.count(),
                    model=self.session.model or entry.record.model,
                )
                record = _prompted(record, self.session)
                self.entries[self.at] = replace(entry, record=record)
            write_record(entry.folder, record)

    # The verbs of actions.

    def seek(self, first: int, step: int, *, unfinished: bool) -> Open | None:
        """Return the first image from ``first`` on that can be opened; ``unfinished``: and is not the open one."""
        for index in range(first, len(self.entries) if step > 0 else -1, step):
            entry = self.entries[index]
            if index < 0 or entry.obstacle is not None or index == self.at:
                continue
            if not (unfinished and entry.record.kept in FINISHED):
                return Open(index, step, unfinished)
        return None

    def mark(self, kept: Status) -> None:
        """Say what has become of the open image. Raises OSError when that cannot be written."""
        entry = self.entries[self.at]
        self.entries[self.at] = replace(entry, record=replace(entry.record, kept=kept))
        try:
            self.keep()
        except OSError:
            self.entries[self.at] = entry
            raise

    def enter(self, index: int, session: Session) -> None:
        """Take the session of an image that is open now."""
        if self.session is not None:
            self.session.changed.disconnect(self._heard)
        self.at, self.session, self._acted = index, session, self._clock()
        entry = self.entries[index]
        record = replace(entry.record, objects=session.labels.count())
        # The kernel may have been stopped before the beginning was noted.
        self.entries[index] = replace(entry, obstacle=None, problem="", record=_prompted(record, session))
        session.changed.connect(self._heard)

    def _timed(self, record: Record) -> Record:
        """Return a record with the seconds since somebody did something last, unless they were a break."""
        now = self._clock()
        passed = now - (self._acted if self._acted is not None else now)
        self._acted = now
        return replace(record, seconds=record.seconds + passed) if passed <= _IDLE else record

    def _heard(self, change: Change) -> None:
        """Count the time, and notice that somebody has begun with the image."""
        with self._lock:
            entry, session = self.current, self.session
            if entry is None or session is None:
                return
            acts = change.labels is not None or change.prompts or change.view or change.tool
            if not acts:
                return
            record = self._timed(entry.record)
            begun = change.labels is not None or bool(session.state.prompts)
            first = begun and record.kept is Status.UNTOUCHED
            if first:
                record = replace(record, kept=Status.STARTED)
            if change.labels is not None:
                record = replace(record, objects=session.labels.count())
            self.entries[self.at] = replace(entry, record=record)
        if first:
            with contextlib.suppress(OSError):  # it is written again when labels are saved, which tells why not
                self.keep()
        if first or record.objects != entry.record.objects:
            self.changed.emit(None)


def _prompted(record: Record, session: Session) -> Record:
    """Return a record that says that its image was begun with, where there are prompts."""
    begun = record.kept is Status.UNTOUCHED and session.state.prompts
    return replace(record, kept=Status.STARTED) if begun else record


def _listed(names: Iterable[str]) -> str:
    """Return the first names of many."""
    all_of_them = list(names)
    return ", ".join(all_of_them[:3]) + (" ..." if len(all_of_them) > 3 else "")
