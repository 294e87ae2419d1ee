"""What several annotators agree on: labels that speak for all of them, and how much they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bioimage_cpp.affinities import compute_affinities
from bioimage_cpp.segmentation import mutex_watershed
from numpy.typing import NDArray

from ...core import LabelError
from ...core.labels import as_labels
from .matching import Contingency
from .scores import score

#: Farther neighbours, in pixels along y or x or both, that keep objects apart.
_FAR = (3, 9)


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """How much annotators have in common, two at a time: mSA and F1 at an IoU of 0.5, float (n, n), 1 with oneself.

    ``objects``: for each annotator, by the number of an object, its mean best IoU with the objects of the others.
    """

    msa: NDArray[np.float64]
    f1: NDArray[np.float64]
    objects: tuple[dict[int, float], ...]


def consensus(annotations: Sequence[NDArray[np.integer]], share: float = 0.5) -> NDArray[np.uint32]:
    """Return labels, uint32 of the shape given, that speak for several annotators of one image or volume.

    A pixel is foreground where more than ``share`` of them say so. Objects are cut out of it by a mutex watershed
    (Wolf et al., IEEE TPAMI 2021) of their averaged affinities: how many see two neighbouring pixels in one object.
    Raises LabelError for none, and for labels of different shapes.
    """
    volumes = _checked(annotations)
    if not 0 <= share < 1:
        raise LabelError(f"A share of {share} of the annotators is not possible.", "Choose one from 0 to below 1.")
    planar = len(volumes[0]) == 1
    whole = [one[0] if planar else one for one in volumes]
    foreground = np.mean([one > 0 for one in whole], axis=0) > share
    near, far = _offsets(whole[0].ndim)
    # An affinity counts where both pixels are objects for an annotator; the others have nothing to say about it.
    together, said = (np.zeros((len(near) + len(far), *whole[0].shape), np.float32) for _ in range(2))
    for one in whole:
        affinities, known = compute_affinities(one, [*near, *far], ignore_label=0)
        together += affinities
        said += known
    affinities = np.divide(together, said, out=np.zeros_like(together), where=said > 0)
    # What keeps apart is strong where two pixels are not in one object, and silent where nobody knows.
    affinities[len(near) :] = np.where(said[len(near) :] > 0, 1 - affinities[len(near) :], 0)
    affinities[:, ~foreground] = 0
    found = mutex_watershed(affinities, [*near, *far], len(near), mask=foreground)
    return found.astype(np.uint32).reshape(np.shape(annotations[0]))


def agreement(annotations: Sequence[NDArray[np.integer]]) -> Agreement:
    """Return how much annotators of one image have in common. Raises LabelError as ``consensus``, and for one alone."""
    volumes = _checked(annotations)
    if len(volumes) < 2:
        raise LabelError("One annotator agrees with himself.", "Give the labels of two annotators at least.")
    count = len(volumes)
    msa, f1 = np.eye(count), np.eye(count)
    best: list[dict[int, list[float]]] = [{} for _ in volumes]
    for i, one in enumerate(volumes):
        for j, other in enumerate(volumes):
            if i < j:
                scores = score(one, other)
                msa[i, j] = msa[j, i] = scores.msa
                f1[i, j] = f1[j, i] = scores.f1()
            if i != j:
                pairs = Contingency.of(one, other)
                for number, values in zip(pairs.truth.tolist(), pairs.iou, strict=True):
                    best[i].setdefault(number, []).append(float(values.max(initial=0.0)))
    objects = tuple({number: float(np.mean(values)) for number, values in own.items()} for own in best)
    return Agreement(msa, f1, objects)


def _checked(annotations: Sequence[NDArray[np.integer]]) -> list[NDArray[np.uint32]]:
    if not len(annotations):
        raise LabelError("There are no annotations.", "Give the labels of one annotator at least.")
    shapes = {np.shape(one) for one in annotations}
    if len(shapes) > 1:
        raise LabelError(
            f"The annotations have the shapes {', '.join(map(str, sorted(shapes)))}.", "Give labels of one image."
        )
    return [as_labels(one) for one in annotations]


def _offsets(axes: int) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the direct neighbours of a pixel, one along each axis, and the far ones."""
    near = [tuple(-int(axis == own) for axis in range(axes)) for own in range(axes)]
    lead = (0,) * (axes - 2)
    far = [(*lead, dy, dx) for step in _FAR for dy, dx in ((-step, 0), (0, -step), (-step, -step), (-step, step))]
    return near, [*([(-2, 0, 0)] if axes == 3 else []), *far]
