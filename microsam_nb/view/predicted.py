"""Objects in the colours of their classes, those that a classifier only thinks of in paler ones."""

from __future__ import annotations

from dataclasses import dataclass

from ..session import Session, class_names
from .classes import Classes
from .palette import palette

#: Palette entries from here on are paler; the colours of so many classes come again.
_PALE = 100
#: How much of the colour is left of a class that nobody has accepted, and what it is mixed with.
_LEFT, _GROUND = 0.4, 190


@dataclass(frozen=True, slots=True)
class Predicted(Classes):
    """The classes of objects, given or predicted: the place of a predicted one lies ``_PALE`` higher."""

    @classmethod
    def shown(cls, session: Session) -> Predicted:
        """Read the classes of a session's objects, and what its classifier says of those without one."""
        names, infos = class_names(session), dict(session.infos)
        order = {name: place % _PALE for place, name in enumerate(names)}
        guessed = {n: order[one.category] + _PALE for n, one in session.guesses.known.items()}
        given = {n: order[info.category] for n, info in infos.items() if info.category in order}
        return cls(names, {**guessed, **given})

    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        """The colours of classes, then the paler ones, and last that of objects without any."""
        grey = (150, 150, 150)
        plain = [class_colour(place) for place in range(min(len(self.names), _PALE))]
        plain += [grey] * (_PALE - len(plain))
        return (*plain, *(pale(one) for one in plain), grey)


def class_colour(place: int) -> tuple[int, int, int]:
    """Return the RGB colour of a class by its place among all."""
    red, green, blue = (int(v) for v in palette()[place % _PALE + 1])
    return red, green, blue


def pale(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the colour of objects that are only predicted to have a class of this colour."""
    red, green, blue = (round(_LEFT * v + (1 - _LEFT) * _GROUND) for v in colour)
    return red, green, blue
