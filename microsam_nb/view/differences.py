"""What became of objects, as colours over the image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.comparing import Difference, Kind, compare
from ..core.tracks import renumbered
from .ids import label_ids
from .overlays import Source, Style
from .palette import COLOURS

#: In the order of the legend; no two are alike for people with any colour vision.
KIND_COLOURS = {
    Kind.NEW: (0, 195, 105),
    Kind.GONE: (255, 60, 60),
    Kind.CHANGED: (255, 190, 0),
    Kind.SPLIT: (60, 140, 255),
    Kind.MERGED: (215, 90, 255),
}
_PLACES = {kind: place for place, kind in enumerate(KIND_COLOURS, start=1)}
#: How differences are drawn.
CHANGES = Style(rim=True, colours=tuple(KIND_COLOURS.values()))


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The differences of two label images; ``drawn``, uint32 (planes, h, w), has one number for each object of them.

    A number's palette entry is that of the kind of the difference.
    """

    differences: tuple[Difference, ...]
    drawn: NDArray[np.uint32]

    @classmethod
    def of(cls, before: NDArray[np.uint32], after: NDArray[np.uint32]) -> Comparison:
        """Compare labels (planes, h, w). Where an object is no more, what it was is drawn."""
        found = tuple(compare(before, after))
        old = _drawn(before, ((one.kind, one.before) for one in found))
        new = _drawn(after, ((one.kind, one.after) for one in found))
        return cls(found, np.where((new > 0) | (after > 0), new, old))

    @property
    def counts(self) -> Counter[Kind]:
        """How many differences there are of each kind."""
        return Counter(one.kind for one in self.differences)

    def source(self, plane: int) -> Source:
        """Return what is drawn in a plane."""
        pixels = self.drawn[plane]
        return Source(lambda raster: label_ids(pixels, raster))


def _drawn(labels: NDArray[np.uint32], kinds: Iterable[tuple[Kind, tuple[int, ...]]]) -> NDArray[np.uint32]:
    """Return labels in which only some objects are left, with numbers of the palette entries of their kinds."""
    # Neighbours of one kind have different numbers, so that a line runs between them.
    names = {
        label: _PLACES[kind] + COLOURS * number
        for number, (kind, label) in enumerate((kind, label) for kind, some in kinds for label in some)
    }
    return np.stack([renumbered(plane, names) for plane in labels])
