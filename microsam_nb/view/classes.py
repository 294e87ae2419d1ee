"""Objects in the colours of their classes, those that a classifier only thinks of in paler ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..session import Session, class_names
from .overlays import Source, Style
from .palette import COLOURS, palette
from .raster import Raster

#: Places from here on are paler; the colours of so many classes come again.
_PALE = 100
#: How much of the colour is left of a class that nobody has accepted, and what it is mixed with.
_LEFT, _GROUND = 0.4, 190
#: Objects of no class.
_NONE = (150, 150, 150)
#: Numbers from here on begin again.
_ROUND = 2**24


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of objects: their names in order, and the class of each object by its place in ``names``.

    The place of a class that is only predicted lies ``_PALE`` higher.
    """

    names: tuple[str, ...]
    places: Mapping[int, int]

    @classmethod
    def shown(cls, session: Session) -> Classes:
        """Read the classes of a session's objects, and what its classifier says of those without one."""
        names, infos = class_names(session), dict(session.infos)
        order = {name: place % _PALE for place, name in enumerate(names)}
        guessed = {n: order[one.category] + _PALE for n, one in session.guesses.known.items()}
        given = {n: order[info.category] for n, info in infos.items() if info.category in order}
        return cls(names, {**guessed, **given})

    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        """The colours of classes, then the paler ones, and last that of objects without any."""
        plain = [class_colour(place) for place in range(min(len(self.names), _PALE))]
        plain += [_NONE] * (_PALE - len(plain))
        return (*plain, *(pale(one) for one in plain), _NONE)

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


def class_colour(place: int) -> tuple[int, int, int]:
    """Return the RGB colour of a class by its place among all."""
    red, green, blue = (int(v) for v in palette()[place % _PALE + 1])
    return red, green, blue


def pale(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the colour of objects that are only predicted to have a class of this colour."""
    red, green, blue = (round(_LEFT * v + (1 - _LEFT) * _GROUND) for v in colour)
    return red, green, blue
