"""Labels that somebody gives as true: checked, and what had to be understood of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...core import Image, LabelError
from ...core.labels import as_labels
from ...core.tracks import areas
from ...session.wording import counted
from ..inputs import read_labels

#: An array with more numbers than this, of which more than this share of neighbours differ, is a picture of something.
_NUMBERS, _ROUGH = 30, 0.5


def read_truth(labels: Any, image: Image) -> tuple[NDArray[np.uint32], list[str]]:
    """Return the labels of an image, uint32 (planes, y, x), of an array or a path, and what is to be said of them.

    A mask with one number for all objects is taken apart into connected pieces; whole numbers may be floats. Raises
    FileError, and LabelError for labels of another size, with fractions, below 0, or that are no labels but an image.
    """
    given = read_labels(labels, image)[0]
    if given.dtype.kind == "f":
        raise LabelError(
            f"The labels of {image.name} have fractions or NaN in them.",
            "Give each pixel the number of its object, 0 for background; make objects of a probability map first.",
        )
    found = as_labels(given)
    numbers = np.unique(np.concatenate([areas(plane)[0] for plane in found]))
    _check_order(found, len(numbers), image)
    if len(numbers) != 1:
        return found, []
    pieces, count = ndimage.label(found, np.ones((3, 3, 3), bool))
    if count < 2:
        return found, []
    note = f"{image.name}: one number marks all objects; its {counted(count, 'connected piece')} are taken as objects."
    return pieces.astype(np.uint32), [note]


def _check_order(labels: NDArray[np.uint32], numbers: int, image: Image) -> None:
    """Raise LabelError where labels vary from pixel to pixel, as only images do."""
    plane = int(labels.any((1, 2)).argmax())
    if numbers <= _NUMBERS or _roughness(labels[plane]) <= _ROUGH:
        return
    if not image.channels and not image.large and _roughness(np.asarray(image.plane(plane))) <= _ROUGH:
        raise LabelError(
            f"What is given as labels of {image.name} looks like an image, and its image like labels.",
            "They seem to be swapped: give the images first, then the labels.",
        )
    raise LabelError(
        f"What is given as labels of {image.name} looks like an image: nearly every pixel has its own number.",
        "Give each pixel the number of its object, 0 for background.",
    )


def _roughness(plane: NDArray[np.generic]) -> float:
    """Return how many of the neighbours along x differ, of those that are not both background."""
    left, right = plane[:, :-1], plane[:, 1:]
    counted_ones = (left != 0) | (right != 0)
    return float((left != right).sum() / max(1, counted_ones.sum()))
