"""What takes the place of what was damaged in a project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from ...core import ObjectInfo
from ..packing import pack, unpack
from ..state import State
from .base import Action

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class Described:
    """What is said about one object."""

    label: int
    info: ObjectInfo


@dataclass(frozen=True, slots=True)
class LostStep(Action):
    """A step of which nothing is known any more, in the place of a damaged line: what undid it must find one."""

    gist: ClassVar[str] = "a step that cannot be read any more"

    def apply(self, session: Session) -> None:
        session.edit(session.state)


@dataclass(frozen=True, slots=True)
class Restored(Action):
    """All that a session held: the first line of a journal that takes the place of a damaged one.

    ``name`` tells this journal from the one before. What was done before cannot be undone.
    """

    name: str
    state: State
    infos: tuple[Described, ...]
    data: str
    shape: tuple[int, int, int]
    lasting: ClassVar[bool] = True

    @classmethod
    def of(cls, session: Session, name: str) -> Self:
        infos = tuple(Described(label, info) for label, info in sorted(session.infos.items()))
        return cls(name, session.state, infos, pack(session.labels.volume), session.shape)

    def apply(self, session: Session) -> None:
        if tuple(self.shape) != session.shape:
            raise ValueError(f"the labels have shape {self.shape}, the image {session.shape}")
        session.begin(self.state, unpack(self.data, self.shape), {one.label: one.info for one in self.infos})
