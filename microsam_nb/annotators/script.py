"""A project as a Python script that makes its objects again with the engine alone.

Answers of the model are asked for again, with the same prompts; where that gives the same mask today the script asks,
else, and for what was painted or cut, it holds the pixels.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from .. import __version__
from ..core import Box, Image, Labels, Mask, MaskPrompt, Overlap, Prompt, PromptError
from ..engine.correct import corrects
from ..engine.models import Model
from ..engine.plan import choose_tiling
from ..engine.store import open_store
from ..session import Action, Commit, Linked, LoadTracks, Predict, Predicted, Session, Suggested
from ..session.story import Story, retell, without_undone
from .answers import Group, answers_to, corrected, measure, measures, with_base, without_begin

#: What a script may need of the core beside what all do.
_NAMES = ("BoxPrompt", "Ellipse", "Mask", "MaskPrompt", "Point", "Polygon", "Scribble")


@dataclass(frozen=True, slots=True)
class Script:
    """The text, how many answers of the model and how many stored pieces it uses, and what is to be said."""

    text: str
    asked: int
    held: int
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Answer:
    """What the model was asked: ``call`` makes it, after ``needs``; it is written when it is needed."""

    name: str
    call: str
    needs: list[_Answer]
    written: bool = False


@dataclass(slots=True)
class _Piece:
    """A mask, and how it is written."""

    mask: Mask
    text: str
    of: _Answer


def write_script(story: Story, image: Image, path: Path, model: Model, place: Path) -> Script:
    """Return the script for a project of ``image`` in ``path``; ``place`` is where the script will lie."""
    writer = _Writer(story, image, model)
    for action in without_undone(story.actions):
        writer.do(action)
    where = os.path.relpath(path.resolve(), place.resolve().parent)
    return writer.script(Path(where).as_posix(), place.stem)


@dataclass
class _Writer:
    story: Story
    image: Image
    model: Model
    lines: list[str] = field(default_factory=list)
    asked: int = 0
    held: int = 0

    def __post_init__(self) -> None:
        self._session = Session(self.image.shape, movie=self.image.axes.startswith("t"))
        self._session.lenient = True
        #: What the script makes.
        self._labels = Labels(self.image.shape)
        tiling = None if self.model.is_nano else choose_tiling(self.image.shape, self.model)
        self._store = open_store(None, self.model, self.image, tiling)
        self._pieces: list[_Piece] = []
        self._known: dict[Group, Mask] = {}
        self._sizes: dict[int, float | None] = {}
        self._answers = 0
        self._differ = 0

    def do(self, action: Action) -> None:
        """Do an action, and write what it changes of the labels."""
        session = self._session
        if isinstance(action, Predicted):
            self._ask(action)
            retell(session, [action])
            return
        if isinstance(action, Suggested):
            retell(session, [action])
            return
        if isinstance(action, Linked):
            action = LoadTracks(action.data, action.shape, action.lineage)
        before = session.state
        try:
            written = session.handle(action).change.labels
        except Exception:  # noqa: BLE001 - as in a project that is opened: what has no effect is left out
            return
        if written is None:
            return
        name = type(action).__name__
        if isinstance(action, Commit):
            overlap = action.overlap or before.browsing.overlap
            number = before.target or before.next_id
            self.lines += ["", f"# Object {number}" if len(before.proposals) == 1 else "# Several objects at once"]
            if before.target:
                self._labels.apply(self._labels.erase(before.target))
                self.lines.append(f"erase({before.target})")
            new = sorted(one for one in session.labels if one >= before.next_id)
            numbers = [*([before.target] if before.target else []), *new]
            if len(numbers) == len(before.proposals):
                for one, label in zip(before.proposals, numbers, strict=True):
                    self._paint(label, one.mask, overlap)
        else:
            self.lines += ["", f"# {name}"]
        self._hold(written)

    def script(self, image: str, stem: str) -> Script:
        """Return the whole script."""
        notes = []
        if self._differ:
            notes.append(f"{self._differ} answers are other ones today; their masks are in the script as they were.")
        if self.image.axes.startswith("t"):
            notes.append("The script makes the labels of the tracks; which descends from which is not in it.")
        body = "\n".join(self.lines)
        core = ["Image", "Labels", "Overlap", *(one for one in _NAMES if f"{one}(" in body or f"{one}." in body)]
        engine = [*(["Tiling"] if self._store.tiling is not None else []), "load_model", "open_store"]
        engine += [one for one in ("correct_many", "predict_many") if f"{one}(" in body]
        head = _HEAD.format(
            core=", ".join(sorted(core)), engine=", ".join(engine),
            folder=self.story.folder.name, version=__version__, asked=self.asked, held=self.held, image=image,
            axes=self.image.axes, name=self.image.name, model=self.model.spec.name, hash=self.model.spec.hash,
            store="open_store(None, model, image)" if self._store.tiling is None
            else f"open_store(None, model, image, {self._store.tiling!r})",
        )  # fmt: skip
        plane = "[0]" if self.image.axes[0] == "y" else ""
        tail = f'\nwrite_labels(HERE / "{stem}_labels.tif", labels.volume{plane})\n'
        return Script(f"{head}{body}\n{tail}", self.asked, self.held, tuple(notes))

    def _ask(self, action: Predicted) -> None:
        """Ask the model again what it was asked, and note how to do it if that gives the same."""
        request = next((one for one in self._session.pending() if isinstance(one, Predict)), None)
        if request is None:
            return
        objects = with_base(request)
        found = [one.mask for one in action.found]
        if len(objects) == len(found):
            self._answers += 1
            before = [corrected(one, self._known.get) for one in objects]
            name, same = f"answer_{self._answers}", False
            for size in self._possible(request):
                made = self._predicted(objects, before, size)
                same = made == found
                if same:
                    break
            if same:
                needs: list[_Answer] = []
                answer = _Answer(name, f"{name} = {self._call(objects, before, size, needs)}", needs)
                self._pieces = self._pieces[-200:]
                self._pieces += [_Piece(m, f"{name}[{i}].mask", answer) for i, m in enumerate(found) if m.area]
            else:
                self._differ += 1
            self._known.update(zip(objects, found, strict=True))

    def _predicted(self, objects: Sequence[Group], before: list[Mask | None], size: float | None) -> list[Mask]:
        if len({corrects(self.model, one) for one in objects}) > 1:
            return []  # no single call makes both kinds
        try:
            return [one.mask for one in answers_to(self.model, self._store, objects, before, size)]
        except PromptError:
            return []

    def _call(
        self, objects: Sequence[Group], before: list[Mask | None], size: float | None, needs: list[_Answer]
    ) -> str:
        """Return the call that answers prompts, as ``answers_to`` asks the model."""
        mending = corrects(self.model, objects[0])
        asked = [one[1:] if mending else without_begin(one) if self.model.is_nano else one for one in objects]
        words = ", ".join("[" + ", ".join(self._prompt(p, needs) for p in one) + "]" for one in asked)
        masks = ", ".join("None" if one is None else self._literal(one, needs) for one in before)
        more = f", size={size!r}" if size is not None else ""
        if mending:
            return f"correct_many(model, store, [{words}], [{masks}]{more})"
        more = (f", previous=[{masks}]" if any(one is not None for one in before) else "") + more
        return f"predict_many(model, store, [{words}]{more})"

    def _possible(self, request: Predict) -> Iterator[float | None]:
        """Yield the sizes of objects that the model may have known."""
        if request.size is not None:
            yield request.size
            return
        plane = request.plane
        if measures(self.model) and plane not in self._sizes:
            *_, self._sizes[plane] = None, *measure(self.model, self._store, plane)
        if self._sizes.get(plane) is not None:
            yield self._sizes[plane]
        yield None

    def _prompt(self, prompt: Prompt, needs: list[_Answer]) -> str:
        if isinstance(prompt, MaskPrompt):
            values = [self._literal(prompt.mask, needs)]
            values += [f"{one.name}={getattr(prompt, one.name)!r}" for one in fields(prompt) if one.name != "mask"]
            return f"MaskPrompt({', '.join(values)})"
        return repr(prompt)

    def _literal(self, mask: Mask, needs: list[_Answer]) -> str:
        piece = self._piece(mask)
        if piece is not None:
            needs.append(piece.of)
            return piece.text
        return f"Mask.from_json({json.dumps(mask.to_json())})"

    def _piece(self, mask: Mask) -> _Piece | None:
        return next((one for one in reversed(self._pieces) if one.mask == mask), None)

    def _text(self, mask: Mask) -> str | None:
        """Return how a mask that the model has answered is written, after what it needs; None for another one."""
        piece = self._piece(mask)
        if piece is None:
            return None
        self._write(piece.of)
        return piece.text

    def _write(self, answer: _Answer) -> None:
        if answer.written:
            return
        answer.written = True
        for one in answer.needs:
            self._write(one)
        self.asked += 1
        self.lines.append(answer.call)

    def _paint(self, label: int, mask: Mask, overlap: Overlap) -> None:
        """Write that a mask which the model answers becomes an object."""
        text = self._text(mask)
        if text is None:
            return
        with suppress(PromptError):
            self._labels.apply(self._labels.paint(mask, label, overlap))
            self.lines.append(f"paint({label}, {text}, {str(overlap)!r})")

    def _hold(self, where: Box) -> None:
        """Write the pixels that are others than the script makes so far."""
        after, mine = self._session.crop(where), self._labels.volume[where.slices]
        wrong = after != mine
        for number in np.unique(after[wrong]):
            mask = Mask.crop(wrong & (after == number), where.start)
            self.held += 1
            crop = self._labels.volume[mask.box.slices].copy()
            crop[mask.bitmap] = number
            self._labels.apply(self._labels.change(mask.box, crop))
            self.lines.append(f"put({int(number)}, Mask.from_json({json.dumps(mask.to_json())}))")


_HEAD = '''"""The objects of {folder}, made again with the engine of microsam_nb {version}.

Answers of the model that are asked for again: {asked}. Pieces that were painted, cut or found otherwise: {held}.
"""

from pathlib import Path

from microsam_nb.core import {core}
from microsam_nb.engine import {engine}
from microsam_nb.files.labels import write_labels
from microsam_nb.files.volumes import open_image

HERE = Path(__file__).parent
image = Image(open_image(HERE / {image!r}), {axes!r}, {name!r})
model = load_model({model!r})
assert model.spec.hash == {hash!r}, "Another model answers otherwise."
store = {store}
labels = Labels(image.shape)


def paint(number, mask, overlap):
    """Make a mask an object; what committed objects have it leaves, or takes."""
    labels.apply(labels.paint(mask, number, Overlap(overlap)))


def erase(number):
    """Remove an object."""
    labels.apply(labels.erase(number))


def put(number, mask):
    """Give the pixels of a mask to an object, or with 0 to the background."""
    crop = labels.volume[mask.box.slices].copy()
    crop[mask.bitmap] = number
    labels.apply(labels.change(mask.box, crop))

'''
