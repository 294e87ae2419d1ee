"""Cells followed through a movie: labels whose numbers are tracks, and which track descends from which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .errors import LineageError
from .labels import as_labels
from .lineage import Lineage

#: An object of one frame: the frame, and the number of its pixels there.
Spot = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """``labels`` uint32 (frames, h, w), where the number of a pixel is its track, 0 = background; read-only.

    They are a copy, unless what is given is read-only already, as movies are large.
    ``lineage`` has every track that has pixels, and no other; tracks without relatives may be left out when it is
    made. A daughter begins after the last frame of her mother. ``present`` has the frames of every track, in order.
    Raises LineageError, and LabelError for what is no labels.
    """

    labels: NDArray[np.uint32]
    lineage: Lineage = field(default_factory=Lineage)
    present: Mapping[int, tuple[int, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        own = as_labels(self.labels)
        own = own.copy() if np.may_share_memory(own, self.labels) and not _fixed(self.labels) else own
        own.flags.writeable = False
        found: dict[int, list[int]] = defaultdict(list)
        for frame, plane in enumerate(own):
            for track in areas(plane)[0].tolist():
                found[track].append(frame)
        present = {track: tuple(found[track]) for track in sorted(found)}
        object.__setattr__(self, "labels", own)
        object.__setattr__(self, "present", present)
        _check_family(self.lineage, self.spans)
        every = {track: (self.lineage.children(track) if track in self.lineage else ()) for track in present}
        object.__setattr__(self, "lineage", Lineage(every))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tracks):
            return NotImplemented
        return self.lineage == other.lineage and np.array_equal(self.labels, other.labels)

    def __hash__(self) -> int:
        return hash((self.lineage, self.labels.shape))

    def __reduce__(self) -> tuple[type[Tracks], tuple[NDArray[np.uint32], Lineage]]:
        # So that labels are read-only again in another process.
        return type(self), (self.labels, self.lineage)

    @classmethod
    def from_links(cls, frames: NDArray[np.integer], links: Iterable[tuple[Spot, Spot]]) -> Self:
        """Return tracks of ``frames`` (frames, h, w), whose objects have other numbers in every frame, and of links.

        A link joins an object (frame, number) to one of a later frame. An object linked to one later object is the
        same cell, to several their mother; tracks are numbered from 1 in the order in which they begin. Raises
        LabelError, and LineageError for links of what is not there, back in time, or of two objects to one.
        """
        labels = as_labels(frames)
        spots = [(frame, number) for frame, plane in enumerate(labels) for number in areas(plane)[0].tolist()]
        later, earlier = _follow(set(spots), links)
        track: dict[Spot, int] = {}
        daughters: dict[int, list[int]] = {}
        for spot in spots:  # those before it are numbered
            before = earlier.get(spot)
            if before is not None and len(later[before]) == 1:
                track[spot] = track[before]
                continue
            track[spot] = len(daughters) + 1
            daughters[track[spot]] = []
            if before is not None:
                daughters[track[before]].append(track[spot])
        names: list[dict[int, int]] = [{} for _ in labels]
        for (frame, number), own in track.items():
            names[frame][number] = own
        return cls(relabelled(labels, names), Lineage({one: tuple(some) for one, some in daughters.items()}))

    @property
    def spans(self) -> dict[int, tuple[int, int]]:
        """The first and the last frame of every track, by its number."""
        return {track: (frames[0], frames[-1]) for track, frames in self.present.items()}

    @property
    def gaps(self) -> dict[int, tuple[int, ...]]:
        """The frames between first and last in which a track has no pixels, for those that have such frames."""
        missing = {t: tuple(sorted(set(range(f[0], f[-1])) - set(f))) for t, f in self.present.items()}
        return {track: frames for track, frames in missing.items() if frames}

    def places(self) -> NDArray[np.float64]:
        """Return one row per track and frame: track, frame, y and x of its middle in pixels, area."""
        found = [(np.full(len(ids), t), ids, sizes, at) for t, (ids, sizes, at) in enumerate(map(middles, self.labels))]
        rows = [np.column_stack([ids, frames, at, sizes]) for frames, ids, sizes, at in found]
        table = np.concatenate([np.zeros((0, 5)), *rows])
        return table[np.lexsort((table[:, 1], table[:, 0]))]

    def without(self, tracks: Iterable[int]) -> Self:
        """Return the others, with their numbers. Raises LineageError for a track that is not there."""
        lineage = self.lineage.remove(*tracks)
        return type(self)(relabelled(self.labels, {track: track for track in lineage}), lineage)

    def numbered(self) -> Self:
        """Return the same tracks, numbered from 1 in the order in which they begin."""
        order = sorted(self.present, key=lambda track: (self.present[track][0], track))
        return self.renamed({track: number for number, track in enumerate(order, start=1)})

    def renamed(self, names: Mapping[int, int]) -> Self:
        """Return the same tracks, numbered as ``names`` says of every track; all of them differ."""
        family = {names[track]: tuple(names[d] for d in some) for track, some in self.lineage.daughters.items()}
        return type(self)(relabelled(self.labels, names), Lineage(family))


def areas(plane: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the objects of one plane, in order, and how many pixels each has."""
    if plane.max(initial=0) > plane.size:
        ids, counts = np.unique(plane[plane > 0], return_counts=True)
        return ids.astype(np.int64), counts.astype(np.int64)
    counts = np.bincount(plane.ravel())  # many times faster than to sort the pixels
    counts[:1] = 0
    found = np.flatnonzero(counts).astype(np.int64)
    return found, counts[found].astype(np.int64)


def middles(plane: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return number, area and middle (n, 2), as (y, x), of every object of one plane, in order of the numbers.

    In pixels; the middle of a pixel is half a pixel in.
    """
    ids, sizes = areas(plane)
    places = np.flatnonzero(plane)
    order = _order(ids, plane.ravel()[places])
    sums = [np.bincount(order, along, len(ids)) for along in np.divmod(places, max(1, plane.shape[1]))]
    return ids, sizes, np.stack(sums, axis=1) / sizes[:, None] + 0.5


def shared(
    first: NDArray[np.uint32], second: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the objects of two planes of one size that overlap, and by how many pixels."""
    codes = first.ravel().astype(np.uint64) << np.uint64(32) | second.ravel()
    # Runs of the same two numbers are many times fewer than pixels, so that sorting them takes no time.
    begins = np.flatnonzero(np.diff(codes, prepend=~codes[:1]))
    lengths, codes = np.diff(begins, append=len(codes)), codes[begins]
    a, b = codes >> np.uint64(32), codes & np.uint64(2**32 - 1)
    both = (a > 0) & (b > 0)
    pairs, which = np.unique(codes[both], return_inverse=True)
    counts = np.bincount(which, lengths[both], len(pairs)).astype(np.int64)
    return (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(2**32 - 1)).astype(np.int64), counts


def renumbered(plane: NDArray[np.uint32], names: Mapping[int, int]) -> NDArray[np.uint32]:
    """Return a plane whose objects have the numbers that ``names`` gives theirs; those it leaves out are gone."""
    ids, _ = areas(plane)
    new = np.array([0, *(names.get(number, 0) for number in ids.tolist())], np.uint32)
    return new[_order(np.concatenate([[0], ids]), plane)]


def relabelled(
    labels: NDArray[np.uint32], names: Mapping[int, int] | Sequence[Mapping[int, int]]
) -> NDArray[np.uint32]:
    """Return labels (frames, h, w), read-only, renumbered by the same ``names`` in all frames, or by those of each."""
    out = np.zeros_like(labels)
    for plane, own, some in zip(labels, out, repeat(names) if isinstance(names, Mapping) else names, strict=False):
        own[:] = renumbered(plane, some)
    out.flags.writeable = False
    return out


def _order(ids: NDArray[np.int64], values: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return where among ``ids``, sorted, each of the values is; all are there."""
    largest = int(ids.max(initial=0))
    if largest > max(values.size, 2**16):
        return np.searchsorted(ids, values)
    table = np.zeros(largest + 1, np.int64)  # several times faster than to search for each pixel
    table[ids] = np.arange(len(ids))
    return np.take(table, values)


def _fixed(array: Any) -> bool:
    """Tell whether nobody can write to the memory of an array."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return array is None


def _check_family(lineage: Lineage, spans: Mapping[int, tuple[int, int]]) -> None:
    strange = [track for track in lineage if track not in spans]
    if strange:
        raise LineageError(f"Track {strange[0]} of the lineage has no pixels.", f"Leave it out: remove({strange[0]}).")
    for daughter, mother in lineage.parents.items():
        if spans[daughter][0] <= spans[mother][1]:
            raise LineageError(
                f"Track {daughter} begins in frame {spans[daughter][0]}, but its mother {mother} is there until "
                f"frame {spans[mother][1]}.",
                f"Cut one of them, or take the daughter out of the lineage: cut({daughter}).",
            )


def _follow(spots: set[Spot], links: Iterable[tuple[Spot, Spot]]) -> tuple[dict[Spot, list[Spot]], dict[Spot, Spot]]:
    """Return the later objects of every object that has some, and the earlier one. Raises LineageError."""
    later: dict[Spot, list[Spot]] = defaultdict(list)
    earlier: dict[Spot, Spot] = {}
    for first, second in dict.fromkeys(links):
        for frame, number in (first, second):
            if (frame, number) not in spots:
                raise LineageError(f"There is no object {number} in frame {frame}.", "Link objects that have pixels.")
        if second[0] <= first[0]:
            raise LineageError(
                f"A link goes from frame {first[0]} to frame {second[0]}.", "Link objects to those of a later frame."
            )
        if second in earlier:
            raise LineageError(
                f"Object {second[1]} of frame {second[0]} is linked to two earlier ones.",
                "Keep one of the links; tracks do not merge.",
            )
        earlier[second] = first
        later[first].append(second)
    return later, earlier
