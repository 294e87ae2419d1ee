"""What a classifier says about objects, before anybody accepts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..core import ObjectInfo

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True, slots=True)
class Guess:
    """The most likely class of object ``label``, its ``probability``, and how much more likely than the second one."""

    label: int
    category: str
    probability: float
    lead: float


@dataclass(frozen=True, slots=True, eq=False)
class Guesses:
    """The guesses by object.

    ``said``: what the classifier was trained on and how good it is, "" before there is one. ``classes``: those that it
    can tell apart. ``waiting`` of ``total`` objects have no guess yet: their features are still being computed.
    """

    known: Mapping[int, Guess] = field(default_factory=dict)
    said: str = ""
    classes: tuple[str, ...] = ()
    waiting: int = 0
    total: int = 0


def class_names(session: Session) -> tuple[str, ...]:
    """Return the classes that a session knows: those it was told of, then others that objects have or may have."""
    told = session.state.browsing.classes
    there = {info.category for info in dict(session.infos).values()} | set(session.guesses.classes)
    return (*told, *sorted(there - {"", *told}))


def classed_by_hand(info: ObjectInfo | None) -> bool:
    """Whether the user gave an object its class."""
    return info is not None and bool(info.category) and info.probability is None
