"""From one plane on in one direction, until the object ends."""

from __future__ import annotations

from dataclasses import dataclass

from ...core import Mask, Section
from ...core.sections import middle, overlap, planes_of, section_at
from .case import NOTHING, Case
from .inward import Inward
from .walk import Question, Walk


@dataclass(slots=True)
class Outward:
    """From one plane on in one direction, until the object ends.

    With ``current`` it is mended: where it is as it was, or known, nothing further is computed. Where the model would
    end it now and once it went on, what was there stays if it goes on from what is corrected, or was given: a small
    correction costs no planes. Else it belonged to something else, and goes with all that is beyond; up to the next
    known plane, where it cannot end, what is left comes from both sides.
    """

    case: Case
    mask: Mask
    step: int
    current: Mask = NOTHING
    done: bool = False
    #: The known plane that the object would have to reach, where it ended before.
    _missed: Mask | None = None
    #: Movement (y, x) from plane to plane that is expected, and where the middle was last.
    _shift: tuple[float, float] | None = None
    _middle: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        self._go_on(self.mask)

    def questions(self) -> list[Question]:
        plane = self.mask.start[0] + self.step
        return [Question(plane, self.case.moved(self.mask, plane, self._shift), self.step)]

    def take(self, question: Question, mask: Mask, score: float) -> list[Section]:
        agreement = overlap(question.mask, mask)
        before = section_at(self.current, question.plane)
        if score < self.case.settings.score or not self._follows(question.mask, mask):
            self.done = True
            return self._mended(question, before, agreement, score)
        if overlap(before, mask) >= self.case.settings.settled:
            self.done = True
            return []
        self._go_on(mask)
        return [self.case.section(mask, question.plane, agreement, score)]

    def after(self) -> Walk | None:
        if self._missed is None:
            return None
        lower, upper = (self.mask, self._missed) if self.step > 0 else (self._missed, self.mask)
        return Inward(self.case, lower, upper)

    def _follows(self, mask: Mask, found: Mask) -> bool:
        """Whether what was found can be what a mask is in the next plane."""
        own = self.case.settings
        change = max(found.area, mask.area) / max(1, min(found.area, mask.area))
        return (
            found.area > 0
            and overlap(mask, found) >= own.iou
            and not (own.growth > 0 and change > own.growth)
            and not self.case.fades(found)
        )

    def _mended(self, question: Question, before: Mask, agreement: float, score: float) -> list[Section]:
        """Return what becomes of a mended object where the model would end it, and ``before`` it went on."""
        if not before.area:
            # It ended here before as well: what lies beyond a gap was put there by the user.
            return []
        if self.case.given or self._follows(question.mask, before):
            # It is the model that fails: what was there stays, and is marked.
            return [self.case.section(before, question.plane, agreement, score)]
        ahead = [one for one in self.case.seeds if self.step * (one - question.plane) > 0]
        if ahead:
            self._missed = self.case.seeds[min(ahead, key=lambda one: abs(one - question.plane))]
            return []
        low, high = self.case.bounds
        beyond = [p for p in planes_of(self.current) if low < p < high and self.step * (p - question.plane) >= 0]
        return [self.case.gone(p) for p in beyond]

    def _go_on(self, mask: Mask) -> None:
        """Take a mask as what the object is in its plane, and be done where there is no further plane."""
        own = self.case.settings
        if own.motion:
            place = middle(mask)
            if self._middle is not None:
                seen = place[0] - self._middle[0], place[1] - self._middle[1]
                old, keep = self._shift or seen, own.motion_smoothing
                self._shift = keep * old[0] + (1 - keep) * seen[0], keep * old[1] + (1 - keep) * seen[1]
            self._middle = place
        self.mask = mask
        plane = mask.start[0] + self.step
        low, high = self.case.bounds
        self.done = not low < plane < high or plane in self.case.seeds
