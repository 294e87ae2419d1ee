"""What becomes of a lineage when tracks are cut, joined and exchanged; pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from ..core import Lineage, LineageError
from .wording import listed

#: The frames in which a track has pixels, in order.
Frames = Callable[[int], tuple[int, ...]]


def with_tracks(lineage: Lineage, tracks: Iterable[int]) -> Lineage:
    """Return a lineage of exactly these tracks: new ones have no relatives, daughters of lost ones no mother."""
    there = set(tracks)
    if there == set(lineage):
        return lineage
    return Lineage({one: tuple(d for d in lineage.daughters.get(one, ()) if d in there) for one in there})


def moved(before: Lineage, after: Lineage) -> set[int]:
    """Return the tracks that have another mother than before."""
    known = before.parents
    return {daughter for daughter, mother in after.parents.items() if known.get(daughter) != mother}


def check_times(lineage: Lineage, frames: Frames, tracks: Iterable[int]) -> None:
    """Raise LineageError unless each of some tracks begins after the last frame of her mother, and ends before
    her daughters begin.
    """
    mothers = lineage.parents
    own = [track for track in tracks if track in lineage]
    pairs = {(track, mothers[track]) for track in own if track in mothers}
    pairs |= {(daughter, track) for track in own for daughter in lineage.daughters[track]}
    for daughter, mother in sorted(pairs):
        begin, end = frames(daughter)[0], frames(mother)[-1]
        if begin <= end:
            raise LineageError(
                f"Track {daughter} would begin in frame {begin}, but its mother {mother} is there until frame {end}.",
                f"End track {mother} before frame {begin} first, or take track {daughter} away from it (No mother).",
            )


def in_time(lineage: Lineage, frames: Frames) -> Lineage:
    """Return a lineage without the daughters that begin too early."""
    late = {d: m for d, m in lineage.parents.items() if frames(d)[0] > frames(m)[-1]}
    return _of(lineage, late)


def cut(lineage: Lineage, track: int, later: int) -> Lineage:
    """Return the lineage in which what ``track`` was later on is the new track ``later``, with the daughters."""
    daughters = lineage.children(track)
    return Lineage({**lineage.daughters, track: (), later: daughters})


def divided(lineage: Lineage, mother: int, later: int) -> Lineage:
    """Return the lineage in which what ``mother`` was later on is her daughter ``later``, with her former daughters."""
    return cut(lineage, mother, later).divide(mother, (later,))


def joined(lineage: Lineage, first: int, second: int) -> tuple[Lineage, str]:
    """Return the lineage in which ``second``, now gone, was the later part of ``first``; and who lost a mother by that.

    What ``first`` had for daughters has no mother then, and ``second`` has the mother of ``first``.
    """
    lost = tuple(d for d in lineage.children(first) if d != second)
    mother = lineage.parent(second)
    for one in lost:
        lineage = lineage.cut(one)
    if mother not in (None, first):
        lineage = lineage.cut(second)
    have = "has" if len(lost) == 1 else "have"
    names = listed(lost, "Track", len(lost))
    told = f" {names}, until now from track {first}, {have} no mother now." if lost else ""
    if mother not in (None, first):
        told += f" It is no daughter of track {mother} any longer."
    return lineage.join(first, second), told


def merged(lineage: Lineage, kept: int, others: Collection[int]) -> Lineage:
    """Return the lineage in which the pixels of other tracks are part of ``kept``, which gets their daughters."""
    one = {kept, *others}
    mothers = {d: kept if m in one else m for d, m in lineage.parents.items() if d not in others and m not in one}
    mothers |= {d: kept for d, m in lineage.parents.items() if m in one and d not in one}
    return _of(lineage, mothers, without=others)


def exchanged(lineage: Lineage, first: int, second: int) -> Lineage:
    """Return the lineage in which two tracks have each other's daughters."""
    names = {first: second, second: first}
    mothers = {d: names.get(m, m) for d, m in lineage.parents.items()}
    return _of(lineage, mothers)


def _of(lineage: Lineage, mothers: Mapping[int, int], without: Collection[int] = ()) -> Lineage:
    daughters: dict[int, list[int]] = {track: [] for track in lineage if track not in without}
    for daughter, mother in mothers.items():
        daughters[mother].append(daughter)
    return Lineage({track: tuple(some) for track, some in daughters.items()})
