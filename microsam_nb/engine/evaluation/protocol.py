"""Interactive segmentation measured with simulated prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label as connected

from ...core import Box, BoxPrompt, Image, LabelledImage, Mask, Point
from ...core.sections import overlap
from ..encode import encode
from ..models import Model
from ..predict import predict_many

#: Objects with fewer pixels are left out: one pixel more or less decides their IoU.
SMALLEST = 12


@dataclass(frozen=True, slots=True)
class PromptScore:
    """IoU of every object of one image: ``box`` float (n,) from its tight box, ``clicks`` (n, k) after each click."""

    group: str
    name: str
    box: NDArray[np.float64]
    clicks: NDArray[np.float64]


def evaluate_prompts(model: Model, images: Iterable[LabelledImage], clicks: int = 5) -> Iterator[PromptScore]:
    """Prompt every connected object by its tight box, and by simulated clicks.

    The first click lies on the object's deepest pixel, the one farthest from its boundary; each further one on the
    deepest pixel of what is still wrong, missed or too much, whichever is larger, as in segment-anything's
    interactive protocol (Kirillov et al., ICCV 2023). Yields one score per image that has objects.
    """
    for one in images:
        labels = connected(one.labels, connectivity=2)
        objects = [
            (index, place)
            for index, place in enumerate(ndimage.find_objects(labels), start=1)
            if place and np.count_nonzero(labels[place] == index) >= SMALLEST
        ]
        if not objects:
            continue
        embedding = encode(model, Image(one.pixels).shown())
        truths = [Mask((0, p[0].start, p[1].start), (labels[p] == i)[None]) for i, p in objects]
        boxes = predict_many(model, embedding, [[box_of(t)] for t in truths])
        prompts = [[deepest_point(t)] for t in truths]
        scores = []
        found: list[Mask] | None = None
        for turn in range(clicks):
            found = [c.mask for c in predict_many(model, embedding, prompts, previous=found)]
            scores.append([overlap(t, f) for t, f in zip(truths, found, strict=True)])
            if turn + 1 < clicks:
                for own, truth, mask in zip(prompts, truths, found, strict=True):
                    own.append(correction(truth, mask))
        yield PromptScore(
            one.group,
            one.name,
            np.array([overlap(t, c.mask) for t, c in zip(truths, boxes, strict=True)]),
            np.array(scores).T,
        )


def correction(truth: Mask, found: Mask) -> Point:
    """Return the click that corrects ``found`` most: the deepest pixel of the larger kind of error.

    A perfect mask gets another positive click on its deepest pixel.
    """
    around, both = together(truth, found)
    missed, extra = both[0] & ~both[1], both[1] & ~both[0]
    positive = np.count_nonzero(missed) >= np.count_nonzero(extra)
    error = missed if positive else extra
    if not error.any():
        return deepest_point(truth)
    point = deepest_point(Mask.crop(error, around.start))
    return Point(point.plane, point.y, point.x, bool(positive))


def box_of(mask: Mask) -> BoxPrompt:
    """Return the tight box of a mask in one plane."""
    (plane, y0, x0), (_, y1, x1) = mask.box.start, mask.box.stop
    return BoxPrompt(plane, y0, x0, y1, x1)


def deepest_point(mask: Mask) -> Point:
    """Return the centre of the pixel that is farthest from the boundary of a mask in one plane."""
    depth = ndimage.distance_transform_edt(np.pad(mask.bitmap[0], 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    plane, top, left = mask.start
    return Point(plane, top + float(y) + 0.5, left + float(x) + 0.5)


def together(*masks: Mask) -> tuple[Box, list[NDArray[np.bool_]]]:
    """Return the box around masks, of which the first is not empty, and each of them within it."""
    around = masks[0].box
    for mask in masks[1:]:
        around = around.union(mask.box) if mask.area else around
    out = []
    for mask in masks:
        canvas = np.zeros(around.shape, bool)
        if mask.area:
            corner = tuple(a - b for a, b in zip(mask.start, around.start, strict=True))
            canvas[tuple(slice(c, c + n) for c, n in zip(corner, mask.bitmap.shape, strict=True))] = mask.bitmap
        out.append(canvas)
    return around, out
