"""Groups of numbers that carry their own bounds, unit and help.

Forms, command-line options and documentation are made from what ``describe`` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from enum import Enum
from typing import Any, Self

from .errors import SettingsError

#: What a text may say of a setting that is on or off.
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True)
class Option:
    """What is known about one setting."""

    name: str
    kind: type
    default: Any
    low: float | None
    high: float | None
    unit: str
    help: str
    costly: bool = False


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    costly: bool = False,
) -> Any:
    """Declare one field of a ``Settings`` class with inclusive bounds; ``costly``: a change needs the model again."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "unit": unit, "costly": costly})


@dataclass(frozen=True)
class Settings:
    """Base of all settings: frozen, checked when made.

    Raises SettingsError naming the field, its value and its bounds.
    """

    def __post_init__(self) -> None:
        for one in self.describe():
            self._check(one, getattr(self, one.name))

    @classmethod
    def describe(cls) -> list[Option]:
        """List every setting in the order of its declaration."""
        return [
            Option(
                name=f.name,
                kind=type(f.default),
                default=f.default,
                low=f.metadata.get("low"),
                high=f.metadata.get("high"),
                unit=f.metadata.get("unit", ""),
                help=f.metadata.get("help", ""),
                costly=f.metadata.get("costly", False),
            )
            for f in fields(cls)
        ]

    def costly(self) -> dict[str, Any]:
        """Return the settings that decide what has to be computed by the model."""
        return {one.name: getattr(self, one.name) for one in self.describe() if one.costly}

    def changed(self, options: Mapping[str, Any], what: str = "") -> Self:
        """Return settings of which some are changed; numbers and words may come from a form or a command line.

        ``what``, such as " for ais", is put into the sentence about names that do not exist. Raises SettingsError for
        those, and for values that are not possible.
        """
        known = {one.name: one for one in self.describe()}
        values: dict[str, Any] = {}
        for name, value in options.items():
            if name not in known:
                raise SettingsError(f"There is no setting {name!r}{what}.", f"Use some of: {', '.join(known)}.")
            kind = known[name].kind
            if issubclass(kind, Enum) and value in [one.value for one in kind]:
                value = kind(value)
            elif kind is int and isinstance(value, float) and value.is_integer():
                value = int(value)
            values[name] = value
        return replace(self, **values)

    def plain(self) -> dict[str, Any]:
        """Return the settings by name as a file or a form can hold them: words for choices."""
        return {name: value.value if isinstance(value, Enum) else value for name, value in asdict(self).items()}

    @classmethod
    def parse(cls, pairs: Iterable[str]) -> Self:
        """Make settings from texts; see ``with_text``."""
        return cls().with_text(pairs)

    def with_text(self, pairs: Iterable[str]) -> Self:
        """Return settings changed by texts such as "steps=3000", "schedule=cosine" or "recompute=yes".

        Raises SettingsError for a name that does not exist, and for values that are not possible.
        """
        known = {one.name: one for one in self.describe()}
        values: dict[str, Any] = {}
        for pair in pairs:
            name, _, text = pair.partition("=")
            if name not in known:
                near = get_close_matches(name, known, 1)
                meant = f"Did you mean {near[0]}? " if near else ""
                raise SettingsError(f"There is no setting {name!r}.", f"{meant}Use one of: {', '.join(known)}.")
            values[name] = _read(known[name], pair, text.strip())
        return self.changed(values)

    @staticmethod
    def _check(one: Option, value: Any) -> None:
        if issubclass(one.kind, Enum):
            if not isinstance(value, one.kind):
                choices = ", ".join(str(m.value) for m in one.kind)
                raise SettingsError(f"{one.name} = {value!r} is not possible.", f"Use one of: {choices}.")
            return
        if one.kind in (int, float):
            allowed: tuple[type, ...] = (int,) if one.kind is int else (int, float)
            strange = isinstance(value, bool) or not isinstance(value, allowed)
            if strange:
                raise SettingsError(
                    f"{one.name} = {value!r} is not a number of type {one.kind.__name__}.",
                    f"Give a number, for example {one.default}.",
                )
            below = one.low is not None and not value >= one.low
            above = one.high is not None and not value <= one.high
            if below or above:
                raise SettingsError(
                    f"{one.name} = {value} {one.unit}".rstrip() + " is out of range.",
                    f"Choose a value from {one.low} to {one.high}.",
                )
        elif not isinstance(value, one.kind):
            raise SettingsError(
                f"{one.name} = {value!r} is not a {one.kind.__name__}.", f"The default is {one.default!r}."
            )


def _read(one: Option, pair: str, text: str) -> Any:
    """Return the value that a text of a command line gives a setting; the words of an enum are checked later."""
    if one.kind is bool:
        if text.lower() not in _TRUE + _FALSE:
            raise SettingsError(f"{pair!r} says neither yes nor no.", f"Write it as {one.name}=yes or {one.name}=no.")
        return text.lower() in _TRUE
    if one.kind not in (int, float):
        return text
    try:
        return one.kind(text)
    except ValueError as error:
        raise SettingsError(
            f"{pair!r} gives no number of type {one.kind.__name__}.", f"Write it as {one.name}={one.default}."
        ) from error
