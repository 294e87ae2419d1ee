"""Answers to automatic prompts, by prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import BoxPrompt, Mask, MaskPrompt, Point, Prompt
from ..tiling import Window
from .proposals import Proposals


@dataclass(frozen=True, slots=True)
class Asked:
    """What is told of an object: a point, a box, both, or a region; and how it is answered.

    ``multimask``: the best of several answers instead of the single one; ``refine``: asked once more with the box of
    the first answer.
    """

    point: Point | None
    box: BoxPrompt | None
    multimask: bool = False
    refine: bool = False
    region: Mask | None = None

    @property
    def plane(self) -> int:
        """The plane of its prompts."""
        return self.prompts[0].plane

    @property
    def middle(self) -> tuple[float, float]:
        """The place (y, x) around which the object lies."""
        if self.region is not None:
            (_, y0, x0), (_, y1, x1) = self.region.box.start, self.region.box.stop
            return (y0 + y1) / 2, (x0 + x1) / 2
        if self.box is not None:
            return self.box.middle
        return (self.point.y, self.point.x) if self.point is not None else (0.0, 0.0)

    @property
    def prompts(self) -> list[Prompt]:
        region = MaskPrompt(self.region) if self.region is not None else None
        return [one for one in (self.point, self.box, region) if one is not None]


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
        regions = sum(one.region.bitmap.nbytes for one in self.found if one.region is not None)
        return regions + sum(one.mask.bitmap.nbytes + 500 for one in self.found.values())

    def forget(self, needed: Sequence[Asked], spare: int) -> None:
        """Let go of the oldest answers beyond those that are needed and some others."""
        kept = set(needed)
        rest = [one for one in self.found if one not in kept]
        for one in rest[: max(0, len(rest) - spare)]:
            del self.found[one]

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
        nothing = Mask((plane, 0, 0), np.zeros((0, 0, 0), bool))
        regions = [nothing if one.region is None else one.region for one in self.found]
        none = [0.0] * len(regions)
        packed = Proposals.made(size, regions, none, none, [Window(0, 0, 0, 0)] * len(regions))
        return {
            "asked": np.array(asked, np.float64).reshape(-1, 8),
            **{f"region_{name}": array for name, array in packed.to_arrays().items()},
            **proposals_of(list(self.found.values()), size, plane).to_arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], plane: int) -> Answers:
        """Read what ``to_arrays`` returned. Raises ValueError or KeyError for anything else."""
        found = Proposals.from_arrays(arrays, plane)
        rows = np.asarray(arrays["asked"], np.float64)
        if rows.shape != (len(found), 8):
            raise ValueError(f"{rows.shape} numbers of prompts for {len(found)} answers")
        regions = Proposals.from_arrays(
            {name.removeprefix("region_"): array for name, array in arrays.items() if name.startswith("region_")}, plane
        )
        if len(regions) != len(found):
            raise ValueError(f"{len(regions)} regions for {len(found)} answers")
        out = cls()
        numbers = found.scores.tolist(), found.stability.tolist(), found.windows.tolist()
        for row, region, mask, score, stability, window in zip(rows.tolist(), regions, found, *numbers, strict=True):
            y, x, *box, multimask, refine = row
            point = None if math.isnan(y) else Point(plane, y, x)
            around = None if math.isnan(box[0]) else BoxPrompt(plane, *box)
            told = region if region.area else None
            asked = Asked(point, around, bool(multimask), bool(refine), told)
            out.found[asked] = Found(mask, score, stability, Window(*window))
        return out


def proposals_of(found: list[Found], size: tuple[int, int], plane: int) -> Proposals:
    """Return answers as proposals of a plane of ``size``, in their order."""
    return Proposals.made(
        size, [one.mask for one in found], [one.score for one in found], [one.stability for one in found],
        [one.window for one in found], plane,
    )  # fmt: skip
