"""What a session holds at one moment; frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ..core import Box, Candidate, Prompt
from .requests import Request


class Tool(StrEnum):
    """What a press on the image does."""

    POINT = "point"
    BOX = "box"


@dataclass(frozen=True, slots=True)
class View:
    """The visible part of a plane: image coordinates (y, x) of its corner, screen pixels per image pixel."""

    y: float
    x: float
    zoom: float


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the status line."""

    text: str
    error: bool = False


@dataclass(frozen=True, slots=True)
class Browsing:
    """How the user looks and with which tool; undo leaves it alone. ``view`` None fits the image."""

    plane: int = 0
    tool: Tool = Tool.POINT
    positive: bool = True
    view: View | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Everything drawn, except the committed labels.

    ``answered`` is True when ``proposal`` is the model's answer to ``prompts`` (None: it found nothing).
    """

    prompts: tuple[Prompt, ...] = ()
    proposal: Candidate | None = None
    answered: bool = True
    next_id: int = 1
    browsing: Browsing = field(default_factory=Browsing)


@dataclass(frozen=True, slots=True)
class Change:
    """What must be painted again."""

    prompts: bool = False
    proposal: bool = False
    view: bool = False
    tool: bool = False
    notice: bool = False
    labels: Box | None = None

    def __or__(self, other: Change) -> Change:
        if self.labels is None or other.labels is None:
            labels = self.labels or other.labels
        else:
            labels = self.labels.union(other.labels)
        return Change(
            self.prompts or other.prompts,
            self.proposal or other.proposal,
            self.view or other.view,
            self.tool or other.tool,
            self.notice or other.notice,
            labels,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What ``Session.handle`` returns: what to paint and what to compute."""

    change: Change
    requests: tuple[Request, ...] = ()
