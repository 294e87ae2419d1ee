"""Making the proposal an object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...core import Overlap, PromptError
from ..state import Notice
from .base import Action

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class Commit(Action):
    """Keep the proposal as a new object; committed objects stay unless ``overlap`` says to replace them."""

    overlap: Overlap = Overlap.KEEP

    def __post_init__(self) -> None:
        # A plain string must mean the same now and when the journal is replayed.
        object.__setattr__(self, "overlap", Overlap(self.overlap))

    def apply(self, session: Session) -> None:
        state = session.state
        if state.prompts and not state.answered and session.awaiting is None:
            raise PromptError(
                f"The model failed on these prompts: {session.failure}", "Undo the last prompt, or add another one."
            )
        if state.prompts and not state.answered:
            raise PromptError("The model has not answered yet.", "Wait for the mask, then commit it.")
        if state.proposal is None:
            raise PromptError("There is nothing to commit.", "Click on an object first.")
        delta = session.labels.paint(state.proposal.mask, state.next_id, self.overlap)
        after = replace(state, prompts=(), proposal=None, answered=True, next_id=state.next_id + 1)
        session.edit(after, delta)
        session.notice = Notice(f"Object {state.next_id} is committed.")
