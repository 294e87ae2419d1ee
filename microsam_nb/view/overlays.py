"""How objects, candidates, proposals and mask prompts look on a raster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from ..core import Box, Labels, Mask, MaskPrompt, Prompt
from .edges import Pen, edge_entries
from .ids import keep_narrow, label_ids, mask_ids
from .paint import SHADE, Patch, encode_entries
from .palette import POSITIVE, PROPOSAL, RIM, entries, listed, palette, single
from .raster import Raster

#: How many pixels of a raster an object may be wide that had none of its own before something was added to it.
_GROWN = 4
#: From so many masks on, within at most so many pixels, all are painted at once.
_MANY, _MOST = 8, 1 << 24


@dataclass(frozen=True, slots=True)
class Source:
    """Where objects come from: ``ids`` gives their numbers at the pixels of a raster, uint32 (h, w), 0 for none.

    There is none outside ``extent``, where that is known. ``around``: the boxes that look different on a raster with
    so many pixels of the image per pixel, when something was written in a box.
    """

    ids: Callable[[Raster], NDArray[np.uint32]]
    extent: Box | None = None
    around: Callable[[Box, float], list[Box]] = lambda box, step: [box]

    def within(self, raster: Raster, parts: list[Raster], margin: int = 0) -> list[Raster]:
        """Return what of the parts of a raster may hold objects, or their outlines ``margin`` pixels beyond."""
        if self.extent is None:
            return parts
        inner = raster.around(self.extent, margin)
        return [found for part in parts if inner is not None and (found := part.common(inner))]


@dataclass(frozen=True, slots=True)
class Style:
    """How the objects of a layer look: filled or not, ``colour`` None for one each.

    ``colours``: of the first palette entries, where numbers stand for kinds. Their outlines: ``width`` in CSS pixels,
    dark rim, length of ``dashes``, 0 for none.
    """

    colour: tuple[int, int, int] | None = None
    filled: bool = True
    rim: bool = True
    dashes: int = 0
    width: int = 2
    colours: tuple[tuple[int, int, int], ...] = ()

    @property
    def table(self) -> NDArray[np.uint8]:
        if self.colours:
            return listed(self.colours)
        return palette() if self.colour is None else single(self.colour)

    def pen(self, density: float) -> Pen:
        """Return the pen for a raster about as fine as a screen of ``density`` device pixels per CSS pixel."""
        unit = max(1, round(density))
        return Pen(self.width * unit, unit if self.rim else 0, self.dashes * unit, 4 * unit)


#: Committed objects, filled and as outlines.
OBJECTS = Style(rim=False)
CONTOURS = Style(filled=False, width=3)
CANDIDATES = Style(dashes=5)
PROPOSALS = Style(PROPOSAL)
MASKS = Style(POSITIVE, filled=False, dashes=5)
#: The object in hand and picked ones in the plane before the one that is shown, and in the plane after it.
BEFORE = Style((90, 190, 255), filled=False, dashes=8)
AFTER = Style((255, 150, 40), filled=False, dashes=3)


def objects(contours: bool) -> Style:
    """Return the style of committed objects."""
    return CONTOURS if contours else OBJECTS


def label_source(labels: Labels, plane: int, hidden: int = 0) -> Source:
    """Return the committed labels of a plane as a source, without the object ``hidden``.

    Objects whose box is too narrow for a coarse raster keep one pixel.
    """

    def ids(raster: Raster) -> NDArray[np.uint32]:
        pixels = labels.volume[plane]
        out = label_ids(pixels, raster, hidden)
        if raster.step > 1:
            step = int(raster.step)
            # One more on each side: where they lie does not depend on the part that is asked for.
            start, stop = (raster.top - 1, raster.left - 1), (raster.bottom + 1, raster.right + 1)
            where = Box((plane, start[0] * step, start[1] * step), (plane + 1, stop[0] * step, stop[1] * step))
            keep_narrow(out, pixels, raster, labels.narrow(where, step), hidden)
        return out

    def around(box: Box, step: float) -> list[Box]:
        # The one pixel of a narrow object may lie elsewhere now, or be needed no more.
        return [box, *(other for _, other in labels.narrow(box, _GROWN * step))] if step > 1 else [box]

    return Source(ids, around=around)


def mask_source(masks: Collection[Mask], plane: int) -> Source:
    """Return masks as a source; the last one lies on top."""
    kept = tuple(masks)
    if not kept:
        return Source(lambda raster: mask_ids(kept, plane, raster))
    extent = kept[0].box
    for mask in kept[1:]:
        extent = extent.union(mask.box)
    _, height, width = extent.shape
    if len(kept) < _MANY or height * width > _MOST:
        return Source(lambda raster: mask_ids(kept, plane, raster), extent)
    # Many masks: each is painted once, whatever the number of parts that are asked for.
    start = extent.start[1:]
    painted = mask_ids(kept, plane, Raster(1, *start, height, width))
    return Source(lambda raster: label_ids(painted, raster, 0, start), extent)


def neighbour_source(labels: Labels, plane: int, picked: Collection[int], masks: Collection[Mask]) -> Source | None:
    """Return picked objects and masks as they are in a plane that is not shown; None where there are none.

    Masks lie on top.
    """
    if not 0 <= plane < labels.shape[0]:
        return None
    boxes = [*(labels.box(label) for label in picked if label in labels), *(mask.box for mask in masks)]
    boxes = [one for one in boxes if not one.empty and one.start[0] <= plane < one.stop[0]]
    if not boxes:
        return None
    extent = boxes[0]
    for box in boxes[1:]:
        extent = extent.union(box)
    wanted = np.array(sorted(picked), np.uint32)
    kept = tuple(masks)

    def ids(raster: Raster) -> NDArray[np.uint32]:
        out = label_ids(labels.volume[plane], raster)
        out[~np.isin(out, wanted)] = 0
        above = mask_ids(kept, plane, raster)
        return np.where(above > 0, above, out)

    return Source(ids, extent)


def mask_prompts(prompts: Iterable[Prompt]) -> tuple[Mask, ...]:
    """Return the masks among prompts."""
    return tuple(one.mask for one in prompts if isinstance(one, MaskPrompt))


def fill_patch(source: Source, part: Raster, corner: tuple[int, int], style: Style) -> Patch:
    """Return the filled objects of ``part`` of the raster that begins at ``corner`` (top, left)."""
    found = fill_entries(source, part, style)
    return encode_entries(found, style.table, part.top - corner[0], part.left - corner[1])


def fill_entries(source: Source, part: Raster, style: Style) -> NDArray[np.uint8]:
    """Return the palette entries of the filled objects in a part of a raster, uint8 (h, w)."""
    ids = source.ids(part)
    return entries(ids) if style.colour is None else (ids > 0).astype(np.uint8)


def edge_patch(
    source: Source, part: Raster, corner: tuple[int, int], style: Style, pen: Pen, marked: Collection[int] = ()
) -> Patch:
    """Return the outlines of ``part`` of the raster that begins at ``corner`` (top, left)."""
    found = edges(source, part, pen, marked)
    return encode_entries(found, style.table, part.top - corner[0], part.left - corner[1])


def edges(source: Source, part: Raster, pen: Pen, marked: Collection[int] = ()) -> NDArray[np.uint8]:
    """Return the palette entries of the outlines in a part of a raster, uint8 (h, w)."""
    more = part.grown(pen.reach)
    found = edge_entries(source.ids(more), pen, marked, (more.top, more.left))
    return found[pen.reach : -pen.reach, pen.reach : -pen.reach]


def coloured(found: NDArray[np.uint8], style: Style, opacity: float) -> Picture.Image:
    """Return palette entries (h, w) of fillings or outlines as an RGBA picture; the rim of lines is half dark."""
    alpha = np.full((256, 1), round(255 * opacity), np.uint8)
    alpha[0], alpha[RIM] = 0, round(SHADE * opacity)
    return Picture.fromarray(np.hstack([style.table, alpha])[found])


def edge_opacity(opacity: float) -> float:
    """Return how opaque outlines are in a layer of an opacity: enough to be seen where the fill is faint."""
    return min(1.0, 2 * opacity)
