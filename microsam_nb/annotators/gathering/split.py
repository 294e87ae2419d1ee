"""Images split into those to learn from, and those to measure with."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from ...core import LabelError, LabelledImage, MicrosamError
from ...engine.training.crops import SMALLEST
from .notes import listing
from .planes import Example, usable

#: Two parts with their planes, to learn from and to measure with, and what is to be said of them.
Parts = tuple[list[LabelledImage], list[LabelledImage], list[str]]


def split(examples: Sequence[Example], share: float, seed: int) -> Parts:
    """Return the planes of both parts: neither is ever without objects, and an image is in one of them only.

    About ``share`` of the images are measured with, one at least, chosen by their names, so that an image stays where
    it is, as a rule, when others are added. One image alone is cut in two. Raises LabelError for one that holds too few
    objects for that.
    """
    having = [one for one in examples if one.usable]
    bare = [plane for one in examples if not one.usable for plane in one.planes]
    if len(having) == 1:
        training, validation, notes = _cut(having[0], share)
        return training + bare, validation, notes
    places = {id(one): _place(one.name, seed) for one in having}
    ranked = sorted(having, key=lambda one: places[id(one)])
    below = sum(place < share for place in places.values())
    count = min(max(1, below), math.ceil(share * len(having)), len(having) // 2)
    chosen = {id(one) for one in ranked[:count]}
    validation = [plane for one in having if id(one) in chosen for plane in one.planes]
    training = [plane for one in having if id(one) not in chosen for plane in one.planes]
    return training + bare, validation, []


def _place(name: str, seed: int) -> float:
    """Return a number in 0..1 that belongs to a name."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _cut(one: Example, share: float) -> Parts:
    """Return an image in two parts: other planes of a volume, else other sides of the plane."""
    planes = [plane for plane in one.planes if usable(plane)]
    if len(planes) > 1:
        count = max(1, round(share * len(planes)))
        last = f"the last {count} of its {len(planes)} planes are" if count > 1 else "the last of its planes is"
        return planes[:-count], planes[-count:], [f"{one.name} is the only image: {last} measured with."]
    found = _sides(planes[0], share)
    if found is None:
        raise LabelError(
            f"{one.name} is the only image with objects, and cannot be cut in two with objects on both sides.",
            "Label a second image, or more objects that lie apart from each other.",
        )
    note = f"{one.name} is the only image: it is cut in two. Scores on other images may be lower; label a second one."
    return [found[0]], [found[1]], [note]


def _sides(plane: LabelledImage, share: float) -> tuple[LabelledImage, LabelledImage] | None:
    """Return a plane in two parts, the second with about ``share`` of the objects; None where no cut leaves some on
    both sides. As few objects as possible are cut."""
    sizes = np.bincount(plane.labels.ravel())[1:]
    boxes = [box for box, size in zip(ndimage.find_objects(plane.labels), sizes, strict=True) if size >= SMALLEST]
    best: tuple[float, int, int, bool] | None = None
    for axis in (0, 1):
        starts, stops = (np.array([getattr(box[axis], end) for box in boxes]) for end in ("start", "stop"))
        for at in np.unique(stops):
            before, after = int((stops <= at).sum()), int((starts >= at).sum())
            if not (before and after):
                continue
            cost = abs(min(before, after) - share * len(boxes)) + len(boxes) - before - after
            if best is None or cost < best[0]:
                # Between the objects that end here and the next one.
                best = cost, axis, int(at + starts[starts >= at].min()) // 2, before >= after
    if best is None:
        return None
    _, axis, at, first = best
    parts = [_part(plane, axis, slice(0, at)), _part(plane, axis, slice(at, None))]
    return (parts[0], parts[1]) if first else (parts[1], parts[0])


def _part(plane: LabelledImage, axis: int, span: slice) -> LabelledImage:
    where = (span, slice(None)) if axis == 0 else (slice(None), span)
    names = ("upper part", "lower part") if axis == 0 else ("left part", "right part")
    known = None if plane.known is None else plane.known[where]
    name = f"{plane.name}{',' if ': ' in plane.name else ':'} {names[bool(span.start)]}"
    return replace(plane, pixels=plane.pixels[where], labels=plane.labels[where], known=known, name=name)


def without(examples: Sequence[Example], others: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """Return examples without those that hold the pixels of others, and what is to be said.

    Raises MicrosamError where none with objects is left.
    """
    taken = {one.content for one in others}
    left = [one for one in examples if one.content not in taken]
    same = [one.name for one in examples if one.content in taken]
    if same and not any(one.usable for one in left):
        raise MicrosamError(
            "All images to learn from are validation images too.",
            "Give other images for one of both, or leave validation= out: then some images are put aside.",
        )
    notes = [f"Only measured with, as among the validation images too: {listing(same)}."] if same else []
    return left, notes
