"""Objects in the colours of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..core import ObjectInfo
from .overlays import Source, Style
from .palette import COLOURS, palette
from .raster import Raster

#: Objects of no class.
_NONE = (150, 150, 150)
#: Numbers from here on begin again.
_ROUND = 2**24


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of objects: their names in order, and the class of each object by its place in ``names``."""

    names: tuple[str, ...]
    places: Mapping[int, int]

    @classmethod
    def of(cls, infos: Mapping[int, ObjectInfo]) -> Classes:
        """Read the classes of objects; those without one are left out."""
        names = tuple(sorted({info.category for info in infos.values() if info.category}))
        order = {name: place for place, name in enumerate(names)}
        return cls(names, {label: order[info.category] for label, info in infos.items() if info.category})

    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        """The colours of the classes, and of objects without one; the colours of many classes come again."""
        table = palette()
        found = [tuple(int(v) for v in table[place % (COLOURS - 1) + 1]) for place in range(len(self.names))]
        return (*((r, g, b) for r, g, b in found[: COLOURS - 1]), _NONE)

    def style(self, style: Style) -> Style:
        """Return the style of objects with the colours of their classes."""
        return replace(style, colours=self.colours)

    def source(self, source: Source) -> Source:
        """Return objects numbered so that the palette entry of each is that of its class."""
        return replace(source, ids=lambda raster: self._ids(source, raster))

    def number(self, label: int) -> int:
        """Return the number of an object in ``source``."""
        place = self.places.get(label)
        entry = COLOURS if place is None else place % (COLOURS - 1) + 1
        # Numbers of objects go up to 2 ** 32; neighbours must differ, and the palette entry must stay.
        return label % _ROUND * COLOURS + entry

    def _ids(self, source: Source, raster: Raster) -> NDArray[np.uint32]:
        ids = source.ids(raster)
        found, own = np.unique(ids, return_inverse=True)
        names = np.array([self.number(label) if label else 0 for label in found.tolist()], np.uint32)
        return names[own.reshape(ids.shape)]
