"""Keeps what a classifier says of a session's objects up to date, while the user goes on clicking."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core import Box, Image, MicrosamError
from ..core.measuring import Subject
from ..session import Change, Classified, Guess, Guesses, Row, Session, SetClasses, class_names
from ..session.actions.classifying import by_hand
from .compute import compute

if TYPE_CHECKING:
    from ..engine.classifying import Classifier, Describer, Training
    from ..engine.models import Model
    from ..engine.store import EmbeddingStore

_log = logging.getLogger("microsam_nb")

#: Objects whose features are computed before those known are looked at again, and clicks since.
_TOGETHER = 200
#: Seconds between two tellings of what is known so far.
_PAUSE = 1.5
#: Objects of one line of such squares are computed together: they share windows.
_BLOCK = 512


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """The features of an object, as it was with this box and this hash of its pixels."""

    box: Box
    print: int
    features: NDArray[np.float32]


class Table:
    """The features of a session's objects; computed anew only for those that are new or look different."""

    def __init__(self, image: Image, session: Session, engine: Callable[[], tuple[Model, EmbeddingStore]]) -> None:
        self._image, self._session, self._engine = image, session, engine
        self._known: dict[int, _Known] = {}
        self._describer: Describer | None = None
        self._model: Model | None = None
        self._kind, self._side = "", 0

    def like(self, training: Training) -> None:
        """Describe objects as those of a training were; raise ClassifierError when that is not possible here."""
        before = self._kind, self._side
        self._choose(training.kind, training.side)
        try:
            training.fits(self.training([]))
        except MicrosamError:
            self._choose(*before)
            raise

    def only(self, kind: str) -> None:
        """Tell objects apart by less than everything: one of ``Features``."""
        self._choose(kind, self._side)

    def _choose(self, kind: str, side: int) -> None:
        now = (self._kind, self._side) if self._describer is None else (self._kind, self._describer.side)
        if (kind, side) != now:
            self._kind, self._side, self._describer = kind, side, None

    @property
    def describer(self) -> Describer:
        """What computes features with the model that answers now; what another one has seen is forgotten."""
        from ..engine.classifying import Describer, Features

        model, store = self._engine()
        if self._describer is None or model is not self._model:
            self._model = model
            self._describer = Describer(self._image, model, store, Features(self._kind or "both"), self._side)
            self._known.clear()
        return self._describer

    def missing(self, rows: Sequence[Row], written: Box | None) -> list[Row]:
        """Return the objects whose features are not known, those that lie near each other together.

        Those known may look different only in the box that was ``written`` since.
        """
        _ = self.describer  # forgets what another model has seen
        there = {row.label for row in rows}
        for label in [n for n in self._known if n not in there]:
            del self._known[label]
        stale = [row for row in rows if self._stale(row, written)]
        for row in stale:
            # What it was is true no longer, also when nobody gets as far as to look again.
            self._known.pop(row.label, None)
        return sorted(stale, key=lambda r: (r.box.start[0], r.box.start[1] // _BLOCK, r.box.start[2]))

    def _stale(self, row: Row, written: Box | None) -> bool:
        known = self._known.get(row.label)
        if known is None or known.box != row.box:
            return True
        return written is not None and row.box.meets(written) and known.print != self._print(row)

    def row(self, label: int) -> NDArray[np.float32] | None:
        """Return the features of an object, as far as they are known."""
        found = self._known.get(label)
        return None if found is None else found.features

    def compute(self, rows: Sequence[Row]) -> Iterator[None]:
        """Compute the features of objects; may be left between the steps."""
        describer = self.describer
        describer.settle([row.box for row in self._session.rows()])
        looks = {row.label: (row.box, self._print(row)) for row in rows}
        subjects = [Subject(row.label, row.box, row.info) for row in rows]
        for found in compute.steps(describer.steps(subjects, self._session.crop)):
            if found is not None:
                self._known[found[0]] = _Known(*looks[found[0]], found[1])
            yield

    def training(self, rows: Sequence[Row]) -> Training:
        """Return the objects that the user has given classes, as far as their features are known."""
        from ..engine.classifying import Training

        describer, model = self.describer, self._model
        assert model is not None
        told = [row for row in rows if by_hand(row.info) and row.label in self._known]
        features = [self._known[row.label].features for row in told]
        stacked = np.stack(features) if features else np.zeros((0, len(describer.names)), np.float32)
        about = (model.spec.hash, model.spec.label) if describer.kind != "shape" else ("", "")
        classes = tuple(row.info.category for row in told)
        return Training(stacked, classes, describer.names, about, describer.kind.value, describer.side)

    def _print(self, row: Row) -> int:
        crop = self._session.crop(row.box)
        return hash((row.box.start, row.box.stop, np.packbits(crop == row.label).tobytes()))


class Classifying:
    """Trains and predicts on a thread of its own, which begins with ``start``.

    ``classifier``: the newest one, None while the user has not given two classes. What the user does meanwhile is
    taken up after the objects in work.
    """

    def __init__(self, image: Image, session: Session, engine: Callable[[], tuple[Model, EmbeddingStore]]) -> None:
        self._session = session
        self._table = Table(image, session, engine)
        self.classifier: Classifier | None = None
        self._loaded: Classifier | None = None
        self._trained: tuple[Any, ...] = ()
        self._tasks: deque[Callable[[], None]] = deque()
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
        """Save the newest classifier, soon; what comes of it is said in the status line."""
        self._put(lambda: self._save(Path(path).expanduser()))

    def load(self, path: str) -> None:
        """Go on with a saved classifier, soon; what the user clicks on is added to what it was trained on."""
        self._put(lambda: self.use(_read(path), Path(path).name))

    def use(self, classifier: Classifier, name: str = "given") -> None:
        """Go on with a classifier. Raises ClassifierError when it needs another model or another image."""
        self._table.like(classifier.training)
        self._loaded, self._trained = classifier, ()
        known = class_names(self._session)
        self._session.handle(SetClasses((*known, *(one for one in classifier.classes if one not in known))))
        classes = ", ".join(classifier.classes)
        self._session.say(f"The classifier {name} tells apart {classes}; {len(classifier.training.classes)} objects.")
        self.start()

    def wait(self, timeout: float = 120.0) -> None:
        """Return when everything that is known has been said. Raises TimeoutError."""
        with self._wake:
            if not self._wake.wait_for(lambda: self._closed or self.idle, timeout):
                raise TimeoutError(f"Objects are still being classified after {timeout:g} s; wait longer.")

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do."""
        return not (self._tasks or self._busy or (self._dirty and self._thread is not None))

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
                self._wake.wait_for(lambda: self._closed or self._dirty or bool(self._tasks))
                if self._closed:
                    return
                self._busy = True
                # What is loaded comes after what has been clicked on, so that it is saved with that.
                dirty, self._dirty = self._dirty, False
                task = None if dirty else self._tasks.popleft()
            try:
                if task is not None:
                    task()
                else:
                    self._update()
            except MicrosamError as error:
                self._fail(str(error))
            except Exception as error:  # noqa: BLE001 - the thread must live; the failure is shown
                _log.exception("Objects could not be classified.")
                self._fail(
                    f"Objects could not be classified ({error.__class__.__name__}: {error}). Change the classes and "
                    "try again; the log holds the details."
                )

    def _fail(self, text: str) -> None:
        self._session.say(text, error=True)

    def _update(self) -> None:
        """Compute what is missing: annotated objects first, then train, then the others bit by bit."""
        with self._wake:
            written, self._written = self._written, None
        rows = self._session.rows()
        missing = self._table.missing(rows, written)
        told = [row for row in missing if by_hand(row.info)]
        rest = [row for row in missing if not by_hand(row.info)]
        if told and not self._compute(told):
            return
        trained = self._train(rows)
        self._say(rows, len(rest), anew=trained or bool(missing))
        said = time.monotonic()
        while rest:
            some, rest = rest[:_TOGETHER], rest[_TOGETHER:]
            if not self._compute(some):
                return
            if not rest or self._dirty or time.monotonic() - said > _PAUSE:
                self._say(rows, len(rest), anew=True)
                said = time.monotonic()
            if self._dirty:
                return  # it is begun anew with what has changed

    def _compute(self, rows: Sequence[Row]) -> bool:
        return all(not self._closed for _ in self._table.compute(rows))

    def _train(self, rows: Sequence[Row]) -> bool:
        """Train when the annotated objects are others than before; return whether that changed the classifier."""
        from ..engine.classifying import join, train

        own = self._table.training(rows)
        about = (own.model, own.names, own.classes, hash(own.rows.tobytes()), self._loaded)
        if about == self._trained:
            return False
        before, self._trained = self.classifier, about
        if self._loaded is not None:
            self._loaded.training.fits(own)
            together = join([self._loaded.training, own])
            self.classifier = train(together) if own.classes else self._loaded
        else:
            self.classifier = train(own) if len(set(own.classes)) > 1 else None
        return self.classifier is not before

    def _say(self, rows: Sequence[Row], waiting: int, *, anew: bool) -> None:
        now = self._session.guesses
        there = {row.label for row in rows if not by_hand(row.info)}
        if not anew and waiting == now.waiting and now.known.keys() <= there:
            return
        known: dict[int, Guess] = {}
        classifier = self.classifier
        if classifier is not None:
            features = {label: found for label in sorted(there) if (found := self._table.row(label)) is not None}
            known = guesses_of(classifier, features)
        said = "" if classifier is None else _about(classifier)
        classes = () if classifier is None else classifier.classes
        self._session.handle(Classified(Guesses(known, said, classes, waiting)))

    def _save(self, path: Path) -> None:
        from .classify import save_classifier

        if self.classifier is None:
            self._session.say(
                "There is no classifier yet. Click on a few objects of two classes or more first.", error=True
            )
            return
        save_classifier(self.classifier, path)
        self._session.say(f"The classifier is saved in {path.absolute()}.")


def guesses_of(classifier: Classifier, features: dict[int, NDArray[np.float32]]) -> dict[int, Guess]:
    """Return what a classifier says of objects with these features, by their numbers."""
    if not features:
        return {}
    chances = classifier.predict(np.stack(list(features.values())))
    order = np.argsort(-chances, axis=1, kind="stable")
    best, second = (np.take_along_axis(chances, order[:, i : i + 1], 1)[:, 0] for i in (0, 1))
    names = classifier.classes
    return {
        label: Guess(label, names[first], float(p), float(p - q))
        for label, first, p, q in zip(features, order[:, 0], best, second, strict=True)
    }


def _about(classifier: Classifier) -> str:
    count = len(classifier.training.classes)
    if classifier.accuracy is None:
        return f"Trained on {count} objects; too few to say how good it is."
    return f"Trained on {count} objects, of which it gets {classifier.accuracy:.0%} right that it has not seen."


def _read(path: str) -> Classifier:
    from .classify import load_classifier

    return load_classifier(path)
