"""Prompts of every kind to what the prompt encoder reads: points, a box and mask logits in the model's frame.

Three steps, all without side effects: ``gather`` brings the prompts of one object down to points, one box and one
mask, still as (y, x) of the image; ``batches`` groups objects of equal form, which one call can answer; ``to_frame``
makes the tensors, where coordinates become (x, y).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, sparse
from torch import Tensor

from ..core import (
    BoxPrompt,
    Ellipse,
    Mask,
    MaskPrompt,
    Point,
    Polygon,
    Prompt,
    PromptError,
    Scribble,
    Settings,
    SettingsError,
    Stop,
    option,
    rasterise,
)
from ..core.raster import clip_line, union
from .decode import SparsePrompts
from .embedding import Embedding
from .tiling import Window

#: Logit of a pixel that is surely object, ln(0.999 / 0.001); background and padding have its negative.
SURE = math.log(0.999 / 0.001)

#: Objects decoded in one call; more do not fit the processor's cache.
BATCH = 16

_STROKES = (1, 3, 5)  # points a scribble may become: few counts, so that many objects have the same form
_SPACING = 4.0  # pixels of a scribble's length per point, until it has the most it may have
_ALL_STROKES = 20  # points that all scribbles of one object may become, if not one each
_MOST = 5  # points on, and as many beside, an object known by its mask


class PointsOf(StrEnum):
    """Which points are taken from a known region."""

    NONE = "none"
    DEEPEST = "deepest"
    SEVERAL = "several"


@dataclass(frozen=True)
class RegionUse(Settings):
    """How a region (ellipse, polygon or mask) is put to the model.

    ``points`` DEEPEST takes the point farthest from the region's boundary; SEVERAL also takes further deep points
    inside and, as negative ones, outside of it. Raises SettingsError when nothing is used.
    """

    box: bool = option(True, "use the region's bounding box")
    mask: bool = option(True, "use the region's pixels")
    points: PointsOf = option(PointsOf.NONE, "points taken from the region")
    box_extension: float = option(0.0, "how far the box reaches beyond the region", low=0, high=1, unit="sides")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.box or self.mask or self.points is not PointsOf.NONE):
            raise SettingsError("Nothing of the region is used.", "Use its box, its mask or its points.")


@dataclass(frozen=True, slots=True)
class Form:
    """What prompts answered in one call have in common: how many points, and whether a box and a mask."""

    points: int
    box: bool
    mask: bool


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """The prompts of one object in one plane, in image coordinates.

    ``points`` in the order given, then those made of shapes; ``box`` clipped to the image; ``mask`` the region that
    is put to the model as logits; ``logits`` float (h, w) of an earlier answer, None where there is a mask.
    """

    plane: int
    points: tuple[Point, ...]
    box: BoxPrompt | None = None
    mask: Mask | None = None
    logits: Tensor | None = None

    @property
    def form(self) -> Form:
        return Form(len(self.points), self.box is not None, self.mask is not None or self.logits is not None)

    @property
    def ambiguous(self) -> bool:
        """Whether this is nothing but one positive point, which may mean a part or the whole."""
        return self.form == Form(1, False, False) and self.points[0].positive

    def extent(self, known: Sequence[BoxPrompt] = ()) -> BoxPrompt:
        """Return the smallest rectangle that holds the box, the mask, the positive points, and what else is known.

        Of negative points alone it holds those.
        """
        boxes = [*known, *([self.box] if self.box else [])]
        if self.mask is not None and self.mask.area:
            (_, y0, x0), (_, y1, x1) = self.mask.box.start, self.mask.box.stop
            boxes.append(BoxPrompt(self.plane, y0, x0, y1, x1))
        points = [p for p in self.points if p.positive] or ([] if boxes else list(self.points))
        ys = [v for b in boxes for v in (b.y0, b.y1)] + [p.y for p in points]
        xs = [v for b in boxes for v in (b.x0, b.x1)] + [p.x for p in points]
        return BoxPrompt(self.plane, min(ys), min(xs), max(ys), max(xs))

    def within(self, window: Window) -> Gathered:
        """Return the same in a window of the plane, as plane 0, in the window's coordinates.

        Points outside of it are left out; box and mask are cut to it, and gone where nothing is left. Earlier logits
        are left out: they belong to the whole plane.
        """
        top, left = window.y0, window.x0
        height, width = window.shape
        points = (Point(0, p.y - top, p.x - left, p.positive) for p in self.points)
        kept = tuple(p for p in points if 0 <= p.y < height and 0 <= p.x < width)
        box = None
        if self.box is not None and min(self.box.y1 - top, self.box.x1 - left) > 0:
            inner = self.box.moved(-top, -left)
            if inner.y0 < height and inner.x0 < width:
                box = replace(inner.clip((1, height, width)), plane=0)
        mask = None
        if self.mask is not None:
            _, y, x = self.mask.start
            y0, x0 = max(0, top - y), max(0, left - x)
            part = self.mask.bitmap[:, y0 : max(0, window.y1 - y), x0 : max(0, window.x1 - x)]
            if part.any():
                mask = Mask.crop(part, (0, y + y0 - top, x + x0 - left))
        return Gathered(0, kept, box, mask)


def gather(
    prompts: Sequence[Prompt],
    size: tuple[int, int],
    use: RegionUse | None = None,
    logits: Tensor | None = None,
) -> Gathered:
    """Bring the prompts of one object in a plane of ``size`` (height, width) down to points, one box and one mask.

    - Points stay as they are. A scribble becomes 1, 3 or 5 points evenly along its part inside the image.
    - Ellipses, polygons and masks become one region, their union, put to the model as ``use`` says (by
      default its box and its mask). A box next to a region is grown to hold both.
    - ``logits`` (h, w) of an earlier answer are passed on, unless a region says more clearly what is meant.

    Raises PromptError without prompts, for prompts outside the image, in several planes, for more than one box, and
    for a stop, which belongs to volumes.
    """
    use = use or RegionUse()
    plane = _check(prompts, size)
    image = (plane + 1, *size)
    points: list[Point] = []
    region: list[Mask] = []
    box: BoxPrompt | None = None
    scribbles = sum(isinstance(p, Scribble) for p in prompts)
    for prompt in prompts:
        if isinstance(prompt, Point):
            points.append(prompt)
        elif isinstance(prompt, Scribble):
            points.extend(_along(prompt, size, _ALL_STROKES // scribbles))
        elif isinstance(prompt, BoxPrompt):
            box = prompt.clip(image)
        elif isinstance(prompt, (Ellipse, Polygon, MaskPrompt)):
            region.append(rasterise(prompt, image))
    if not region:
        return Gathered(plane, tuple(points), box, None, logits)
    mask = union(region)
    if use.box:
        around = box_of(mask, size, use.box_extension)
        box = around if box is None else _hull(box, around)
    if use.points is not PointsOf.NONE:
        points.extend(points_of(mask, size, use.points))
    return Gathered(plane, tuple(points), box, mask if use.mask else None, None if use.mask else logits)


def batches(objects: Sequence[Gathered], most: int = BATCH) -> Iterator[list[int]]:
    """Yield the places in ``objects`` of at most ``most`` that have the same form.

    Forms are never padded to each other: segment-anything gives a padding point an embedding of its own, which
    changes the answer a little.
    """
    forms: dict[Form, list[int]] = {}
    for index, one in enumerate(objects):
        forms.setdefault(one.form, []).append(index)
    for indices in forms.values():
        for start in range(0, len(indices), most):
            yield indices[start : start + most]


def to_frame(
    objects: Sequence[Gathered], embeddings: Embedding | Sequence[Embedding], frame: int, device: torch.device
) -> SparsePrompts:
    """Make the tensors of objects of one form; coordinates become (x, y) in the square ``frame`` of the model.

    ``embeddings`` is the one of all objects, or one for each. segment-anything adds half a pixel to every coordinate
    of a point, so a continuous point is first made a pixel index; it adds it to box corners too, which are passed as
    they are, as its own predictor does. Raises PromptError for earlier logits of another size than 4 times the
    embedding.
    """
    each = [embeddings] * len(objects) if isinstance(embeddings, Embedding) else list(embeddings)
    points, signs, boxes, logits = [], [], [], []
    for one, embedding in zip(objects, each, strict=True):
        ys, xs = embedding.scale
        points.append([((p.x - 0.5) * xs, (p.y - 0.5) * ys) for p in one.points])
        signs.append([1.0 if p.positive else 0.0 for p in one.points])
        if one.box is not None:
            boxes.append((one.box.x0 * xs, one.box.y0 * ys, one.box.x1 * xs, one.box.y1 * ys))
        if one.form.mask:
            logits.append(_logits(one, embedding, frame, device))
    some = objects[0].points
    return SparsePrompts(
        points=torch.tensor(points, dtype=torch.float32, device=device) if some else None,
        labels=torch.tensor(signs, dtype=torch.float32, device=device) if some else None,
        boxes=torch.tensor(boxes, dtype=torch.float32, device=device) if boxes else None,
        logits=torch.stack(logits) if logits else None,
    )


def mask_logits(mask: Mask, embedding: Embedding, frame: int) -> NDArray[np.float32]:
    """Return mask logits (4 x the embedding's height, 4 x its width) that cover the whole frame, padding included.

    A cell is object (+6.9068) when at least half of what the image has in it is object, else background (-6.9068).
    Parts of the object too thin to fill half of any cell around keep the cells that hold a centre of their pixels.
    """
    height, width = (4 * int(side) for side in embedding.features.shape[-2:])
    bitmap = mask.bitmap[0].astype(np.float32)
    places, seen = [], []
    for axis, cells in enumerate((height, width)):
        step = embedding.scale[axis] * cells / frame  # cells per image pixel
        places.append((mask.start[1 + axis], bitmap.shape[axis], step, cells))
        seen.append(np.clip(embedding.original_size[axis] * step - np.arange(cells), 0, 1))
    rows, columns = places
    area = (_cover(*columns) @ (_cover(*rows) @ bitmap).T).T
    centres = (_fall(*columns) @ (_fall(*rows) @ bitmap).T).T > 0
    # A little less than half, as sums of shares are rounded.
    filled = (area > 0) & (area >= 0.4999 * np.outer(*seen))
    thin = centres & ~ndimage.binary_dilation(filled, np.ones((3, 3), bool))
    return np.where(filled | thin, np.float32(SURE), np.float32(-SURE))


def box_of(mask: Mask, size: tuple[int, int], extension: float = 0.0) -> BoxPrompt:
    """Return the box of a mask of one plane, grown by ``extension`` of its sides on each side, within ``size``."""
    (plane, y0, x0), (_, y1, x1) = mask.box.start, mask.box.stop
    dy, dx = extension * (y1 - y0), extension * (x1 - x0)
    return BoxPrompt(plane, y0 - dy, x0 - dx, y1 + dy, x1 + dx).clip((plane + 1, *size))


def points_of(mask: Mask, size: tuple[int, int], which: PointsOf = PointsOf.SEVERAL) -> list[Point]:
    """Return points that stand for a mask of one plane: positive ones inside, then negative ones around it.

    The first is the deepest, where everything beyond the mask's own box counts as outside. Each further one is the
    deepest that is farther from those before than twice their depth, while it is at least half as deep as the first.
    Negative ones are found alike in a rim of a quarter of the object's box, where that lies within ``size`` (height,
    width); they keep 2 pixels away from the object.
    """
    plane, top, left = mask.start
    inside = np.pad(mask.bitmap[0], 1)
    depth = ndimage.distance_transform_edt(inside)[1:-1, 1:-1]
    most = _MOST if which is PointsOf.SEVERAL else 1
    points = [Point(plane, top + y + 0.5, left + x + 0.5) for y, x in _peaks(depth, most, float(depth.max()) / 2)]
    if which is not PointsOf.SEVERAL:
        return points
    height, width = mask.bitmap.shape[1:]
    rim_y, rim_x = max(3, height // 4), max(3, width // 4)
    y0, x0 = max(0, top - rim_y), max(0, left - rim_x)
    y1, x1 = min(size[0], top + height + rim_y), min(size[1], left + width + rim_x)
    around = np.ones((y1 - y0, x1 - x0), bool)
    around[top - y0 : top - y0 + height, left - x0 : left - x0 + width] = ~mask.bitmap[0]
    distance = ndimage.distance_transform_edt(around)
    beside = _peaks(distance, _MOST, 2.0) if around.any() else []
    return points + [Point(plane, y0 + y + 0.5, x0 + x + 0.5, positive=False) for y, x in beside]


def _check(prompts: Sequence[Prompt], size: tuple[int, int]) -> int:
    """Return the plane of the prompts of one object. Raises PromptError."""
    if not prompts:
        raise PromptError("There is no prompt.", "Click on an object or draw a box around it.")
    strange = [p for p in prompts if not isinstance(p, Prompt)]
    if strange:
        raise PromptError(f"{strange[0]!r} is no prompt.", "Give a list of points, boxes or other prompts.")
    planes = {p.plane for p in prompts}
    if len(planes) > 1:
        raise PromptError(f"The prompts lie in several planes {sorted(planes)}.", "Predict one plane at a time.")
    if any(isinstance(p, Stop) for p in prompts):
        raise PromptError(
            "A stop says where an object ends in a volume; it does not point at one.",
            "Leave it out here, or segment the whole volume.",
        )
    if sum(isinstance(p, BoxPrompt) for p in prompts) > 1:
        raise PromptError("There is more than one box for one object.", "Keep one box, or predict one object per box.")
    plane = planes.pop()
    for prompt in prompts:
        prompt.check((plane + 1, *size))
    return plane


def _along(scribble: Scribble, size: tuple[int, int], most: int) -> list[Point]:
    """Return at most ``most`` points, or 1, at the middles of equal parts of a scribble inside the image."""
    steps = [np.zeros((0, 2))]
    for (y0, x0), (y1, x1) in pairwise(scribble.points) if len(scribble.points) > 1 else [(scribble.points[0],) * 2]:
        part = clip_line(y0, x0, y1, x1, size)
        if part is None:
            continue
        count = max(1, math.ceil(2 * math.hypot(y1 - y0, x1 - x0) * (part[1] - part[0])))  # half a pixel apart
        place = part[0] + (part[1] - part[0]) * (np.arange(count) + 0.5) / count
        steps.append(np.stack([y0 + place * (y1 - y0), x0 + place * (x1 - x0)], axis=1))
    line = np.concatenate(steps)
    line = line[((line >= 0) & (line < size)).all(axis=1)]
    if not len(line):
        raise PromptError("The scribble runs beside the image.", "Draw it on the object.")
    length = float(np.hypot(*np.diff(line, axis=0).T).sum())
    count = max(n for n in _STROKES if n <= max(1, min(most, 1 + length / _SPACING)))
    chosen = line[((np.arange(count) + 0.5) * len(line) / count).astype(int)]
    return [Point(scribble.plane, float(y), float(x), scribble.positive) for y, x in chosen]


def _hull(one: BoxPrompt, other: BoxPrompt) -> BoxPrompt:
    return BoxPrompt(
        one.plane, min(one.y0, other.y0), min(one.x0, other.x0), max(one.y1, other.y1), max(one.x1, other.x1)
    )


def _logits(one: Gathered, embedding: Embedding, frame: int, device: torch.device) -> Tensor:
    """Return the mask prompt of one object, float (1, h, w)."""
    if one.mask is not None:
        return torch.from_numpy(mask_logits(one.mask, embedding, frame)).to(device)[None]
    wanted = tuple(4 * int(side) for side in embedding.features.shape[-2:])
    if one.logits is None or tuple(one.logits.shape) != wanted:
        raise PromptError(
            f"The earlier logits have shape {None if one.logits is None else tuple(one.logits.shape)}, not {wanted}.",
            "Pass the low-resolution logits that the same model gave for this image.",
        )
    return one.logits.to(device, torch.float32)[None]


def _cover(start: int, count: int, step: float, cells: int) -> sparse.csr_array:
    """Return how much of each cell each of ``count`` pixels from ``start`` on covers, (cells, count)."""
    edges = (start + np.arange(count + 1)) * step
    first = np.floor(edges[:-1]).astype(np.int64)
    reach = int((np.ceil(edges[1:]) - first).max())
    rows = first[:, None] + np.arange(reach)
    share = np.minimum(rows + 1, edges[1:, None]) - np.maximum(rows, edges[:-1, None])
    keep = (share > 0) & (rows < cells)
    columns = np.broadcast_to(np.arange(count)[:, None], rows.shape)
    return sparse.csr_array((share[keep].astype(np.float32), (rows[keep], columns[keep])), shape=(cells, count))


def _fall(start: int, count: int, step: float, cells: int) -> sparse.csr_array:
    """Return into which cell the centre of each of ``count`` pixels from ``start`` on falls, (cells, count)."""
    place = np.minimum(((start + np.arange(count) + 0.5) * step).astype(np.int64), cells - 1)
    return sparse.csr_array((np.ones(count, np.float32), (place, np.arange(count))), shape=(cells, count))


def _peaks(depth: NDArray[np.float64], most: int, least: float) -> list[tuple[int, int]]:
    """Return up to ``most`` places (y, x), deepest first, each away from those before by twice their depth."""
    left = depth.copy()
    rows, columns = np.ogrid[: depth.shape[0], : depth.shape[1]]
    found: list[tuple[int, int]] = []
    while len(found) < most:
        y, x = (int(i) for i in np.unravel_index(int(np.argmax(left)), left.shape))
        reach = float(left[y, x])
        if reach < least or reach <= 0:
            break
        found.append((y, x))
        left[(rows - y) ** 2 + (columns - x) ** 2 <= (2 * reach) ** 2] = 0
    return found
