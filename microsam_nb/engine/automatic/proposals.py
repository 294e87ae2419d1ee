"""What the expensive stage of an automatic segmentation with prompts leaves behind: many masks, none chosen yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import Mask
from ..tiling import Window


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """n masks of plane ``plane``, of ``size`` (height, width); they overlap.

    ``boxes`` int64 (n, 4), half-open (y0, x0, y1, x1), zeros for an empty mask; ``areas`` int64 (n,) in pixels;
    ``bits``, the masks inside their boxes, packed: large ones by the thousand would fill the memory otherwise.
    ``scores`` float32 (n,) predicted IoU as the model says it, which may exceed 1; ``stability`` float32 (n,) in 0..1;
    ``windows`` int32 (n, 4), the part (y0, x0, y1, x1) of the plane that the model saw when it found the mask.
    """

    plane: int
    size: tuple[int, int]
    boxes: NDArray[np.int64]
    areas: NDArray[np.int64]
    bits: tuple[NDArray[np.uint8], ...]
    scores: NDArray[np.float32]
    stability: NDArray[np.float32]
    windows: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, chosen: NDArray[Any]) -> Proposals:
        """Return some of them, by a bool (n,) or by their places, in that order."""
        at = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        bits = tuple(self.bits[i] for i in at)
        return Proposals(
            self.plane, self.size, self.boxes[at], self.areas[at], bits, self.scores[at], self.stability[at],
            self.windows[at],
        )  # fmt: skip

    @classmethod
    def made(
        cls,
        size: tuple[int, int],
        masks: Sequence[Mask],
        scores: Sequence[float],
        stability: Sequence[float],
        windows: Sequence[Window],
        plane: int = 0,
    ) -> Proposals:
        """Make them of lists."""
        seen = np.array([(w.y0, w.x0, w.y1, w.x1) for w in windows], np.int32).reshape(-1, 4)
        return cls(
            plane, size, boxes_of(masks), np.array([mask.area for mask in masks], np.int64),
            tuple(np.packbits(mask.bitmap) for mask in masks), np.array(scores, np.float32),
            np.array(stability, np.float32), seen,
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: Sequence[Proposals], size: tuple[int, int], plane: int = 0) -> Proposals:
        """Return the proposals of several parts of one plane as one."""
        parts = [cls.made(size, (), (), (), (), plane), *parts]
        return cls(
            plane, size, np.concatenate([one.boxes for one in parts]), np.concatenate([one.areas for one in parts]),
            tuple(bits for one in parts for bits in one.bits), np.concatenate([one.scores for one in parts]),
            np.concatenate([one.stability for one in parts]), np.concatenate([one.windows for one in parts]),
        )  # fmt: skip

    @classmethod
    def none(cls, size: tuple[int, int], plane: int = 0) -> Proposals:
        """Return proposals of a plane in which nothing was found."""
        return cls.made(size, (), (), (), (), plane)

    @property
    def masks(self) -> tuple[Mask, ...]:
        """All masks, unpacked."""
        return tuple(self)

    def __iter__(self) -> Iterator[Mask]:
        return (self.mask(i) for i in range(len(self)))

    def mask(self, index: int) -> Mask:
        """Return one mask, unpacked."""
        y0, x0, y1, x1 = self.boxes[index].tolist()
        bitmap = np.unpackbits(self.bits[index], count=(y1 - y0) * (x1 - x0)).reshape(1, y1 - y0, x1 - x0)
        return Mask((self.plane, y0, x0), bitmap.astype(bool))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return plain arrays for a file."""
        return {
            "size": np.array(self.size, np.int64),
            "boxes": self.boxes,
            "areas": self.areas,
            "bits": np.concatenate(self.bits) if self.bits else np.zeros(0, np.uint8),
            "scores": self.scores,
            "stability": self.stability,
            "windows": self.windows,
        }

    @classmethod
    def from_arrays(cls, found: Mapping[str, NDArray[Any]], plane: int = 0) -> Proposals:
        """Read what ``to_arrays`` returned. Raises ValueError or KeyError for anything else."""
        height, width = (int(side) for side in found["size"])
        boxes = np.asarray(found["boxes"], np.int64).reshape(-1, 4)
        (y0, x0, y1, x1), whole = boxes.T, np.asarray(found["bits"], np.uint8)
        if not ((y0 >= 0) & (y0 <= y1) & (y1 <= height) & (x0 >= 0) & (x0 <= x1) & (x1 <= width)).all():
            raise ValueError(f"a mask reaches out of a plane of {(height, width)}")
        ends = np.cumsum(-(-(y1 - y0) * (x1 - x0) // 8))
        if len(whole) != (ends[-1] if len(ends) else 0):
            raise ValueError("the bits of the masks are cut off")
        areas = np.asarray(found["areas"], np.int64)
        scores, stability = (np.asarray(found[name], np.float32) for name in ("scores", "stability"))
        windows = np.asarray(found["windows"], np.int32).reshape(-1, 4)
        if any(one.ndim != 1 for one in (areas, scores, stability)):
            raise ValueError("scores and areas are no plain lists")
        if not len(boxes) == len(areas) == len(scores) == len(stability) == len(windows):
            raise ValueError("the lists of masks, scores and windows differ in length")
        bits = tuple(np.split(whole, ends[:-1])) if len(ends) else ()
        return cls(plane, (height, width), boxes, areas, bits, scores, stability, windows)


def boxes_of(masks: Sequence[Mask]) -> NDArray[np.int64]:
    """Return half-open boxes (n, 4) of masks of one plane as (y0, x0, y1, x1)."""
    return np.array(
        [(m.start[1], m.start[2], m.start[1] + m.bitmap.shape[1], m.start[2] + m.bitmap.shape[2]) for m in masks],
        np.int64,
    ).reshape(-1, 4)
