"""Bringing a session to where its project was left, and saving what can be saved of a damaged one."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core import Labels, ProjectError
from .actions import Action, LostStep, Restored
from .journal import Damage
from .project import Project
from .stored import Stamp, StoredLabels, put_aside, spare
from .wording import counted

if TYPE_CHECKING:
    from .session import Session


@dataclass(slots=True)
class _Story:
    """What was found while the journal was read again."""

    #: Lines that could not be read or carried out.
    damage: list[Damage]
    lines: int = 0
    #: Whether the objects of labels.zarr took the place of those of the journal, and whether all could be read.
    taken: bool = False
    whole: bool = True
    #: Whether labels.zarr is of a later time than the last line.
    short: bool = False


def replay(session: Session, project: Project) -> str:
    """Do again what the journal says; return what the user must know when that was not all, else "".

    Whatever cannot be read or carried out is left out. Then a new journal begins with what was recovered, and the
    old one is kept. Raises ProjectError for a journal of a newer version, with nothing changed.
    """
    stored = project.stored(session.shape)
    stamp = stored.stamp()
    story = _read_again(session, project, stored, stamp)
    if not story.damage and not story.taken:
        return ""
    return _begin_again(session, project, stored, story)


def _read_again(session: Session, project: Project, stored: StoredLabels, stamp: Stamp | None) -> _Story:
    story = _Story([])
    for number, entry in enumerate(project.journal.read(), start=1):
        story.lines = number
        if number == 1 and stamp is not None and not isinstance(entry, Damage):
            name = entry.name if isinstance(entry, Restored) else ""
            # Labels that go with the journal before this one say nothing about it.
            stamp = stamp if stamp.journal == name else None
        bad = entry if isinstance(entry, Damage) else _repeat(session, number, entry)
        if bad is not None:
            story.damage.append(bad)
            # What follows may build on it: from now on every answer counts, and an undo finds a step.
            session.lenient = True
            if bad.step:
                session.repeat(LostStep())
        if stamp is not None and number == stamp.upto:
            same = session.labels.count() == stamp.objects and session.labels.covered() == stamp.pixels
            if story.damage or not same:
                _take(session, stored, stamp, story)
            else:
                session.touched.clear()
    if stamp is not None and stamp.upto > story.lines:
        story.short = True
        _take(session, stored, stamp, story)
    elif stamp is None and not story.lines and any(stored.written()):
        _take(session, stored, None, story)
    if stamp is None or (stamp.upto > story.lines and not story.taken):
        # A write was cut short: any chunk that is there may be an old one.
        session.touched.update(stored.written())
    return story


def _repeat(session: Session, number: int, action: Action) -> Damage | None:
    try:
        if session.repeat(action):
            return None
        why = f"{type(action).__name__} has no effect"
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a line that was changed can do anything
        why = str(error)
    return Damage(number, why, action.step)


def _take(session: Session, stored: StoredLabels, stamp: Stamp | None, story: _Story) -> None:
    """Put the objects of labels.zarr in the place of those of the journal, if they are what the stamp says."""
    volume, whole = stored.read()
    if stamp is not None and not _fits(volume, stamp, whole):
        # The journal's own objects are better than some of these; without them, some are better than none.
        if story.lines:
            return
        whole = False
    state = session.state
    next_id = max(state.next_id, stamp.next_id if stamp else 1, int(volume.max(initial=0)) + 1)
    known = Labels.of(volume)
    infos = {label: info for label, info in (stamp.infos if stamp else {}).items() if label in known}
    session.begin(replace(state, next_id=next_id), volume, infos)
    story.taken, story.whole = True, whole


def _fits(volume: NDArray[np.uint32], stamp: Stamp, whole: bool) -> bool:
    labels = Labels.of(volume)
    return whole and labels.count() == stamp.objects and labels.covered() == stamp.pixels


def _begin_again(session: Session, project: Project, stored: StoredLabels, story: _Story) -> str:
    journal = project.journal
    kept = spare(journal.path) if journal.path.exists() else None
    restored = Restored.of(session, secrets.token_hex(8))
    try:
        journal.begin_again(restored, kept or journal.path)
        aside = put_aside(stored.folder) if not story.whole or stored.stamp() is None else None
    except OSError as error:
        raise ProjectError(
            f"{journal.path} is damaged and cannot be repaired ({error.strerror}).",
            "Free some disk space, see that the folder can be written, then open the project again.",
        ) from error
    # As it will be when the new journal is read.
    session.reset()
    session.repeat(restored)
    session.touched.update(stored.written())
    return _tell(session, story, journal.path, kept, aside)


def _tell(session: Session, story: _Story, path: Path, kept: Path | None, aside: Path | None) -> str:
    if not story.lines:
        what = f"{path.name} was missing."
    elif story.damage:
        first, *more = story.damage
        lines = f"{len(more) + 1} lines, the first is {first.number}," if more else f"Line {first.number}"
        what = f"{lines} of {path.name} cannot be read ({first.why})."
    else:
        what = f"{path.name} {'had lost its last lines' if story.short else 'lacks something that labels.zarr holds'}."
    count, prompts = session.labels.count(), len(session.state.prompts)
    found = f"{counted(count, 'object')} and {counted(prompts, 'prompt')}"
    source = " (objects from labels.zarr)" if story.taken else ""
    partly = "" if story.whole else " Part of labels.zarr could not be read either."
    names = " and ".join(one.name for one in (kept, aside) if one is not None)
    old = f", then delete {names} beside it, where the damaged state is kept" if names else ""
    return f"{what} Recovered: {found}{source}.{partly} Look whether an object is missing{old}."
