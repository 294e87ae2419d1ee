"""Pointing at objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ...core import BoxPrompt, Candidate, LabelError, Mask, MaskPrompt, Point, Prompt, PromptError, Stop
from ...core.sections import planes_of
from ..planes import check_objects, fixed_planes, with_stop
from ..requests import Embed
from ..state import EDITING, Extension, Notice, State, Tool
from ..volumes import reprompted
from ..wording import be, counted
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
    gist: ClassVar[str] = "adding a point"

    def apply(self, session: Session) -> None:
        AddPrompt(Point(self.plane, float(self.y), float(self.x), self.positive)).apply(session)


@dataclass(frozen=True, slots=True)
class AddBox(Action):
    """Draw a box around an object; several boxes are several objects."""

    gist: ClassVar[str] = "adding a box"

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
    """Add a prompt of any kind; a stop ends the object of a volume before its plane, and takes the place of another."""

    prompt: Prompt
    gist: ClassVar[str] = "adding a prompt"

    def apply(self, session: Session) -> None:
        prompt = checked(session, self.prompt)
        prompts = session.state.prompts
        if isinstance(prompt, Stop):
            prompt_with(session, with_stop(prompts, prompt, session.word), adds=False)
            side = "before" if prompt.plane > fixed_planes(prompts)[-1] else "after"
            session.notice = Notice(f"The object ends {side} {session.word} {prompt.plane}.")
        else:
            prompt_with(session, (*prompts, prompt))


@dataclass(frozen=True, slots=True)
class ReplacePrompt(Action):
    """Put another prompt in the place of one, by its place in the list: move or reshape it."""

    index: int
    prompt: Prompt
    gist: ClassVar[str] = "changing a prompt"

    def apply(self, session: Session) -> None:
        prompts = list(session.state.prompts)
        _check_index(self.index, prompts)
        prompt = checked(session, self.prompt)
        if isinstance(prompt, Stop):
            del prompts[self.index]
            prompt_with(session, with_stop(tuple(prompts), prompt, session.word), adds=False)
            return
        prompts[self.index] = prompt
        prompt_with(session, tuple(prompts))


@dataclass(frozen=True, slots=True)
class RemovePrompt(Action):
    """Take one prompt away, by its place in the list; -1 is the newest."""

    index: int = -1
    gist: ClassVar[str] = "removing a prompt"

    def apply(self, session: Session) -> None:
        prompts = list(session.state.prompts)
        _check_index(self.index, prompts)
        del prompts[self.index]
        prompt_with(session, tuple(prompts), adds=False)


@dataclass(frozen=True, slots=True)
class Clear(Action):
    """Take all prompts and proposals away; committed objects stay."""

    gist: ClassVar[str] = "clearing the prompts"

    def apply(self, session: Session) -> bool:
        state = session.state
        if not state.prompts and not state.proposals and not state.target and not state.mother:
            return False
        if not state.prompts and not state.proposals and not state.target:
            # There is nothing in hand: the daughters are complete.
            state = replace(state, mother=0)
        session.edit(state.emptied())
        session.notice = Notice("")
        return True


@dataclass(frozen=True, slots=True)
class Segment(Action):
    """Ask the model for an answer to the present prompts, also when there is one.

    In a volume: for what waits for one, be it prompts or planes of the object that must be computed again; else for
    the prompts of the plane on screen.
    """

    step: ClassVar[bool] = False

    def apply(self, session: Session) -> None:
        state = session.state
        extension = state.extension
        waiting = extension is not None and (bool(extension.planes) or not extension.done)
        if not state.prompts and not waiting:
            raise PromptError("There is nothing to segment.", "Click on an object, or draw a box around it.")
        if extension is None or not waiting:
            session.ask()
            return
        session.amend(replace(state, extension=replace(extension, done=False, stopped=False), answered=False))
        session.go_on()


@dataclass(frozen=True, slots=True)
class Improve(Action):
    """Take a committed object up again: its mask becomes a prompt; committing it keeps its number.

    Raises PromptError while another one is being worked on, LabelError without such an object. One of several planes
    is no prompt: prompts correct the plane that they lie in, and what of it lies near.
    """

    label: int

    def apply(self, session: Session) -> None:
        state = session.state
        if state.prompts or state.proposals:
            raise PromptError("Another object is being worked on.", "Commit it with C, or clear it with Shift-C.")
        if not self.label:
            raise LabelError(f"No {session.noun.lower()} is picked.", "Click on one with the pick tool first.")
        mask = session.labels.mask(self.label)
        info = session.infos.get(self.label)
        score = info.score if info is not None and info.score is not None else 1.0
        found = Candidate(mask, score, OBJECT)
        browsing = state.browsing
        if browsing.tool in EDITING:
            # What comes next is a click on what is missing, or too much.
            browsing = replace(browsing, tool=Tool.POINT)
        planes = planes_of(mask)
        if browsing.plane not in planes:
            browsing = replace(browsing, plane=planes[len(planes) // 2])
            session.want(Embed(browsing.plane))
        session.edit(
            replace(_taken(state, found), browsing=browsing, target=self.label),
            what=f"taking up {session.noun.lower()} {self.label}",
        )
        session.notice = Notice(
            f"{session.noun} {self.label} is taken up: click on what is missing, right-click on what is too much, or "
            "paint; C keeps the change, Shift-C leaves it as it was."
        )


@dataclass(frozen=True, slots=True)
class Suggest(Action):
    """Show candidates, for example of an automatic segmentation, in place of those that are there."""

    candidates: tuple[Candidate, ...]
    gist: ClassVar[str] = "showing candidates"

    def apply(self, session: Session) -> None:
        full = tuple(one for one in self.candidates if one.mask.area)
        if not all(inside(one.mask, session) for one in full):
            raise PromptError("A candidate reaches outside the image.", "Use candidates made for this image.")
        session.edit(replace(session.state, candidates=full, automatic=None))


@dataclass(frozen=True, slots=True)
class TakeCandidate(Action):
    """Make a candidate the proposal, by its place in the list; it is a candidate no longer."""

    index: int
    gist: ClassVar[str] = "taking up a candidate"

    def apply(self, session: Session) -> None:
        state = session.state
        if not 0 <= self.index < len(state.candidates):
            raise PromptError(f"There is no candidate {self.index}.", f"There are {len(state.candidates)}.")
        if state.prompts or state.proposals:
            raise PromptError("Another object is being worked on.", "Commit it with C, or clear it with Shift-C.")
        one = state.candidates[self.index]
        rest = state.candidates[: self.index] + state.candidates[self.index + 1 :]
        session.edit(replace(_taken(state, one), candidates=rest))
        session.notice = Notice("C keeps this candidate as an object; add points to correct it.")


def checked(session: Session, prompt: Prompt) -> Prompt:
    """Return a prompt as it lies in the image. Raises PromptError."""
    if isinstance(prompt, Stop) and session.shape[0] == 1:
        raise PromptError("A stop belongs to objects of several planes.", "Use points, boxes or regions here.")
    prompt.check(session.shape)
    return prompt.clip(session.shape) if isinstance(prompt, BoxPrompt) else prompt


def inside(mask: Mask, session: Session) -> bool:
    stops = zip(mask.box.stop, session.shape, strict=True)
    return min(mask.start) >= 0 and all(stop <= size for stop, size in stops)


def _check_index(index: int, prompts: list[Prompt]) -> None:
    if not prompts:
        raise PromptError("There is no prompt to change.", "Click on an object first.")
    if not -len(prompts) <= index < len(prompts):
        raise PromptError(
            f"There is no prompt number {index}.", f"There {be(len(prompts))} {counted(len(prompts), 'prompt')}."
        )


def prompt_with(session: Session, prompts: tuple[Prompt, ...], *, adds: bool = True) -> None:
    """Put these prompts in the place of those that are there; ``adds``: some are new. Raises PromptError."""
    state = session.state
    if session.shape[0] == 1:
        # The old proposals stay on screen until the new answer comes.
        after = replace(state, prompts=prompts, answered=False) if prompts else state.emptied()
    else:
        if adds and not state.target:
            check_objects(prompts, batched=state.browsing.batched, word=session.word)
        after = reprompted(state, prompts)
    session.edit(after)
    session.notice = Notice("" if state.browsing.live or after.answered else "S asks the model.")


def _taken(state: State, one: Candidate) -> State:
    """Return the state with an object in hand that was there before any prompt."""
    if one.mask.bitmap.shape[0] == 1:
        return replace(state.emptied(), prompts=(MaskPrompt(one.mask),), proposals=(one,))
    # Through several planes there is no prompt like it.
    return replace(state.emptied(), proposals=(one,), extension=Extension(done=True, taken=True))
