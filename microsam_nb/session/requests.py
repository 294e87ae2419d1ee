"""Slow work that leaves the session; its answers come back as actions."""

from __future__ import annotations

from dataclasses import dataclass

from ..core import Prompt


@dataclass(frozen=True, slots=True)
class Predict:
    """Segment objects, each from its own prompts. Of several waiting only the newest matters.

    ``size``: the usual diameter of the committed objects in pixels, where there are some.
    """

    ticket: int
    objects: tuple[tuple[Prompt, ...], ...]
    size: float | None = None

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts of all objects."""
        return tuple(prompt for one in self.objects for prompt in one)


@dataclass(frozen=True, slots=True)
class Embed:
    """Prepare a plane, so that prompts are answered at once; what lies nearest to (y, x) first, None for the middle."""

    plane: int
    y: float | None = None
    x: float | None = None


@dataclass(frozen=True, slots=True)
class LoadModel:
    """Change over to another model, by its name or the path of its file; it is downloaded if it must be."""

    name: str


@dataclass(frozen=True, slots=True)
class StopWork:
    """Leave what runs in the background; what it has got so far stays."""


Request = Predict | Embed | LoadModel | StopWork
