"""Doing again what was done in a project, with the answers of another model."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from ..core import Image, MicrosamError
from ..session import (
    AcceptCandidates,
    AcceptGuesses,
    Action,
    AddBox,
    AddPoint,
    AddPrompt,
    Clear,
    Commit,
    Embed,
    Extend,
    Extended,
    FindAll,
    Linked,
    LoadLabels,
    LoadTracks,
    Outcome,
    Predict,
    Predicted,
    Question,
    RejectCandidates,
    Relabel,
    RemovePrompt,
    ReplacePrompt,
    Restored,
    SegmentAll,
    Select,
    Session,
    SetPlane,
    StopCarrying,
    Suggested,
    TakeCandidate,
)
from ..session.actions import LostStep
from ..session.story import Story, retell
from .service import EngineService

#: What may follow before the model has answered.
_PROMPTING = (AddPoint, AddBox, AddPrompt, ReplacePrompt, RemovePrompt, Clear)
#: Fields of actions that hold numbers of objects.
_NUMBERS = ("label", "labels", "track", "mother", "first", "second", "target")
#: Candidates of two models are the same from this IoU on.
_SAME = 0.5


class Replay:
    """Does every action twice: with the answers of the journal, and with those of the service."""

    def __init__(self, story: Story, image: Image, service: EngineService, new: Session) -> None:
        self.old = Session(image.shape, movie=new.movie)
        self.new, self.service = new, service
        #: The number of every object of before in the new session.
        self.numbers: dict[int, int] = {}
        self.notes = list(story.notes)
        self._question: Question | None = None
        #: As far as the answer that is not whole yet has come: its ticket, and objects by place with their planes.
        self._reached: tuple[int, set[tuple[int, int]]] = (0, set())
        self._prepared: set[int] = set()
        for one in service(Embed(0)):  # which only says that there is a model
            new.handle(one)

    def do(self, action: Action) -> None:
        """Do an action in both sessions."""
        if isinstance(action, Predicted | Extended):
            retell(self.old, [action])
            if isinstance(action, Extended) and not action.final:
                self._note(action)
            else:
                self._answer()
            return
        if isinstance(action, StopCarrying):
            self._carry()
        if action.step:
            self._reached = (0, set())
        if action.step and not isinstance(action, _PROMPTING):
            self.settle()
        ours = self._translated(action)
        before, after = set(self.old.labels), set(self.new.labels)
        where = _places(self.old) if isinstance(action, Relabel) else {}
        retell(self.old, [action])
        if isinstance(action, Suggested):
            self._suggest(action)
        elif ours is not None:
            self._handle(ours)
        self._put_down(action)
        self._pair(before, after, action, where)

    def settle(self) -> None:
        """Let the model answer all that it was asked."""
        while self.new.awaiting is not None and self._answer():
            pass

    def _answer(self) -> bool:
        """Let the model answer the question that waits; return whether there was one."""
        question = self._question
        if question is None or self.new.awaiting != question.ticket:
            return False
        self._question = None
        try:
            if isinstance(question, Predict):
                self._prepare(question)
            for one in self.service(question):
                self._take(self.new.handle(one))
        except MicrosamError as error:
            self.notes.append(f"The model does not answer some prompts ({error}).")
            return False
        return True

    def _note(self, part: Extended) -> None:
        ticket, reached = self._reached
        new = {(one.place, one.plane) for one in part.sections}
        self._reached = (part.ticket, new | reached if part.ticket == ticket else new)

    def _carry(self) -> None:
        """Carry the object through the planes where it was when somebody stopped that."""
        (_, reached), self._reached = self._reached, (0, set())
        question = self._question
        if not isinstance(question, Extend) or self.new.awaiting != question.ticket:
            return
        self._question = None
        if len(question.objects) != len(self.old.state.proposals):
            # Which is which is not known any more: all of them as far as one was.
            planes = {plane for _, plane in reached}
            reached = {(place, plane) for place in range(len(question.objects)) for plane in planes}
        left = set(reached)
        try:
            for one in self.service(question) if left else ():
                if isinstance(one, Extended):
                    here = tuple(part for part in one.sections if (part.place, part.plane) in reached)
                    left -= {(part.place, part.plane) for part in here}
                    one = replace(one, sections=here, final=False)
                self._take(self.new.handle(one))
                if not left:
                    break
        except MicrosamError as error:
            self.notes.append(f"The model does not answer some prompts ({error}).")

    def _prepare(self, question: Predict) -> None:
        """Let nano find out how large objects are, as it does on screen."""
        if self.service.model.is_nano and question.plane not in self._prepared:
            self._prepared.add(question.plane)
            for one in self.service(Embed(question.plane)):
                self.new.handle(one)

    def _put_down(self, action: Action) -> None:
        """Let go of prompts by which nothing is found any more: those of the next object must not join them."""
        old, new = self.old.state, self.new.state
        if isinstance(action, Commit) and not old.prompts and (new.prompts or new.proposals):
            self._handle(Clear())

    def _handle(self, action: Action) -> None:
        try:
            self._take(self.new.handle(action))
        except MicrosamError as error:
            self.notes.append(f"{type(action).__name__} is left out: {error.what}")

    def _take(self, outcome: Outcome) -> None:
        for request in outcome.requests:
            if isinstance(request, Question):
                self._question = request

    def _suggest(self, action: Suggested) -> None:
        """Find all objects anew, by the same method where the model has it."""
        same = action.automatic.model == self.service.model.spec.label
        options = action.automatic.options if same else ()
        for mode in (action.automatic.mode, "auto"):
            if action.candidates and not action.automatic.volume:
                # In the plane they were found in; somebody may have gone on before they were there.
                self._handle(SetPlane(action.candidates[0].mask.start[0]))
            outcome = self.new.handle(FindAll(mode, options, volume=action.automatic.volume))
            try:
                for request in outcome.requests:
                    if isinstance(request, SegmentAll):
                        for one in self.service(request):
                            self._take(self.new.handle(one))
                return
            except MicrosamError as error:
                self.notes.append(f"All objects could not be found by {mode}: {error}")
                options = ()

    def _translated(self, action: Action) -> Action | None:
        """Return an action for the new session, with the numbers and places there; None when its objects are lost."""
        if isinstance(action, LostStep):
            return None  # what was done is not known; that a line is damaged is among the notes
        if isinstance(action, Linked):
            self.notes.append("The tracks that were linked are kept as they were: how is not in the journal.")
            return LoadTracks(action.data, action.shape, action.lineage, "the project before")
        if isinstance(action, LoadLabels | LoadTracks | Restored):
            return action
        if isinstance(action, AcceptCandidates | RejectCandidates) and action.places:
            places = tuple(place for one in action.places if (place := self._place(one)) is not None)
            return replace(action, places=places) if places else self._left_out(action)
        if isinstance(action, TakeCandidate):
            index = self._place(action.index)
            return self._left_out(action) if index is None else replace(action, index=index)
        if isinstance(action, AcceptGuesses):
            known = tuple(
                replace(one, label=self.numbers[one.label])
                for one in action.guesses
                if self.numbers.get(one.label) in self.new.labels
            )
            return replace(action, guesses=known) if known else self._left_out(action)
        changes: dict[str, Any] = {}
        for name in (one.name for one in fields(action) if one.name in _NUMBERS):  # type: ignore[arg-type]
            value = getattr(action, name)
            if isinstance(value, tuple):
                found = tuple(self.numbers[one] for one in value if self.numbers.get(one) in self.new.labels)
                if value and not found:
                    # What was picked before must not stay picked in its place.
                    return Select() if isinstance(action, Select) and not action.more else self._left_out(action)
                changes[name] = found
            elif isinstance(value, int) and value:
                if self.numbers.get(value) not in self.new.labels:
                    return self._left_out(action)
                changes[name] = self.numbers[value]
        return replace(action, **changes) if changes else action  # type: ignore[type-var]

    def _left_out(self, action: Action) -> Action | None:
        self.notes.append(f"{type(action).__name__} is left out: its object is not found any more.")
        return None

    def _place(self, index: int) -> int | None:
        """Return the place of the new candidate that is the same as an old one."""
        old, new = self.old.state.candidates, self.new.state.candidates
        if not 0 <= index < len(old):
            return None
        best = max(range(len(new)), key=lambda i: old[index].mask.iou(new[i].mask), default=None)
        return best if best is not None and old[index].mask.iou(new[best].mask) >= _SAME else None

    def _pair(self, before: set[int], after: set[int], action: Action, where: dict[int, tuple[int, ...]]) -> None:
        """Note which new objects are the same."""
        if isinstance(action, Restored | LoadLabels | LoadTracks | Linked):
            self.numbers = {one: one for one in self.old.labels if one in self.new.labels}
            return
        if where:
            # Numbers stay with the pixels; the new session numbers its own in the same order.
            renewed = {one: int(self.old.labels.volume[place]) for one, place in where.items()}
            ranks = {one: rank for rank, one in enumerate(sorted(after), start=1)}
            self.numbers = {renewed[a]: ranks[b] for a, b in self.numbers.items() if a in renewed and b in ranks}
            return
        made, found = set(self.old.labels) - before, set(self.new.labels) - after
        for _, a, b in sorted(_shares(self.old, self.new, made, found), reverse=True):
            if a in made and b in found:
                self.numbers[a] = b
                made.remove(a)
                found.remove(b)
        if len(made) == len(found):  # in their order, as prompts have it
            self.numbers.update(zip(sorted(made), sorted(found), strict=True))


def _shares(old: Session, new: Session, made: set[int], found: set[int]) -> list[tuple[float, int, int]]:
    """Return the IoU of every old object with every new one that it meets, and both numbers."""
    out = []
    for one in made:
        mask = old.labels.mask(one)
        met, counts = np.unique(new.labels.volume[mask.box.slices][mask.bitmap], return_counts=True)
        for other, joint in zip(met.tolist(), counts.tolist(), strict=True):
            if other in found:
                out.append((joint / (mask.area + new.labels.area(other) - joint), one, other))
    return out


def _places(session: Session) -> dict[int, tuple[int, ...]]:
    """Return one pixel of every object."""
    out = {}
    for label in session.labels:
        box = session.labels.box(label)
        first = np.argwhere(session.labels.volume[box.slices] == label)[0]
        out[label] = tuple(int(a) + b for a, b in zip(first, box.start, strict=True))
    return out
