"""Interactive segmentation measured with simulated prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label as connected

from ...core import BoxPrompt, Image, LabelledImage, Mask, Point
from ..encode import encode
from ..models import Model
from ..predict import predict_many

#: Objects with fewer pixels are left out: one pixel more or less decides their IoU.
SMALLEST = 12


@dataclass(frozen=True, slots=True)
class PromptScore:
    """IoU of every object of one image, float (n,), from its tight box and from one click."""

    group: str
    name: str
    box: NDArray[np.float64]
    click: NDArray[np.float64]


def evaluate_prompts(model: Model, images: Iterable[LabelledImage]) -> Iterator[PromptScore]:
    """Prompt every connected object once by its tight box and once by a click on its deepest pixel.

    The deepest pixel is the one farthest from the object's boundary, as in segment-anything's interactive
    protocol (Kirillov et al., ICCV 2023). Yields one score per image that has objects.
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
        clicks = predict_many(model, embedding, [[deepest_point(t)] for t in truths])
        yield PromptScore(
            one.group,
            one.name,
            np.array([overlap(t, c.mask) for t, c in zip(truths, boxes, strict=True)]),
            np.array([overlap(t, c.mask) for t, c in zip(truths, clicks, strict=True)]),
        )


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


def overlap(truth: Mask, found: Mask) -> float:
    """Return the intersection over union of two masks."""
    around = truth.box.union(found.box)
    shape, start = around.shape, around.start
    both = []
    for mask in (truth, found):
        canvas = np.zeros(shape, bool)
        if mask.area:
            corner = tuple(a - b for a, b in zip(mask.start, start, strict=True))
            canvas[tuple(slice(c, c + n) for c, n in zip(corner, mask.bitmap.shape, strict=True))] = mask.bitmap
        both.append(canvas)
    joint, either = (int(np.count_nonzero(one)) for one in (both[0] & both[1], both[0] | both[1]))
    return joint / max(1, either)
