"""What is written: objects plane by plane, what is said of them, and candidates."""

from __future__ import annotations

import colorsys
from collections import defaultdict
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

#: Pixels of a plane beyond which it is traced in parts, and the side of these.
_LARGE, _BLOCK = 2**26, 2048
#: Objects with numbers up to this are found without giving them others.
_DENSE = 2**20


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

    def numbers(self, index: int) -> list[int]:
        """Return the numbers of the objects of one plane."""
        return [number for number, _ in _places(self.plane(index))]

    def largest(self) -> int:
        """Return the largest number of an object."""
        return max((int(self.plane(i).max(initial=0)) for i in range(self.shape[0])), default=0)

    def outlines(self, plane: int) -> Iterator[Outlined]:
        """Yield the objects of a plane by their numbers, then the candidates."""
        for number, parts in sorted(self._traced(plane).items()):
            yield Outlined(number, plane, parts, self.infos.get(number, ObjectInfo()))
        for number, one in enumerate(self.candidates, start=1):
            inside = plane - one.mask.start[0]
            if 0 <= inside < len(one.mask.bitmap):
                for parts in trace(one.mask.bitmap[inside], one.mask.start[1:]).values():
                    yield Outlined(number, plane, parts, ObjectInfo(round(one.score, 4)), one.origin or "candidate")

    def _traced(self, index: int) -> dict[int, list[Part]]:
        plane = self.plane(index)
        if plane.size <= _LARGE:
            return trace(plane)
        # All at once would take some twenty bytes per pixel.
        near: dict[tuple[int, int], list[Subject]] = defaultdict(list)
        for one in self._subjects([index]):
            near[one.box.start[1] // _BLOCK, one.box.start[2] // _BLOCK].append(one)
        out: dict[int, list[Part]] = {}
        for some in near.values():
            whole = some[0].box
            for one in some[1:]:
                whole = whole.union(one.box)
            found = trace(plane[whole.slices[1:]], whole.start[1:])
            # Others may be cut off there.
            out |= {one.label: found[one.label] for one in some}
        return out

    def table(self) -> DataFrame:
        """Return what ``measure_objects`` says of all objects."""

        def crop(where: Box) -> NDArray[np.uint32]:
            plane, rows, columns = where.slices
            return self.plane(plane.start)[None, rows, columns]

        return measure_objects(self._subjects(range(self.shape[0])), crop, self.image, self.voxel)

    def _subjects(self, planes: Iterable[int]) -> Iterator[Subject]:
        for index in planes:
            for number, (rows, columns) in _places(self.plane(index)):
                box = Box((index, rows.start, columns.start), (index + 1, rows.stop, columns.stop))
                yield Subject(number, box, self.infos.get(number, ObjectInfo()))


def _places(plane: NDArray[np.uint32]) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Yield the number of every object of a plane, in order, and the rows and columns that it lies in."""
    if plane.max(initial=0) <= _DENSE:
        places: Iterable[Any] = enumerate(ndimage.find_objects(plane), start=1)
    else:
        # One entry for every number up to the largest would be too many.
        numbers = areas(plane)[0].tolist()
        dense = renumbered(plane, {number: i for i, number in enumerate(numbers, start=1)})
        places = zip(numbers, ndimage.find_objects(dense), strict=True)
    yield from ((number, place) for number, place in places if place is not None)


def colour_of(number: int) -> tuple[int, int, int]:
    """Return a bright RGB colour, unlike those of the numbers before and after."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.75, 1)
    return round(255 * red), round(255 * green), round(255 * blue)


def category_colours(names: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """Return one colour per class, the same whenever there are the same classes."""
    return {name: colour_of(i) for i, name in enumerate(sorted(set(names) - {""}))}
