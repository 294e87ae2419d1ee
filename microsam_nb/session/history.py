"""The line of states that undo and redo walk along."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np

from ..core import Candidate, Delta, Lineage, Mask, MaskPrompt, Note, Prompt
from .state import Agreement, State

#: A reversible change of what is not in the state: the labels, or what is said about an object.
Write = Delta | Note
#: Bytes of a track in a lineage, and of what is known about one plane of an object, measured.
_TRACK, _SECTION = 250, 150


@dataclass(frozen=True, slots=True)
class Step:
    """One entry: the state reached, the writes that led there, in order, and in short ``what`` was done.

    ``loaded``: the labels that were loaded last by then, packed, "" for none.
    """

    state: State
    writes: tuple[Write, ...] = ()
    what: str = ""
    loaded: str = ""


class History:
    """Steps up to now and beyond it. The oldest are forgotten when they hold more than ``capacity`` bytes."""

    def __init__(self, first: State, capacity: int = 256 * 2**20, *, loaded: str = "") -> None:
        self._steps = [Step(first, loaded=loaded)]
        self._now = 0
        self._capacity = capacity
        #: Whether there were older steps than are kept.
        self.trimmed = False
        self._held = _Held()
        self._nbytes = 0
        self._count(self._steps[0], 1)

    @property
    def state(self) -> State:
        return self._steps[self._now].state

    @property
    def loaded(self) -> str:
        """The labels that were loaded last, packed, "" for none."""
        return self._steps[self._now].loaded

    @property
    def can_undo(self) -> bool:
        return self._now > 0

    @property
    def can_redo(self) -> bool:
        return self._now + 1 < len(self._steps)

    @property
    def nbytes(self) -> int:
        """What all steps hold, in bytes: writes, and once every mask, lineage and list of sections."""
        return self._nbytes + self._held.nbytes

    def push(self, step: Step) -> None:
        """Add a step after now; what had been undone is forgotten."""
        for gone in self._steps[self._now + 1 :]:
            self._count(gone, -1)
        del self._steps[self._now + 1 :]
        self._steps.append(step)
        self._count(step, 1)
        self._now += 1
        self._trim()

    def amend(self, state: State) -> None:
        """Replace the present state without a new step."""
        old = self._steps[self._now]
        new = replace(old, state=state)
        self._count(new, 1)
        self._count(old, -1)
        self._steps[self._now] = new

    def back(self) -> tuple[tuple[Write, ...], str]:
        """Move one step back; return the writes that undo it, and what it was."""
        gone = self._steps[self._now]
        self._now -= 1
        return tuple(one.reverse() for one in reversed(gone.writes)), gone.what

    def forward(self) -> tuple[tuple[Write, ...], str]:
        """Move one step forward; return its writes, and what it is."""
        self._now += 1
        step = self._steps[self._now]
        return step.writes, step.what

    def _trim(self) -> None:
        drop = 0
        while drop + 1 < self._now and self.nbytes > self._capacity:
            self._count(self._steps[drop], -1)
            drop += 1
            # The next step's state becomes the new origin; its writes can no longer be undone.
            origin = self._steps[drop]
            self._steps[drop] = replace(origin, writes=(), what="")
            self._count(self._steps[drop], 1)
            self._count(origin, -1)
        if drop:
            del self._steps[:drop]
            self._now -= drop
            self.trimmed = True

    def _count(self, step: Step, sign: int) -> None:
        self._nbytes += sign * sum(one.nbytes for one in step.writes)
        state = step.state
        for group in (state.prompts, state.proposals, state.candidates, state.rejected):
            if group:
                self._held.count(group, sign)
        if state.sections:
            self._held.whole(state.sections, _SECTION * len(state.sections), sign)
        if state.lineage:
            self._held.whole(state.lineage, _TRACK * len(state.lineage), sign)
        if step.loaded:
            self._held.whole(step.loaded, len(step.loaded), sign)


class _Held:
    """What steps hold, counted once.

    Steps share tuples: one that is known by its identity need not be looked through again. Masks are known by their
    pixels, and all else by its values, as a journal that is read again makes new ones: what undo reaches must not
    depend on that.
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self._uses: dict[Hashable, int] = {}

    def count(self, group: tuple[Prompt, ...] | tuple[Candidate, ...] | tuple[Mask, ...], sign: int) -> None:
        """Count one more use (``sign`` 1) of a tuple, or one less (-1)."""
        if not self._changed(id(group), sign):
            return
        for one in group:
            mask = one.mask if isinstance(one, Candidate | MaskPrompt) else one
            if isinstance(mask, Mask) and self._changed(_digest(mask), sign):
                self.nbytes += sign * mask.bitmap.nbytes

    def whole(self, one: tuple[Agreement, ...] | Lineage | str, size: int, sign: int) -> None:
        """Count one more use, or one less, of what takes ``size`` bytes."""
        if self._changed(id(one), sign) and self._changed(one, sign):
            self.nbytes += sign * size

    def _changed(self, key: Hashable, sign: int) -> bool:
        """Count; return whether this was the first use, or the last."""
        uses = self._uses.pop(key, 0) + sign
        if uses:
            self._uses[key] = uses
        return uses == (1 if sign > 0 else 0)


def _digest(mask: Mask) -> bytes:
    digest = hashlib.blake2b(repr((mask.start, mask.bitmap.shape)).encode(), digest_size=16)
    digest.update(np.packbits(mask.bitmap).tobytes())
    return digest.digest()
