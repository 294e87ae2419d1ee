"""An image with its objects as the planes that a training learns from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...core import Contrast, Image, LabelledImage
from ...core.tracks import areas, renumbered
from ...engine.training.crops import SMALLEST
from ...session.wording import counted, word
from .known import known_around

#: Planes are cut into pieces whose sides are not longer than this, in pixels: larger ones would have to be reduced.
_SIDE = 1536
#: What is said of a part of an image, behind its name.
_PART = re.compile(r":( .*|\d+)$")


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """An image as its planes or pieces, in their order; ``content`` is the same for images of the same pixels."""

    name: str
    content: str
    planes: tuple[LabelledImage, ...]

    @property
    def usable(self) -> bool:
        """Whether it holds an object that is large enough to be prompted."""
        return any(usable(one) for one in self.planes)


def usable(plane: LabelledImage) -> bool:
    """Return whether a plane holds an object that is large enough to be prompted."""
    return bool(np.any(areas(plane.labels.astype(np.uint32))[1] >= SMALLEST))


def content_of(planes: Sequence[LabelledImage]) -> str:
    """Return what is the same for planes of the same pixels; that of one is its image's fingerprint."""
    return " ".join(Image(one.pixels).fingerprint() for one in planes)


def image_name(part: str) -> str:
    """Return the name of the image that a plane or piece is of."""
    return _PART.sub("", part)


def make_example(
    image: Image, labels: NDArray[np.uint32], group: str, *, complete: bool, most: int
) -> tuple[Example, list[str]]:
    """Return the planes of an image with its labels (planes, y, x), and what is to be said of them.

    At most ``most`` planes of a volume, spread evenly, those with most objects; planes without objects are left out.
    ``complete``: all objects are labelled, so that an image without any is known to hold none; else only what lies
    close to an object is known. Raises ImageError for pixels that cannot be read.
    """
    counts = np.array([len(areas(plane)[0]) for plane in labels])
    chosen = _spread(counts, most)
    notes = []
    if len(chosen) < (counts > 0).sum():
        what = word(movie=image.axes[0] == "t")
        have = f"{(counts > 0).sum()} {what}s with objects"
        notes.append(f"{image.name}: {counted(len(chosen), what)} of its {have}, spread evenly.")
    if not len(chosen) and complete:
        chosen = np.array([len(labels) // 2])
    planes: list[LabelledImage] = []
    for index in chosen.tolist():
        planes += _pieces(image, labels[index], index, group, complete=complete)
    return Example(image.name, image.fingerprint(), tuple(planes)), notes


def _spread(counts: NDArray[np.integer], most: int) -> NDArray[np.integer]:
    """Return at most ``most`` of the planes with objects: of each of as many stretches the one with most of them."""
    there = np.flatnonzero(counts)
    if len(there) <= most:
        return there
    return np.array([some[counts[some].argmax()] for some in np.array_split(there, most)])


def _pieces(
    image: Image, labels: NDArray[np.uint32], index: int, group: str, *, complete: bool
) -> Iterator[LabelledImage]:
    """Yield a plane, or the pieces with objects of a wide one."""
    plane = f": {word(movie=image.axes[0] == 't')} {index}" if image.shape[0] > 1 else ""
    windows = list(_windows(labels.shape))
    for y0, x0, y1, x1 in windows:
        part = slice(y0, y1), slice(x0, x1)
        own = labels[part]
        if len(windows) > 1 and not own.any():
            continue
        where = f"y {y0} to {y1}, x {x0} to {x1}" if len(windows) > 1 else ""
        name = f"{image.name}{plane}{(', ' if plane else ': ') + where if where else ''}"
        numbered = renumbered(own, {n: i for i, n in enumerate(areas(own)[0].tolist(), start=1)}).astype(np.int32)
        known = None if complete else known_around(labels, part)
        yield LabelledImage(_pixels(image, index, (y0, x0, y1, x1)), numbered, group, name, known)


def _windows(shape: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    rows, columns = (np.linspace(0, side, -(-side // _SIDE) + 1).astype(int).tolist() for side in shape)
    for y0, y1 in pairwise(rows):
        for x0, x1 in pairwise(columns):
            yield y0, x0, y1, x1


def _pixels(image: Image, index: int, where: tuple[int, int, int, int]) -> NDArray[np.generic]:
    """Return pixels (y, x) or (y, x, 3), as they are where training stretches them as the annotator does."""
    raw = image.region(index, *where)
    if image.channels == 2 or isinstance(raw, np.ma.MaskedArray) or image.contrast != Contrast():
        return image.shown_region(index, *where)
    if image.channels:
        return np.ascontiguousarray(raw[..., 0] if image.channels == 1 else raw[..., :3])
    return np.array(raw)
