"""The committed objects: one integer per pixel, every change reversible."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .box import Box, Triple
from .errors import LabelError, PromptError
from .mask import Mask

#: The largest number of an object.
LARGEST = 2**32 - 1


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

    @classmethod
    def of(cls, array: NDArray[np.generic]) -> Labels:
        """Make labels of an array (h, w) or (planes, h, w) of whole numbers, 0 = background; it is copied.

        Raises LabelError for other shapes, types, and numbers outside 0 to 2**32 - 1.
        """
        found = np.asarray(array)
        if found.ndim not in (2, 3):
            raise LabelError(f"Labels of shape {found.shape} are not possible.", "Give (y, x) or (plane, y, x).")
        if found.dtype.kind not in "bui":
            raise LabelError(
                f"Labels of type {found.dtype} are not possible.", "Convert them to whole numbers such as uint32."
            )
        if found.size and not (found.min() >= 0 and found.max() <= LARGEST):
            raise LabelError(
                f"The labels go from {found.min()} to {found.max()}.", f"Use whole numbers from 0 to {LARGEST}."
            )
        out = cls((1, 0, 0))
        out._volume = np.array(found if found.ndim == 3 else found[None], np.uint32, order="C")
        return out

    def paint(self, mask: Mask, label: int, overlap: Overlap = Overlap.KEEP) -> Delta:
        """Return the write that adds ``mask`` as object ``label``; ``apply`` carries it out.

        Raises LabelError for a number that no object can have, PromptError when nothing of the mask is free.
        """
        if not 1 <= label <= LARGEST:
            raise LabelError(f"An object cannot have the number {label}.", f"Use a number from 1 to {LARGEST}.")
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

    def erase(self, label: int) -> Delta:
        """Return the write that takes object ``label`` away. Raises LabelError when there is none."""
        where = self.mask(label).box
        before = self._volume[where.slices]
        return Delta.between(where, before, np.where(before == label, np.uint32(0), before))

    def mask(self, label: int) -> Mask:
        """Return the pixels of object ``label``. Raises LabelError when there is none."""
        found = Mask.crop(self._volume == label) if 1 <= label <= LARGEST else None
        if found is None or not found.area:
            raise LabelError(f"There is no object {label}.", "Use the number of a committed object.")
        return found

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

    @property
    def free_id(self) -> int:
        """The smallest number above those of all objects. Raises LabelError when there is none left."""
        largest = int(self._volume.max(initial=0))
        if largest == LARGEST:
            raise LabelError(f"An object has the largest number, {LARGEST}.", "Renumber the objects from 1.")
        return largest + 1


def _pack(crop: NDArray[np.uint32]) -> bytes:
    return zlib.compress(np.ascontiguousarray(crop, np.uint32).tobytes(), 1)


def _unpack(data: bytes, shape: Triple) -> NDArray[np.uint32]:
    return np.frombuffer(zlib.decompress(data), np.uint32).reshape(shape)
