"""Whole movies of tracks: linked automatically, or made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ...core import Box, LabelError, Lineage, Note, Tracks
from ..packing import pack, unpack
from ..requests import Setting
from ..state import Notice
from .base import Action
from .tracking import lineage_of

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class LinkAll(Action):
    """Link the objects of all frames to tracks, which take the place of all that are there.

    ``segment``: find all objects first, in ``mode`` and with its settings where they are among the ``options``; else
    those that are committed are linked, whatever tracks they are now. Other ``options`` are those of linking.
    """

    options: tuple[Setting, ...] = ()
    segment: bool = True
    mode: str = "auto"
    journaled: ClassVar[bool] = False
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        lineage_of(session)
        if not self.segment and not session.labels.count():
            raise LabelError("There is no object to link.", "Find all objects first, or commit a few.")
        session.link(self.mode, self.options, segment=self.segment)
        session.notice = Notice(f"{'Finding all objects, then linking' if self.segment else 'Linking'} them ...")


@dataclass(frozen=True, slots=True)
class Linked(Action):
    """All tracks that were found for ``ticket``: in the place of all objects. Ignored when no longer awaited."""

    ticket: int
    data: str
    shape: tuple[int, int, int]
    lineage: Lineage
    about: str = ""
    lasting: ClassVar[bool] = True

    @classmethod
    def of(cls, ticket: int, tracks: Tracks, about: str = "") -> Self:
        frames, height, width = tracks.labels.shape
        return cls(ticket, pack(tracks.labels), (frames, height, width), tracks.lineage, about)

    def apply(self, session: Session) -> bool:
        if not session.found(self.ticket):
            return False
        session.work, made = None, session.meanwhile
        _replace_all(session, unpack(self.data, self.shape), self.lineage)
        newer = f", also {made} that you have made meanwhile" if made else ""
        session.notice = Notice(
            f"{_counted(session)} {self.about}".strip() + f" Ctrl-Z brings back what was there{newer}."
        )
        return True


@dataclass(frozen=True, slots=True)
class LoadTracks(Action):
    """Put tracks from elsewhere in the place of all objects; one step. Make it with ``LoadTracks.of(tracks)``."""

    data: str
    shape: tuple[int, int, int]
    lineage: Lineage
    source: str = ""
    lasting: ClassVar[bool] = True

    @classmethod
    def of(cls, tracks: Tracks, source: str = "") -> Self:
        frames, height, width = tracks.labels.shape
        return cls(pack(tracks.labels), (frames, height, width), tracks.lineage, source)

    def apply(self, session: Session) -> None:
        lineage_of(session)
        if tuple(self.shape) != session.shape:
            raise LabelError(
                f"The tracks have shape {tuple(self.shape)}, the movie {session.shape}.",
                "Give tracks made for this movie (t, y, x).",
            )
        _replace_all(session, unpack(self.data, self.shape), self.lineage)
        where = f" from {self.source}" if self.source else ""
        session.notice = Notice(f"{_counted(session)} Loaded{where}." if where else f"{_counted(session)}")


def _replace_all(session: Session, labels: NDArray[np.uint32], lineage: Lineage) -> None:
    old = dict(session.infos)
    session.write(session.labels.change(Box((0, 0, 0), session.shape), labels))
    # A number that is there again means another track.
    session.write(*(Note(label, info, None) for label, info in old.items() if label in session.infos))
    free = max(session.state.next_id, session.labels.free_id)
    session.edit(session.state.emptied(next_id=free, lineage=lineage, mother=0))


def _counted(session: Session) -> str:
    lineage = lineage_of(session)
    count, divisions = len(lineage), sum(len(some) > 1 for some in lineage.daughters.values())
    return f"{count} track{'' if count == 1 else 's'}, {divisions} division{'' if divisions == 1 else 's'}."
