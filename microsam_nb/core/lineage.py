"""Which track descends from which."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from .errors import LineageError

#: Track ids are pixels of label images.
_LARGEST = 2**32 - 1

Daughters = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Every track with its ``daughters``, none for most; immutable, each method returns another lineage.

    Made from a mapping of track ids to the ids of their daughters; daughters that are no key of their own are added.
    A track has any number of daughters and at most one mother. Raises LineageError for two mothers, a circle, or an
    id that is not a whole number from 1 to 2**32 - 1. ``parents`` has the mother of every track that has one.
    """

    daughters: Daughters = field(default_factory=dict)
    parents: Mapping[int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        read = {_id(track): tuple(sorted({_id(d) for d in some})) for track, some in dict(self.daughters).items()}
        whole = {track: read.get(track, ()) for track in sorted({*read, *(d for some in read.values() for d in some)})}
        mothers: dict[int, int] = {}
        for track, some in whole.items():
            for daughter in some:
                if daughter in mothers:
                    raise LineageError(
                        f"Track {daughter} has two mothers, {mothers[daughter]} and {track}.",
                        f"Cut it from one of them first: cut({daughter}).",
                    )
                mothers[daughter] = track
        _check_circles(whole, mothers)
        object.__setattr__(self, "daughters", MappingProxyType(whole))
        object.__setattr__(self, "parents", MappingProxyType(mothers))

    def __hash__(self) -> int:
        return hash(tuple(self.daughters.items()))

    def __reduce__(self) -> tuple[type[Lineage], tuple[dict[int, tuple[int, ...]]]]:
        return type(self), (dict(self.daughters),)

    def __contains__(self, track: int) -> bool:
        return track in self.daughters

    def __iter__(self) -> Iterator[int]:
        return iter(self.daughters)

    def __len__(self) -> int:
        return len(self.daughters)

    @property
    def roots(self) -> tuple[int, ...]:
        """Tracks without mother, in order."""
        mothers = self.parents
        return tuple(track for track in self.daughters if track not in mothers)

    @property
    def free_id(self) -> int:
        """The smallest id above all that are used. Raises LineageError when there is none left."""
        largest = max(self.daughters, default=0)
        if largest == _LARGEST:
            raise LineageError("The largest track id is taken.", "Renumber the tracks from 1.")
        return largest + 1

    def children(self, track: int) -> tuple[int, ...]:
        """Return the daughters of a track. Raises LineageError for an unknown one."""
        return self.daughters[self._known(track)]

    def parent(self, track: int) -> int | None:
        """Return the mother of a track, if it has one. Raises LineageError for an unknown one."""
        return self.parents.get(self._known(track))

    def descendants(self, track: int) -> tuple[int, ...]:
        """Return daughters, their daughters and so on, nearest first. Raises LineageError for an unknown track."""
        found = list(self.children(track))
        for one in found:  # grows while it runs
            found.extend(self.daughters[one])
        return tuple(found)

    def generation(self, track: int) -> int:
        """Return how many divisions lie before a track; 0 for a root."""
        mothers, count = self.parents, 0
        while track in mothers:
            track, count = mothers[track], count + 1
        self._known(track)
        return count

    def add(self, track: int) -> Lineage:
        """Return a lineage with one more track, without mother. Raises LineageError when it is there already."""
        if track in self.daughters:
            raise LineageError(f"There is a track {track} already.", f"Use the free id {self.free_id}.")
        return Lineage({**self.daughters, track: ()})

    def divide(self, mother: int, daughters: Iterable[int] | None = None) -> Lineage:
        """Return a lineage in which ``mother`` has ``daughters`` too, by default two new ones with free ids.

        Daughters may be new tracks or tracks without mother. Raises LineageError.
        """
        self._known(mother)
        if daughters is None:
            first = self.free_id
            daughters = (first, first + 1)
        new = tuple(daughters)
        if not new:
            raise LineageError(f"Track {mother} cannot divide into nothing.", "Name its daughters.")
        mothers = self.parents
        for daughter in new:
            if daughter in mothers:
                raise LineageError(
                    f"Track {daughter} descends from track {mothers[daughter]} already.",
                    f"Use the free id {self.free_id}, or reparent({daughter}, {mother}).",
                )
        return Lineage({**self.daughters, mother: (*self.daughters[mother], *new)})

    def cut(self, track: int) -> Lineage:
        """Return a lineage in which ``track`` has no mother; its own daughters stay. Raises LineageError."""
        mother = self.parent(track)
        if mother is None:
            raise LineageError(f"Track {track} has no mother.", "There is nothing to cut.")
        return Lineage({**self.daughters, mother: tuple(d for d in self.daughters[mother] if d != track)})

    def reparent(self, track: int, mother: int) -> Lineage:
        """Return a lineage in which ``track`` descends from ``mother`` and no longer from another track.

        Raises LineageError for unknown tracks and where a track would descend from itself.
        """
        loose = self if self.parent(track) is None else self.cut(track)
        return loose.divide(mother, (track,))

    def join(self, first: int, second: int) -> Lineage:
        """Return a lineage in which ``second``, now gone, was the later part of ``first``, which gets its daughters.

        Raises LineageError when ``first`` has other daughters, or ``second`` another mother.
        """
        if first == second:
            raise LineageError(f"Track {first} cannot continue itself.", "Name two tracks.")
        others = [d for d in self.children(first) if d != second]
        if others:
            raise LineageError(
                f"Track {first} divides into {', '.join(map(str, others))}; it cannot go on as track {second}.",
                "Cut its daughters first, or join the track with one of them.",
            )
        mother = self.parent(second)
        if mother not in (None, first):
            raise LineageError(f"Track {second} descends from track {mother}.", f"Cut it first: cut({second}).")
        rest = {track: some for track, some in self.daughters.items() if track != second}
        return Lineage({**rest, first: self.daughters[second]})

    def remove(self, *tracks: int) -> Lineage:
        """Return a lineage without ``tracks``; their daughters have no mother then. Raises LineageError."""
        gone = {self._known(track) for track in tracks}
        return Lineage(
            {one: tuple(d for d in some if d not in gone) for one, some in self.daughters.items() if one not in gone}
        )

    def to_json(self) -> dict[str, list[int]]:
        """Return plain values: every id, as text, with the ids of its daughters."""
        return {str(track): list(some) for track, some in self.daughters.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` returned. Raises LineageError."""
        try:
            return cls({int(track): tuple(some) for track, some in data.items()})
        except (TypeError, ValueError, AttributeError) as error:
            raise LineageError(
                f"This is no lineage ({error}).", 'Write every track with its daughters: {"1": [2, 3]}.'
            ) from error

    def _known(self, track: int) -> int:
        if track not in self.daughters:
            raise LineageError(f"There is no track {track}.", f"Add it first: add({track}).")
        return track


def _id(value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or not 1 <= number <= _LARGEST:
        raise LineageError(f"{value!r} is no track id.", f"Use whole numbers from 1 to {_LARGEST}.")
    return number


def _check_circles(daughters: Daughters, mothers: Mapping[int, int]) -> None:
    """Raise LineageError when not every track is reached from the roots."""
    reached = [track for track in daughters if track not in mothers]
    for track in reached:  # grows while it runs
        reached.extend(daughters[track])
    if len(reached) < len(daughters):
        lost = min(set(daughters) - set(reached))
        raise LineageError(
            f"Track {lost} descends from itself or from such a track.", "Choose a mother that is no descendant."
        )
