"""The committed objects: one integer per pixel, every change reversible."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .box import Box, Triple
from .errors import PromptError
from .mask import Mask


class Overlap(StrEnum):
    """What happens where a new object meets committed ones."""

    KEEP = "keep existing"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class Delta:
    """A reversible write: the uint32 crops ``before`` and ``after`` of the box ``where``, deflated."""

    where: Box
    before: bytes
    after: bytes

    @classmethod
    def between(cls, where: Box, before: NDArray[np.uint32], after: NDArray[np.uint32]) -> Delta:
        return cls(where, _pack(before), _pack(after))

    def reverse(self) -> Delta:
        """Return the write that undoes this one."""
        return Delta(self.where, self.after, self.before)

    @property
    def nbytes(self) -> int:
        return len(self.before) + len(self.after)


class Labels:
    """Instance labels, uint32 (planes, h, w), 0 = background. Objects do not overlap.

    The one mutable array of the project; only a session writes it.
    """

    def __init__(self, shape: Triple) -> None:
        self._volume = np.zeros(shape, np.uint32)

    @property
    def shape(self) -> Triple:
        planes, height, width = self._volume.shape
        return planes, height, width

    @property
    def volume(self) -> NDArray[np.uint32]:
        """A read-only view of all labels."""
        view = self._volume.view()
        view.flags.writeable = False
        return view

    def paint(self, mask: Mask, label: int, overlap: Overlap = Overlap.KEEP) -> Delta:
        """Return the write that adds ``mask`` as object ``label``; ``apply`` carries it out.

        Raises PromptError when nothing of the mask is free.
        """
        where = mask.box
        before = self._volume[where.slices]
        if min(where.start) < 0 or before.shape != mask.bitmap.shape:
            raise PromptError("The object reaches beyond the image.", "Use a mask made for this image.")
        free = mask.bitmap if overlap is Overlap.REPLACE else mask.bitmap & (before == 0)
        if not free.any():
            raise PromptError(
                "Every pixel of this object already belongs to committed objects.",
                "Undo or delete the object below, or choose to replace existing objects.",
            )
        after = before.copy()
        after[free] = label
        return Delta.between(where, before, after)

    def apply(self, delta: Delta) -> None:
        """Carry out a write. Raises ValueError when the labels are not in the state it starts from."""
        now = self._volume[delta.where.slices]
        if not np.array_equal(now, _unpack(delta.before, delta.where.shape)):
            raise ValueError("The labels changed since this write was made; replay the journal to repair them.")
        now[...] = _unpack(delta.after, delta.where.shape)

    def count(self) -> int:
        """Number of objects."""
        ids = np.unique(self._volume)
        return int(np.count_nonzero(ids))


def _pack(crop: NDArray[np.uint32]) -> bytes:
    return zlib.compress(np.ascontiguousarray(crop, np.uint32).tobytes(), 1)


def _unpack(data: bytes, shape: Triple) -> NDArray[np.uint32]:
    return np.frombuffer(zlib.decompress(data), np.uint32).reshape(shape)
