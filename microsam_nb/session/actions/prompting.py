"""Pointing at objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...core import BoxPrompt, Point, Prompt, PromptError
from ..state import Notice
from .base import Action

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class AddPoint(Action):
    """Click on the object, or beside it (``positive`` False)."""

    y: float
    x: float
    positive: bool = True
    plane: int = 0

    def apply(self, session: Session) -> None:
        point = Point(self.plane, float(self.y), float(self.x), self.positive)
        point.check(session.shape)
        _prompt(session, (*session.state.prompts, point))


@dataclass(frozen=True, slots=True)
class AddBox(Action):
    """Draw a box around the object; it takes the place of an earlier box."""

    y0: float
    x0: float
    y1: float
    x1: float
    plane: int = 0

    def apply(self, session: Session) -> None:
        box = BoxPrompt(self.plane, float(self.y0), float(self.x0), float(self.y1), float(self.x1))
        box.check(session.shape)
        others = tuple(p for p in session.state.prompts if not isinstance(p, BoxPrompt))
        _prompt(session, (*others, box.clip(session.shape)))


@dataclass(frozen=True, slots=True)
class AddPrompt(Action):
    """Add a prompt of any kind; a box takes the place of an earlier box."""

    prompt: Prompt

    def apply(self, session: Session) -> None:
        if isinstance(self.prompt, BoxPrompt):
            box = self.prompt
            AddBox(box.y0, box.x0, box.y1, box.x1, box.plane).apply(session)
            return
        self.prompt.check(session.shape)
        _prompt(session, (*session.state.prompts, self.prompt))


@dataclass(frozen=True, slots=True)
class RemovePrompt(Action):
    """Take one prompt away, by its place in the list; -1 is the newest."""

    index: int = -1

    def apply(self, session: Session) -> None:
        prompts = list(session.state.prompts)
        if not -len(prompts) <= self.index < len(prompts):
            raise PromptError(f"There is no prompt number {self.index}.", f"There are {len(prompts)} prompts.")
        del prompts[self.index]
        _prompt(session, tuple(prompts))


@dataclass(frozen=True, slots=True)
class Clear(Action):
    """Take all prompts and the proposal away; committed objects stay."""

    def apply(self, session: Session) -> bool:
        if not session.state.prompts and session.state.proposal is None:
            return False
        _prompt(session, ())
        return True


def _prompt(session: Session, prompts: tuple[Prompt, ...]) -> None:
    if len({p.plane for p in prompts}) > 1:
        raise PromptError("The prompts of one object lie in several planes.", "Commit or clear the object first.")
    state = session.state
    # The old proposal stays on screen until the new answer comes.
    proposal = state.proposal if prompts else None
    session.edit(replace(state, prompts=prompts, proposal=proposal, answered=not prompts))
    session.notice = Notice("")
