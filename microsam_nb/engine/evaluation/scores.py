"""All measures of one segmentation, and of many together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...core import LabelError
from ...core.labels import as_labels
from .boundaries import Boundaries, boundaries
from .matching import THRESHOLDS, Contingency, hits


@dataclass(frozen=True, slots=True)
class Scores:
    """What was counted where a segmentation was compared with the truth; shares of it are the measures, in 0..1.

    ``matched``: objects that were matched at each of ``THRESHOLDS``. ``common``, ``truth_pixels`` and
    ``found_pixels``: of all objects as one foreground. Counts of several images add up (``pooled``).
    """

    truth: int
    found: int
    matched: tuple[int, ...]
    common: int
    truth_pixels: int
    found_pixels: int
    outline: Boundaries

    @property
    def accuracies(self) -> tuple[float, ...]:
        """TP / (TP + FP + FN) at each threshold; 1 where there is no object and none was found."""
        count = self.truth + self.found
        return tuple(hit / (count - hit) if count else 1.0 for hit in self.matched)

    @property
    def msa(self) -> float:
        """Mean segmentation accuracy: the mean of ``accuracies``."""
        return sum(self.accuracies) / len(self.accuracies)

    @property
    def sa50(self) -> float:
        """Segmentation accuracy at an IoU of 0.5."""
        return self.accuracies[0]

    @property
    def sa75(self) -> float:
        """Segmentation accuracy at an IoU of 0.75."""
        return self.accuracies[5]

    def precision(self, threshold: float = 0.5) -> float:
        """Return the share of what was found that is there."""
        return self._share(self.matched[_place(threshold)], self.found, self.truth)

    def recall(self, threshold: float = 0.5) -> float:
        """Return the share of what is there that was found."""
        return self._share(self.matched[_place(threshold)], self.truth, self.found)

    def f1(self, threshold: float = 0.5) -> float:
        """Return the harmonic mean of precision and recall."""
        return self._share(2 * self.matched[_place(threshold)], self.truth + self.found, 0)

    @property
    def dice(self) -> float:
        """Dice coefficient of the foreground."""
        return self._share(2 * self.common, self.truth_pixels + self.found_pixels, 0)

    def row(self) -> dict[str, Any]:
        """Return the measures by name, for a table."""
        return {
            "objects": self.truth, "found": self.found, "mSA": self.msa, "SA50": self.sa50, "SA75": self.sa75,
            "precision": self.precision(), "recall": self.recall(), "F1": self.f1(), "Dice": self.dice,
            "boundary F1": self.outline.f1, "boundary distance": self.outline.distance,
        }  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Return the counts, for JSON; see ``from_dict``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what ``as_dict`` has made a dictionary of."""
        return cls(**{**values, "matched": tuple(values["matched"]), "outline": Boundaries(**values["outline"])})

    @staticmethod
    def _share(part: int, whole: int, other: int) -> float:
        """Return a share; of nothing it is 1 where nothing was to be had, else 0."""
        return part / whole if whole else float(not other)


def score(
    truth: NDArray[np.integer],
    found: NDArray[np.integer],
    *,
    tolerance: float | None = None,
    spacing: Sequence[float] | None = None,
) -> Scores:
    """Compare labels (y, x) or (planes, y, x) with the truth; a volume as a whole, its objects in 3D.

    ``tolerance`` and ``spacing``: see ``boundaries``. Raises LabelError for different shapes and what is no labels.
    """
    counts = Contingency.of(truth, found)
    planar = np.ndim(truth) == 2
    a, b = as_labels(truth), as_labels(found)
    outline = boundaries(a[0] if planar else a, b[0] if planar else b, tolerance=tolerance, spacing=spacing)
    return Scores(
        len(counts.truth), len(counts.found), tuple(hits(counts.iou).tolist()), int(counts.common.sum()),
        int(counts.truth_areas.sum()), int(counts.found_areas.sum()), outline,
    )  # fmt: skip


def pooled(scores: Iterable[Scores]) -> Scores:
    """Return the scores of several images as if they were one. Raises LabelError for none."""
    some = list(scores)
    if not some:
        raise LabelError("There are no scores.", "Score one image at least.")
    edges = [one.outline for one in some]
    outline = Boundaries(
        sum(e.truth for e in edges), sum(e.found for e in edges), sum(e.truth_near for e in edges),
        sum(e.found_near for e in edges), sum(e.measured for e in edges), math.fsum(e.sum for e in edges),
    )  # fmt: skip
    return Scores(
        sum(s.truth for s in some), sum(s.found for s in some),
        tuple(sum(column) for column in zip(*(s.matched for s in some), strict=True)), sum(s.common for s in some),
        sum(s.truth_pixels for s in some), sum(s.found_pixels for s in some), outline,
    )  # fmt: skip


def _place(threshold: float) -> int:
    """Return the place of a threshold among ``THRESHOLDS``. Raises LabelError."""
    place = int(np.argmin(np.abs(np.array(THRESHOLDS) - threshold)))
    if abs(THRESHOLDS[place] - threshold) > 1e-6:
        known = ", ".join(f"{one:.2f}" for one in THRESHOLDS)
        raise LabelError(f"Nothing was matched at an IoU of {threshold}.", f"Use one of {known}.")
    return place
