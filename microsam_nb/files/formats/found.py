"""Objects that a file holds as shapes, and the labels that they become."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...core import LabelError, Mask, ObjectInfo
from ...core.box import Triple
from ...core.tracks import areas


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One shape; ``number`` is 0 where the file has none. Shapes with the same number are one object."""

    number: int
    mask: Mask
    info: ObjectInfo = field(default_factory=ObjectInfo)


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """``labels`` uint32 (planes, h, w) and what is said of them; ``hidden`` objects have no pixel of their own."""

    labels: NDArray[np.uint32]
    infos: dict[int, ObjectInfo] = field(default_factory=dict)
    hidden: int = 0


def painted(shapes: Iterable[Found], shape: Triple, source: str) -> Objects:
    """Return the labels of shapes in an image of ``shape`` (planes, h, w); where they overlap the smallest wins.

    Those without a number get the lowest free ones, in their order. Raises LabelError where all lie outside.
    """
    given = list(shapes)
    inside = [one for one in given if one.mask.area]
    if given and not inside:
        raise LabelError(
            f"No object in {source} lies in an image of {shape[1]} x {shape[2]} pixels.",
            "Give labels made for this image.",
        )
    taken = {one.number for one in inside}
    free = iter(number for number in range(1, len(inside) + len(taken) + 2) if number not in taken)
    numbered = [(one.number or next(free), one) for one in inside]
    labels, infos = np.zeros(shape, np.uint32), {}
    # As large first as last: what lies on something larger stays whole.
    for number, one in sorted(numbered, key=lambda pair: -pair[1].mask.area):
        labels[one.mask.box.slices][one.mask.bitmap] = number
        if one.info != ObjectInfo():
            infos[number] = one.info
    left = sorted({number for plane in labels for number in areas(plane)[0].tolist()})
    return Objects(labels, {n: infos[n] for n in left if n in infos}, len({n for n, _ in numbered}) - len(left))


def fitted(labels: NDArray[np.generic], shape: Triple, source: str = "") -> NDArray[np.generic]:
    """Return labels for an image of ``shape`` (planes, h, w): axes of length 1 left out, floats as whole numbers.

    Raises LabelError where they were made for another image.
    """
    planes, height, width = shape
    wanted = shape if planes > 1 else shape[1:]
    found = labels if labels.shape in (shape, wanted) else labels.squeeze()
    if found.shape not in (shape, wanted):
        # A side of the image may be 1 pixel.
        if [n for n in labels.shape if n > 1] != [n for n in shape if n > 1]:
            raise LabelError(
                f"The labels{f' in {source}' if source else ''} have shape {labels.shape}, the image has "
                f"{f'{planes} planes of ' if planes > 1 else ''}{height} x {width} pixels.",
                "Give labels made for this image, (y, x) or (plane, y, x).",
            )
        found = labels.reshape(wanted)
    if found.dtype.kind == "f" and np.isfinite(found).all() and np.array_equal(found, np.rint(found)):
        # Whole numbers that some program saved as floats.
        found = found.astype(np.int64)
    return found


def score_of(value: object) -> float | None:
    """Return a score in [0, 1], None for anything else."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value <= 1 else None
