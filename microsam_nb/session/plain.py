"""Values of the session as plain JSON values, by their type hints, and back."""

from __future__ import annotations

import types
import typing
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

import numpy as np

from ..core import Lineage, LineageError, Mask, Prompt, PromptError, prompt_from_json, prompt_to_json


class Unknown(ValueError):
    """An action, or a field of it, that this version does not know."""


def to_plain(value: Any) -> Any:
    """Return ``value`` as numbers, texts, lists and dictionaries."""
    if isinstance(value, Mask):
        return value.to_json()
    if isinstance(value, Lineage):
        return value.to_json()
    if isinstance(value, Prompt):
        return prompt_to_json(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list):
        return [to_plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if is_dataclass(value):
        return {one.name: to_plain(getattr(value, one.name)) for one in fields(value)}
    return value


def from_plain(hint: Any, value: Any) -> Any:
    """Return the value of type ``hint`` that ``to_plain`` described. Raises ValueError, KeyError or TypeError."""
    if hint == Prompt:
        try:
            return prompt_from_json(value)
        except PromptError as error:
            raise ValueError(str(error)) from error
    if isinstance(hint, types.UnionType):
        return _from_union(hint, value)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        if not isinstance(value, list):
            raise ValueError(f"{value!r} is no list")
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(from_plain(inner[0], one) for one in value)
        return tuple(from_plain(kind, one) for kind, one in zip(inner, value, strict=True))
    if hint is Mask:
        return Mask.from_json(value)
    if hint is Lineage:
        try:
            return Lineage.from_json(value)
        except LineageError as error:
            raise ValueError(str(error)) from error
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if isinstance(hint, type) and is_dataclass(hint):
        return read_fields(hint, value)
    if hint is bool and not isinstance(value, bool):
        raise ValueError(f"{value!r} is not true or false")
    if hint in (int, float) and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise ValueError(f"{value!r} is no number")
    if hint is int and not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number")
    if hint is str and not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return float(value) if hint is float else value


def read_fields(kind: type, data: dict[str, Any]) -> Any:
    """Return the dataclass ``kind`` with the fields in ``data``; missing ones have their defaults."""
    hints = _hints(kind)
    values = {}
    for name, value in data.items():
        if name not in hints:
            raise Unknown(f"{kind.__name__} has no field {name!r}")
        values[name] = from_plain(hints[name], value)
    return kind(**values)


def _from_union(hint: types.UnionType, value: Any) -> Any:
    options = typing.get_args(hint)
    if value is None and type(None) in options:
        return None
    problem: Exception | None = None
    for one in options:
        if one is type(None):
            continue
        try:
            return from_plain(one, value)
        except (ValueError, KeyError, TypeError) as error:
            problem = error
    raise ValueError(f"{value!r} fits none of {hint}") from problem


@cache
def _hints(kind: type) -> dict[str, Any]:
    return {
        name: hint
        for name, hint in typing.get_type_hints(kind).items()
        if typing.get_origin(hint) is not typing.ClassVar
    }
