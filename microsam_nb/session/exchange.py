"""Labels of a whole movie in the place of all that are there: what takes long is made before the session is locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from ..core import Box, Delta, Labels

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """Other ``labels``, and the ``writes``, one per plane, that lead there from those that a session had.

    ``old`` are these, and ``seen`` how often each of their planes had been written to. ``frames`` of the new
    objects, in order, as far as they are known.
    """

    labels: Labels
    writes: tuple[Delta, ...]
    old: Labels
    seen: NDArray[np.int64]
    frames: Mapping[int, tuple[int, ...]]

    @classmethod
    def of(cls, session: Session, labels: NDArray[np.uint32], frames: Mapping[int, tuple[int, ...]]) -> Self:
        """Compare ``labels`` (planes, h, w), kept from now on, with those of a session, which may change meanwhile."""
        old, new = session.labels, Labels.taking(labels)
        seen, writes = old.writes.copy(), []
        for plane, after in enumerate(labels):
            seen[plane] = old.writes[plane]  # before it is read: what is written from now on is noticed
            where = _plane(session, plane)
            writes.append(Delta.between(where, session.crop(where), after[None]))
        return cls(new, tuple(writes), old, seen, frames)

    def steps(self, session: Session) -> list[Delta]:
        """Return the writes from what the session, now locked, has by now."""
        same = (self.old.writes == self.seen) & (self.old is session.labels)
        made = list(self.writes)
        for plane in np.flatnonzero(~same).tolist():
            where = _plane(session, plane)
            made[plane] = session.labels.change(where, self.labels.volume[where.slices])
        return [one for one in made if not one.empty]


def _plane(session: Session, plane: int) -> Box:
    _, height, width = session.shape
    return Box((plane, 0, 0), (plane + 1, height, width))
