"""What an action is, and its line in the journal."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from ..plain import Unknown, read_fields, to_plain

if TYPE_CHECKING:
    from ..session import Session

#: Metadata of a field that is not written to the journal: an action carries along what is in other fields too.
UNWRITTEN = {"unwritten": True}

_KINDS: dict[str, type[Action]] = {}


class Action:
    """Something the user or the engine did; subclasses are frozen dataclasses of plain values, masks and prompts.

    ``journaled`` actions are replayed when a project is opened. ``lasting`` ones must survive a power cut. ``step``:
    it can be undone.
    """

    __slots__ = ()
    journaled: ClassVar[bool] = True
    lasting: ClassVar[bool] = False
    step: ClassVar[bool] = True
    #: What it does, in short, as in "Undone: adding a point."; "" for what is no step.
    gist: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        # A dataclass with slots is made twice; the second class replaces the first.
        _KINDS[cls.__name__] = cls

    def prepared(self, session: Session) -> Action:
        """Return the action with what takes long of it done already: the session is not locked, and may change."""
        return self

    def apply(self, session: Session) -> bool | None:
        """Change ``session`` by its verbs; return False when nothing came of it.

        Raises MicrosamError when it is not possible; what was written until then is taken back.
        """
        raise NotImplementedError


def to_json(action: Action) -> dict[str, Any]:
    """Return an action as plain values."""
    written = [one.name for one in fields(action) if "unwritten" not in one.metadata]  # type: ignore[arg-type]
    values = {name: to_plain(getattr(action, name)) for name in written}
    return {"do": type(action).__name__, **values}


def from_json(data: dict[str, Any]) -> Action:
    """Make the action that ``to_json`` described.

    Raises ValueError, KeyError or TypeError when there is none, Unknown when another version may know it.
    """
    values = dict(data)
    name = values.pop("do")
    if not isinstance(name, str):
        raise ValueError(f"{name!r} is no action")
    if name not in _KINDS:
        raise Unknown(f"there is no action {name!r}")
    made: Action = read_fields(_KINDS[name], values)
    return made


def is_step(name: str) -> bool:
    """Whether the action of this name can be undone; an unknown one may be."""
    return name not in _KINDS or _KINDS[name].step
