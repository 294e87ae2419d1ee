"""Random scripts of all actions: undo, redo, replay, and the labels against plain arithmetic on whole volumes.

MICROSAM_SCRIPTS=2000 runs as many scripts; by default a few hundred.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from loose import check_index, kill, opened

from microsam_nb.core import (
    BoxPrompt,
    Candidate,
    Ellipse,
    Mask,
    MaskPrompt,
    MicrosamError,
    ObjectInfo,
    Overlap,
    Point,
    Polygon,
    Scribble,
)
from microsam_nb.core.raster import stroke
from microsam_nb.session import (
    AcceptCandidates,
    AddBox,
    AddPoint,
    AddPrompt,
    Automatic,
    Cancel,
    Channel,
    Clear,
    Commit,
    Delete,
    Describe,
    Embed,
    Erase,
    Failed,
    Fill,
    FindAll,
    Glimpsed,
    Improve,
    LayerName,
    LoadLabels,
    Merge,
    Paint,
    Predict,
    Predicted,
    Redo,
    RejectCandidates,
    RemovePrompt,
    ReplacePrompt,
    Segment,
    Select,
    SetBatched,
    SetBrush,
    SetChannels,
    SetContours,
    SetLayer,
    SetLive,
    SetOverlap,
    SetPolarity,
    Setting,
    SetTool,
    SetView,
    ShowAsModel,
    Split,
    State,
    Suggest,
    Suggested,
    TakeCandidate,
    Tool,
    Undo,
    group,
)

SCRIPTS = int(os.environ.get("MICROSAM_SCRIPTS", "300"))
SHAPE = (2, 10, 12)
planes, ys, xs = st.integers(0, 1), st.integers(0, 9), st.integers(0, 11)
places = st.tuples(ys, xs)
#: Strokes may leave the image.
vertices = st.lists(st.tuples(st.floats(-3, 13), st.floats(-3, 15)), min_size=1, max_size=4).map(tuple)
numbers = st.lists(st.integers(0, 9), max_size=4).map(tuple)
switches = st.sampled_from([True, False, None])


def rectangle(plane, y, x, height, width, depth=1):
    mask = np.ones((min(depth, 2 - plane), min(height, 10 - y), min(width, 12 - x)), bool)
    return Mask.crop(mask, (plane, y, x))


sizes = st.integers(0, 6)
masks = st.builds(rectangle, planes, ys, xs, sizes, sizes, st.integers(1, 2))
scores = st.floats(0, 1)
answers = st.lists(st.builds(Candidate, masks, scores, st.sampled_from(["points", "box"])), min_size=1, max_size=3).map(
    tuple
)


@st.composite
def prompts(draw):
    """A prompt of any kind, seldom one that is refused."""
    plane, (y, x), height, width = draw(planes), draw(places), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    made = [
        lambda: Point(plane, y + 0.5, x + 0.25, draw(st.booleans())),
        lambda: BoxPrompt(plane, y - 2, x - 2, y + height, x + width),
        lambda: Ellipse(plane, y, x, y + height, x + width),
        lambda: Polygon(plane, ((y, x), (y + height, x), (y, x + width))),
        lambda: Scribble(plane, ((y, x), (y + height, x + width)), 2.0, draw(st.booleans())),
        lambda: MaskPrompt(rectangle(plane, y, x, height, width)),
        lambda: Point(plane, -1.0, x),
    ]
    return draw(st.sampled_from(made))()


@dataclass(frozen=True)
class Moment:
    """What the session holds after one step; ``state`` without browsing."""

    state: State
    volume: bytes
    infos: tuple[tuple[int, ObjectInfo], ...]

    @classmethod
    def of(cls, session):
        state = replace(session.state, browsing=State().browsing)
        return cls(state, session.labels.volume.tobytes(), tuple(sorted(session.infos.items())))

    @property
    def labels(self):
        return np.frombuffer(self.volume, np.uint32).reshape(SHAPE)


BEGINNING = Moment(State(), np.zeros(SHAPE, np.uint32).tobytes(), ())


def committed(here, overlap):
    """The volume after a commit, pixel by pixel; None when nothing can be kept."""
    volume, taken, made = here.labels.copy(), np.zeros(SHAPE, bool), 0
    state = here.state
    if state.target:
        volume[volume == state.target] = 0
    label = state.next_id
    for one in state.proposals:
        new = one.mask.dense(SHAPE) & ~taken
        free = new & (volume == 0) if overlap is Overlap.KEEP else new
        if not free.any():
            continue
        taken |= new
        number = state.target if state.target and not made else label
        if overlap is Overlap.WHOLE:
            volume[np.isin(volume, np.setdiff1d(volume[free], [0, number]))] = 0
        volume[free] = number
        label += number == label
        made += 1
    return volume if made else None


class Annotating(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        # In memory where there is such a place: syncing to a busy disk takes most of the time.
        memory = Path("/dev/shm")
        self.folder = tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)
        self.path = Path(self.folder.name)
        self.journal = self.path / "journal.jsonl"
        self.steps, self.now = [BEGINNING], 0
        self.issued: list[int] = []
        self.awaited: int | None = None
        #: The awaited ticket as a replay knows it: failures and cancels are not written.
        self.open: int | None = None

    @initialize()
    def start(self):
        self.session = opened(self.path, SHAPE)

    @property
    def here(self):
        return self.steps[self.now]

    @property
    def browsing(self):
        return self.session.state.browsing

    # How an action is carried out, by what it may do.

    def do(self, action):
        """Carry an action out; None when it is refused, and then nothing happened at all."""
        before, lines = Moment.of(self.session), self.lines()
        browsing, awaiting = self.browsing, self.session.awaiting
        refused = None
        try:
            outcome = self.session.handle(action)
        except MicrosamError as error:
            outcome, refused = None, error
        if refused is not None:
            assert refused.remedy
            assert Moment.of(self.session) == before
            assert (self.browsing, self.session.awaiting, self.lines()) == (browsing, awaiting, lines)
        return outcome

    def step(self, action):
        """An action that can be undone; return whether it was possible."""
        before = self.here
        outcome = self.do(action)
        if outcome is None:
            return False
        del self.steps[self.now + 1 :]
        self.steps.append(Moment.of(self.session))
        self.now += 1
        self.asked(outcome)
        change = outcome.change
        assert change.prompts == (self.here.state.prompts != before.state.prompts)
        painted = np.zeros(SHAPE, bool)
        if change.labels is not None:
            painted[change.labels.slices] = True
        assert not (self.here.labels != before.labels)[~painted].any()
        return True

    def look(self, action, *, asks=False):
        """An action that is no step."""
        outcome = self.do(action)
        if outcome is not None:
            self.steps[self.now] = Moment.of(self.session)
            if asks:
                self.asked(outcome, asks)
            else:
                assert not [r for r in outcome.requests if isinstance(r, Predict)]
        return outcome

    def asked(self, outcome, by_itself=None):
        """Check the requests of a step: exactly the one that the new moment needs."""
        state, by_itself = self.session.state, self.browsing.live if by_itself is None else by_itself
        questions = [r for r in outcome.requests if isinstance(r, Predict)]
        if state.answered or not state.prompts or not by_itself:
            assert questions == []
            self.awaited = self.open = None
            return
        (request,) = questions
        assert request.objects == self.objects()
        assert request.ticket not in self.issued
        self.issued.append(request.ticket)
        self.awaited = self.open = request.ticket

    def objects(self):
        """What the prompts ask for: several objects, or the one that was taken up to be improved."""
        state = self.session.state
        return (state.prompts,) if state.target else group(state.prompts, batched=self.browsing.batched)

    def lines(self):
        return self.journal.stat().st_size if self.journal.exists() else 0

    # Prompts.

    @rule(place=places, positive=st.booleans(), plane=planes)
    def click(self, place, positive, plane):
        self.step(AddPoint(place[0] + 0.5, place[1] + 0.5, positive, plane))

    @rule(place=places, height=st.integers(-3, 9), width=st.integers(-3, 9), plane=planes)
    def draw_box(self, place, height, width, plane):
        self.step(AddBox(*place, place[0] + height, place[1] + width, plane))

    @rule(prompt=prompts())
    def draw(self, prompt):
        before = self.here.state.prompts
        if self.step(AddPrompt(prompt)):
            assert len(self.here.state.prompts) == len(before) + 1

    @rule(prompt=prompts(), index=st.integers(-2, 2))
    def reshape(self, prompt, index):
        self.step(ReplacePrompt(index, prompt))

    @rule(index=st.integers(-3, 3))
    def remove(self, index):
        wanted = list(self.here.state.prompts)
        if self.step(RemovePrompt(index)):
            del wanted[index]
            assert self.here.state.prompts == tuple(wanted)

    @rule()
    def clear(self):
        state = self.here.state
        if state.prompts or state.proposals or state.target:
            assert self.step(Clear())
            assert self.here.state == replace(state, prompts=(), proposals=(), answered=True, target=0)
        else:
            assert self.session.handle(Clear()).requests == ()

    @rule()
    def segment(self):
        prompted = bool(self.here.state.prompts)
        assert (self.look(Segment(), asks=True) is not None) == prompted

    @rule(live=switches)
    def live(self, live):
        turned_on = (live if live is not None else not self.browsing.live) and not self.browsing.live
        self.look(SetLive(live), asks=bool(turned_on and not self.here.state.answered))

    @rule(batched=switches)
    def batched(self, batched):
        new = batched if batched is not None else not self.browsing.batched
        asks = new != self.browsing.batched and self.browsing.live and bool(self.here.state.prompts)
        self.look(SetBatched(batched), asks=asks)

    # Answers.

    @precondition(lambda self: self.awaited is not None)
    @rule(found=answers)
    def answer(self, found):
        outcome = self.session.handle(Predicted(self.awaited, found))
        assert outcome.requests == ()
        self.awaited = self.open = None
        state = self.here.state
        full = tuple(one for one in found if one.mask.area)
        self.steps[self.now] = replace(self.here, state=replace(state, proposals=full, answered=True))

    @precondition(lambda self: self.issued)
    @rule(ticket=st.integers(0, 60), found=answers)
    def answer_late_or_twice(self, ticket, found):
        if ticket == self.awaited:
            return
        before, lines = self.session.state, self.lines()
        outcome = self.session.handle(Predicted(ticket, found))
        assert self.session.state is before
        assert outcome.requests == ()
        assert outcome.change.labels is None
        assert self.lines() == lines

    @precondition(lambda self: self.issued)
    @rule(ticket=st.integers(0, 60), found=answers, awaited=st.booleans())
    def glimpse(self, ticket, found, awaited):
        """What is found so far is shown, while it is awaited; nothing else comes of it."""
        ticket = self.awaited if awaited and self.awaited is not None else ticket
        before, lines = self.session.state, self.lines()
        outcome = self.session.handle(Glimpsed(ticket, found))
        assert self.session.state is before
        assert outcome.requests == ()
        assert outcome.change.labels is None
        assert self.lines() == lines
        full = tuple(one for one in found if one.mask.area)
        if full and ticket == self.awaited:
            assert self.session.shown == full

    @precondition(lambda self: self.awaited is not None)
    @rule()
    def fail(self):
        self.session.handle(Failed("It broke. Try again.", self.awaited))
        assert self.session.notice.error
        self.awaited = None

    @rule()
    def cancel(self):
        self.session.handle(Cancel())
        self.awaited = None

    # Objects.

    @rule(overlap=st.sampled_from([None, *Overlap]))
    def commit(self, overlap):
        here = self.here
        wanted = None
        if here.state.answered or not here.state.prompts:
            wanted = committed(here, overlap or self.browsing.overlap)
        assert self.step(Commit(overlap)) == (wanted is not None)
        if wanted is not None:
            assert np.array_equal(self.here.labels, wanted)
            assert self.here.state.proposals == self.here.state.prompts == ()

    @rule(place=places, found=answers, overlap=st.sampled_from([None, *Overlap]))
    def make_object(self, place, found, overlap):
        self.live(True)
        self.clear()
        self.click(place, True, 0)
        self.answer(found)
        self.commit(overlap)

    @rule(label=st.integers(0, 9))
    def improve(self, label):
        mask = None if self.session.labels.area(label) == 0 else self.session.labels.mask(label)
        if self.step(Improve(label)):
            assert self.here.state.proposal.mask == mask
            assert self.here.state.target == label

    @rule(points=vertices, width=st.floats(0, 5), plane=planes)
    def paint(self, points, width, plane):
        before, picked = self.here, self.session.selected
        if self.step(Paint(points, width, plane)):
            met = stroke(points, width, plane, SHAPE).dense(SHAPE)
            changed = self.here.labels != before.labels
            if changed.any():
                (label,) = picked
                assert not (changed & ~met).any() or self.browsing.overlap is Overlap.WHOLE
                assert (self.here.labels[changed & met] == label).all()
            else:
                after = np.any([one.mask.dense(SHAPE) for one in self.here.state.proposals], axis=0)
                assert after[met].all()

    @rule(points=vertices, width=st.floats(0, 5), plane=planes)
    def erase(self, points, width, plane):
        before, picked = self.here, self.session.selected
        if self.step(Erase(points, width, plane)):
            met = stroke(points, width, plane, SHAPE).dense(SHAPE)
            if before.state.proposals:
                assert not any((one.mask.dense(SHAPE) & met).any() for one in self.here.state.proposals)
                assert np.array_equal(self.here.labels, before.labels)
            else:
                hit = met & (np.isin(before.labels, picked) if picked else before.labels != 0)
                assert hit.any()
                assert np.array_equal(self.here.labels, np.where(hit, 0, before.labels))

    @rule(y=st.floats(-1, 10), x=st.floats(-1, 12), plane=st.integers(-1, 2))
    def fill(self, y, x, plane):
        before = self.here
        if self.step(Fill(y, x, plane)):
            changed = self.here.labels != before.labels
            assert (before.labels[changed] == 0).all()
            assert len(np.unique(self.here.labels[changed])) <= 1

    @rule(labels=numbers)
    def merge(self, labels):
        before, wanted = self.here, list(dict.fromkeys(labels))
        possible = len(wanted) > 1 and all(n and (before.labels == n).any() for n in wanted)
        assert self.step(Merge(labels)) == possible
        if possible:
            assert np.array_equal(
                self.here.labels, np.where(np.isin(before.labels, wanted), np.uint32(wanted[0]), before.labels)
            )

    @rule(points=vertices, plane=planes)
    def split(self, points, plane):
        before = self.here
        if self.step(Split(points, plane)):
            assert np.array_equal(self.here.labels > 0, before.labels > 0)
            new = np.setdiff1d(self.here.labels, before.labels)
            assert len(new)
            assert (new >= before.state.next_id).all()
            changed = self.here.labels != before.labels
            assert np.isin(self.here.labels[changed], new).all()
            assert np.array_equal(np.unique(before.labels), np.setdiff1d(self.here.labels, new))

    @rule(labels=numbers)
    def delete(self, labels):
        before = self.here
        possible = bool(labels) and all(n and (before.labels == n).any() for n in labels)
        assert self.step(Delete(labels)) == possible
        if possible:
            assert np.array_equal(self.here.labels, np.where(np.isin(before.labels, labels), 0, before.labels))

    @rule(
        label=st.integers(0, 9), name=st.sampled_from([None, "", "a", "Zelle ä"]), category=st.sampled_from([None, "b"])
    )
    def describe(self, label, name, category):
        old = self.session.infos.get(label, ObjectInfo())
        new = replace(old, name=old.name if name is None else name, category=category or old.category)
        if label in self.session.labels and new == old:
            assert not self.session.handle(Describe(label, name, category)).change.objects
        elif self.step(Describe(label, name, category)):
            assert self.session.infos[label] == new

    @rule(seed=st.integers(0, 9), largest=st.sampled_from([1, 3, 9, 2**31]))
    def load(self, seed, largest):
        random = np.random.default_rng(seed)
        volume = random.integers(0, largest, SHAPE, endpoint=True) * (random.random(SHAPE) < 0.06)
        if self.step(LoadLabels.of(volume, "elsewhere")):
            assert np.array_equal(self.here.labels, volume)
            assert self.here.infos == ()

    @rule(found=answers)
    def suggest(self, found):
        if self.step(Suggest(found)):
            assert self.here.state.candidates == tuple(one for one in found if one.mask.area)

    @rule(index=st.integers(-1, 3))
    def take(self, index):
        before = self.here.state
        if self.step(TakeCandidate(index)):
            after = self.here.state
            assert after.proposals == (before.candidates[index],)
            assert len(after.candidates) == len(before.candidates) - 1

    @rule(places=numbers)
    def accept(self, places):
        before = self.here
        volume, rest, label = before.labels.copy(), [], before.state.next_id
        chosen = [i for i in dict.fromkeys(places) if i < len(before.state.candidates)]
        chosen = chosen if places else list(range(len(before.state.candidates)))
        kept = set()
        for i in chosen:
            mask = before.state.candidates[i].mask.dense(SHAPE)
            free = mask & (volume == 0)
            if 2 * free.sum() >= mask.sum():
                volume[free], label = label, label + 1
                kept.add(i)
        rest = tuple(one for i, one in enumerate(before.state.candidates) if i not in kept)
        assert self.step(AcceptCandidates(places)) == bool(kept)
        if kept:
            assert np.array_equal(self.here.labels, volume)
            assert self.here.state.candidates == rest
            assert self.here.state.next_id == label

    @rule(places=numbers)
    def reject(self, places):
        before = self.here.state.candidates
        gone = [i for i in places if i < len(before)] if places else range(len(before))
        known = self.here.state.rejected
        if self.step(RejectCandidates(places)):
            new = tuple(before[i].mask for i in sorted(set(gone)))
            assert self.here.state.rejected == ((*known, *new) if places else ())
            assert self.here.state.candidates == tuple(one for i, one in enumerate(before) if i not in gone)

    @rule(found=answers, plane=planes)
    def find_all(self, found, plane):
        """Nothing that was found is kept before it is asked for, and then once."""
        before = self.here.labels
        (request,) = self.session.handle(FindAll("ais")).requests
        new = Suggested(request.ticket, found, Automatic("ais", (Setting("min_size", 2.0),)))
        outcome = self.do(new)
        # Prompts are as they were: an answer that is awaited still is, and none is asked for.
        assert outcome is not None
        assert not outcome.requests
        del self.steps[self.now + 1 :]
        self.steps.append(Moment.of(self.session))
        self.now += 1
        free = [one for one in found if one.mask.area]
        free = [one for one in free if 2 * (one.mask.dense(SHAPE) & (before == 0)).sum() >= one.mask.area]
        rejected = [mask.dense(SHAPE) for mask in self.here.state.rejected]
        full = [one.mask.dense(SHAPE) for one in free]
        again = [any(2 * (m & r).sum() > (m | r).sum() for r in rejected) for m in full]
        assert self.here.state.candidates == tuple(one for one, no in zip(free, again, strict=True) if not no)

    # Walking and looking.

    @rule()
    def undo(self):
        browsing = self.browsing
        outcome = self.session.handle(Undo())
        if self.now:
            self.now -= 1
            self.asked(outcome)
        assert self.browsing == browsing

    @rule()
    def redo(self):
        browsing = self.browsing
        outcome = self.session.handle(Redo())
        if self.now + 1 < len(self.steps):
            self.now += 1
            self.asked(outcome)
        assert self.browsing == browsing

    @rule(
        action=st.one_of(
            st.builds(SetTool, st.sampled_from(Tool)),
            st.builds(SetPolarity, switches),
            st.builds(SetView, st.integers(-9, 9), st.just(2.0), st.sampled_from([None, 0.5, 1.0, 4.0, 0.0])),
            st.builds(SetOverlap, st.sampled_from(Overlap)),
            st.builds(SetBrush, st.sampled_from([0.5, 1.0, 7.5, 2000])),
            st.builds(Select, numbers, st.booleans()),
            st.builds(SetLayer, st.sampled_from(LayerName), switches, st.sampled_from([None, 0.0, 0.25, 1.5])),
            st.builds(SetContours, switches),
            st.builds(SetChannels, st.lists(st.builds(Channel, st.booleans(), st.just("#ff0000"), scores)).map(tuple)),
            st.builds(ShowAsModel, switches),
        )
    )
    def look_around(self, action):
        before = self.here
        self.look(action)
        assert self.here == before

    @rule(saved=st.booleans())
    def reopen(self, saved):
        """As after a killed kernel: only the folder is left."""
        old = self.session
        if saved:
            assert old.flush()
            self.stored_is_what_is_there()
        kill(old)
        self.session = opened(self.path, SHAPE)
        assert self.session.recovered == ""
        # With how the user looked, exactly; what is not kept, what is picked in vain, is not there either.
        assert self.session.state == old.state
        assert (self.session.can_undo, self.session.can_redo) == (old.can_undo, old.can_redo)
        # An answer that failed is asked for again.
        self.awaited = self.open
        embed, *rest = self.session.pending()
        assert embed == Embed(0)
        objects = self.objects()
        assert [(one.ticket, one.objects) for one in rest] == (
            [] if self.awaited is None else [(self.awaited, objects)]
        )

    def stored_is_what_is_there(self):
        stored = self.session._stored
        if not self.session.labels.count() and not stored.exists():
            return
        volume, whole = stored.read()
        assert whole
        assert np.array_equal(volume, self.session.labels.volume)
        stamp = stored.stamp()
        assert stamp.upto == len(self.journal.read_bytes().splitlines())
        assert (stamp.objects, stamp.pixels) == (self.session.labels.count(), np.count_nonzero(volume))
        assert dict(stamp.infos) == self.session.infos

    @invariant()
    def holds_what_it_should(self):
        if not hasattr(self, "session"):
            return
        session = self.session
        assert Moment.of(session) == self.here
        assert session.can_undo == (self.now > 0)
        assert session.can_redo == (self.now + 1 < len(self.steps))
        assert session.awaiting == self.awaited
        if self.awaited is None:
            assert session.shown is session.state.proposals
        check_index(session.labels)
        assert set(session.infos) <= set(session.labels)
        assert max(session.labels, default=0) < session.state.next_id

    def teardown(self):
        try:
            if hasattr(self, "session"):
                self.walk()
                kill(self.session)
        finally:
            self.folder.cleanup()

    def walk(self):
        """Replay, undo everything and redo everything."""
        self.reopen(False)
        self.holds_what_it_should()
        while self.session.can_undo:
            self.undo()
            self.holds_what_it_should()
        assert self.here == BEGINNING
        while self.session.can_redo:
            self.redo()
            self.holds_what_it_should()
        assert self.now == len(self.steps) - 1
        self.session.close()
        self.stored_is_what_is_there()
        self.session = opened(self.path, SHAPE)


pytestmark = pytest.mark.timeout(600 + 10 * SCRIPTS)
TestAnnotating = Annotating.TestCase
TestAnnotating.settings = settings(
    max_examples=SCRIPTS,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize("seed", range(max(4, SCRIPTS // 100)))
def test_long_random_scripts(seed):
    """The same rules in long scripts with many objects, which hypothesis seldom draws."""
    random = np.random.default_rng(seed)
    machine = Annotating()
    machine.start()

    def place():
        return int(random.integers(10)), int(random.integers(12))

    def mask():
        return rectangle(int(random.integers(2)), *place(), *(int(n) for n in random.integers(0, 6, 2)))

    def some():
        return tuple(Candidate(mask(), 0.5, "points") for _ in range(random.integers(1, 4)))

    def line():
        return tuple((float(y), float(x)) for y, x in random.uniform(-2, 13, (int(random.integers(1, 4)), 2)))

    def overlap():
        return random.choice([None, *Overlap])

    def labels():
        return tuple(int(n) for n in random.permutation([*machine.session.labels, 7])[: random.integers(0, 4)])

    rules = {
        lambda: machine.click(place(), bool(random.random() < 0.7), 0): 4,
        lambda: machine.draw_box(place(), 3, 4, 0): 2,
        lambda: machine.make_object(place(), some(), overlap()): 7,
        lambda: machine.awaited is not None and machine.answer(some()): 4,
        lambda: machine.issued and machine.answer_late_or_twice(int(random.integers(100)), some()): 1,
        lambda: machine.awaited is not None and machine.glimpse(0, some(), True): 2,
        lambda: machine.awaited is not None and machine.fail(): 2,
        lambda: machine.live(None): 2,
        machine.segment: 1,
        machine.cancel: 1,
        lambda: machine.batched(None): 1,
        lambda: machine.commit(overlap()): 3,
        lambda: machine.remove(int(random.integers(-2, 2))): 1,
        lambda: machine.paint(line(), 2.0, 0): 2,
        lambda: machine.erase(line(), 1.0, 0): 2,
        lambda: machine.split(line(), 0): 3,
        lambda: machine.merge(labels()): 1,
        lambda: machine.delete(labels()): 1,
        lambda: machine.improve(int(random.choice([*machine.session.labels, 1]))): 2,
        lambda: machine.look_around(Select(labels())): 2,
        lambda: machine.fill(*place(), 0): 1,
        machine.clear: 2,
        machine.undo: 7,
        machine.redo: 5,
        lambda: machine.reopen(bool(random.random() < 0.5)): 1,
    }
    chance = np.array(list(rules.values())) / sum(rules.values())
    most = 0
    try:
        for _ in range(200):
            list(rules)[random.choice(len(rules), p=chance)]()
            machine.holds_what_it_should()
            most = max(most, machine.session.labels.count())
    finally:
        machine.teardown()
    assert most >= 3
