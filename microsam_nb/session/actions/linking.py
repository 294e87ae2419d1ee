"""Whole movies of tracks: linked automatically, or made elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

from ...core import LabelError, Lineage, LineageError, Tracks
from ..exchange import Exchange
from ..packing import pack, unpack
from ..requests import Setting
from ..state import Notice
from ..wording import counted
from .base import UNWRITTEN, Action
from .tracking import frame_of, lineage_of

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class LinkAll(Action):
    """Link the objects of all frames to tracks, which take the place of all that are there.

    ``segment``: find all objects first, in ``mode`` and with its settings where they are among the ``options``; else
    those that are committed are linked, whatever tracks they are now. Other ``options`` are those of linking.
    ``only``: these tracks, () for all, are linked anew; ``first``: from this frame on. All others, and all that lies
    before, stay as they are. Raises LineageError for a track or a frame that is not there.
    """

    options: tuple[Setting, ...] = ()
    segment: bool = True
    mode: str = "auto"
    only: tuple[int, ...] = ()
    first: int = 0
    journaled: ClassVar[bool] = False
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        lineage, first = lineage_of(session), frame_of(session, self.first)
        gone = [track for track in self.only if track not in lineage]
        if gone:
            raise LineageError(f"There is no track {gone[0]}.", "Pick one of the lineage that is to be linked.")
        if not self.segment and not session.labels.count():
            raise LabelError("There is no object to link.", "Find all objects first, or commit a few.")
        session.link(self.mode, self.options, segment=self.segment, only=self.only, first=first)
        begin = f" from frame {first} on" if first else ""
        left = " All other tracks stay." if self.only else ""
        what = f"{'Finding all objects, then linking' if self.segment else 'Linking'} them"
        session.notice = Notice(f"{what}{begin} ...{left}")


@dataclass(frozen=True, slots=True)
class Linked(Action):
    """All tracks that were found for ``ticket``: in the place of all objects. Ignored when no longer awaited.

    ``kept`` are those that were there before, and of which what is said stays.
    """

    ticket: int
    data: str
    shape: tuple[int, int, int]
    lineage: Lineage
    about: str = ""
    kept: tuple[int, ...] = ()
    tracks: Tracks | None = field(default=None, repr=False, compare=False, metadata=UNWRITTEN)
    other: Exchange | None = field(default=None, repr=False, compare=False, metadata=UNWRITTEN)
    lasting: ClassVar[bool] = True
    gist: ClassVar[str] = "linking all"

    @classmethod
    def of(cls, ticket: int, tracks: Tracks, about: str = "", kept: Iterable[int] = ()) -> Self:
        return cls(ticket, pack(tracks.labels), _shape(tracks), tracks.lineage, about, tuple(kept), tracks)

    def prepared(self, session: Session) -> Linked:
        # What is no longer awaited never is again.
        return replace(self, other=_other(session, self)) if session.seeks(self.ticket) else self

    def apply(self, session: Session) -> bool:
        if not session.found(self.ticket):
            return False
        session.work, made = None, session.meanwhile
        _replace_all(session, self, self.kept)
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
    tracks: Tracks | None = field(default=None, repr=False, compare=False, metadata=UNWRITTEN)
    other: Exchange | None = field(default=None, repr=False, compare=False, metadata=UNWRITTEN)
    lasting: ClassVar[bool] = True

    @classmethod
    def of(cls, tracks: Tracks, source: str = "") -> Self:
        return cls(pack(tracks.labels), _shape(tracks), tracks.lineage, source, tracks)

    def prepared(self, session: Session) -> LoadTracks:
        # Of another shape they are refused.
        return replace(self, other=_other(session, self)) if tuple(self.shape) == session.shape else self

    def apply(self, session: Session) -> None:
        lineage_of(session)
        if tuple(self.shape) != session.shape:
            raise LabelError(
                f"The tracks have shape {tuple(self.shape)}, the movie {session.shape}.",
                "Give tracks made for this movie (t, y, x).",
            )
        _replace_all(session, self, loaded=True)
        where = f" from {self.source}" if self.source else ""
        session.notice = Notice(f"{_counted(session)} Loaded{where}." if where else f"{_counted(session)}")


def _shape(tracks: Tracks) -> tuple[int, int, int]:
    frames, height, width = tracks.labels.shape
    return frames, height, width


def _other(session: Session, action: Linked | LoadTracks) -> Exchange:
    """Return the tracks of an action as they take the place of the objects of a session."""
    known = action.tracks
    if known is not None:
        return Exchange.of(session, known.labels.copy(), known.present)
    return Exchange.of(session, unpack(action.data, action.shape), {})


def _replace_all(
    session: Session, action: Linked | LoadTracks, kept: tuple[int, ...] = (), *, loaded: bool = False
) -> None:
    session.exchange(action.other or _other(session, action), kept)
    after = session.state.emptied(
        next_id=max(session.state.next_id, session.labels.free_id), lineage=action.lineage, mother=0
    )
    what = f"loading {counted(session.labels.count(), 'track')}" if loaded else ""
    session.edit(after, what=what, loaded=action.data if loaded else "")


def _counted(session: Session) -> str:
    lineage = lineage_of(session)
    count, divisions = len(lineage), sum(len(some) > 1 for some in lineage.daughters.values())
    return f"{counted(count, 'track')}, {counted(divisions, 'division')}."
