"""Changing the tracks of a movie: each is one step, of labels and lineage together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core import Box, Delta, Lineage, LineageError, Note, ObjectInfo, PromptError
from ..kinship import cut, divided, exchanged, joined
from ..requests import Embed
from ..state import EDITING, Notice, State, Tool
from ..wording import counted, listed
from .base import Action

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class BeginDaughters(Action):
    """Let a track divide: it ends before ``frame``, and what is committed from now on are its daughters.

    What it has from ``frame`` on becomes its first daughter, of the same class, which gets its former ones. Raises
    LineageError where the track does not begin before ``frame``, and PromptError while an object is in hand.
    """

    mother: int
    frame: int
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        state, lineage = session.state, lineage_of(session)
        if state.prompts or state.proposals:
            raise PromptError("A track is being worked on.", "Commit it with C, or clear it with Shift-C.")
        frame, last = _inner(session, self.mother, self.frame, "divide", beyond=True)
        label, told = state.next_id, ""
        if frame <= last:
            session.write(_renamed(session, {self.mother: label}, frame), *_later(session, self.mother, label))
            lineage, state = divided(lineage, self.mother, label), replace(state, next_id=label + 1)
            told = f" What it had from there on is its daughter {label}."
        browsing = replace(state.browsing, plane=frame)
        if browsing.tool in EDITING:
            browsing = replace(browsing, tool=Tool.POINT)
        if frame != session.state.browsing.plane:
            session.want(Embed(frame))
        after = replace(state, lineage=lineage, mother=self.mother, browsing=browsing)
        session.edit(after, what=f"the division of track {self.mother}")
        session.notice = Notice(
            f"Track {self.mother} divides in frame {frame}.{told} Click on a daughter, follow it with Shift-S and keep "
            "it with C; then the next one. Done ends this."
        )


@dataclass(frozen=True, slots=True)
class EndDaughters(Action):
    """What is committed from now on are no daughters."""

    gist: ClassVar[str] = "ending the daughters"

    def apply(self, session: Session) -> bool:
        state = session.state
        if not state.mother:
            return False
        count = len(state.lineage.children(state.mother)) if state.lineage and state.mother in state.lineage else 0
        session.edit(replace(state, mother=0))
        session.notice = Notice(f"Track {state.mother} has {counted(count, 'daughter')}.")
        return True


@dataclass(frozen=True, slots=True)
class CutTrack(Action):
    """Make what a track is from ``frame`` on another track, without mother, which gets the daughters.

    Both are of its class; its name stays with the earlier part.
    """

    track: int
    frame: int
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        state, lineage = session.state, lineage_of(session)
        frame, _ = _inner(session, self.track, self.frame, "be cut")
        label = state.next_id
        session.write(_renamed(session, {self.track: label}, frame), *_later(session, self.track, label))
        session.edit(
            replace(state, lineage=cut(lineage, self.track, label), next_id=label + 1),
            what=f"cutting track {self.track}",
        )
        session.notice = Notice(f"Track {self.track} ends before frame {frame}; from there on it is track {label}.")


@dataclass(frozen=True, slots=True)
class EndTrack(Action):
    """Remove what a track is from ``frame`` on; its daughters have no mother then."""

    track: int
    frame: int
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        state, lineage = session.state, lineage_of(session)
        frame, last = _inner(session, self.track, self.frame, "end")
        daughters = lineage.children(self.track)
        for one in daughters:
            lineage = lineage.cut(one)
        session.write(_renamed(session, {self.track: 0}, frame))
        session.edit(replace(state, lineage=lineage), what=f"ending track {self.track}")
        have = "has" if len(daughters) == 1 else "have"
        lost = f" Its {listed(daughters, 'daughter', len(daughters))} {have} no mother now." if daughters else ""
        session.notice = Notice(f"Track {self.track} ends before frame {frame}; it went on to frame {last}.{lost}")


@dataclass(frozen=True, slots=True)
class JoinTracks(Action):
    """Make the later one of two tracks the later part of the other. They must not share a frame.

    Other daughters of the earlier one have no mother then. Name and class are those of the earlier one, where it has
    some, else those of the other.
    """

    first: int
    second: int
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        first, second = _two(session, self.first, self.second)
        lineage = lineage_of(session)
        if session.frames(second)[0] < session.frames(first)[0]:
            first, second = second, first
        both = sorted(set(session.frames(first)) & set(session.frames(second)))
        if both:
            others = f" and {counted(len(both) - 1, 'other')}" if len(both) > 1 else ""
            raise LineageError(
                f"Tracks {first} and {second} are both there in frame {both[0]}{others}.",
                "Cut or end one of them there first; two cells that were taken for one can be merged (merge tool).",
            )
        gap = range(session.frames(first)[-1] + 1, session.frames(second)[0])
        after, told = joined(lineage, first, second)
        known = _of_both(session, first, second)
        session.write(session.labels.renumber(second, first), *known)
        session.edit(replace(session.state, lineage=after), what=f"joining tracks {first} and {second}")
        missing = f" It is missing in {counted(len(gap), 'frame')} between." if gap else ""
        session.notice = Notice(f"Track {second} is now the later part of track {first}.{missing}{told}")


@dataclass(frozen=True, slots=True)
class SwapTracks(Action):
    """Let two tracks exchange what they are from ``frame`` on, their daughters as well.

    Names and classes go with the numbers, as what is said of a track is said of where it begins.
    """

    first: int
    second: int
    frame: int
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        first, second = _two(session, self.first, self.second)
        lineage, frame = lineage_of(session), frame_of(session, self.frame)
        if (older := relative(lineage, first, second)) is not None:
            younger = second if older == first else first
            raise LineageError(
                f"Track {younger} descends from track {older}: they cannot be swapped.",
                "Swap two cells that were mistaken for each other; what begins too late or too early can be cut and "
                "joined.",
            )
        begins = {one: session.frames(one)[0] for one in (first, second)}
        if frame > max(session.frames(first)[-1], session.frames(second)[-1]):
            raise LineageError(f"Neither track is there from frame {frame} on.", "Choose an earlier frame.")
        if frame <= min(begins.values()):
            raise LineageError(
                f"Both tracks begin in frame {frame} or later: nothing but their numbers would change.",
                "Choose the frame in which they are mistaken for each other.",
            )
        session.write(_renamed(session, {first: second, second: first}, frame))
        after = replace(session.state, lineage=exchanged(lineage, first, second))
        session.edit(after, what=f"swapping tracks {first} and {second}")
        session.notice = Notice(f"From frame {frame} on tracks {first} and {second} are exchanged.")


@dataclass(frozen=True, slots=True)
class Reparent(Action):
    """Make a track the daughter of another one, which ends before it begins."""

    track: int
    mother: int
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        track, mother = _two(session, self.track, self.mother)
        lineage = lineage_of(session)
        if lineage.parent(track) == mother:
            raise LineageError(f"Track {track} is a daughter of track {mother} already.", "Pick another track.")
        after = replace(session.state, lineage=lineage.reparent(track, mother))
        session.edit(after, what=f"making track {track} a daughter of track {mother}")
        session.notice = Notice(f"Track {track} is now a daughter of track {mother}.")


@dataclass(frozen=True, slots=True)
class Orphan(Action):
    """Take a track away from its mother."""

    track: int
    lasting: ClassVar[bool] = True

    def apply(self, session: Session) -> None:
        lineage = lineage_of(session)
        session.frames(self.track)
        mother = lineage.parent(self.track)
        if mother is None:
            raise LineageError(f"Track {self.track} has no mother.", "Pick a daughter.")
        after = replace(session.state, lineage=lineage.cut(self.track))
        session.edit(after, what=f"taking track {self.track} away from its mother")
        session.notice = Notice(f"Track {self.track} is no daughter of track {mother} any longer.")


def lineage_of(session: Session) -> Lineage:
    """Return the lineage of a movie. Raises LineageError for other images."""
    lineage = session.state.lineage
    if lineage is None:
        raise LineageError("There are no tracks in an image or a volume.", "Open a movie with annotate_tracks.")
    return lineage


def relative(lineage: Lineage, first: int, second: int) -> int | None:
    """Return which of two tracks the other one descends from, None where neither does."""
    if second in lineage.descendants(first):
        return first
    return second if first in lineage.descendants(second) else None


def committed_to(state: State, labels: list[int]) -> State:
    """Return the state in which new tracks are daughters of the one whose daughters are being marked."""
    if not state.mother or state.lineage is None or not labels:
        return state
    lineage = state.lineage
    mother = state.mother
    if mother not in lineage:
        return replace(state, mother=0)
    for one in labels:
        if one != mother and one not in lineage:
            lineage = lineage.divide(mother, (one,))
    return replace(state, lineage=lineage)


def accepted_by(session: Session, labels: Sequence[int], *, single: bool) -> tuple[State, str]:
    """Return the state in which candidates that were kept as tracks are daughters, and a sentence about that.

    Only those that were chosen (``single``): who keeps all of a frame does not mean daughters. Nor are those that
    begin while their mother is there.
    """
    state, mother = session.state, session.state.mother
    if not mother or state.lineage is None or mother not in state.lineage:
        return state, ""
    if not single:
        return state, f" No daughter of track {mother} is among them: choose those one by one."
    end = session.frames(mother)[-1]
    late = [one for one in labels if session.frames(one)[0] > end]
    if not late:
        return state, f" No daughter of track {mother}, which is there until frame {end}."
    return committed_to(state, late), f" Daughter{'s' if len(late) > 1 else ''} of track {mother}."


def _two(session: Session, first: int, second: int) -> tuple[int, int]:
    if first == second:
        raise LineageError("Two tracks are needed.", "Pick one, then Shift-click on the other.")
    _check_free(session, first, second)
    session.frames(first)
    session.frames(second)
    return int(first), int(second)


def _check_free(session: Session, *tracks: int) -> None:
    """Raise PromptError when one of some tracks is in hand: committing it would bring back what is changed now."""
    if session.state.target in tracks:
        what = f"Track {session.state.target} is being worked on."
        raise PromptError(what, "Commit it with C, or clear it with Shift-C.")


def frame_of(session: Session, frame: int) -> int:
    """Return a frame as a number. Raises LineageError for one that is not there."""
    count = session.shape[0]
    if not 0 <= int(frame) < count:
        raise LineageError(f"There is no frame {frame}.", f"Choose one from 0 to {count - 1}.")
    return int(frame)


def _inner(session: Session, track: int, frame: int, what: str, *, beyond: bool = False) -> tuple[int, int]:
    """Return the frame, which lies after the first one of a track, and its last one; ``beyond``: it may lie later."""
    _check_free(session, track)
    frames, frame = session.frames(track), frame_of(session, frame)
    if frame <= frames[0]:
        raise LineageError(
            f"Track {track} begins in frame {frames[0]}: it cannot {what} in frame {frame}.",
            "Go to a later frame, or delete the track.",
        )
    if frame > frames[-1] and not beyond:
        raise LineageError(f"Track {track} ends in frame {frames[-1]} already.", "Go to an earlier frame.")
    return frame, frames[-1]


def _later(session: Session, track: int, label: int) -> list[Note]:
    """Return what is said of the later part of a track, which is the new ``label`` now."""
    info = session.infos.get(track)
    return [] if info is None else [Note(label, None, replace(info, name="", checked=False))]


def _of_both(session: Session, first: int, second: int) -> list[Note]:
    """Return what is said of a track of which ``second`` is the later part now; a score was given to one of them."""
    none = ObjectInfo()
    known = session.infos.get(first)
    one, other = known or none, session.infos.get(second, none)
    chosen = one if one.category else other
    after = replace(
        one, score=None, name=one.name or other.name, category=chosen.category, probability=chosen.probability,
        checked=one.checked and other.checked,
    )  # fmt: skip
    return [] if after == one else [Note(first, known, after)]


def _renamed(session: Session, names: dict[int, int], frame: int) -> Delta:
    """Return the write that gives tracks other numbers from ``frame`` on, 0 for none."""
    where = Box.around(session.labels.box(one) for one in names)
    (p0, y0, x0), stop = where.start, where.stop
    where = Box((max(p0, frame), y0, x0), stop)
    after = session.labels.volume[where.slices].copy()
    before = after.copy()
    for old, new in names.items():
        after[before == old] = np.uint32(new)
    return session.labels.change(where, after)
