"""A series on screen: the filmstrip, and below it the annotator of the image that is open."""

from __future__ import annotations

import contextlib
import csv
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as widgets
import numpy as np
from numpy.typing import NDArray

from ..core import FileError, Image, MicrosamError, ModelError, ProjectError, ProjectInUseError
from ..files.replacing import replacing
from ..session import Change, FindAll, Session
from ..session.later import Later
from ..session.records import Entry, Status
from ..session.series import Begin, Finish, Jump, Noted, Open, Opened, Refused, SeriesAction, SeriesSession, Turn
from ..view import Command
from ..view.snapshot import compact
from ..widgets import Loop, Still, close_tree, style_sheet
from ..widgets.filmstrip import Filmstrip
from .ahead import Ahead, Prepared, SmallPictures
from .base import Annotator
from .late import LateService
from .series_training import FOLDER, SeriesTraining, remember_model, same_model
from .taught import Taught

if TYPE_CHECKING:
    from pandas import DataFrame

    from .finetuner import Finetuner

_log = logging.getLogger("microsam_nb")

_ACTIONS: dict[Command, SeriesAction] = {
    Command.NEXT_IMAGE: Turn(1), Command.PREVIOUS_IMAGE: Turn(-1), Command.DONE_IMAGE: Finish(Status.DONE),
    Command.SKIP_IMAGE: Finish(Status.SKIPPED),
}  # fmt: skip


class Opener(Protocol):
    """Opens the annotator of one image."""

    model: Any

    def read(self, entry: Entry) -> Image:
        """Return an image. Raises FileError or ImageError."""

    def service(self, entry: Entry, image: Image, model: Any) -> LateService:
        """Return what answers the requests about an image with a model, or one that is yet to be loaded."""

    def open(
        self, entry: Entry, image: Image, service: LateService, commands: dict[Command, Callable[[], object]]
    ) -> Annotator:
        """Return its annotator. Raises MicrosamError."""


class SeriesAnnotator:
    """An annotation of many images on screen; show it as the last line of a cell.

    ``annotator`` is that of the open image, ``labels`` and ``session`` are its own; ``series`` knows about all images.
    ``mode``: how all objects are found in images that nobody has touched, None for not at all.
    """

    def __init__(
        self, series: SeriesSession, opener: Opener, output: Path, *, mode: str | None = None, note: str = ""
    ) -> None:
        self.series, self.output = series, output
        self._opener, self._mode = opener, mode
        self._annotator: Annotator | None = None
        self._service: LateService | None = None
        #: Objects that are not in the results file yet.
        self._unsaved: Annotator | None = None
        #: What the user was asked: going on without what is not committed.
        self._asked: tuple[Annotator, SeriesAction] | None = None
        self._looking: threading.Thread | None = None
        self._closed = False
        self._taught = Taught()
        #: Held while an image takes the place of another: closing must find the one or the other.
        self._changing = threading.Lock()
        self.filmstrip = Filmstrip([one.name for one in series.entries])
        self._stage = widgets.VBox()
        self._stage.add_class("msam-series-stage")
        self._training = SeriesTraining(
            output, lambda work: self._loop.post(work), self._learn, lambda text: series.say(text, error=True)
        )
        self.widget = widgets.VBox([style_sheet(), self.filmstrip, self._stage, self._training.box])
        for name in ("msam-annotator", "msam-series"):
            self.widget.add_class(name)
        self._ahead = Ahead(opener.read, opener.service)
        self._pictures = SmallPictures(
            output / "thumbnails", opener.read, lambda place, data: self.filmstrip.picture({place: data}), self._unread
        )
        self._later = Later(self._save, self._told)
        self._still = Still(self._picture)
        self._loop = Loop(lambda change, everything: self._paint(), self._failed)
        try:
            self._go(series.handle(Begin()), strict=True)
            if series.current is None:
                # What is not finished cannot be opened: anything will do.
                self._go(series.handle(Begin()), strict=True)
            if series.current is None:
                problems = " ".join(one.problem for one in series.entries[:3])
                raise FileError(f"None of the images can be opened. {problems}", "Check the files, then try again.")
        except BaseException:
            self.close()
            raise
        series.changed.connect(self._repaint)
        self.filmstrip.on_msg(lambda _, message, __: self._hear(message))
        if said := " ".join(filter(None, [note, series.conclusion()])):
            self.series.say(said)
        self._write_summary()
        self._repaint(None)

    @property
    def annotator(self) -> Annotator:
        """The annotator of the image that is open."""
        assert self._annotator is not None
        return self._annotator

    @property
    def session(self) -> Session:
        return self.annotator.session

    @property
    def labels(self) -> NDArray[np.uint32]:
        """A copy of the objects of the open image; see ``Annotator.labels``."""
        return self.annotator.labels

    def summary(self) -> DataFrame:
        """Return a table with one row per image: status, objects, seconds of work, model and file of results."""
        from pandas import DataFrame

        rows = self._rows()
        return DataFrame(rows, columns=list(rows[0]))

    def finetune(self) -> Finetuner:
        """Show the training of a model on what is annotated so far, below the images; it is started there.

        Images that are done are learned from as they are; of others only the objects and what is close to them. The
        same training is shown again after a restart.
        """
        return self._training.show()

    @property
    def _source(self) -> Any:
        """The model that answers now, or what it is to be loaded from."""
        return self._opener.model if self._service is None else self._service.source

    def handle(self, action: SeriesAction) -> None:
        """Do something from a script, after what the user did before; ``wait`` tells when it is done."""
        self._loop.post(lambda: self._do(action, sure=True))

    def wait(self, timeout: float = 60.0) -> None:
        """Return when the image is open, the model has answered and results are written. Raises TimeoutError."""
        end = time.monotonic() + timeout
        while True:
            self._loop.wait(max(0.0, end - time.monotonic()))
            now = self.annotator
            now.wait(max(0.0, end - time.monotonic()))
            self._later.flush()
            self._loop.wait(max(0.0, end - time.monotonic()))
            if now is self._annotator:
                return

    def close(self) -> None:
        """Write what is not written, stop the threads and close the widgets; a picture stays in the notebook."""
        with self._changing:
            if self._closed:
                return
            # An image that is being opened now is closed by the one who opens it.
            self._closed = True
        self._loop.close()
        self._ahead.end()
        self._pictures.close()
        if self._looking is not None:
            self._looking.join()
        self._later.close()
        self._training.close()
        if self._annotator is not None:
            self._still.flush()
            self._keep()
            self._remember()
            # Also without results the journal is written.
            self._annotator.close()
            self._write_summary()
        close_tree(self.widget)

    def _ipython_display_(self) -> None:
        self._still.display(self._view())

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Return the widget, and a picture for pages that cannot show it."""
        kind, picture = compact(self._picture())
        return {**self._view(), kind: picture}

    def _view(self) -> dict[str, Any]:
        bundle = self.widget._repr_mimebundle_() or {}
        data = dict(bundle[0] if isinstance(bundle, tuple) else bundle)
        data["text/plain"] = f"Annotator of {len(self.series.entries)} images"
        return data

    def _picture(self) -> bytes:
        return self.annotator._picture()

    # From the browser and from keys: these callbacks only queue.

    def _hear(self, message: dict[str, Any]) -> None:
        kind, now = message.get("kind"), self._annotator
        if kind == "want":
            entries = self.series.entries
            self._pictures.want({int(i): entries[int(i)] for i in message["places"] if 0 <= int(i) < len(entries)})
        elif message.get("at") != self.series.at:
            return  # it was meant for another image
        elif kind == "do":
            self._ask(now, _ACTIONS[Command(message["command"])])
        elif kind == "jump":
            self._ask(now, Jump(int(message["place"])))

    def _ask(self, now: Annotator | None, action: SeriesAction) -> None:
        """Do something after what the user did before; what comes after that is for another image, or for none."""
        if now is not None:
            now.hold(True, lambda: self._loop.post(lambda: self._do_in(now, action)))

    def _repaint(self, _: object) -> None:
        self._loop.repaint(Change(tool=True))

    # On the thread of the series.

    def _paint(self) -> None:
        self.filmstrip.show(self.series)

    def _do_in(self, annotator: Annotator, action: SeriesAction) -> None:
        """Do what was asked of the image that was open then: a key pressed twice is no order for the next one."""
        if annotator is self._annotator:
            self._do(action)

    def _do(self, action: SeriesAction, *, sure: bool = False) -> None:
        now = self._annotator
        if self._closed or now is None:
            return
        try:
            self._leave(action, sure=sure)
        finally:
            self.filmstrip.stay()
            if now is self._annotator:
                now.hold(False)

    def _leave(self, action: SeriesAction, *, sure: bool) -> None:
        if isinstance(action, Finish) and not sure and self._left_over(action):
            return
        self._asked = None
        if (wanted := action.target(self.series)) is not None:
            # At once: what is written now may take a while.
            self.annotator.hold(True)
            self.filmstrip.leave(self.series.entries[wanted.index].name)
            self._keep()
            self._remember()
        if not self._kept(anyway=isinstance(action, Finish) and action.kept is Status.DONE):
            return
        try:
            wanted = self.series.handle(action)
        except OSError as error:
            self._told(f"What has become of the image cannot be written ({error.strerror or error}).")
            return
        self._go(wanted)
        self._write_summary()
        self._still.changed()

    def _left_over(self, action: Finish) -> bool:
        """Say what would not be among the results, once; return whether the user has to be asked."""
        state = self.session.state
        some = len(state.candidates)
        what = "The object in hand is not committed: C keeps it" if state.prompts or state.proposals else ""
        if not what and some and action.kept is Status.DONE:
            what = f"{some} candidate{'s are' if some > 1 else ' is'} not kept: Shift-A keeps all"
        asked = self._annotator is not None and self._asked == (self._annotator, action)
        if not what or asked:
            return False
        self._asked = (self.annotator, action)
        again = "Y" if action.kept is Status.DONE else "Shift-Y"
        self.series.say(f"{what}; {again} once more goes on without.", error=True)
        return True

    def _kept(self, *, anyway: bool) -> bool:
        """Write everything of the open image; return whether that was possible: else it must stay open."""
        if self._annotator is None:
            return True
        project = self._annotator.project
        if project is not None and project.journal.waiting:
            project.journal.finish()
            if project.journal.waiting:
                self._told("The journal cannot be written.")
                return False
        return self._later.flush(anyway=anyway)

    def _go(self, wanted: Open | None, *, strict: bool = False) -> None:
        while wanted is not None:
            wanted = self._open(wanted, strict=strict)

    def _open(self, wanted: Open, *, strict: bool) -> Open | None:
        """Open an image in the place of the one that is open; return the one to try next, if it cannot be opened.

        Title and picture change together; the old annotator is closed after that.
        """
        entry = self.series.entries[wanted.index]
        old, before = self._annotator, self.series.current
        self.filmstrip.leave(entry.name)
        try:
            new, service = self._make(entry)
        except MicrosamError as error:
            if isinstance(error, ProjectError) and isinstance(error.__cause__, OSError):
                # No fault of the image: nothing can be written.
                if strict:
                    raise
                self.series.say(str(error), error=True)
                return None
            return self.series.handle(Refused(wanted, *_obstacle(entry, error)))
        with self._changing:
            if not self._closed:
                self._annotator, self._service = new, service
        if self._annotator is not new:
            new.close()
            return None
        self.series.handle(Opened(wanted.index, new.session))
        self.filmstrip.opened()
        self.filmstrip.show(self.series)
        self._stage.children = (new.widget,)
        new.session.changed.connect(lambda change: self._heard(new, change))
        if old is not None:
            if before is not None:
                self._taught.hand_on(before.name, old, entry.name, new)
            old.close()
            if self._unsaved is old and before is not None:
                # Changed between the last saving and now: the journal has it, and so must the results.
                self._write_late(old, before)
        self._unsaved = None
        self._begin(entry, new)
        return None

    def _write_late(self, annotator: Annotator, entry: Entry) -> None:
        try:
            annotator.write(entry.result)
        except (OSError, MicrosamError) as error:
            self.series.say(
                f"The results of {entry.name} cannot be written ({error}). Its objects are safe in "
                f"{entry.folder.name}: go back to it when there is room, and they are written.",
                error=True,
            )

    def _make(self, entry: Entry) -> tuple[Annotator, LateService]:
        found = self._ahead.take(entry)
        source = self._source
        if found is None or not same_model(found.service.source, source):
            image = self._opener.read(entry) if found is None else found.image
            found = Prepared(image, self._opener.service(entry, image, source))
        made: list[Annotator] = []

        def command(action: SeriesAction) -> Callable[[], object]:
            return lambda: self._ask(made[0], action)

        commands = {key: command(action) for key, action in _ACTIONS.items()}
        made.append(self._opener.open(entry, found.image, found.service, commands))
        return made[0], found.service

    def _begin(self, entry: Entry, annotator: Annotator) -> None:
        """What happens to an image that has just been opened."""
        if self._closed:
            return
        session = annotator.session
        record = entry.record
        if record.kept is Status.UNTOUCHED and self._mode is not None:
            empty = not (session.labels.count() or session.state.candidates or session.can_undo or session.can_redo)
            if empty:
                session.handle(FindAll(mode=self._mode, volume=session.shape[0] > 1))
        there = session.labels.count() or entry.result.exists()
        if there and _older(entry.result, entry.folder / "journal.jsonl"):
            # The kernel was stopped before they were written; the last object may be gone since.
            self._unsaved = annotator
            self._later.touch()
        assert self._service is not None
        self._look()
        coming = self.series.seek(self.series.at + 1, 1, unfinished=True)
        self._ahead.begin(None if coming is None else self.series.entries[coming.index], annotator, self._service)

    def _look(self) -> None:
        """See what others have done meanwhile; a slow disk must hold up nobody."""
        if self._looking is None or not self._looking.is_alive():
            self._looking = threading.Thread(target=self.series.refresh, name="microsam-looking", daemon=True)
            self._looking.start()

    def _heard(self, annotator: Annotator, change: Change) -> None:
        if change.labels is not None or change.objects:
            self._unsaved = annotator
            if annotator is self._annotator:
                self._later.touch()
            self._still.changed()

    def _failed(self, error: Exception) -> None:
        _log.error("The series failed.", exc_info=error)
        self.series.say(
            f"Something went wrong ({error.__class__.__name__}: {error}). Your objects are safe; run the cell again.",
            error=True,
        )

    # On any thread.

    def _save(self) -> None:
        """Write results and what is known of the open image. Raises FileError or OSError."""
        annotator, entry = self._annotator, self.series.current
        if annotator is None or entry is None or self.series.session is not annotator.session:
            return
        if self._unsaved is annotator:
            self._unsaved = None
        try:
            annotator.write(entry.result)
            self.series.keep()
        except BaseException:
            self._unsaved = annotator
            raise

    def _keep(self) -> None:
        """Write how long somebody was at the open image, also if nothing was changed in it."""
        with contextlib.suppress(OSError):  # the results cannot be written either, and that is told
            self.series.keep()

    def _remember(self) -> None:
        """Keep which model the next images are opened with, also after a restart."""
        if self._service is not None:
            with contextlib.suppress(OSError):  # as above
                remember_model(self.output, self._service.source)

    def _learn(self) -> Finetuner:
        """Return a training of the model that answers now, on this series."""
        from .finetune import finetune_series

        return finetune_series(self, self.output / FOLDER, self._learner)

    def _learner(self) -> str | os.PathLike[str]:
        """Return the model that answers now, by name or file. Raises ModelError where it has none."""
        source = self._source
        if not isinstance(source, str | os.PathLike):
            raise ModelError(
                "The model of this series was given loaded: its weights are not known to be in a file.",
                "Open the series with model= and a name or the path of a file.",
            )
        return source

    def _told(self, problem: str) -> None:
        entry = self.series.current
        name = entry.name if entry is not None else "the image"
        if problem:
            self.series.say(
                f"{problem} The work on {name} is kept in memory and stays open: free some space, or see that "
                f"{self.output} can be written. It is tried again by itself.",
                error=True,
            )
        else:
            self.series.say(f"The results of {name} are written again.")

    def _unread(self, place: int, error: MicrosamError) -> None:
        if place != self.series.at:
            self.series.handle(Noted(place, *_obstacle(self.series.entries[place], error)))

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "file": one.name, "status": str(one.record.kept if one.obstacle is None else one.obstacle),
                "objects": one.record.objects, "seconds": round(one.record.seconds, 1), "model": one.record.model,
                "results": one.result.relative_to(self.output).as_posix() if one.result.exists() else "",
                "problem": one.problem,
            }
            for one in tuple(self.series.entries)
        ]  # fmt: skip

    def _write_summary(self) -> None:
        """Write summary.csv; it can be made again at any time."""
        rows = self._rows()
        try:
            with replacing(self.output / "summary.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
                out = csv.DictWriter(file, list(rows[0]))
                out.writeheader()
                out.writerows(rows)
        except FileError as error:
            self.series.say(str(error), error=True)


def _obstacle(entry: Entry, error: MicrosamError) -> tuple[Status, str]:
    """Return why an image cannot be opened, and the sentence."""
    if isinstance(error, ProjectInUseError):
        return Status.LOCKED, entry.refreshed().problem or str(error)
    if not entry.path.exists():
        return Status.MISSING, f"{entry.name} is gone: put the file back."
    return Status.UNREADABLE, f"{entry.name}: {error}"


def _older(result: Path, journal: Path) -> bool:
    """Whether results are missing, or the journal was written after them."""
    try:
        return not result.exists() or result.stat().st_mtime < journal.stat().st_mtime
    except OSError:
        return False
