"""Tracks that stay as they are while what lies between and behind them is linked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core import Lineage, Tracks
from ...core.tracks import relabelled, shared

#: An object of which more than this share belongs to kept tracks is one of them.
_SAME = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The kept ``tracks``; frames before ``first`` are complete. ``going_on``: those that may go on from there.

    New tracks are numbered from ``free``. ``divided``: kept tracks and their daughters that began in ``first``, which
    was ``plane`` uint32 (h, w): whoever lets a cell divide there does not mean that this is to be found again.
    """

    tracks: Tracks
    first: int
    going_on: tuple[int, ...]
    free: int
    divided: Mapping[int, tuple[int, ...]]
    plane: NDArray[np.uint32]

    @classmethod
    def of(cls, tracks: Tracks, only: Collection[int], first: int, free: int) -> Kept:
        """Keep all that lies before frame ``first``, and all tracks but ``only`` some, () for none of them."""
        anew = set(only) or set(tracks.present)
        others = {track: track for track in tracks.present if track not in anew}
        every = {track: track for track in tracks.present}
        labels = relabelled(tracks.labels, [every if t < first else others for t in range(len(tracks.labels))])
        stays = {one for one, frames in tracks.present.items() if one in others or frames[0] < first}
        family = {m: tuple(d for d in some if d in stays) for m, some in tracks.lineage.daughters.items() if m in stays}
        before = tuple(one for one in sorted(anew) if first - 1 in tracks.present.get(one, ()))
        new = {m: tuple(d for d in tracks.lineage.daughters[m] if d not in stays) for m in before}
        divided = {
            m: some for m, some in new.items() if len(some) > 1 and all(tracks.present[d][0] == first for d in some)
        }
        return cls(Tracks(labels, Lineage(family)), first, before, free, divided, tracks.labels[first])

    @property
    def start(self) -> int:
        """The first frame that is looked at: the last complete one, where there is one."""
        return max(0, self.first - 1)

    def rest(self, labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Return what is linked of the objects of all frames, from ``start`` on: what kept tracks have is left out.

        In the last complete frame it is the tracks that may go on.
        """
        out = labels[self.start :].copy()
        for own, there in zip(out, self.tracks.labels[self.start :], strict=True):
            a, _, common = shared(own, there)
            sizes = np.bincount(own.ravel()) if own.max(initial=0) < own.size else None
            lost = np.zeros(0, np.int64)
            if len(a):
                numbers, which = np.unique(a, return_inverse=True)
                covered = np.bincount(which, common)
                areas = sizes[numbers] if sizes is not None else np.array([np.count_nonzero(own == n) for n in numbers])
                lost = numbers[covered > _SAME * areas]
            own[(there > 0) | np.isin(own, lost)] = 0
        if self.first:
            there = self.tracks.labels[self.start]
            # A cell that has divided does not go on.
            going_on = set(self.going_on) - set(self._heirs(out[1]))
            out[0] = np.where(np.isin(there, list(going_on)), there, 0)
        out.flags.writeable = False
        return out

    def joined(self, made: Tracks) -> Tracks:
        """Return the kept tracks together with those that were made of ``rest``."""
        names = self._names(made)
        labels = self.tracks.labels.copy()
        new = relabelled(made.labels, names)
        part = labels[self.start :]
        np.copyto(part, new, where=part == 0)
        labels.flags.writeable = False
        family = {track: list(some) for track, some in self.tracks.lineage.daughters.items()}
        for mother, some in made.lineage.daughters.items():
            family.setdefault(names[mother], []).extend(names[one] for one in some)
        mothers, begin = made.lineage.parents, {track for track, frames in made.present.items() if frames[0]}
        for mother, heirs in (self._heirs(made.labels[1]) if self.first else {}).items():
            family[mother] += [names[one] for one in heirs if one in begin and one not in mothers]
        return Tracks(labels, Lineage({track: tuple(some) for track, some in family.items()}))

    def lost(self, made: Tracks) -> tuple[int, ...]:
        """Return the tracks that divided in frame ``first`` and do so no longer: their daughters are others' now."""
        return tuple(one for one in self.divided if len(made.lineage.daughters[one]) < 2)

    def _heirs(self, plane: NDArray[np.uint32]) -> dict[int, list[int]]:
        """Return, of tracks that divide in frame ``first``, the objects of this plane (h, w) that are the daughters.

        Without those of which two daughters are one object, or one is none.
        """
        if not self.divided:
            return {}
        a, b, common = shared(self.plane, plane)
        best: dict[int, int] = {}
        for place in np.argsort(common, kind="stable").tolist():
            best[int(a[place])] = int(b[place])
        found = {mother: [best.get(one, 0) for one in some] for mother, some in self.divided.items()}
        return {mother: some for mother, some in found.items() if all(some) and len(set(some)) == len(some)}

    def _names(self, made: Tracks) -> Mapping[int, int]:
        """Return the numbers of made tracks: those of the kept ones that they go on with, else new ones."""
        names: dict[int, int] = {}
        if self.first:
            a, b, _ = shared(made.labels[0], self.tracks.labels[self.start])
            names = dict(zip(a.tolist(), b.tolist(), strict=True))
        new = [track for track in sorted(made.present) if track not in names]
        return names | dict(zip(new, range(self.free, self.free + len(new)), strict=True))
