"""A volume from its sides: sections xz and yz through a place, and the brightest pixel along z, in true proportions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Drawing

from ..core import Image, Labels, Mask
from ..core.box import Triple
from ..core.image import spread
from ..session import Layers
from .edges import Pen, edge_entries
from .overlays import PROPOSALS, Style, coloured, edge_opacity, objects
from .palette import entries

#: Screen pixels between two pictures.
GAP = 6
#: Planes that are read for a projection at most; of each all pixels that are shown.
PROJECTED = 64


class Side(StrEnum):
    """The three pictures: from above (y, x), from the front (plane, x), and from the right (y, plane)."""

    TOP = "xy"
    FRONT = "xz"
    RIGHT = "yz"


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The picture from above, that from the right beside it and that from the front below it, all at one scale.

    ``rows``, ``columns`` and ``planes`` are the pixels and planes of the volume ``shape`` (planes, h, w) that its
    screen pixels show: more than one for each, or only some of them. Nothing else of a section is ever read.
    """

    shape: Triple
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    planes: NDArray[np.int64]

    @classmethod
    def fit(cls, shape: Triple, anisotropy: float, width: int, height: int) -> Arrangement:
        """Make the pictures as large as they can be in ``width`` x ``height`` screen pixels.

        ``anisotropy``: how many times farther apart planes are than pixels.
        """
        planes, h, w = shape
        deep = planes * anisotropy
        scale = max(0.0, min((width - GAP) / (w + deep), (height - GAP) / (h + deep)))
        return cls(shape, _places(h, scale * h), _places(w, scale * w), _places(planes, scale * deep))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of all three together, in screen pixels."""
        return len(self.rows) + GAP + len(self.planes), len(self.columns) + GAP + len(self.planes)

    @property
    def sampled(self) -> int:
        """How many of the planes the sections show."""
        return len(np.unique(self.planes))

    def corner(self, side: Side) -> tuple[int, int]:
        """Return the upper left corner (row, column) of a picture."""
        return (len(self.rows) + GAP) * (side is Side.FRONT), (len(self.columns) + GAP) * (side is Side.RIGHT)

    def extent(self, side: Side) -> tuple[int, int]:
        """Return height and width of a picture in screen pixels."""
        high = self.planes if side is Side.FRONT else self.rows
        return len(high), len(self.planes if side is Side.RIGHT else self.columns)

    def at(self, row: float, column: float) -> tuple[int | None, int | None, int | None] | None:
        """Return (plane, y, x) at a screen position, None for what that picture does not tell; None beside them."""
        for side in Side:
            down, across = (int(v - corner) for v, corner in zip((row, column), self.corner(side), strict=True))
            high, wide = self.extent(side)
            if row < self.corner(side)[0] or column < self.corner(side)[1] or down >= high or across >= wide:
                continue
            if side is Side.TOP:
                return None, int(self.rows[down]), int(self.columns[across])
            if side is Side.FRONT:
                return int(self.planes[down]), None, int(self.columns[across])
            return int(self.planes[across]), int(self.rows[down]), None
        return None

    def on_screen(self, plane: int, y: int, x: int) -> tuple[float, float, float]:
        """Return where the middles of a plane, row and column lie within the pictures, in screen pixels."""
        places = zip((plane, y, x), self.shape, (self.planes, self.rows, self.columns), strict=True)
        plane_at, row, column = ((place + 0.5) * len(shown) / size for place, size, shown in places)
        return plane_at, row, column


@dataclass(slots=True, eq=False)
class Cut:
    """A section through ``place`` while it is read: ``pixels`` (planes, n) or (planes, n, c), 0 where still to come.

    The planes are those that are shown, each once.
    """

    side: Side
    place: int
    pixels: NDArray[np.generic] | None = None
    complete: bool = False
    planes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def shown(self, arrangement: Arrangement) -> NDArray[np.generic] | None:
        """Return the pixels as the picture has them: (plane, x) from the front, (y, plane) from the right."""
        if self.pixels is None:
            return None
        found = self.pixels[np.searchsorted(self.planes, arrangement.planes)]
        return found if self.side is Side.FRONT else np.swapaxes(found, 0, 1)


def read(image: Image, arrangement: Arrangement, cuts: Sequence[Cut], first: int = 0) -> Iterator[int]:
    """Fill sections plane by plane, those near ``first`` before the others; yield how many planes are done.

    Of each plane one row and one column are read. Raises ImageError.
    """
    planes = np.unique(arrangement.planes)
    for cut in cuts:
        cut.planes = planes
    order = np.argsort(np.abs(planes - first), kind="stable")
    for done, index in enumerate(order.tolist(), start=1):
        for cut in cuts:
            line = _line(image, int(planes[index]), cut, arrangement)
            if cut.pixels is None:
                cut.pixels = np.zeros((len(planes), *line.shape), line.dtype)
            cut.pixels[index] = line
        yield done
    for cut in cuts:
        cut.complete = True


def project(image: Image, arrangement: Arrangement) -> Iterator[NDArray[np.generic]]:
    """Yield the brightest of every pixel (y, x) or (y, x, c) along z, plane by plane: the last one is complete.

    At most ``PROJECTED`` planes are read, evenly spread. Raises ImageError.
    """
    planes, height, width = arrangement.shape
    step = _step(height, arrangement.rows)
    rows, columns = arrangement.rows // step, arrangement.columns // step
    out: NDArray[np.generic] | None = None
    for plane in spread(planes, PROJECTED):
        found = _plain(image.region(plane, 0, 0, height, width, step))
        found = found[np.minimum(rows, len(found) - 1)][:, np.minimum(columns, found.shape[1] - 1)]
        brighter: Any = np.fmax if found.dtype.kind == "f" else np.maximum
        out = found if out is None else brighter(out, found)
        yield out


def label_section(labels: Labels, arrangement: Arrangement, side: Side, place: int, hidden: int = 0) -> Any:
    """Return the objects of a picture, uint32 (h, w); ``place`` is the row or column of a section.

    From above the highest number of the planes that a projection reads lies on top.
    """
    volume, a = labels.volume, arrangement
    if side is Side.TOP:
        out = np.zeros(a.extent(side), np.uint32)
        for plane in spread(a.shape[0], PROJECTED):
            found = volume[plane][np.ix_(a.rows, a.columns)]
            if hidden:
                found[found == hidden] = 0
            np.maximum(out, found, out=out)
        return out
    if side is Side.FRONT:
        out = volume[:, place][np.ix_(a.planes, a.columns)]
    else:
        out = volume[:, :, place][np.ix_(a.planes, a.rows)].T
    if hidden:
        out[out == hidden] = 0
    return out


def mask_section(masks: Sequence[Mask], arrangement: Arrangement, side: Side, place: int) -> NDArray[np.uint32]:
    """Return which mask covers each pixel of a picture, uint32 (h, w), counted from 1; the last one lies on top."""
    a = arrangement
    out = np.zeros(a.extent(side), np.uint32)
    for number, mask in enumerate(masks, start=1):
        (p0, y0, x0), bitmap = mask.start, mask.bitmap
        flat: NDArray[np.bool_]
        if side is Side.TOP:
            down, across, (top, left), flat = a.rows, a.columns, (y0, x0), np.logical_or.reduce(bitmap, axis=0)
        elif side is Side.FRONT:
            down, across, (top, left) = a.planes, a.columns, (p0, x0)
            flat = bitmap[:, place - y0] if y0 <= place < y0 + bitmap.shape[1] else np.zeros((0, 0), bool)
        else:
            down, across, (top, left) = a.rows, a.planes, (y0, p0)
            flat = bitmap[:, :, place - x0].T if x0 <= place < x0 + bitmap.shape[2] else np.zeros((0, 0), bool)
        rows = np.flatnonzero((down >= top) & (down < top + flat.shape[0]))
        columns = np.flatnonzero((across >= left) & (across < left + flat.shape[1]))
        covered = flat[np.ix_(down[rows] - top, across[columns] - left)]
        where = np.ix_(rows, columns)
        out[where] = np.where(covered, np.uint32(number), out[where])
    return out


def overlay(
    found: NDArray[np.uint32], proposals: NDArray[np.uint32], layers: Layers, picked: Collection[int] = ()
) -> NDArray[np.uint8]:
    """Return objects and the object in hand as the layers show them, RGBA uint8 (h, w, 4)."""
    out = Drawing.new("RGBA", found.shape[::-1])
    for ids, layer, style, marked in (
        (found, layers.objects, objects(layers.contours), picked),
        (proposals, layers.proposal, PROPOSALS, ()),
    ):
        if layer.visible and ids.any():
            out = Drawing.alpha_composite(out, _drawn(ids, style, layer.opacity, marked))
    return np.asarray(out)


def _drawn(ids: NDArray[np.uint32], style: Style, opacity: float, marked: Collection[int]) -> Drawing.Image:
    lines = coloured(edge_entries(ids, Pen(1, mark=2), marked), style, edge_opacity(opacity))
    if not style.filled:
        return lines
    inside = entries(ids) if style.colour is None else (ids > 0).astype(np.uint8)
    return Drawing.alpha_composite(coloured(inside, style, opacity), lines)


def _line(image: Image, plane: int, cut: Cut, arrangement: Arrangement) -> NDArray[np.generic]:
    """Return the pixels of a section in one plane: (n,) or (n, c)."""
    _, height, width = arrangement.shape
    if cut.side is Side.FRONT:
        step, wanted = _step(width, arrangement.columns), arrangement.columns
        found = image.region(plane, cut.place, 0, cut.place + 1, width, step)[0]
    else:
        step, wanted = _step(height, arrangement.rows), arrangement.rows
        found = image.region(plane, 0, cut.place, height, cut.place + 1, step)[:, 0]
    return _plain(found)[np.minimum(wanted // step, len(found) - 1)]


def _places(count: int, size: float) -> NDArray[np.int64]:
    """Return which of ``count`` pixels each of about ``size`` screen pixels shows: the one below its middle."""
    whole = max(1, round(size))
    found: NDArray[np.int64] = np.floor((np.arange(whole) + 0.5) * count / whole).astype(np.int64)
    return found


def _step(count: int, shown: NDArray[np.int64]) -> int:
    return max(1, count // len(shown))


def _plain(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return pixels without a mask; masked ones are as dark as can be."""
    if not isinstance(pixels, np.ma.MaskedArray):
        return pixels
    lowest: Any = np.nan if pixels.dtype.kind == "f" else 0 if pixels.dtype.kind == "b" else np.iinfo(pixels.dtype).min
    return np.asarray(pixels.filled(lowest))
