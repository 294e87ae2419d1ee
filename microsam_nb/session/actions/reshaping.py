"""Correcting the outlines of committed objects, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core import LabelError, Mask, PromptError
from ...core.editing import without_holes
from ...core.reshaping import around, attached, grown, largest_part, shrunk, smoothed
from ..state import Notice
from ..wording import be, listed
from .base import Action
from .objects import own_mask
from .painting import by_hand

if TYPE_CHECKING:
    from ..session import Session

#: Wider discs, in pixels, are a mistake.
_WIDEST = 200.0


@dataclass(frozen=True, slots=True)
class FillHoles(Action):
    """Fill the background that objects enclose, plane by plane; of a movie, or with a ``plane``, in that one only.

    Raises LabelError for objects that are not there, PromptError when none has a hole.
    """

    labels: tuple[int, ...]
    plane: int | None = None
    lasting: ClassVar[bool] = True
    gist: ClassVar[str] = "filling holes"

    def apply(self, session: Session) -> None:
        def filled(mask: Mask) -> tuple[Mask, int]:
            return without_holes(mask), 0

        changed, _ = _reshape(session, self.labels, self.plane, filled)
        if not changed:
            raise PromptError("There is no hole in what is picked.", "Pick an object that encloses background.")
        session.edit(session.state)
        session.notice = Notice(f"The holes of {listed(changed, session.noun.lower())} are filled.")


@dataclass(frozen=True, slots=True)
class Smooth(Action):
    """Smooth outlines by an opening and a closing with a disc, ``radius`` in pixels; planes as in ``FillHoles``.

    Objects are neither deleted, joined nor taken apart: where a disc would do that they stay as they are, and that is
    said. Raises LabelError for objects that are not there, PromptError for a wrong radius or when nothing changes.
    """

    labels: tuple[int, ...]
    radius: float = 2.0
    plane: int | None = None
    lasting: ClassVar[bool] = True
    gist: ClassVar[str] = "smoothing"

    def apply(self, session: Session) -> None:
        radius = _width(self.radius)

        def smooth(mask: Mask) -> tuple[Mask, int]:
            return smoothed(mask, radius, session.shape)

        changed, thin = _reshape(session, self.labels, self.plane, smooth)
        kept = (
            f" {listed(thin, session.noun)} stay{'s' if len(thin) == 1 else ''} where thinner than that."
            if thin
            else ""
        )
        if not changed:
            raise PromptError(
                f"A radius of {radius:g} changes nothing.{kept}",
                "Use a smaller radius, or the brush and the eraser." if thin else "Use a larger radius.",
            )
        session.edit(session.state)
        session.notice = Notice(f"{listed(changed, session.noun)} {be(len(changed))} smoothed.{kept}")


@dataclass(frozen=True, slots=True)
class Grow(Action):
    """Grow objects by ``pixels`` in the plane, never over others; less than 0 shrinks. Planes as in ``FillHoles``.

    What would vanish stays as it is, and that is said. Raises LabelError for objects that are not there, PromptError
    for a wrong width or when nothing changes.
    """

    labels: tuple[int, ...]
    pixels: float = 1.0
    plane: int | None = None
    lasting: ClassVar[bool] = True
    gist: ClassVar[str] = "growing"

    def apply(self, session: Session) -> None:
        width = _width(abs(self.pixels))
        if self.pixels < 0:
            self._shrink(session, width)
            return
        plane = _plane(session, self.plane)
        owns = {label: own_mask(session, label, plane) for label in _meant(session, self.labels)}
        where = around(list(owns.values()), int(np.ceil(width)), session.shape)
        new = grown(owns, width, session.labels.volume[where.slices] != 0, where)
        changed = [label for label, own in owns.items() if _replace(session, label, own, new[label])]
        if not changed:
            raise PromptError("There is no room to grow.", "Delete or shrink what lies around first.")
        session.edit(session.state)
        session.notice = Notice(
            f"{listed(changed, session.noun)} {be(len(changed))} up to {_pixels(width)} wider around."
        )

    def _shrink(self, session: Session, width: float) -> None:
        def shrink(mask: Mask) -> tuple[Mask, int]:
            left = shrunk(mask, width, session.shape)
            return (left, 0) if left.area else (mask, 1)

        changed, thin = _reshape(session, self.labels, self.plane, shrink)
        kept = f" {listed(thin, session.noun)} would vanish and stay{'s' if len(thin) == 1 else ''}." if thin else ""
        if not changed:
            raise PromptError(f"Nothing is shrunk.{kept}", "Shrink by fewer pixels, or delete it.")
        session.edit(session.state, what="shrinking")
        session.notice = Notice(
            f"{listed(changed, session.noun)} {be(len(changed))} {_pixels(width)} narrower all around.{kept}"
        )


@dataclass(frozen=True, slots=True)
class KeepLargest(Action):
    """Keep of each object only the largest of its parts that do not touch; planes as in ``FillHoles``.

    Raises LabelError for objects that are not there, PromptError when all are in one piece.
    """

    labels: tuple[int, ...]
    plane: int | None = None
    lasting: ClassVar[bool] = True
    gist: ClassVar[str] = "keeping the largest part"

    def apply(self, session: Session) -> None:
        changed, _ = _reshape(session, self.labels, self.plane, largest_part)
        if not changed:
            raise PromptError("What is picked is in one piece.", "Pick an object of several parts.")
        session.edit(session.state)
        session.notice = Notice(f"Of {listed(changed, session.noun.lower())} the largest part is kept.")


def _meant(session: Session, labels: Sequence[int]) -> list[int]:
    """Return the objects, each once. Raises LabelError without any, or for one that is not there."""
    meant = list(dict.fromkeys(int(n) for n in labels))
    if not meant:
        raise LabelError(f"No {session.noun.lower()} is picked.", "Click on one with the pick tool first.")
    for label in meant:
        session.labels.box(label)
    return meant


def _plane(session: Session, plane: int | None) -> int | None:
    """Return the one plane that is meant, None for all: cells move, so of a movie it is always one."""
    if plane is None:
        return session.state.browsing.plane if session.movie else None
    count = session.shape[0]
    if not 0 <= int(plane) < count:
        raise LabelError(f"There is no {session.word} {plane}.", f"Choose one from 0 to {count - 1}.")
    return int(plane)


def _reshape(
    session: Session, labels: Sequence[int], plane: int | None, shaped: Callable[[Mask], tuple[Mask, int]]
) -> tuple[list[int], list[int]]:
    """Give objects other shapes; return which changed, and for which ``shaped`` said that it left something out."""
    plane = _plane(session, plane)
    changed, left = [], []
    owns = {label: own_mask(session, label, plane) for label in _meant(session, labels)}
    for label, own in owns.items():
        new, other = shaped(own)
        if _replace(session, label, own, new):
            changed.append(label)
        if other:
            left.append(label)
    return changed, left


def _replace(session: Session, label: int, own: Mask, new: Mask) -> bool:
    """Write another shape in the place of an object's own, or of its section, as far as others leave room.

    Return whether that changes anything. What other objects would cut off from it is not written.
    """
    where = own.box.union(new.box)
    before = session.labels.volume[where.slices]
    old = own.dense_in(where)
    room = new.dense_in(where) & (old | (before == 0))
    room = attached(room, old)
    if np.array_equal(room, old):
        return False
    after = np.where(room, np.uint32(label), np.where(old, np.uint32(0), before))
    session.write(session.labels.change(where, after))
    by_hand(session, label)
    return True


def _width(pixels: float) -> float:
    if not 0 < pixels <= _WIDEST:
        raise PromptError(f"{pixels:g} pixels are not possible.", f"Choose up to {_WIDEST:g} pixels, but not 0.")
    return float(pixels)


def _pixels(width: float) -> str:
    return f"{width:g} pixel{'' if width == 1 else 's'}"
