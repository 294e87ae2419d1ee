"""Classes of objects: given by hand, and those of a classifier."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ...core import LabelError, Note, ObjectInfo
from ...core.prompts import Vertices
from ...core.raster import stroke
from ..guesses import Guess, Guesses, class_names, classed_by_hand
from ..state import Notice
from ..wording import counted
from .base import Action
from .checking import SetClass

if TYPE_CHECKING:
    from ..session import Session

#: Characters of the name of a class.
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class SetClasses(Action):
    """Say which classes there are, in their order, and which one is given now; None: the one that was, or the first."""

    names: tuple[str, ...]
    category: str | None = None
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        names = tuple(dict.fromkeys(name for one in self.names if (name := one.strip()[:_LONGEST])))
        now = session.state.browsing
        wanted = now.category if self.category is None else self.category.strip()[:_LONGEST]
        category = wanted if wanted in names else names[0] if names else ""
        session.amend(replace(session.state, browsing=replace(now, classes=names, category=category)))


@dataclass(frozen=True, slots=True)
class ClassifyAlong(Action):
    """Give the objects under a line through (y, x) vertices a class; "" for none.

    Raises LabelError when there are none.
    """

    points: Vertices
    plane: int
    category: str
    gist: ClassVar[str] = "giving a class"

    def apply(self, session: Session) -> bool:
        # No wider than a pixel: what the line runs through is meant, not what lies beside it.
        met = stroke(self.points, 1.0, self.plane, session.shape)
        under = np.unique(session.labels.volume[met.box.slices][met.bitmap])
        labels = tuple(int(n) for n in under if n)
        if not labels:
            raise LabelError(f"There is no {session.noun.lower()} there.", "Click on one, or draw over several.")
        return SetClass(labels, self.category).apply(session)


@dataclass(frozen=True, slots=True)
class Guessed:
    """A class for an object, and how probable it is."""

    label: int
    category: str
    probability: float


@dataclass(frozen=True, slots=True)
class AcceptGuesses(Action):
    """Give objects the classes that a classifier found; one step. Make it with ``AcceptGuesses.of(session)``.

    Classes that the user gave stay, and objects that are gone are left out. Raises LabelError when nothing is left.
    """

    guesses: tuple[Guessed, ...]
    lasting: ClassVar[bool] = True
    gist: ClassVar[str] = "accepting predicted classes"

    @classmethod
    def of(cls, session: Session) -> Self:
        known: Iterable[Guess] = session.guesses.known.values()
        return cls(tuple(Guessed(one.label, one.category, round(one.probability, 4)) for one in known))

    def apply(self, session: Session) -> None:
        notes = []
        for one in self.guesses:
            old = session.infos.get(one.label)
            if one.label not in session.labels or classed_by_hand(old):
                continue
            new = replace(old or ObjectInfo(), category=one.category, probability=one.probability)
            if new != old:
                notes.append(Note(one.label, old, new))
        if not notes:
            raise LabelError("There are no new predictions.", "Click on a few objects of two classes or more first.")
        session.write(*notes)
        session.edit(session.state, asks=False)
        whose = f"{counted(len(notes), session.noun.lower())} {'has' if len(notes) == 1 else 'have'}"
        session.notice = Notice(f"{whose} the predicted class. Ctrl-Z takes it back.")


@dataclass(frozen=True, slots=True)
class Classified(Action):
    """What a classifier says now."""

    guesses: Guesses
    journaled: ClassVar[bool] = False
    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        session.guesses = self.guesses


def choose_class(session: Session, place: int) -> SetClasses:
    """Return the action that chooses a class by its place. Raises LabelError where there is none."""
    names = class_names(session)
    if place >= len(names):
        raise LabelError(f"There is no class {place + 1}.", "Name it in the panel Classes first.")
    return SetClasses(names, names[place])
