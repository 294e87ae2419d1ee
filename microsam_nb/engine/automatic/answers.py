"""Answers to automatic prompts, by prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import BoxPrompt, Mask, Point
from ..tiling import Window
from .proposals import Proposals


@dataclass(frozen=True, slots=True)
class Asked:
    """What is told of an object: a point, a box, or both; and how it is answered.

    ``multimask``: the best of several answers instead of the single one; ``refine``: asked once more with the box of
    the first answer.
    """

    point: Point | None
    box: BoxPrompt | None
    multimask: bool = False
    refine: bool = False

    @property
    def plane(self) -> int:
        return self.box.plane if self.box is not None else self.point.plane if self.point is not None else 0

    @property
    def middle(self) -> tuple[float, float]:
        """The place (y, x) around which the object lies."""
        if self.box is not None:
            return self.box.middle
        return (self.point.y, self.point.x) if self.point is not None else (0.0, 0.0)

    @property
    def prompts(self) -> list[Point | BoxPrompt]:
        return [one for one in (self.point, self.box) if one is not None]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An answer: mask, predicted IoU, stability score, and the window that was looked at."""

    mask: Mask
    score: float
    stability: float
    window: Window


@dataclass(slots=True)
class Answers:
    """What was asked of one plane, and answered."""

    found: dict[Asked, Found] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory in use."""
        return sum(one.mask.bitmap.nbytes + 500 for one in self.found.values())

    def to_arrays(self, size: tuple[int, int], plane: int) -> dict[str, NDArray[Any]]:
        """Return plain arrays for a file, of a plane of ``size``: what was asked, (n, 8), and the answers' own."""
        asked = [
            [
                *((one.point.y, one.point.x) if one.point is not None else (math.nan,) * 2),
                *((one.box.y0, one.box.x0, one.box.y1, one.box.x1) if one.box is not None else (math.nan,) * 4),
                one.multimask, one.refine,
            ]
            for one in self.found
        ]  # fmt: skip
        return {
            "asked": np.array(asked, np.float64).reshape(-1, 8),
            **proposals_of(list(self.found.values()), size, plane).to_arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], plane: int) -> Answers:
        """Read what ``to_arrays`` returned. Raises ValueError or KeyError for anything else."""
        found = Proposals.from_arrays(arrays, plane)
        rows = np.asarray(arrays["asked"], np.float64)
        if rows.shape != (len(found), 8):
            raise ValueError(f"{rows.shape} numbers of prompts for {len(found)} answers")
        out = cls()
        for row, mask, score, stability, window in zip(
            rows.tolist(), found, found.scores.tolist(), found.stability.tolist(), found.windows.tolist(), strict=True
        ):
            y, x, *box, multimask, refine = row
            point = None if math.isnan(y) else Point(plane, y, x)
            around = None if math.isnan(box[0]) else BoxPrompt(plane, *box)
            out.found[Asked(point, around, bool(multimask), bool(refine))] = Found(
                mask, score, stability, Window(*window)
            )
        return out


def proposals_of(found: list[Found], size: tuple[int, int], plane: int) -> Proposals:
    """Return answers as proposals of a plane of ``size``, in their order."""
    return Proposals.made(
        size, [one.mask for one in found], [one.score for one in found], [one.stability for one in found],
        [one.window for one in found], plane,
    )  # fmt: skip
