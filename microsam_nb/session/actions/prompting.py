"""Pointing at objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ...core import BoxPrompt, Candidate, LabelError, Mask, MaskPrompt, Point, Prompt, PromptError, Stop
from ..state import Notice, Tool
from .base import Action

if TYPE_CHECKING:
    from ..session import Session

#: The origin of a proposal that is a committed object.
OBJECT = "object"


@dataclass(frozen=True, slots=True)
class AddPoint(Action):
    """Click on the object, or beside it (``positive`` False)."""

    y: float
    x: float
    positive: bool = True
    plane: int = 0

    def apply(self, session: Session) -> None:
        AddPrompt(Point(self.plane, float(self.y), float(self.x), self.positive)).apply(session)


@dataclass(frozen=True, slots=True)
class AddBox(Action):
    """Draw a box around an object; several boxes are several objects."""

    y0: float
    x0: float
    y1: float
    x1: float
    plane: int = 0

    def apply(self, session: Session) -> None:
        box = BoxPrompt(self.plane, float(self.y0), float(self.x0), float(self.y1), float(self.x1))
        AddPrompt(box).apply(session)


@dataclass(frozen=True, slots=True)
class AddPrompt(Action):
    """Add a prompt of any kind."""

    prompt: Prompt

    def apply(self, session: Session) -> None:
        prompt_with(session, (*session.state.prompts, checked(session, self.prompt)))


@dataclass(frozen=True, slots=True)
class ReplacePrompt(Action):
    """Put another prompt in the place of one, by its place in the list: move or reshape it."""

    index: int
    prompt: Prompt

    def apply(self, session: Session) -> None:
        prompts = list(session.state.prompts)
        _check_index(self.index, prompts)
        prompts[self.index] = checked(session, self.prompt)
        prompt_with(session, tuple(prompts))


@dataclass(frozen=True, slots=True)
class RemovePrompt(Action):
    """Take one prompt away, by its place in the list; -1 is the newest."""

    index: int = -1

    def apply(self, session: Session) -> None:
        prompts = list(session.state.prompts)
        _check_index(self.index, prompts)
        del prompts[self.index]
        prompt_with(session, tuple(prompts))


@dataclass(frozen=True, slots=True)
class Clear(Action):
    """Take all prompts and proposals away; committed objects stay."""

    def apply(self, session: Session) -> bool:
        state = session.state
        if not state.prompts and not state.proposals and not state.target:
            return False
        session.edit(replace(state, prompts=(), proposals=(), answered=True, target=0))
        session.notice = Notice("")
        return True


@dataclass(frozen=True, slots=True)
class Segment(Action):
    """Ask the model for an answer to the present prompts, also when there is one."""

    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        if not session.state.prompts:
            raise PromptError("There is nothing to segment.", "Click on an object, or draw a box around it.")
        session.ask()


@dataclass(frozen=True, slots=True)
class Improve(Action):
    """Take a committed object up again: its mask becomes a prompt; committing it keeps its number.

    Raises PromptError while another one is being worked on, LabelError without such an object, and for one that
    reaches through several planes.
    """

    label: int

    def apply(self, session: Session) -> None:
        state = session.state
        if state.prompts or state.proposals:
            raise PromptError("Another object is being worked on.", "Commit it with C, or clear it with Shift-C.")
        mask = session.labels.mask(self.label)
        if mask.bitmap.shape[0] > 1:
            raise LabelError(
                f"Object {self.label} reaches through {mask.bitmap.shape[0]} planes.",
                "Pick it, then correct it with brush and eraser.",
            )
        info = session.infos.get(self.label)
        score = info.score if info is not None and info.score is not None else 1.0
        found = Candidate(mask, score, OBJECT)
        browsing = state.browsing
        if browsing.tool in (Tool.PICK, Tool.MERGE, Tool.SPLIT, Tool.DELETE, Tool.HAND):
            # What comes next is a click on what is missing, or too much.
            browsing = replace(browsing, tool=Tool.POINT)
        session.edit(
            replace(
                state, browsing=browsing, prompts=(MaskPrompt(mask),), proposals=(found,), answered=True,
                target=self.label,
            )
        )  # fmt: skip
        session.notice = Notice(
            f"Object {self.label} is taken up: click on what is missing, right-click on what is too much, or paint; "
            "C keeps the change, Shift-C leaves it as it was."
        )


@dataclass(frozen=True, slots=True)
class Suggest(Action):
    """Show candidates, for example of an automatic segmentation, in place of those that are there."""

    candidates: tuple[Candidate, ...]

    def apply(self, session: Session) -> None:
        full = tuple(one for one in self.candidates if one.mask.area)
        if not all(inside(one.mask, session) for one in full):
            raise PromptError("A candidate reaches outside the image.", "Use candidates made for this image.")
        session.edit(replace(session.state, candidates=full, automatic=None))


@dataclass(frozen=True, slots=True)
class TakeCandidate(Action):
    """Make a candidate the proposal, by its place in the list; it is a candidate no longer."""

    index: int

    def apply(self, session: Session) -> None:
        state = session.state
        if not 0 <= self.index < len(state.candidates):
            raise PromptError(f"There is no candidate {self.index}.", f"There are {len(state.candidates)}.")
        if state.prompts or state.proposals:
            raise PromptError("Another object is being worked on.", "Commit it with C, or clear it with Shift-C.")
        one = state.candidates[self.index]
        rest = state.candidates[: self.index] + state.candidates[self.index + 1 :]
        # Through several planes there is no prompt like it; it is kept or cleared as it is.
        prompts = (MaskPrompt(one.mask),) if one.mask.bitmap.shape[0] == 1 else ()
        session.edit(replace(state, candidates=rest, prompts=prompts, proposals=(one,), answered=True, target=0))
        session.notice = Notice("C keeps this candidate as an object; add points to correct it.")


def checked(session: Session, prompt: Prompt) -> Prompt:
    """Return a prompt as it lies in the image. Raises PromptError."""
    if isinstance(prompt, Stop):
        raise PromptError("A stop belongs to objects of several planes.", "Use points, boxes or regions here.")
    prompt.check(session.shape)
    return prompt.clip(session.shape) if isinstance(prompt, BoxPrompt) else prompt


def inside(mask: Mask, session: Session) -> bool:
    stops = zip(mask.box.stop, session.shape, strict=True)
    return min(mask.start) >= 0 and all(stop <= size for stop, size in stops)


def _check_index(index: int, prompts: list[Prompt]) -> None:
    if not -len(prompts) <= index < len(prompts):
        raise PromptError(f"There is no prompt number {index}.", f"There are {len(prompts)} prompts.")


def prompt_with(session: Session, prompts: tuple[Prompt, ...]) -> None:
    """Put these prompts in the place of those that are there. Raises PromptError."""
    if len({p.plane for p in prompts}) > 1:
        raise PromptError("The prompts of one object lie in several planes.", "Commit or clear the object first.")
    state = session.state
    # The old proposals stay on screen until the new answer comes.
    kept = state.proposals if prompts else ()
    target = state.target if prompts else 0
    session.edit(replace(state, prompts=prompts, proposals=kept, answered=not prompts, target=target))
    session.notice = Notice("" if state.browsing.live or not prompts else "S asks the model.")
