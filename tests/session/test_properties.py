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
    Section,
    Stop,
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
    Extend,
    Extended,
    ExtendObject,
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
    SetPlane,
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
#: Planes of a volume; half of the scripts are about an image of one.
DEPTH = 5
planes, ys, xs = st.integers(0, DEPTH - 1), st.integers(0, 9), st.integers(0, 11)
places = st.tuples(ys, xs)
#: Strokes may leave the image.
vertices = st.lists(st.tuples(st.floats(-3, 13), st.floats(-3, 15)), min_size=1, max_size=4).map(tuple)
numbers = st.lists(st.integers(0, 9), max_size=4).map(tuple)
switches = st.sampled_from([True, False, None])


def rectangle(plane, y, x, height, width, depth=1):
    mask = np.ones((min(depth, DEPTH - plane), min(height, 10 - y), min(width, 12 - x)), bool)
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
        return np.frombuffer(self.volume, np.uint32).reshape(-1, 10, 12)


def unanswered(state):
    """Whether a commit must wait."""
    return bool(state.stale or (state.prompts and not state.answered and state.extension is None))


def fixed(state):
    return sorted({p.plane for p in state.prompts if not isinstance(p, Stop)})


def limits(state):
    """The planes, both outside, that stops leave to the object."""
    ends = [p.plane for p in state.prompts if isinstance(p, Stop)]
    known = fixed(state)
    return max([p for p in ends if p < known[0]], default=-1), min([p for p in ends if p > known[-1]], default=DEPTH)


def in_hand(state):
    return state.prompts, state.proposals, state.extension


def committed(here, overlap):
    """The volume after a commit, pixel by pixel; None when nothing can be kept."""
    volume, state, made = here.labels.copy(), here.state, 0
    shape = volume.shape
    taken = np.zeros(shape, bool)
    if state.target:
        volume[volume == state.target] = 0
    label = state.next_id
    for one in state.proposals:
        new = one.mask.dense(shape) & ~taken
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
        self.shape = (1, 10, 12)
        self.steps, self.now = [], 0
        self.issued: list[int] = []
        self.awaited: int | None = None
        #: The awaited ticket as a replay knows it: failures and cancels are not written.
        self.open: int | None = None
        #: What the last question was.
        self.kind: type = Predict

    @initialize(volume=st.booleans())
    def start(self, volume):
        self.shape = (DEPTH if volume else 1, 10, 12)
        self.beginning = Moment(State(), np.zeros(self.shape, np.uint32).tobytes(), ())
        self.steps = [self.beginning]
        self.session = opened(self.path, self.shape)

    @property
    def volume(self):
        return self.shape[0] > 1

    def on(self, plane):
        """A plane of this image."""
        return plane % self.shape[0]

    def within(self, candidates):
        """Candidates as they can be in this image."""
        whole = np.zeros((DEPTH, 10, 12), bool).shape
        dense = [one.mask.dense(whole) for one in candidates]
        dense = dense if self.volume else [one.any(0, keepdims=True) for one in dense]
        return tuple(replace(one, mask=Mask.crop(own)) for one, own in zip(candidates, dense, strict=True))

    def flat(self, candidates, plane):
        """Candidates in one plane, as the model answers."""
        flat = [one.mask.dense((DEPTH, 10, 12)).any(0) for one in candidates]
        return tuple(
            replace(one, mask=Mask.crop(own, (plane, 0, 0))) for one, own in zip(candidates, flat, strict=True)
        )

    def dense(self, found):
        return [one.mask.dense(self.shape) for one in found]

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
        state = self.here.state
        goes_on = self.carrying(state) and in_hand(state) == in_hand(before.state)
        if goes_on and not isinstance(action, ExtendObject):
            # What is carried through the planes meanwhile goes on, or stays stopped.
            assert not [r for r in outcome.requests if isinstance(r, Predict | Extend)]
        else:
            self.asked(outcome, True if isinstance(action, ExtendObject) else None)
        change = outcome.change
        assert change.prompts == (self.here.state.prompts != before.state.prompts)
        painted = np.zeros(self.shape, bool)
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
                assert not [r for r in outcome.requests if isinstance(r, Predict | Extend)]
        return outcome

    def asked(self, outcome, by_itself=None):
        """Check the requests of a step: exactly the one that the new moment needs."""
        state, by_itself = self.session.state, self.browsing.live if by_itself is None else by_itself
        questions = [r for r in outcome.requests if isinstance(r, Predict | Extend)]
        if state.answered or not (state.prompts or state.extension) or not by_itself:
            assert questions == []
            self.awaited = self.open = None
            return
        (request,) = questions
        self.is_what_is_open(request)
        assert request.ticket not in self.issued
        self.issued.append(request.ticket)
        self.awaited = self.open = request.ticket
        self.kind = type(request)

    def carrying(self, state):
        return bool(state.extension) and state.extension.waits and not state.stale

    def is_what_is_open(self, request):
        """The question is about the prompts of the newest plane without answer; without such, about further planes."""
        state = self.session.state
        if not self.carrying(state):
            assert isinstance(request, Predict)
            assert request.plane == (state.stale[-1] if self.volume else 0)
            assert request.objects == self.objects()
            if request.base:
                assert state.extension
                assert len(request.base) == len(request.objects) == len(state.proposals)
                for own, one in zip(request.base, state.proposals, strict=True):
                    wanted = one.mask.dense(self.shape)[request.plane]
                    there = np.zeros_like(wanted) if own is None else own.dense(self.shape)[request.plane]
                    assert np.array_equal(there, wanted)
            return
        assert isinstance(request, Extend)
        assert (request.planes, request.options) == (state.extension.planes, state.extension.options)
        assert request.current == tuple(one.mask for one in state.proposals)
        assert sorted(request.stops) == sorted(p.plane for p in state.prompts if isinstance(p, Stop))
        assert len(request.objects) == len(request.current) > 0
        known = fixed(state)
        for parts, dense in zip(request.objects, self.dense(state.proposals), strict=True):
            own = [mask.start[0] for mask in parts]
            assert own == sorted(set(own)) != []
            assert all(np.array_equal(mask.dense(self.shape)[p], dense[p]) for p, mask in zip(own, parts, strict=True))
            there = [p for p in known if dense[p].any()]
            assert own == there or not there

    def objects(self):
        """What the prompts ask for: several objects, or the one that was taken up to be improved."""
        state = self.session.state
        prompts = state.prompts
        if self.volume:
            prompts = tuple(p for p in prompts if not isinstance(p, Stop) and p.plane == state.stale[-1])
        return (prompts,) if state.target else group(prompts, batched=self.browsing.batched)

    def lines(self):
        return self.journal.stat().st_size if self.journal.exists() else 0

    # Prompts.

    @rule(place=places, positive=st.booleans(), plane=planes)
    def click(self, place, positive, plane):
        self.step(AddPoint(place[0] + 0.5, place[1] + 0.5, positive, self.on(plane)))

    @rule(place=places, height=st.integers(-3, 9), width=st.integers(-3, 9), plane=planes)
    def draw_box(self, place, height, width, plane):
        self.step(AddBox(*place, place[0] + height, place[1] + width, self.on(plane)))

    def own(self, prompt):
        """A prompt in a plane of this image."""
        if isinstance(prompt, MaskPrompt):
            (plane, *corner), bitmap = prompt.mask.start, prompt.mask.bitmap
            return MaskPrompt(Mask((self.on(plane), *corner), bitmap))
        return replace(prompt, plane=self.on(prompt.plane))

    @staticmethod
    def without_stops(prompts):
        return tuple(p for p in prompts if not isinstance(p, Stop))

    @rule(prompt=prompts())
    def draw(self, prompt):
        before = self.without_stops(self.here.state.prompts)
        own = self.own(prompt)
        if self.step(AddPrompt(own)):
            assert len(self.without_stops(self.here.state.prompts)) == len(before) + 1

    @rule(plane=planes)
    def stop(self, plane):
        """An object ends before a plane: at once, and on either side of its prompts once."""
        before = self.here.state
        known = fixed(before)
        possible = self.volume and bool(known) and not known[0] <= plane <= known[-1]
        assert self.step(AddPrompt(Stop(plane))) == possible
        if possible:
            after = self.here.state
            ends = [p.plane for p in after.prompts if isinstance(p, Stop)]
            assert plane in ends
            assert fixed(after) == known
            low, high = limits(after)
            wanted = []
            for dense in self.dense(before.proposals):
                dense[: low + 1] = dense[high:] = False
                wanted.append(dense)
            self.same(after.proposals, wanted)

    def same(self, found, wanted):
        """The proposals are these pixels; those without any are not there."""
        wanted = [one for one in wanted if one.any()]
        assert len(found) == len(wanted)
        assert all(np.array_equal(one, own) for one, own in zip(self.dense(found), wanted, strict=True))

    @precondition(lambda self: self.volume)
    @rule(options=st.sampled_from([(), (Setting("iou", 0.5),)]))
    def extend(self, options):
        before = self.here.state
        known = fixed(before)
        kept = self.dense(before.proposals)
        if known:
            for dense in kept:
                dense[[p for p in range(DEPTH) if p not in known]] = False
        possible = bool(before.stale or any(one.any() for one in kept))
        assert self.step(ExtendObject(options)) == possible
        if possible:
            self.same(self.here.state.proposals, kept)
            assert self.here.state.extension.options == options
            assert self.session.awaiting is not None

    @precondition(lambda self: self.awaited is not None and self.kind is Extend)
    @rule(found=st.lists(st.tuples(planes, masks, scores), max_size=4), final=st.booleans(), place=st.integers(0, 1))
    def carry(self, found, final, place):
        """Further planes are found: some, or all that there are."""
        state, (low, high) = self.here.state, limits(self.here.state) if fixed(self.here.state) else (-1, DEPTH)
        place = place % len(state.proposals)
        flat = {
            plane: Section(place, plane, self.flat([Candidate(mask, 0, "")], plane)[0].mask, score, 1 - score)
            for plane, mask, score in found
        }
        outcome = self.session.handle(Extended(self.awaited, tuple(flat.values()), final))
        assert outcome.requests == ()
        wanted = self.dense(state.proposals)
        for plane, one in flat.items():
            if low < plane < high and plane not in fixed(state):
                wanted[place][plane] = one.mask.dense(self.shape)[plane]
        after = self.session.state
        self.same(after.proposals, wanted)
        assert (after.prompts, after.stale, after.target) == (state.prompts, (), state.target)
        self.steps[self.now] = Moment.of(self.session)
        if final:
            assert after.answered
            self.awaited = self.open = None
        elif after.extension is None:
            self.awaited = self.open = self.session.awaiting

    @precondition(lambda self: self.issued)
    @rule(ticket=st.integers(0, 60), plane=planes, mask=masks, final=st.booleans())
    def carry_late(self, ticket, plane, mask, final):
        if ticket == self.awaited and self.kind is Extend:
            return
        section = Section(0, plane, self.flat([Candidate(mask, 0, "")], plane)[0].mask, 0.5, 0.5)
        before, lines, awaiting = self.session.state, self.lines(), self.session.awaiting
        assert self.session.handle(Extended(ticket, (section,), final)).requests == ()
        assert self.session.state is before
        assert (self.session.awaiting, self.lines()) == (awaiting, lines)

    @rule(prompt=prompts(), index=st.integers(-2, 2))
    def reshape(self, prompt, index):
        self.step(ReplacePrompt(index, self.own(prompt)))

    @rule(index=st.integers(-3, 3))
    def remove(self, index):
        wanted = list(self.here.state.prompts)
        if self.step(RemovePrompt(index)):
            del wanted[index]
            assert self.without_stops(self.here.state.prompts) == self.without_stops(wanted)

    @rule()
    def clear(self):
        state = self.here.state
        if state.prompts or state.proposals or state.target:
            assert self.step(Clear())
            assert self.here.state == replace(
                state, prompts=(), proposals=(), answered=True, target=0, stale=(), extension=None, sections=()
            )
        else:
            assert self.session.handle(Clear()).requests == ()

    @rule()
    def segment(self):
        extension = self.here.state.extension
        prompted = bool(self.here.state.prompts or (extension and (extension.planes or not extension.done)))
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

    @precondition(lambda self: self.awaited is not None and self.kind is Predict)
    @rule(found=answers)
    def answer(self, found):
        state = self.here.state
        plane = state.stale[-1] if self.volume else 0
        found = self.flat(found, plane)
        outcome = self.session.handle(Predicted(self.awaited, found))
        self.awaited = self.open = None
        after = self.session.state
        full = tuple(one for one in found if one.mask.area)
        if self.volume:
            new, old = self.dense(found), self.dense(state.proposals)
            if len(old) != len(new):
                old = [old[0] if old and len(new) == 1 else np.zeros(self.shape, bool) for _ in new]
                if state.extension and state.proposals:
                    for dense in old:
                        dense[[p for p in range(DEPTH) if p not in fixed(state)]] = False
            for dense, one in zip(old, new, strict=True):
                dense[plane] = one[plane]
            self.same(after.proposals, old)
            assert after.stale == state.stale[:-1]
            assert after.prompts == state.prompts
        else:
            assert after.proposals == full
            assert after.answered
        self.steps[self.now] = Moment.of(self.session)
        # What is left to ask is asked.
        self.asked(outcome, True)

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
        found = self.flat(found, before.stale[-1] if (before := self.session.state).stale else 0)
        before, lines = self.session.state, self.lines()
        outcome = self.session.handle(Glimpsed(ticket, found))
        assert self.session.state is before
        assert outcome.requests == ()
        assert outcome.change.labels is None
        assert self.lines() == lines
        full = tuple(one for one in found if one.mask.area)
        if full and ticket == self.awaited and not self.volume:
            assert self.session.shown == full

    @precondition(lambda self: self.awaited is not None)
    @rule()
    def fail(self):
        self.session.handle(Failed("It broke. Try again.", self.awaited))
        assert self.session.notice.error
        self.awaited = None

    @rule()
    def cancel(self):
        extension = self.session.state.extension
        carried = self.awaited is not None and extension is not None and extension.waits
        assert not [r for r in self.session.handle(Cancel()).requests if isinstance(r, Predict | Extend)]
        if carried:
            # That it was stopped is in the journal.
            assert self.session.state.extension.stopped
            self.steps[self.now] = Moment.of(self.session)
            self.open = None
        self.awaited = None

    # Objects.

    @rule(overlap=st.sampled_from([None, *Overlap]))
    def commit(self, overlap):
        here = self.here
        wanted = None
        if not unanswered(here.state):
            wanted = committed(here, overlap or self.browsing.overlap)
        assert self.step(Commit(overlap)) == (wanted is not None)
        if wanted is not None:
            assert np.array_equal(self.here.labels, wanted)
            assert self.here.state.proposals == self.here.state.prompts == ()

    @rule(place=places, found=answers, overlap=st.sampled_from([None, *Overlap]), plane=planes)
    def make_object(self, place, found, overlap, plane):
        self.live(True)
        self.clear()
        self.click(place, True, plane)
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
        plane = self.on(plane)
        before, picked = self.here, self.session.selected
        if self.step(Paint(points, width, plane)):
            met = stroke(points, width, plane, self.shape).dense(self.shape)
            changed = self.here.labels != before.labels
            if changed.any():
                (label,) = picked
                assert not (changed & ~met).any() or self.browsing.overlap is Overlap.WHOLE
                assert (self.here.labels[changed & met] == label).all()
            else:
                after = np.any([one.mask.dense(self.shape) for one in self.here.state.proposals], axis=0)
                assert after[met].all()

    @rule(points=vertices, width=st.floats(0, 5), plane=planes)
    def erase(self, points, width, plane):
        plane = self.on(plane)
        before, picked = self.here, self.session.selected
        if self.step(Erase(points, width, plane)):
            met = stroke(points, width, plane, self.shape).dense(self.shape)
            if before.state.proposals:
                assert not any((one.mask.dense(self.shape) & met).any() for one in self.here.state.proposals)
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
        plane = self.on(plane)
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
        volume = random.integers(0, largest, self.shape, endpoint=True) * (random.random(self.shape) < 0.06)
        if self.step(LoadLabels.of(volume, "elsewhere")):
            assert np.array_equal(self.here.labels, volume)
            assert self.here.infos == ()

    @rule(found=answers)
    def suggest(self, found):
        found = self.within(found)
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
            mask = before.state.candidates[i].mask.dense(self.shape)
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
        found = self.within(found)
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
        free = [one for one in free if 2 * (one.mask.dense(self.shape) & (before == 0)).sum() >= one.mask.area]
        rejected = [mask.dense(self.shape) for mask in self.here.state.rejected]
        full = [one.mask.dense(self.shape) for one in free]
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
            st.builds(SetPlane, st.integers(-1, DEPTH)),
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
        self.session = opened(self.path, self.shape)
        assert self.session.recovered == ""
        # With how the user looked, exactly; what is not kept, what is picked in vain, is not there either.
        assert self.session.state == old.state
        assert (self.session.can_undo, self.session.can_redo) == (old.can_undo, old.can_redo)
        # An answer that failed is asked for again.
        self.awaited = self.open
        embed, *rest = self.session.pending()
        assert embed == Embed(self.browsing.plane)
        assert [one.ticket for one in rest] == ([] if self.awaited is None else [self.awaited])
        for one in rest:
            self.is_what_is_open(one)
            self.kind = type(one)

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
        self.is_whole(session.state)
        check_index(session.labels)
        assert set(session.infos) <= set(session.labels)
        assert max(session.labels, default=0) < session.state.next_id

    def is_whole(self, state):
        """What must hold of an object in hand, however it came about."""
        known, extension = fixed(state), state.extension
        ends = [p.plane for p in state.prompts if isinstance(p, Stop)]
        if not self.volume:
            assert (state.stale, extension, state.sections, ends) == ((), None, (), [])
            return
        assert set(state.stale) <= set(known)
        assert len(set(state.stale)) == len(state.stale)
        assert state.answered == (not state.stale and (extension is None or not extension.waits))
        assert extension is None or not (extension.done and extension.stopped)
        dense = self.dense(state.proposals)
        assert all(one.any() for one in dense)
        if ends:
            assert not any(known[0] <= plane <= known[-1] for plane in ends)
            assert len(ends) == len({plane > known[-1] for plane in ends})
            low, high = limits(state)
            assert not any(one[: low + 1].any() or one[high:].any() for one in dense)
        if extension is None:
            assert state.sections == ()
            assert all(set(np.flatnonzero(one.any((1, 2)))) <= set(known) for one in dense)
        for one in state.sections:
            assert dense[one.place][one.plane].any()
            assert one.plane not in known or one.plane in state.stale or one.agreement == 1

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
        assert self.here == self.beginning
        while self.session.can_redo:
            self.redo()
            self.holds_what_it_should()
        assert self.now == len(self.steps) - 1
        self.session.close()
        self.stored_is_what_is_there()
        self.session = opened(self.path, self.shape)


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
    machine.start(volume=seed % 2 == 1)

    def plane():
        return int(random.integers(DEPTH))

    def place():
        return int(random.integers(10)), int(random.integers(12))

    def mask():
        return rectangle(plane(), *place(), *(int(n) for n in random.integers(0, 6, 2)))

    def some():
        return tuple(Candidate(mask(), 0.5, "points") for _ in range(random.integers(1, 4)))

    def carried():
        return [(plane(), mask(), 0.25) for _ in range(3)], bool(random.random() < 0.4), 0

    def line():
        return tuple((float(y), float(x)) for y, x in random.uniform(-2, 13, (int(random.integers(1, 4)), 2)))

    def overlap():
        return random.choice([None, *Overlap])

    def labels():
        return tuple(int(n) for n in random.permutation([*machine.session.labels, 7])[: random.integers(0, 4)])

    rules = {
        lambda: machine.click(place(), bool(random.random() < 0.7), plane()): 4,
        lambda: machine.draw_box(place(), 3, 4, plane()): 2,
        lambda: machine.make_object(place(), some(), overlap(), plane()): 7,
        lambda: machine.awaited is not None and machine.kind is Predict and machine.answer(some()): 8,
        lambda: machine.stop(plane()): 2,
        lambda: machine.volume and machine.extend(()): 4,
        lambda: machine.awaited is not None and machine.kind is Extend and machine.carry(*carried()): 8,
        lambda: machine.issued and machine.answer_late_or_twice(int(random.integers(100)), some()): 1,
        lambda: machine.awaited is not None and machine.glimpse(0, some(), True): 2,
        lambda: machine.awaited is not None and machine.fail(): 2,
        lambda: machine.live(None): 2,
        machine.segment: 1,
        machine.cancel: 1,
        lambda: machine.batched(None): 1,
        lambda: machine.commit(overlap()): 3,
        lambda: machine.remove(int(random.integers(-2, 2))): 1,
        lambda: machine.paint(line(), 2.0, plane()): 2,
        lambda: machine.erase(line(), 1.0, plane()): 2,
        lambda: machine.split(line(), plane()): 3,
        lambda: machine.merge(labels()): 1,
        lambda: machine.delete(labels()): 1,
        lambda: machine.improve(int(random.choice([*machine.session.labels, 1]))): 2,
        lambda: machine.look_around(Select(labels())): 2,
        lambda: machine.fill(*place(), plane()): 1,
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
