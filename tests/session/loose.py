"""A project folder without image, meta data and lock, and the shapes that tests draw."""

from __future__ import annotations

import atexit
from pathlib import Path

import numpy as np

from microsam_nb.core import Box, Candidate, Mask
from microsam_nb.session import AddPoint, Commit, Predicted, Session
from microsam_nb.session.autosave import Pace
from microsam_nb.session.journal import Journal
from microsam_nb.session.signal import Signal
from microsam_nb.session.stored import StoredLabels

#: Labels are saved when the test says so, by ``session.flush()``, or at closing.
NEVER = Pace(1e6, 1e6, 1e6)


class Loose:
    """What a session needs of a project."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.journal = Journal(folder / "journal.jsonl")
        self.closing: Signal[None] = Signal()

    def check(self) -> None:
        pass

    def stored(self, shape):
        return StoredLabels(self.folder / "labels.zarr", shape)

    def close(self) -> None:
        self.closing.emit(None)
        self.closing = Signal()


def opened(folder: Path, shape, pace: Pace = NEVER) -> Session:
    """A session on the folder, as after a killed kernel: nothing that was open before is closed."""
    return Session(shape, Loose(folder), pace)


def square(y, x, side=4, plane=0, planes=1) -> Mask:
    return Mask((plane, y, x), np.ones((planes, side, side), bool))


def found(*masks, score=0.75, origin="points") -> tuple[Candidate, ...]:
    return tuple(Candidate(mask, score, origin) for mask in masks)


def answer(session: Session, *masks, score=0.75):
    """The model finds these masks."""
    return session.handle(Predicted(session.awaiting, found(*masks, score=score)))


def commit(session: Session, *masks, overlap=None) -> None:
    """Click, get these masks, keep them."""
    plane, y, x = masks[0].start
    session.handle(AddPoint(y + 0.5, x + 0.5, plane=plane))
    answer(session, *masks)
    session.handle(Commit(overlap))


def annotate(session: Session, count: int, first: int = 0) -> None:
    """Commit small squares side by side in 30 x 30 pixels."""
    for i in range(first, first + count):
        commit(session, square(5 * (i // 6) % 30, 5 * (i % 6)))


def kill(session: Session) -> None:
    """End a session without saving, as SIGKILL does."""
    saver = session._autosave
    assert saver is not None
    with saver._wake:
        saver._closed = True
        saver._wake.notify_all()
    atexit.unregister(saver.close)
    if saver._thread is not None:
        saver._thread.join()


def recount(volume) -> dict[int, tuple[int, Box]]:
    """Pixels and box of every object, counted anew."""
    out = {}
    for label in np.unique(volume):
        if label:
            mask = Mask.crop(volume == label)
            out[int(label)] = (mask.area, mask.box)
    return out


def check_index(labels) -> None:
    """What the labels know without looking is what is there."""
    volume = labels.volume
    wanted = recount(volume)
    assert sorted(labels) == sorted(wanted)
    assert labels.count() == len(wanted)
    assert labels.covered() == sum(area for area, _ in wanted.values())
    for label, (area, box) in wanted.items():
        assert labels.area(label) == area
        assert labels.box(label) == box
        assert np.array_equal(labels.mask(label).bitmap, volume[box.slices] == label)
