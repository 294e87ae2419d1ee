"""Random scripts: the session against a plain model of what it should remember."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from microsam_nb.core import BoxPrompt, Mask, Overlap, Point, PromptError
from microsam_nb.session import (
    AddBox,
    AddPoint,
    Browsing,
    Clear,
    Commit,
    Embed,
    Failed,
    Predict,
    Predicted,
    Redo,
    RemovePrompt,
    Session,
    SetPolarity,
    SetTool,
    SetView,
    Tool,
    Undo,
    View,
)
from microsam_nb.session.journal import Journal

SHAPE = (1, 8, 9)
ys, xs = st.integers(0, 7), st.integers(0, 8)


@st.composite
def masks(draw):
    """A rectangle in the image, or nothing."""
    y0, x0 = draw(ys), draw(xs)
    height, width = draw(st.integers(0, 8 - y0)), draw(st.integers(1, 9 - x0))
    return Mask.crop(np.ones((height, width), bool), (0, y0, x0))


@dataclass(frozen=True)
class Moment:
    """What the session must hold after one step."""

    prompts: tuple = ()
    proposal: Mask | None = None
    answered: bool = True
    next_id: int = 1
    volume: bytes = np.zeros(SHAPE, np.uint32).tobytes()

    @property
    def labels(self):
        return np.frombuffer(self.volume, np.uint32).reshape(SHAPE)


class Annotating(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "journal.jsonl"
        self.steps, self.now = [Moment()], 0
        self.browsing = Browsing()
        self.issued: list[int] = []
        self.awaited: int | None = None

    @initialize()
    def start(self):
        self.session = self.opened()

    def opened(self):
        return Session(SHAPE, SimpleNamespace(journal=Journal(self.path), check=lambda: None))

    @property
    def here(self):
        return self.steps[self.now]

    def moved(self, outcome):
        """Check the requests of an edit, undo or redo: exactly those the new moment needs."""
        if self.here.answered:
            assert outcome.requests == ()
            self.awaited = None
            return
        (request,) = outcome.requests
        assert isinstance(request, Predict)
        assert request.prompts == self.here.prompts
        assert request.ticket not in self.issued
        self.issued.append(request.ticket)
        self.awaited = request.ticket

    def pushed(self, moment, outcome):
        del self.steps[self.now + 1 :]
        self.steps.append(moment)
        self.now += 1
        self.moved(outcome)

    def prompted(self, prompts, action):
        proposal = self.here.proposal if prompts else None
        moment = replace(self.here, prompts=prompts, proposal=proposal, answered=not prompts)
        before = self.here.prompts
        outcome = self.session.handle(action)
        # The same box drawn again is a step, but nothing to paint.
        assert outcome.change.prompts == (prompts != before)
        self.pushed(moment, outcome)

    @rule(y=ys, x=xs, positive=st.booleans())
    def click(self, y, x, positive):
        point = Point(0, y + 0.5, x + 0.5, positive)
        self.prompted((*self.here.prompts, point), AddPoint(y + 0.5, x + 0.5, positive))

    @rule(y=ys, x=xs, height=st.integers(1, 9), width=st.integers(1, 9))
    def draw_box(self, y, x, height, width):
        others = tuple(p for p in self.here.prompts if isinstance(p, Point))
        box = BoxPrompt(0, y, x, min(y + height, 8), min(x + width, 9))
        self.prompted((*others, box), AddBox(y + height, x + width, y, x))

    @rule(y=st.sampled_from([-1, 8, float("nan")]), x=xs)
    def click_outside(self, y, x):
        with pytest.raises(PromptError):
            self.session.handle(AddPoint(y, x))

    @rule(index=st.integers(-3, 3))
    def remove(self, index):
        prompts = list(self.here.prompts)
        if not -len(prompts) <= index < len(prompts):
            with pytest.raises(PromptError):
                self.session.handle(RemovePrompt(index))
            return
        del prompts[index]
        self.prompted(tuple(prompts), RemovePrompt(index))

    @rule()
    def clear(self):
        if self.here.prompts:
            self.prompted((), Clear())
        else:
            assert self.session.handle(Clear()).requests == ()

    @precondition(lambda self: self.awaited is not None)
    @rule(mask=masks(), score=st.floats(0, 1))
    def answer(self, mask, score):
        outcome = self.session.handle(Predicted(self.awaited, mask, score, "points"))
        assert outcome.requests == ()
        self.awaited = None
        self.steps[self.now] = replace(self.here, proposal=mask if mask.area else None, answered=True)

    @precondition(lambda self: self.issued)
    @rule(ticket=st.integers(0, 40), mask=masks())
    def answer_late_or_twice(self, ticket, mask):
        if ticket == self.awaited:
            return
        before, lines = self.session.state, self.path.read_bytes()
        outcome = self.session.handle(Predicted(ticket, mask, 0.5, "points"))
        assert self.session.state is before
        assert outcome.requests == ()
        assert outcome.change.labels is None
        assert not outcome.change.proposal
        assert self.path.read_bytes() == lines

    @precondition(lambda self: self.awaited is not None)
    @rule()
    def fail(self):
        self.session.handle(Failed("It broke. Try again.", self.awaited))
        assert self.session.notice.error
        self.awaited = None

    @rule(overlap=st.sampled_from(Overlap))
    def commit(self, overlap):
        here = self.here
        dense = None if here.proposal is None else here.proposal.dense(SHAPE)
        if dense is not None and overlap is Overlap.KEEP:
            dense &= here.labels == 0
        if not here.answered or dense is None or not dense.any():
            with pytest.raises(PromptError) as error:
                self.session.handle(Commit(overlap))
            assert error.value.remedy
            return
        outcome = self.session.handle(Commit(overlap))
        volume = np.where(dense, np.uint32(here.next_id), here.labels).astype(np.uint32)
        self.pushed(Moment(next_id=here.next_id + 1, volume=volume.tobytes()), outcome)
        assert outcome.change.labels == here.proposal.box

    @rule(y=ys, x=xs, mask=masks(), overlap=st.sampled_from(Overlap))
    def make_object(self, y, x, mask, overlap):
        self.click(y, x, True)
        self.answer(mask, 0.5)
        self.commit(overlap)

    @rule()
    def undo(self):
        outcome = self.session.handle(Undo())
        if self.now:
            self.now -= 1
            self.moved(outcome)

    @rule()
    def redo(self):
        outcome = self.session.handle(Redo())
        if self.now + 1 < len(self.steps):
            self.now += 1
            self.moved(outcome)

    @rule(tool=st.sampled_from(Tool))
    def set_tool(self, tool):
        self.session.handle(SetTool(tool))
        self.browsing = replace(self.browsing, tool=tool)

    @rule(zoom=st.sampled_from([None, 1.0, 4.0]), y=ys)
    def set_view(self, zoom, y):
        self.session.handle(SetView(y, 2.0, zoom))
        self.browsing = replace(self.browsing, view=zoom and View(y, 2.0, zoom))

    @rule(positive=st.sampled_from([True, False, None]))
    def set_polarity(self, positive):
        self.session.handle(SetPolarity(positive))
        wanted = not self.browsing.positive if positive is None else positive
        self.browsing = replace(self.browsing, positive=wanted)

    @rule()
    def reopen(self):
        """As after a killed kernel: nothing but the journal is left."""
        self.session = self.opened()
        self.browsing = Browsing()
        # An answer that failed is asked for again.
        self.awaited = None if self.here.answered else max(self.issued)
        embed, *rest = self.session.pending()
        assert embed == Embed(0)
        assert rest == ([] if self.here.answered else [Predict(self.awaited, self.here.prompts)])

    @invariant()
    def holds_what_it_should(self):
        if not hasattr(self, "session"):
            return
        state, here = self.session.state, self.here
        assert state.prompts == here.prompts
        assert (state.proposal and state.proposal.mask) == here.proposal
        assert state.answered == here.answered
        assert state.next_id == here.next_id
        assert state.browsing == self.browsing
        assert np.array_equal(self.session.labels.volume, here.labels)
        assert self.session.can_undo == (self.now > 0)
        assert self.session.can_redo == (self.now + 1 < len(self.steps))
        assert self.session.awaiting == self.awaited

    def teardown(self):
        try:
            if hasattr(self, "session"):
                self.walk()
        finally:
            self.folder.cleanup()

    def walk(self):
        """Replay, undo everything and redo everything."""
        replayed = self.opened()
        assert np.array_equal(replayed.labels.volume, self.session.labels.volume)
        while self.session.can_undo:
            self.undo()
            self.holds_what_it_should()
        assert not self.session.labels.volume.any()
        while self.session.can_redo:
            self.redo()
            self.holds_what_it_should()
        assert self.now == len(self.steps) - 1


TestAnnotating = Annotating.TestCase
TestAnnotating.settings = settings(max_examples=80, stateful_step_count=40, deadline=None, database=None)


@pytest.mark.parametrize("seed", range(4))
def test_long_random_scripts(seed):
    """The same rules in long scripts with many objects, which hypothesis seldom draws."""
    random = np.random.default_rng(seed)
    machine = Annotating()
    machine.start()

    def mask():
        (y0, y1), (x0, x1) = np.sort(random.integers(0, 9, 2)), np.sort(random.integers(0, 10, 2))
        return Mask.crop(np.ones((y1 - y0, x1 - x0), bool), (0, int(y0), int(x0)))

    def place():
        return int(random.integers(8)), int(random.integers(9))

    def overlap():
        return Overlap.REPLACE if random.random() < 0.6 else Overlap.KEEP

    rules = {
        lambda: machine.click(*place(), bool(random.random() < 0.7)): 4,
        lambda: machine.draw_box(*place(), 3, 4): 2,
        lambda: machine.make_object(*place(), mask(), overlap()): 5,
        lambda: machine.awaited is not None and machine.answer(mask(), 0.5): 4,
        lambda: machine.issued and machine.answer_late_or_twice(int(random.integers(100)), mask()): 1,
        lambda: machine.awaited is not None and machine.fail(): 1,
        lambda: machine.commit(overlap()): 3,
        lambda: machine.remove(int(random.integers(-2, 2))): 1,
        machine.clear: 1,
        machine.undo: 7,
        machine.redo: 5,
        lambda: machine.set_polarity(None): 1,
        lambda: machine.set_view(4.0, 1): 1,
        machine.reopen: 1,
    }
    chance = np.array(list(rules.values())) / sum(rules.values())
    most = 0
    try:
        for _ in range(250):
            list(rules)[random.choice(len(rules), p=chance)]()
            machine.holds_what_it_should()
            most = max(most, machine.session.labels.count())
    finally:
        machine.teardown()
    assert most >= 2
