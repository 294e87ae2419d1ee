"""What happened in a project, read without changing it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core import Image, MicrosamError, ProjectError
from .actions import Action, Extended, LostStep, Predicted, Redo, Restored, Segment, StopCarrying, Undo
from .journal import Damage, Journal
from .origin import places_of
from .session import Session


@dataclass(frozen=True, slots=True)
class Story:
    """A project: the ``name`` of its image, its axes and fingerprint, the model it was begun with, and its actions.

    Of damaged lines only their steps are there, as ``LostStep``: what undid them must not undo others. ``notes``: lines
    that could not be read. ``places``: where the image may lie, the likeliest first.
    """

    folder: Path
    name: str
    axes: str
    image: str
    model: str
    actions: tuple[Action, ...]
    notes: tuple[str, ...]
    places: tuple[Path, ...] = ()

    def check(self, image: Image) -> None:
        """Raise ProjectError for another image."""
        if image.fingerprint() != self.image:
            raise ProjectError(f"{self.folder} belongs to another image ({self.name}).", "Give the one it was made of.")

    def told(self, image: Image) -> Session:
        """Return the session as it was left. No model is asked; lines that have no effect are left out."""
        session = Session(image.shape, movie=image.axes.startswith("t"))
        session.lenient = bool(self.notes)
        for action in self.actions:
            _repeat(session, action)
        return session


def read_story(folder: Path) -> Story:
    """Read a project, also one that is open elsewhere. Raises ProjectError when there is none."""
    path = folder / "meta.json"
    try:
        found = json.loads(path.read_text())
        name, axes, pixels, model = (str(found[key]) for key in ("name", "axes", "image", "model"))
    except FileNotFoundError as error:
        raise ProjectError(f"{folder} is no project.", "Name the folder of one: NAME-HASH.msam.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProjectError(f"{path} cannot be read ({error}).", "Restore the file, or name another project.") from error
    actions: list[Action] = []
    notes = []
    # Reading a journal cuts off a line that is torn: that is for the one who writes it.
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "journal.jsonl"
        if (folder / copy.name).exists():
            shutil.copyfile(folder / copy.name, copy)
        for one in Journal(copy).read():
            if isinstance(one, Damage):
                notes.append(f"Line {one.number} of the journal cannot be read ({one.why}).")
                actions += [LostStep()] if one.step else []
            else:
                actions.append(one)
    if actions and isinstance(actions[0], Restored):
        notes.append("The project was damaged once: objects from before are kept as they were recovered.")
    return Story(
        folder, name, axes, pixels, model, tuple(actions), tuple(notes), places_of(found.get("origin"), folder)
    )


def without_undone(actions: Iterable[Action]) -> list[Action]:
    """Return what was done, without steps that were undone for good, their answers, and the undoing."""
    steps: list[list[Action]] = [[]]
    undone: list[list[Action]] = []
    for action in actions:
        if isinstance(action, Undo):
            if len(steps) > 1:
                last = steps.pop()
                undone.append([one for one in last if _belongs(one)])
                # How the user looks is not undone.
                steps[-1] += [one for one in last if not _belongs(one)]
        elif isinstance(action, Redo):
            if undone:
                steps.append(undone.pop())
        elif action.step:
            undone.clear()
            steps.append([action])
        else:
            steps[-1].append(action)
    return [one for step in steps for one in step]


def retell(session: Session, actions: Sequence[Action]) -> None:
    """Do actions of a journal again, with the answers in it, whatever their tickets are."""
    session.lenient = True
    for action in actions:
        _repeat(session, action)


def _repeat(session: Session, action: Action) -> None:
    # As in a project that is opened: what has no effect is left out, but for the step that can be undone.
    try:
        applied = session.repeat(action)
    except MicrosamError:
        applied = False
    if action.step and not applied:
        session.repeat(LostStep())


def _belongs(action: Action) -> bool:
    """Whether an action is a step, or answers one."""
    return action.step or isinstance(action, Predicted | Extended | Segment | StopCarrying)
