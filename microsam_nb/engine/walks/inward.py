"""Between two planes in which an object is known, from both to the middle."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...core import Mask, Section
from ...core.raster import union
from ...core.sections import middle, moved_to, overlap, within
from ..between import between
from .case import Case
from .walk import Question, Walk


@dataclass(slots=True)
class Inward:
    """Between two planes in which the object is known: from both to the middle, which is asked for with both."""

    case: Case
    lower: Mask
    upper: Mask
    done: bool = False
    _found: dict[int, Section] = field(default_factory=dict)
    _again: list[Question] = field(default_factory=list)
    _ends: tuple[Mask, Mask] = field(init=False)

    def __post_init__(self) -> None:
        self._ends = self.lower, self.upper
        self.done = self.upper.start[0] - self.lower.start[0] < 2

    def questions(self) -> list[Question]:
        if self._again:
            return self._again
        low, high = self.lower.start[0], self.upper.start[0]
        up, down = self._moved(self.lower, self.upper, low + 1), self._moved(self.upper, self.lower, high - 1)
        if high - low == 2 and self.case.settings.motion and overlap(up, down) < self.case.settings.iou:
            # The two are not one cell in one place.
            return [Question(low + 1, up)]
        if high - low == 2:
            return [Question(low + 1, union([up, down]))]
        return [Question(low + 1, up, 1), Question(high - 1, down, -1)]

    def take(self, question: Question, mask: Mask, score: float) -> list[Section]:
        if self._again:
            return self._take_again(question, mask, score)
        agreement = overlap(question.mask, mask)
        if not mask.area:
            mask, agreement = self._shape(question.plane), 0.0
        if not question.step and not self.case.settings.motion:
            # Whatever the model makes of both sides together, they may not agree.
            agreement = min(agreement, overlap(self.lower, self.upper))
        section = self._found[question.plane] = self.case.section(mask, question.plane, agreement, score)
        if question.step >= 0:
            self.lower = mask
        if question.step <= 0:
            self.upper = mask
        met = self.upper.start[0] - self.lower.start[0] < 2
        if met:
            self._finish()
        return [section]

    def after(self) -> Walk | None:
        return None

    def _moved(self, mask: Mask, other: Mask, plane: int) -> Mask:
        """Return a mask in the next plane; in a movie where it has moved to, on its way to the ``other`` one."""
        if not self.case.settings.motion:
            return moved_to(mask, plane)
        share = 1 / abs(other.start[0] - mask.start[0])
        (y, x), (to_y, to_x) = middle(mask), middle(other)
        return self.case.moved(mask, plane, ((to_y - y) * share, (to_x - x) * share))

    def _finish(self) -> None:
        """Where the two sides do not agree, ask again with the shape that lies between the known ones.

        Not in movies: what is between two places of a cell is no place of it.
        """
        worst = min((one.agreement for one in self._found.values()), default=1.0)
        if self.case.settings.motion or min(overlap(self.lower, self.upper), worst) >= self.case.settings.iou:
            self.done = True
            return
        self._again = [Question(plane, self._shape(plane)) for plane in sorted(self._found)]

    def _take_again(self, question: Question, mask: Mask, score: float) -> list[Section]:
        self._again = [one for one in self._again if one is not question]
        self.done = not self._again
        agreement = overlap(question.mask, mask)
        before = self._found[question.plane]
        if not mask.area or agreement <= overlap(question.mask, before.mask):
            return []
        return [self.case.section(mask, question.plane, agreement, score)]

    def _shape(self, plane: int) -> Mask:
        return within(between(*self._ends, plane), self.case.store.shape)
