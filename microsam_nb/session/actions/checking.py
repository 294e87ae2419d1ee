"""What the user says of several objects at once: that they look right, or their class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ...core import LabelError, Note, ObjectInfo
from ..state import Notice
from ..wording import be, counted
from .base import Action

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True, slots=True)
class Check(Action):
    """Say that objects look right, or no longer. Raises LabelError without any, or for one that is not there."""

    labels: tuple[int, ...]
    right: bool = True
    gist: ClassVar[str] = "saying that it looks right"

    def apply(self, session: Session) -> bool:
        right = bool(self.right)
        changed = _say(session, self.labels, lambda info: replace(info, checked=right))
        if changed:
            verb = "look" if len(changed) > 1 else "looks"
            what = f"{verb} right" if right else f"{verb} unchecked again"
            session.notice = Notice(f"{_count(session, changed)} {what}.")
        return bool(changed)


@dataclass(frozen=True, slots=True)
class SetClass(Action):
    """Give objects a class label, "" for none. Raises LabelError without any, or for one that is not there."""

    labels: tuple[int, ...]
    category: str = ""
    gist: ClassVar[str] = "giving a class"

    def apply(self, session: Session) -> bool:
        category = self.category.strip()[:200]
        changed = _say(session, self.labels, lambda info: replace(info, category=category, probability=None))
        if changed:
            what = f"of class {category}" if category else "without class"
            session.notice = Notice(f"{_count(session, changed)} {be(len(changed))} {what} now.")
        return bool(changed)


def _say(session: Session, labels: Sequence[int], said: Callable[[ObjectInfo], ObjectInfo]) -> list[int]:
    """Change what is said of objects, as one step; return those of which it is different now."""
    if not labels:
        raise LabelError(f"No {session.noun.lower()} is picked.", "Click on one with the pick tool first.")
    changed = []
    for label in dict.fromkeys(int(n) for n in labels):
        session.labels.box(label)
        old = session.infos.get(label)
        new = said(old or ObjectInfo())
        if new != (old or ObjectInfo()):
            session.write(Note(label, old, new))
            changed.append(label)
    if changed:
        session.edit(session.state, asks=False)
    return changed


def _count(session: Session, labels: Sequence[int]) -> str:
    return f"{session.noun} {labels[0]}" if len(labels) == 1 else counted(len(labels), session.noun.lower())
