"""What is said about a committed object beside its pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """``score`` in [0, 1] as the model predicted it (None: made by hand), the user's ``name`` and class label.

    ``probability`` in [0, 1] of a class that a classifier gave, None for one that the user did. ``checked``: the user
    has looked at it and found it right.
    """

    score: float | None = None
    name: str = ""
    category: str = ""
    checked: bool = False
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A reversible write of what is said about object ``label``; None: nothing is."""

    label: int
    before: ObjectInfo | None
    after: ObjectInfo | None

    def reverse(self) -> Note:
        """Return the write that undoes this one."""
        return Note(self.label, self.after, self.before)

    @property
    def nbytes(self) -> int:
        return 200
