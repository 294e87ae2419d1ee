"""What is written: objects plane by plane, what is said of them, and candidates."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...core import Box, Candidate, Image, ObjectInfo, VoxelSize
from ...core.box import Triple
from ...core.labels import as_labels
from ...core.measuring import Subject, measure_objects
from ...core.tracks import areas, renumbered
from .outlines import Part, trace

if TYPE_CHECKING:
    from pandas import DataFrame

#: Pixels of a plane beyond which objects are traced one by one.
_LARGE = 2**26


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """One object in one plane. Candidates are numbered by themselves, and have an ``origin``."""

    number: int
    plane: int
    parts: list[Part]
    info: ObjectInfo
    origin: str = ""

    @property
    def name(self) -> str:
        """What it is called, for people."""
        return self.info.name or f"{'candidate ' if self.origin else ''}{self.number}"


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """``labels`` (planes, h, w), anything that gives a plane (h, w) of whole numbers for an index; ``flat``: one image.

    ``infos`` has what is said of objects, ``image`` where they were found, ``voxel`` the size of a pixel.
    """

    labels: Any
    flat: bool = True
    infos: Mapping[int, ObjectInfo] = field(default_factory=dict)
    candidates: Sequence[Candidate] = ()
    image: Image | None = None
    voxel: VoxelSize | None = None
    _recent: dict[int, NDArray[np.uint32]] = field(default_factory=dict, init=False, repr=False)

    @property
    def shape(self) -> Triple:
        planes, height, width = self.labels.shape
        return int(planes), int(height), int(width)

    @property
    def movie(self) -> bool:
        return self.image is not None and self.image.axes[0] == "t"

    def plane(self, index: int) -> NDArray[np.uint32]:
        """Return the labels of one plane (h, w); the last one is kept. Raises LabelError."""
        if index not in self._recent:
            found = as_labels(np.asarray(self.labels[index]))[0]
            self._recent.clear()
            self._recent[index] = found
        return self._recent[index]

    def largest(self) -> int:
        """Return the largest number of an object."""
        return max((int(self.plane(i).max(initial=0)) for i in range(self.shape[0])), default=0)

    def outlines(self, plane: int) -> Iterator[Outlined]:
        """Yield the objects of a plane by their numbers, then the candidates."""
        for number, parts in self._traced(plane):
            yield Outlined(number, plane, parts, self.infos.get(number, ObjectInfo()))
        for number, one in enumerate(self.candidates, start=1):
            inside = plane - one.mask.start[0]
            if 0 <= inside < len(one.mask.bitmap):
                for parts in trace(one.mask.bitmap[inside], one.mask.start[1:]).values():
                    yield Outlined(number, plane, parts, ObjectInfo(round(one.score, 4)), one.origin or "candidate")

    def _traced(self, index: int) -> Iterator[tuple[int, list[Part]]]:
        plane = self.plane(index)
        if plane.size <= _LARGE:
            yield from sorted(trace(plane).items())
            return
        # All at once would take some ten bytes per pixel.
        for one in self._subjects([index]):
            _, rows, columns = one.box.slices
            yield one.label, trace(plane[rows, columns] == one.label, one.box.start[1:])[1]

    def table(self) -> DataFrame:
        """Return what ``measure_objects`` says of all objects."""

        def crop(where: Box) -> NDArray[np.uint32]:
            plane, rows, columns = where.slices
            return self.plane(plane.start)[None, rows, columns]

        return measure_objects(self._subjects(range(self.shape[0])), crop, self.image, self.voxel)

    def _subjects(self, planes: Iterable[int]) -> Iterator[Subject]:
        for index in planes:
            plane = self.plane(index)
            numbers = areas(plane)[0].tolist()
            dense = renumbered(plane, {number: i for i, number in enumerate(numbers, start=1)})
            for number, (rows, columns) in zip(numbers, ndimage.find_objects(dense), strict=True):
                box = Box((index, rows.start, columns.start), (index + 1, rows.stop, columns.stop))
                yield Subject(number, box, self.infos.get(number, ObjectInfo()))


def colour_of(number: int) -> tuple[int, int, int]:
    """Return a bright RGB colour, unlike those of the numbers before and after."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.75, 1)
    return round(255 * red), round(255 * green), round(255 * blue)


def category_colours(names: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """Return one colour per class, the same whenever there are the same classes."""
    return {name: colour_of(i) for i, name in enumerate(sorted(set(names) - {""}))}
