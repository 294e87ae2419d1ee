"""What an action is, and its line in the journal."""

from __future__ import annotations

import types
import typing
from dataclasses import fields
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core import Mask, Prompt, PromptError, prompt_from_json, prompt_to_json

if TYPE_CHECKING:
    from ..session import Session

_KINDS: dict[str, type[Action]] = {}


class Action:
    """Something the user or the engine did; subclasses are frozen dataclasses of plain values, masks and prompts.

    ``journaled`` actions are replayed when a project is opened.
    """

    __slots__ = ()
    journaled: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        # A dataclass with slots is made twice; the second class replaces the first.
        _KINDS[cls.__name__] = cls

    def apply(self, session: Session) -> bool | None:
        """Change ``session`` by its verbs; return False when nothing came of it.

        Raises MicrosamError, before anything changed, when it is not possible.
        """
        raise NotImplementedError


def to_json(action: Action) -> dict[str, Any]:
    """Return an action as plain values."""
    out: dict[str, Any] = {"do": type(action).__name__}
    for one in fields(action):  # type: ignore[arg-type]
        value = getattr(action, one.name)
        if isinstance(value, Mask):
            value = value.to_json()
        elif isinstance(value, Prompt):
            value = prompt_to_json(value)
        elif isinstance(value, Enum):
            value = value.value
        elif isinstance(value, np.generic):
            value = value.item()
        out[one.name] = value
    return out


def from_json(data: dict[str, Any]) -> Action:
    """Make the action that ``to_json`` described. Raises ValueError or KeyError when there is none."""
    values = dict(data)
    kind = _KINDS[values.pop("do")]
    hints = typing.get_type_hints(kind)
    for name, value in values.items():
        if name not in hints:
            raise ValueError(f"{kind.__name__} has no field {name!r}")
        values[name] = _read(hints[name], value)
    return kind(**values)


def _read(hint: Any, value: Any) -> Any:
    if hint == Prompt:
        try:
            return prompt_from_json(value)
        except PromptError as error:
            raise ValueError(str(error)) from error
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for one in options:
        if one is Mask:
            return Mask.from_json(value)
        if isinstance(one, type) and issubclass(one, Enum) and value is not None:
            return one(value)
    return value
