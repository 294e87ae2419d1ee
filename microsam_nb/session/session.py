"""One object, one door: ``Session.handle``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..core import Box, Candidate, Delta, LabelError, Labels, Lineage, Note, ObjectInfo, ProjectError
from ..core.box import Triple
from .actions import Action, Restored
from .asking import plane_to_ask, question
from .autosave import Autosave, Pace
from .exchange import Exchange
from .guesses import Guesses
from .history import History, Step, Write
from .interrupts import uninterrupted
from .journal import encode
from .kinship import check_times, in_time, moved, with_tracks
from .looks import Looks
from .opening import replay
from .project import Project
from .requests import Around, Embed, Fit, Link, Request, SegmentAll, Setting, StopSearch
from .signal import Signal
from .state import Change, Notice, Outcome, Spread, State, Work
from .stored import Stamp, StoredLabels
from .wording import noun, word, worded


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of objects: ``area`` in pixels, ``box`` half-open."""

    label: int
    area: int
    box: Box
    info: ObjectInfo


class Session:
    """State, labels and history of one annotation.

    ``handle`` is the only way in; it may be called from any thread. Actions change the session through their verbs:
    ``write``, ``edit``, ``amend``, ``step_back`` and ``step_forward``. Slow work leaves as requests.
    """

    def __init__(
        self, shape: Triple, project: Project | None = None, pace: Pace | None = None, *, movie: bool = False
    ) -> None:
        #: Whether planes are frames, and objects tracks.
        self.movie = movie
        self.labels = Labels(shape)
        #: What is said about the objects, by number; only ``write`` changes it.
        self.infos: dict[int, ObjectInfo] = {}
        #: What was recovered of a damaged project, and what to do about it; "" when all is well.
        self.recovered = ""
        #: How many objects of an earlier time were opened, until the user was told.
        self.returned = 0
        self.changed: Signal[Change] = Signal()
        self.wanted: Signal[Request] = Signal()
        self.notice = Notice("")
        self.work: Work | None = None
        self.failure = ""
        #: Name of the model that answers, once it is loaded, and the device it runs on.
        self.model = self.device = ""
        #: Take every answer: which one a damaged journal waited for is not known.
        self.lenient = False
        #: Chunks of the stored labels that hold something else now.
        self.touched: set[Triple] = set()
        self._lock = threading.RLock()
        self._history = History(self._first())
        #: Frames of tracks, as far as they were asked for.
        self._frames: dict[int, tuple[int, ...]] = {}
        #: What is being done: it says what its step is called.
        self._doing: Action | None = None
        self._awaiting: int | None = None
        self._carrying = False
        self._glimpsed: tuple[Candidate, ...] = ()
        self._seeking: int | None = None
        self._sketched: tuple[Candidate, ...] | None = None
        self._repeating = False
        #: Whether the user has done something since the session was opened.
        self.acted = False
        #: Scores and areas in pixels of everything that the last automatic segmentation had to choose from.
        self.spread: Spread | None = None
        #: The classes that a classifier gives to objects; they are in no journal.
        self.guesses = Guesses()
        self._tickets, self._searches = 0, 0
        #: The next number when the automatic segmentation that is awaited was asked for.
        self._since = 1
        self._painted: Box | None = None
        self._noted = False
        self._written: list[Write] = []
        #: The objects that these won or lost pixels of.
        self._relabelled: set[int] = set()
        self._requests: list[Request] = []
        self._project: Project | None = None
        self._stored: StoredLabels | None = None
        self._autosave: Autosave | None = None
        self._journal_name = ""
        if project is not None:
            self._open(project, pace)

    @property
    def noun(self) -> str:
        """What a committed object is called."""
        return noun(movie=self.movie)

    @property
    def word(self) -> str:
        """What a plane is called."""
        return word(movie=self.movie)

    @property
    def shape(self) -> Triple:
        return self.labels.shape

    @property
    def state(self) -> State:
        with self._lock:
            return self._history.state

    @property
    def selected(self) -> tuple[int, ...]:
        """The picked objects that are still there."""
        return tuple(label for label in self.state.browsing.selected if label in self.labels)

    @property
    def shown(self) -> tuple[Candidate, ...]:
        """The proposals to show: while an answer is awaited, what the model has found so far."""
        with self._lock:
            return self._glimpsed or self.state.proposals

    @property
    def suggested(self) -> tuple[Candidate, ...]:
        """The candidates to show: while settings are being changed, what they would give."""
        with self._lock:
            return self.state.candidates if self._sketched is None else self._sketched

    @property
    def seeking(self) -> bool:
        """Whether an automatic segmentation is awaited."""
        return self._seeking is not None

    @property
    def sketching(self) -> bool:
        """Whether settings are being changed, so that the candidates on screen are not those of the state."""
        return self._sketched is not None

    @property
    def awaiting(self) -> int | None:
        """Ticket of the answer that is still to come."""
        return self._awaiting

    @property
    def extending(self) -> bool:
        """Whether the object in hand is being carried through the planes."""
        with self._lock:
            return self._awaiting is not None and self.state.extending

    @property
    def loaded(self) -> str:
        """The labels that were loaded last, packed, "" for none: what was changed since then can be told."""
        with self._lock:
            return self._history.loaded

    @property
    def can_undo(self) -> bool:
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        return self._history.can_redo

    @property
    def forgetful(self) -> bool:
        """Whether the oldest steps are no longer kept, as they would take too much memory."""
        return self._history.trimmed

    def handle(self, action: Action) -> Outcome:
        """Apply ``action``, write it to the journal, tell listeners, and hand out requests.

        Raises MicrosamError, with nothing changed, when the action is not possible.
        """
        action = action.prepared(self)
        line = encode(action) if self._project is not None and action.journaled else b""
        with uninterrupted(), self._lock:
            before = Looks.of(self)
            self._painted, self._noted, self._requests = None, False, []
            if self._project is not None and action.journaled:
                self._project.check()
            applied = self._apply(action)
            if self.notice is not before.notice:
                self.notice = replace(self.notice, text=worded(self.notice.text, movie=self.movie))
            if applied and line:
                self._record(line, lasting=action.lasting)
            self.acted |= applied and action.step and action.journaled
            outcome = Outcome(before.changed(self, self._painted, noted=self._noted), tuple(self._requests))
        self.changed.emit(outcome.change)
        for request in outcome.requests:
            self.wanted.emit(request)
        return outcome

    def pending(self) -> tuple[Request, ...]:
        """Return what a reopened session still waits for: its plane, and the answer to its prompts."""
        with self._lock:
            requests: list[Request] = [Embed(self.state.browsing.plane)]
            if self._awaiting is not None:
                requests.append(question(self, self._awaiting))
            return tuple(requests)

    def say(self, text: str, *, error: bool = False) -> None:
        """Show a sentence in the status line."""
        text = worded(text, movie=self.movie)
        with self._lock:
            if self.notice == Notice(text, error):
                return
            self.notice = Notice(text, error)
        self.changed.emit(Change(notice=True))

    def snapshot(self) -> NDArray[np.uint32]:
        """Return a copy of the labels (plane, y, x) that no write in progress can tear."""
        with self._lock:
            return self.labels.volume.copy()

    def family(self) -> tuple[NDArray[np.uint32], Lineage]:
        """Return a copy of the tracks (t, y, x), read-only so that it need not be copied again, and their lineage."""
        with self._lock:
            labels, lineage = self.labels.volume.copy(), self.state.lineage or Lineage({})
        labels.flags.writeable = False
        return labels, lineage

    def crop(self, where: Box) -> NDArray[np.uint32]:
        """Return a copy of a part of the labels (planes, h, w) that no write in progress can tear."""
        with self._lock:
            return self.labels.volume[where.slices].copy()

    def box(self, label: int) -> Box:
        """Return the bounding box of an object. Raises LabelError when there is none."""
        with self._lock:
            return self.labels.box(label)

    def frames(self, track: int) -> tuple[int, ...]:
        """Return the planes in which an object has pixels, in order. Raises LabelError when there is none."""
        with self._lock:
            if track not in self._frames:
                box = self.labels.box(track)
                there = (self.labels.volume[box.slices] == track).any(axis=(1, 2))
                self._frames[track] = tuple(box.start[0] + int(i) for i in np.flatnonzero(there))
            return self._frames[track]

    def middle(self, label: int, plane: int) -> tuple[float, float]:
        """Return the middle (y, x) of an object in a plane. Raises LabelError when it is not there."""
        with self._lock:
            (_, y0, x0), (_, y1, x1) = (box := self.labels.box(label)).start, box.stop
            places = np.argwhere(self.crop(Box((plane, y0, x0), (plane + 1, y1, x1)))[0] == label)
        if not len(places):
            raise LabelError(f"{self.noun} {label} is not in {self.word} {plane}.", f"Go to a {self.word} where it is.")
        y, x = places.mean(axis=0)
        return y0 + 0.5 + float(y), x0 + 0.5 + float(x)

    def rows(self) -> list[Row]:
        """Return the table of all objects, in the order of their numbers."""
        with self._lock:
            return [
                Row(label, self.labels.area(label), self.labels.box(label), self.infos.get(label, ObjectInfo()))
                for label in sorted(self.labels)
            ]

    def close(self) -> None:
        """Release the project folder; further changes raise ProjectError."""
        # Not under the lock: an annotator that hears of it waits for its threads, which may wait for the lock.
        if self._project is None:
            return
        self._project.close()
        lost = self._project.journal.waiting
        if lost:
            what = "The last step" if lost == 1 else f"The last {lost} steps"
            self.say(
                f"{what} could not be written to the project. Save the labels to another place before "
                "you close the notebook.",
                error=True,
            )

    def flush(self) -> bool:
        """Bring labels.zarr up to date now; return whether that was possible. It also happens by itself."""
        return self._autosave is None or self._autosave.flush()

    # The verbs of actions, and what they need.

    def write(self, *writes: Write) -> None:
        """Change labels or what is said about objects; part of the step that ``edit`` ends.

        An object without pixels is forgotten. When the action fails later everything is taken back.
        """
        for one in writes:
            self._do(one)
            self._written.append(one)
            if not isinstance(one, Delta):
                continue
            for label in one.numbers(before=True):
                if label in self.infos and label not in self.labels:
                    self.write(Note(label, self.infos[label], None))

    def exchange(self, other: Exchange, kept: Collection[int] = ()) -> None:
        """Take other labels in the place of all; part of the step that ``edit`` ends.

        What is said of ``kept`` objects stays; any other number that is there again means another object.
        """
        steps, same = other.steps(self), set(kept)
        self.write(*(Note(label, info, None) for label, info in tuple(self.infos.items()) if label not in same))
        self._relabelled.update(self.labels, other.labels)
        self.labels, self._frames = other.labels, dict(other.frames)
        self._written += steps
        whole = Box((0, 0, 0), self.shape)
        self._painted, self._noted = whole, True
        if self._stored is not None:
            self.touched.update(self._stored.touched(whole))

    def edit(self, state: State, *writes: Write, asks: bool = True, what: str = "", loaded: str = "") -> None:
        """Push a new state with all that was written; any answer still to come is no longer awaited.

        ``what`` was done, in short, where its numbers are known; else it is what such an action does. ``loaded``:
        labels, packed, that took the place of all.

        ``asks`` False, where the prompts are as they were: an answer that is awaited still is. So it is while an
        object is carried through the planes and something else is done: what was stopped would begin again.
        """
        before = self.state
        self.write(*writes)
        if state.lineage is not None and (self._written or state.lineage != before.lineage):
            lineage = with_tracks(state.lineage, self.labels)
            check_times(lineage, self.frames, self._relabelled | moved(before.lineage or Lineage({}), lineage))
            state = replace(state, lineage=lineage, mother=state.mother if state.mother in lineage else 0)
        what = what or (self._doing.gist if self._doing is not None else "")
        self._history.push(Step(state, tuple(self._written), what, loaded or self._history.loaded))
        self._written.clear()
        self._relabelled.clear()
        if asks and not (state.extending and _in_hand(state) == _in_hand(before)):
            self._ask(by_itself=state.browsing.live)

    def amend(self, state: State) -> None:
        """Replace the present state: answers and looking around are not steps of their own."""
        self._history.amend(state)

    def ask(self) -> None:
        """Request an answer to the present prompts, whether there is one or not; in a volume, to those of a plane."""
        state = self.state
        if state.prompts:
            stale = state.stale or plane_to_ask(state, self.shape[0])
            self._history.amend(replace(state, answered=False, stale=stale))
        self.go_on()

    def go_on(self) -> None:
        """Request what the present state has no answer to."""
        self._ask(by_itself=True)

    def want(self, request: Request) -> None:
        """Hand out a request when the action is done."""
        self._requests.append(request)

    def step_back(self) -> str:
        """Undo one step, and return what it was; how the user looks stays."""
        return self._walk(self._history.back)

    def step_forward(self) -> str:
        """Redo one step, and return what it is; how the user looks stays."""
        return self._walk(self._history.forward)

    def settle_history(self) -> None:
        """Make what there is the beginning: nothing that was done until now can be undone."""
        self._history = History(self.state, loaded=self._history.loaded)

    def settle(self, ticket: int) -> bool:
        """Return whether ``ticket`` is awaited; if so, it is not any longer."""
        if ticket != self._awaiting and not self.lenient:
            return False
        self._tickets = max(self._tickets, ticket)
        self._forget_question()
        return True

    def awaits(self, ticket: int) -> bool:
        """Return whether ``ticket`` is awaited; it still is."""
        if ticket != self._awaiting and not self.lenient:
            return False
        self._tickets = max(self._tickets, ticket)
        return True

    def glimpse(self, ticket: int, found: tuple[Candidate, ...]) -> bool:
        """Show what is found so far, if ``ticket`` is awaited; return whether it is."""
        if ticket != self._awaiting:
            return False
        self._glimpsed = found
        return True

    def seek(
        self, plane: int, mode: str, options: tuple[Setting, ...], *, final: bool = True, volume: bool = False
    ) -> None:
        """Request all objects of a plane, or of all; what was requested before is no longer awaited."""
        self.want(SegmentAll(self._search(), plane, mode, options, final, volume))

    def fit(self, plane: int, mode: str, options: tuple[Setting, ...]) -> None:
        """Request the settings that give the committed objects of a plane best, and what they give."""
        self.want(Fit(self._search(), plane, mode, options, self.labels.volume[plane].copy()))

    def link(
        self, mode: str, options: tuple[Setting, ...], *, segment: bool, only: tuple[int, ...] = (), first: int = 0
    ) -> None:
        """Request the tracks of a movie; what was requested before is no longer awaited."""
        labels, around = None, None
        if only or first or not segment:
            labels, lineage = self.family()
            around = Around(labels, lineage, only, first, self.state.next_id) if only or first else None
        self.want(Link(self._search(), mode, options, None if segment else labels, around))

    def _search(self) -> int:
        """Return a ticket for an automatic segmentation.

        They count downwards: what is asked is not in the journal, and those of questions must be the same again when
        that is read.
        """
        self._searches -= 1
        self._seeking, self._since = self._searches, self.state.next_id
        return self._searches

    def seeks(self, ticket: int) -> bool:
        """Return whether the automatic segmentation ``ticket`` is awaited; it still is."""
        return self._repeating or ticket == self._seeking

    def found(self, ticket: int) -> bool:
        """Return whether the automatic segmentation ``ticket`` is awaited; if so, it is not any longer.

        Those of a journal were awaited when they were written.
        """
        if self._repeating:
            # Journals of before counted all of them together.
            self._tickets = max(self._tickets, ticket)
            return True
        if ticket != self._seeking:
            return False
        self._seeking, self._sketched = None, None
        return True

    @property
    def meanwhile(self) -> int:
        """How many objects were made since the last automatic segmentation was asked for."""
        return max(0, self.state.next_id - self._since)

    def sketch(self, ticket: int, candidates: tuple[Candidate, ...]) -> bool:
        """Show candidates that are not kept, if ``ticket`` is awaited; return whether it is."""
        if ticket != self._seeking:
            return False
        self._seeking, self._sketched = None, candidates
        return True

    def missed(self, ticket: int) -> bool:
        """Return whether the automatic segmentation ``ticket``, which failed, was awaited; it is not any longer."""
        if ticket != self._seeking:
            return False
        self.leave_search()
        return True

    def survey(self, ticket: int, spread: Spread) -> bool:
        """Take what the automatic segmentation ``ticket`` chooses from, if that is awaited; return whether it is."""
        if ticket != self._seeking:
            return False
        self.spread = spread
        return True

    def leave_search(self) -> None:
        """Await no automatic segmentation any longer, and show the candidates of the state."""
        self._seeking, self._sketched = None, None

    def begin(self, state: State, labels: NDArray[np.uint32], infos: dict[int, ObjectInfo]) -> None:
        """Take what was recovered in the place of everything; it cannot be undone."""
        self.labels = Labels.of(labels)
        self._frames.clear()
        self.infos = dict(infos)
        if self.movie:
            lineage = in_time(with_tracks(state.lineage or Lineage({}), self.labels), self.frames)
            state = replace(state, lineage=lineage, mother=state.mother if state.mother in lineage else 0)
        if state.unanswered and not state.stale:
            state = replace(state, stale=plane_to_ask(state, self.shape[0]))
        self._history = History(state)
        self._painted, self._noted = Box((0, 0, 0), self.shape), True
        if self._stored is not None:
            for label in self.labels:
                self.touched.update(self._stored.touched(self.labels.box(label)))
        self._ask(by_itself=state.browsing.live)

    # Opening a project.

    def repeat(self, action: Action) -> bool:
        """Apply an action of the journal; return whether something came of it."""
        if isinstance(action, Restored):
            self._journal_name = action.name
        self._repeating = True
        try:
            return self._apply(action)
        finally:
            self._repeating = False

    def reset(self) -> None:
        """Forget everything."""
        self.labels, self.infos = Labels(self.shape), {}
        self._frames.clear()
        self._history = History(self._first())
        self._forget_question()
        self._tickets, self._searches = 0, 0
        self.leave_search()
        self.spread = None
        self.lenient = False
        self.touched.clear()

    def _open(self, project: Project, pace: Pace | None) -> None:
        try:
            self._stored = project.stored(self.shape)
            self._stored.tidy()
            self.recovered = replay(self, project)
        except OSError as error:
            project.close()
            raise ProjectError(
                f"The project {project.folder} cannot be read ({error.strerror or error}).",
                "Give yourself the right to read its files, or restore them.",
            ) from error
        except BaseException:
            project.close()
            raise
        self.returned = self.labels.count()
        self._requests.clear()
        self.notice = Notice(self.recovered, error=bool(self.recovered))
        self._project = project
        self._autosave = autosave = Autosave(self._stored, self._lock, self.crop, self._stamp, self.say, pace)
        project.closing.connect(lambda _: autosave.close())
        self._save_soon()

    def _save_soon(self) -> None:
        if self._autosave is not None:
            self._autosave.touch(self.touched)
        self.touched.clear()

    def _stamp(self) -> Stamp:
        assert self._project is not None
        return Stamp(
            self._project.journal.lines, self._journal_name, self.state.next_id,
            self.labels.count(), self.labels.covered(), dict(self.infos),
        )  # fmt: skip

    # What the verbs are made of.

    def _first(self) -> State:
        return State(lineage=Lineage({}) if self.movie else None)

    def _walk(self, move: Callable[[], tuple[tuple[Write, ...], str]]) -> str:
        browsing = self.state.browsing
        if self._seeking is not None:
            # What is found later would be a step of its own, and take away what can be redone.
            self.want(StopSearch())
            self.work = None
        self.leave_search()
        writes, what = move()
        for one in writes:
            self._do(one)
        self._relabelled.clear()
        self._history.amend(replace(self.state, browsing=browsing))
        self._ask(by_itself=browsing.live)
        return what

    def _ask(self, *, by_itself: bool) -> None:
        """Request an answer when the present state has none: also after an undo to one never answered."""
        self._forget_question()
        self.failure = ""
        state = self.state
        if by_itself and not state.answered and (state.prompts or state.extension is not None):
            self._tickets += 1
            self._awaiting = self._tickets
            self._carrying = state.extending
            self._requests.append(question(self, self._tickets))

    def _forget_question(self) -> None:
        if self._carrying:
            self.work = None
        self._awaiting, self._glimpsed, self._carrying = None, (), False

    def _do(self, one: Write) -> None:
        if isinstance(one, Delta):
            self.labels.apply(one)
            if self.movie or self._frames:
                numbers = (*one.numbers(before=True), *one.numbers(before=False))
                self._relabelled.update(numbers)
                for label in numbers:
                    self._frames.pop(label, None)
            self._painted = one.where if self._painted is None else self._painted.union(one.where)
            if self._stored is not None:
                self.touched.update(self._stored.touched(one.where))
        elif one.after is None:
            self.infos.pop(one.label, None)
        else:
            self.infos[one.label] = one.after
        self._noted = True

    def _apply(self, action: Action) -> bool:
        self._doing = action
        try:
            applied = action.apply(self) is not False
        except BaseException:
            for one in reversed(self._written):
                self._do(one.reverse())
            self._written.clear()
            self._relabelled.clear()
            raise
        finally:
            self._doing = None
        assert not self._written, f"{type(action).__name__} wrote without a step."
        return applied

    def _record(self, line: bytes, *, lasting: bool) -> None:
        assert self._project is not None
        self._save_soon()
        try:
            self._project.journal.append(line, lasting=lasting)
        except OSError as error:
            self.notice = Notice(
                f"The journal cannot be written ({error.strerror}). Your work is kept in memory: free some disk "
                "space, or save the labels to another place.",
                error=True,
            )


def _in_hand(state: State) -> tuple[object, ...]:
    """Return what the question about the object in hand is made of."""
    return state.prompts, state.proposals, state.extension
