"""Slow work that leaves the session; its answer comes back as an action with the same ticket."""

from __future__ import annotations

from dataclasses import dataclass

from ..core import Prompt


@dataclass(frozen=True, slots=True)
class Predict:
    """Segment one object from prompts. Of several waiting only the newest matters."""

    ticket: int
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True, slots=True)
class Embed:
    """Prepare one plane, so that the first prompt is answered at once."""

    plane: int


Request = Predict | Embed
