"""Keeps what a classifier says of a session's objects up to date, while the user goes on clicking."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core import Box, Image, MicrosamError
from ..session import Change, Classified, Guess, Guesses, Row, Session, SetClasses, class_names, classed_by_hand
from ..session.wording import counted
from .classifier_files import load_classifier, save_classifier
from .described import Table

if TYPE_CHECKING:
    from ..engine.classifying import Classifier, Training
    from ..engine.models import Model
    from ..engine.store import EmbeddingStore
    from .taught import Lesson

_log = logging.getLogger("microsam_nb")

#: Objects whose features are computed before clicks since then, and files to write, are taken up.
_TOGETHER = 200
#: Seconds between two tellings of what is known so far.
_PAUSE = 1.5


class Classifying:
    """Trains and predicts on a thread of its own, which begins with ``start``.

    ``classifier``: the newest one, None while the user has not given two classes. What the user does meanwhile is
    taken up after the objects in work. ``kept``: what came of the last saving or loading. ``loaded``: what it goes on
    with.
    """

    def __init__(self, image: Image, session: Session, engine: Callable[[], tuple[Model, EmbeddingStore]]) -> None:
        self._session = session
        self._table = Table(image, session, engine)
        self.classifier: Classifier | None = None
        self.kept = ""
        self.loaded: Classifier | None = None
        #: Objects annotated in other images; and what is to be gone on with, where it has not begun.
        self._others: tuple[Training, ...] = ()
        self._handed: tuple[Classifier | None, tuple[Lesson, ...]] | None = None
        #: Held while it is trained: a classifier that is given meanwhile would be lost.
        self._training = threading.RLock()
        self._trained: tuple[Any, ...] = ()
        self._tasks: deque[Callable[[], None]] = deque()
        #: All objects, and those of which nobody has asked for a class and which are still to be looked at.
        self._rows: Sequence[Row] = ()
        self._rest: Sequence[Row] = ()
        self._said = 0.0
        self._dirty = self._busy = self._closed = False
        self._heard = ""
        #: Where pixels of objects were written since they were last looked at.
        self._written: Box | None = None
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        session.changed.connect(self._changed)

    @property
    def started(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        """Begin to follow the session."""
        with self._wake:
            if self._closed:
                return
            self._dirty = True
            if self._thread is None:
                # A thread that computes while the interpreter goes down would abort the process.
                atexit.register(self.close)
                self._thread = threading.Thread(target=self._loop, name="microsam-classes", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def save(self, path: str) -> None:
        """Save the newest classifier, soon; what comes of it is said in the status line, and is in ``kept``."""
        where = Path(path).expanduser().absolute()
        self._keep(f"Saving the classifier in {where} ...")
        self._put(lambda: self._save(where))

    def load(self, path: str) -> None:
        """Go on with a saved classifier, soon; what the user clicks on is added to what it was trained on."""
        self._keep(f"Loading the classifier {path} ...")
        self._put(lambda: self._load(path))

    def use(self, classifier: Classifier, name: str = "given") -> None:
        """Go on with a classifier. Raises ClassifierError when it needs another model or another image."""
        with self._training:
            self._table.like(classifier.training)
            self.loaded, self._trained = classifier, ()
        self._name(classifier.classes)
        classes = ", ".join(classifier.classes)
        count = counted(len(classifier.training.classes), "object")
        self._keep(f"The classifier {name} tells apart {classes}; trained on {count}.")
        self.start()

    def go_on(self, loaded: Classifier | None, lessons: tuple[Lesson, ...]) -> None:
        """Go on with what was loaded and annotated in other images, soon; what comes of it is said."""
        self._handed = loaded, lessons
        self.start()

    def taught(self, go: Callable[[], bool]) -> Training | None:
        """Stop, and return all objects that were annotated here, also those that nobody has looked at yet.

        On the thread of the caller; None when ``go`` says no meanwhile. Raises MicrosamError when they cannot be
        described.
        """
        self.close()  # only one thread may compute
        if self._handed is not None:
            # What nano sees depends on how large it sees it: as large as in the images before.
            self._fit(*self._handed, go)
        rows = [row for row in self._session.rows() if classed_by_hand(row.info)]
        for _ in self._table.compute(self._table.missing(rows, Box((0, 0, 0), self._session.shape))):
            if not go():
                return None
        return self._table.training(rows)

    def wait(self, timeout: float = 120.0) -> None:
        """Return when everything that is known has been said. Raises TimeoutError."""
        with self._wake:
            if not self._wake.wait_for(lambda: self._closed or self.idle, timeout):
                raise TimeoutError(f"Objects are still being classified after {timeout:g} s; wait longer.")

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do."""
        return not (self._tasks or self._busy or self._rest or (self._dirty and self._thread is not None))

    def close(self) -> None:
        """Stop after the step in hand."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        atexit.unregister(self.close)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(30.0)

    def _put(self, task: Callable[[], None]) -> None:
        self.start()
        with self._wake:
            self._tasks.append(task)
            self._wake.notify_all()

    def _changed(self, change: Change) -> None:
        if self._thread is not None and threading.get_ident() == self._thread.ident:
            return  # what it has said itself
        # Another model sees other things.
        if change.objects or change.labels is not None or self._session.model != self._heard:
            self._heard = self._session.model
            with self._wake:
                if change.labels is not None:
                    self._written = change.labels if self._written is None else self._written.union(change.labels)
                self._dirty = True
                self._wake.notify_all()

    def _loop(self) -> None:
        while True:
            with self._wake:
                self._busy = False
                self._wake.notify_all()
                self._wake.wait_for(lambda: self._closed or self._dirty or bool(self._tasks) or bool(self._rest))
                if self._closed:
                    return
                self._busy = True
                work = self._choose()
            try:
                work()
            except MicrosamError as error:
                self._fail(str(error))
            except Exception as error:  # noqa: BLE001 - the thread must live; the failure is shown
                _log.exception("Objects could not be classified.")
                self._fail(
                    f"Objects could not be classified ({error.__class__.__name__}: {error}). Change the classes and "
                    "try again; the log holds the details."
                )

    def _choose(self) -> Callable[[], None]:
        """Return what is done next: clicks come first, so that they are saved and not lost by loading."""
        if self._dirty:
            self._dirty = False
            return self._learn
        return self._tasks.popleft() if self._tasks else self._go_on

    def _fail(self, text: str) -> None:
        now = self._session.guesses
        if now.waiting:
            # Nothing is being computed any more.
            self._session.handle(Classified(replace(now, waiting=0)))
        self._session.say(text, error=True)

    def _learn(self) -> None:
        """Compute what is missing of annotated objects, and train; the others come bit by bit."""
        with self._wake:
            written, self._written = self._written, None
        # An error must not be met again and again.
        self._rest = ()
        handed, self._handed = self._handed, None
        if handed is not None:
            self._take(*handed)
        self._rows = self._session.rows()
        if self._rows and not self._table.ready:
            self._look_forward(len(self._rows))
        missing = self._table.missing(self._rows, written)
        self._look_forward(len(missing))
        told = [row for row in missing if classed_by_hand(row.info)]
        if told and not self._compute(told):
            return
        self._rest = [row for row in missing if not classed_by_hand(row.info)]
        self._say(anew=self._train() or bool(missing))

    def _take(self, loaded: Classifier | None, lessons: Sequence[Lesson]) -> None:
        """Take up what was taught in other images, as far as it can be used here, and say what cannot."""
        fit, refused = self._fit(loaded, lessons, lambda: not self._closed)
        if refused:
            part = "Part of what" if fit else "What"
            self._keep(f"{part} was taught in other images is not used here. {refused[0]}", error=not fit)
        self._name(sorted({name for one in fit for name in one.classes}))

    def _fit(
        self, loaded: Classifier | None, lessons: Sequence[Lesson], go: Callable[[], bool]
    ) -> tuple[list[Training], list[MicrosamError]]:
        """Go on with what can be used here of other images; return it, and why other things cannot."""
        known: list[Training] = []
        fit: list[Training] = []
        refused: list[MicrosamError] = []
        for lesson in lessons:
            try:
                one = lesson.training(go)
            except MicrosamError as error:
                refused.append(error)
            else:
                known += [] if one is None else [one]
        with self._training:
            # What the user has loaded here meanwhile is newer.
            given = self.loaded or loaded
            for one in [*([] if given is None else [given.training]), *known]:
                try:
                    one.fits(fit[0]) if fit else self._table.like(one)
                except MicrosamError as error:
                    refused.append(error)
                else:
                    fit.append(one)
            self.loaded = given if given is not None and given.training in fit else None
            self._others, self._trained = tuple(one for one in known if one in fit), ()
        return fit, refused

    def _name(self, classes: Sequence[str]) -> None:
        """Add classes to those that the session knows."""
        known = class_names(self._session)
        self._session.handle(SetClasses((*known, *(one for one in classes if one not in known))))

    def _go_on(self) -> None:
        """Compute the features of some of the other objects."""
        some, rest = self._rest[:_TOGETHER], self._rest[_TOGETHER:]
        self._rest = ()
        if not self._compute(some):
            return
        self._rest = rest
        if not rest or self._dirty or time.monotonic() - self._said > _PAUSE:
            self._say(anew=True)

    def _look_forward(self, waiting: int) -> None:
        """Say that features are being computed, before the first of them is known."""
        now = self._session.guesses
        if waiting and waiting != now.waiting:
            self._session.handle(Classified(replace(now, waiting=waiting, total=len(self._rows))))

    def _compute(self, rows: Sequence[Row]) -> bool:
        return all(not self._closed for _ in self._table.compute(rows))

    def _train(self) -> bool:
        """Train when the annotated objects are others than before; return whether that changed the classifier."""
        from ..engine.classifying import join, train

        with self._training:
            own = self._table.training(self._rows)
            about = (own.model, own.names, own.classes, hash(own.rows.tobytes()), self.loaded, self._others)
            if about == self._trained:
                return False
            before, self._trained = self.classifier, about
            loaded = [] if self.loaded is None else [self.loaded.training]
            together = join([*loaded, *self._others, own])
            if self.loaded is not None and not (self._others or own.classes):
                self.classifier = self.loaded
            else:
                self.classifier = train(together) if len(set(together.classes)) > 1 else None
            return self.classifier is not before

    def _say(self, *, anew: bool) -> None:
        now, waiting, total = self._session.guesses, len(self._rest), len(self._rows)
        there = {row.label for row in self._rows if not classed_by_hand(row.info)}
        if not anew and (waiting, total) == (now.waiting, now.total) and now.known.keys() <= there:
            return
        self._said = time.monotonic()
        known: dict[int, Guess] = {}
        classifier = self.classifier
        if classifier is not None:
            features = {label: found for label in sorted(there) if (found := self._table.row(label)) is not None}
            if features:
                chances = classifier.predict(np.stack(list(features.values())))
                known = guesses_of(classifier.classes, list(features), chances)
        said = "" if classifier is None else _about(classifier)
        classes = () if classifier is None else classifier.classes
        self._session.handle(Classified(Guesses(known, said, classes, waiting, total)))

    def _save(self, where: Path) -> None:
        if self.classifier is None:
            self._keep("There is no classifier yet. Click on a few objects of two classes or more first.", error=True)
            return
        try:
            save_classifier(self.classifier, where)
        except MicrosamError as error:
            self._keep(f"The classifier is not saved. {error}", error=True)
            return
        self._keep(f"The classifier is saved in {where}.")

    def _load(self, path: str) -> None:
        try:
            self.use(load_classifier(path), Path(path).name)
        except MicrosamError as error:
            self._keep(f"The classifier is not loaded. {error}", error=True)

    def _keep(self, text: str, *, error: bool = False) -> None:
        self.kept = text
        self._session.say(text, error=error)


def guesses_of(names: Sequence[str], labels: Sequence[int], chances: NDArray[np.float64]) -> dict[int, Guess]:
    """Return what is said of objects, by their numbers, of the probability of every class, (objects, classes)."""
    order = np.argsort(-chances, axis=1, kind="stable")
    best, second = (np.take_along_axis(chances, order[:, i : i + 1], 1)[:, 0] for i in (0, 1))
    return {
        label: Guess(label, names[first], float(p), float(p - q))
        for label, first, p, q in zip(labels, order[:, 0], best, second, strict=True)
    }


def _about(classifier: Classifier) -> str:
    count = counted(len(classifier.training.classes), "object")
    if classifier.accuracy is None:
        return f"Trained on {count}; too few to say how good it is."
    return f"Trained on {count}, of which it gets {classifier.accuracy:.0%} right that it has not seen."
