"""What commands can do with the picked tracks of a movie in a frame: one place for keys and buttons."""

from __future__ import annotations

from collections.abc import Callable

from ..core import LabelError, Lineage, LineageError
from ..session import (
    Action,
    BeginDaughters,
    CutTrack,
    EndDaughters,
    EndTrack,
    JoinTracks,
    Orphan,
    Reparent,
    Session,
    SwapTracks,
    relative,
)
from .keys import Command

_ONE: dict[Command, Callable[[int, int], Action]] = {
    Command.DIVIDE: BeginDaughters,
    Command.CUT_TRACK: CutTrack,
    Command.END_TRACK: EndTrack,
    Command.ORPHAN: lambda track, frame: Orphan(track),
}
_TWO: dict[Command, Callable[[int, int, int], Action]] = {
    Command.JOIN: lambda first, second, frame: JoinTracks(first, second),
    Command.SWAP: SwapTracks,
    Command.REPARENT: lambda first, second, frame: Reparent(first, second),
}


def track_action(command: Command, picked: tuple[int, ...], frame: int) -> Action:
    """Return what a command does with the picked tracks in a frame. Raises LineageError unless as many are picked."""
    if command is Command.DAUGHTERS_DONE:
        return EndDaughters()
    if command in _ONE:
        if len(picked) != 1:
            raise LineageError(
                "No track is picked." if not picked else f"{len(picked)} tracks are picked.",
                "Pick one: click on it in the panel Tracks, or on the image with the pick tool.",
            )
        return _ONE[command](picked[0], frame)
    if len(picked) != 2:
        raise LineageError(
            f"This takes two tracks; {len(picked) or 'none'} {'is' if len(picked) < 2 else 'are'} picked.",
            "Click on one in the panel Tracks, then Shift-click on the other.",
        )
    return _TWO[command](picked[0], picked[1], frame)


def meant(session: Session) -> bool:
    """Whether the object in hand is what is to divide: nothing else is picked."""
    state = session.state
    return bool(state.prompts or state.proposals) and session.selected in ((), (state.target,))


def possible(session: Session, frame: int) -> frozenset[Command]:
    """Return the commands that can do something with the picked tracks in a frame."""
    state, picked = session.state, session.selected
    lineage = state.lineage
    found = {Command.DAUGHTERS_DONE} if state.mother else set()
    if lineage is None:
        return frozenset(found)
    picked = tuple(track for track in picked if track in lineage)
    try:
        frames = [session.frames(track) for track in picked[:3]]
    except LabelError:
        # It was deleted meanwhile: another change tells so.
        return frozenset(found)
    if len(picked) == 1:
        found |= _with_one(lineage, picked[0], frames[0], frame)
    elif len(picked) == 2:
        found |= _with_two(lineage, picked, frames, frame)
    if state.prompts or state.proposals:
        # What is in hand is committed first if it is what divides, and in the way if not.
        found -= {Command.DIVIDE}
        found |= {Command.DIVIDE} if meant(session) and frame > 0 else set()
    return frozenset(found)


def _with_one(lineage: Lineage, track: int, frames: tuple[int, ...], frame: int) -> set[Command]:
    found = {Command.ORPHAN} if lineage.parent(track) is not None else set()
    if frame in frames:
        found.add(Command.DELETE_HERE)
    if frame > frames[0]:
        found.add(Command.DIVIDE)
        if frame <= frames[-1]:
            found |= {Command.CUT_TRACK, Command.END_TRACK}
    return found


def _with_two(lineage: Lineage, picked: tuple[int, ...], frames: list[tuple[int, ...]], frame: int) -> set[Command]:
    first, second = frames
    found = set() if set(first) & set(second) else {Command.JOIN}
    if min(first[0], second[0]) < frame <= max(first[-1], second[-1]) and relative(lineage, *picked) is None:
        found.add(Command.SWAP)
    if first[0] > second[-1] and lineage.parent(picked[0]) != picked[1]:
        found.add(Command.REPARENT)
    return found
