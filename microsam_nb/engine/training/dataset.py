"""Random augmented crops of labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...core import LabelledImage, MicrosamError
from .augment import vary_intensity
from .crops import SMALLEST, Crop, Grids, Prepared, cut, place_around, prepare


class CropDataset:
    """Draws crops; every group (data set and modality) is drawn with a chance of its share to the power ``balance``.

    ``weights`` multiplies the chance of single groups. ``empty`` is the chance of a crop of an image that is known to
    hold no object, where there are such. Images with a side of more than ``longest`` pixels are reduced. Raises
    MicrosamError when no image holds an object.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        *,
        longest: int = 640,
        balance: float = 0.25,
        weights: dict[str, float] | None = None,
        empty: float = 0.0,
    ) -> None:
        prepared = (prepare(one, longest) for one in images if one.labels.any())
        self._prepared = [one for one in prepared if len(one.boxes)]
        if not self._prepared:
            raise MicrosamError(
                f"None of the training images has a labelled object of {SMALLEST} pixels or more.",
                "Add images with labels above 0.",
            )
        groups = [p.group for p in self._prepared]
        counts = {g: groups.count(g) for g in groups}
        chance = {g: n**balance * (weights or {}).get(g, 1.0) for g, n in counts.items()}
        each = np.array([chance[g] / counts[g] for g in groups])
        self._chance = each / each.sum()
        self.groups = counts
        bare = [one for one in images if not one.labels.any() and (one.known is None or one.known.any())]
        self._bare = [prepare(one, longest) for one in bare] if empty else []
        self._empty = empty if self._bare else 0.0

    def draw(self, size: int | Grids, random: np.random.Generator, *, vary: bool = True) -> Crop:
        """Draw one crop around a random object, at random place, scale, angle, flip and, to ``vary``, intensities.

        Half of ``size`` are the cells of its masks and distances, unless it says so itself.
        """
        grids = size if isinstance(size, Grids) else Grids(size, size // 2, size // 2)
        if self._empty and random.random() < self._empty:
            one = self._bare[int(random.integers(len(self._bare)))]
            y0, x0, extent = _anywhere(one, random)
            box = [y0, x0, y0 + extent, x0 + extent]
        else:
            one = self._prepared[int(random.choice(len(self._prepared), p=self._chance))]
            box = one.boxes[int(random.integers(len(one.boxes)))].tolist()
        crop = cut(one, place_around(box, one, grids, random), grids)
        return replace(crop, image=vary_intensity(crop.image, random)) if vary else crop


def _anywhere(one: Prepared, random: np.random.Generator) -> tuple[float, float, float]:
    """Return the corner and the side of a square in an image that has no object to draw a crop around."""
    height, width = one.labels.shape
    extent = max(SMALLEST, min(height, width) * random.uniform(0.05, 0.5))
    return random.uniform(0, max(1.0, height - extent)), random.uniform(0, max(1.0, width - extent)), extent


def objects_of(labels: Tensor, limit: int, random: np.random.Generator) -> list[int]:
    """Draw up to ``limit`` object ids of a crop without replacement."""
    ids, areas = torch.unique(labels, return_counts=True)
    big = [int(i) for i, a in zip(ids, areas, strict=True) if i > 0 and a >= SMALLEST]
    if len(big) <= limit:
        return big
    return [int(i) for i in random.choice(big, limit, replace=False)]
