"""The features of a session's objects, kept as long as the objects look the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core import Box, Image
from ..core.measuring import Subject
from ..session import Row, Session, classed_by_hand
from .compute import compute

if TYPE_CHECKING:
    from ..engine.classifying import Describer, Training
    from ..engine.models import Model
    from ..engine.store import EmbeddingStore

#: Objects of one line of such squares are computed together: they share windows.
_BLOCK = 512


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """The features of an object, as it was with this box and this hash of its pixels."""

    box: Box
    print: int
    features: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Described:
    """One way to describe objects, and what is known by it; another way begins with an empty one."""

    model: Model
    describer: Describer
    known: dict[int, _Known] = field(default_factory=dict)

    def training(self, rows: Sequence[Row]) -> Training:
        from ..engine.classifying import Training

        describer = self.describer
        told = [(row, self.known[row.label]) for row in rows if classed_by_hand(row.info) and row.label in self.known]
        features = [known.features for _, known in told]
        stacked = np.stack(features) if features else np.zeros((0, len(describer.names)), np.float32)
        about = (self.model.spec.hash, self.model.spec.label) if describer.kind != "shape" else ("", "")
        classes = tuple(row.info.category for row, _ in told)
        return Training(stacked, classes, describer.names, about, describer.kind.value, describer.side)


class Table:
    """The features of a session's objects; computed anew only for those that are new or look different.

    One thread computes. Any thread may choose another way to describe objects meanwhile: what is computed in the old
    way after that is not mixed with the new.
    """

    def __init__(self, image: Image, session: Session, engine: Callable[[], tuple[Model, EmbeddingStore]]) -> None:
        self._image, self._session, self._engine = image, session, engine
        self._lock = threading.Lock()
        self._now: _Described | None = None
        self._kind, self._side = "both", 0

    @property
    def ready(self) -> bool:
        """Whether a model was there when it was last asked for: loading one takes a while."""
        return self._now is not None

    def like(self, training: Training) -> None:
        """Describe objects as those of a training were; raise ClassifierError when that is not possible here."""
        wanted = self._describe(training.kind, training.side)
        training.fits(wanted.training([]))
        with self._lock:
            now = self._now
            same = now is not None and now.model is wanted.model and now.describer.kind == wanted.describer.kind
            if now is None or not same or now.describer.side != training.side:
                self._now = wanted
            self._kind, self._side = training.kind, training.side

    def only(self, kind: str) -> None:
        """Tell objects apart by less than everything: one of ``Features``."""
        with self._lock:
            if kind != self._kind:
                self._kind, self._now = kind, None

    def missing(self, rows: Sequence[Row], written: Box | None) -> list[Row]:
        """Return the objects whose features are not known, those that lie near each other together.

        Those known may look different only in the box that was ``written`` since.
        """
        known = self._current().known
        there = {row.label for row in rows}
        for label in [n for n in known if n not in there]:
            del known[label]
        stale = [row for row in rows if self._stale(known.get(row.label), row, written)]
        for row in stale:
            # What it was is true no longer, also when nobody gets as far as to look again.
            known.pop(row.label, None)
        return sorted(stale, key=lambda r: (r.box.start[0], r.box.start[1] // _BLOCK, r.box.start[2]))

    def row(self, label: int) -> NDArray[np.float32] | None:
        """Return the features of an object, as far as they are known."""
        now = self._now
        found = None if now is None else now.known.get(label)
        return None if found is None else found.features

    def compute(self, rows: Sequence[Row]) -> Iterator[None]:
        """Compute the features of objects; may be left between steps, and ends when they are described otherwise."""
        now = self._current()
        now.describer.settle([row.box for row in self._session.rows()])
        looks = {row.label: (row.box, self._print(row)) for row in rows}
        subjects = [Subject(row.label, row.box, row.info) for row in rows]
        for found in compute.steps(now.describer.steps(subjects, self._session.crop)):
            if self._now is not now:
                return
            if found is not None:
                now.known[found[0]] = _Known(*looks[found[0]], found[1])
            yield

    def training(self, rows: Sequence[Row]) -> Training:
        """Return the objects that the user has given classes, as far as their features are known."""
        return self._current().training(rows)

    def _current(self) -> _Described:
        """What describes objects with the model that answers now; what another one has seen is forgotten."""
        model, _ = self._engine()
        with self._lock:
            now, kind, side = self._now, self._kind, self._side
        if now is not None and now.model is model:
            return now
        made = self._describe(kind, side)
        with self._lock:
            if self._now is now and (kind, side) == (self._kind, self._side):
                self._now = made
                return made
        return self._current()  # somebody else has chosen meanwhile

    def _describe(self, kind: str, side: int) -> _Described:
        from ..engine.classifying import Describer, Features

        model, store = self._engine()
        return _Described(model, Describer(self._image, model, store, Features(kind), side))

    def _stale(self, known: _Known | None, row: Row, written: Box | None) -> bool:
        if known is None or known.box != row.box:
            return True
        return written is not None and row.box.meets(written) and known.print != self._print(row)

    def _print(self, row: Row) -> int:
        crop = self._session.crop(row.box)
        return hash((row.box.start, row.box.stop, np.packbits(crop == row.label).tobytes()))
