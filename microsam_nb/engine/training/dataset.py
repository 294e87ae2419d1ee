"""Random augmented crops of labelled images, in the frame of the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from skimage.measure import label as connected
from torch import Tensor
from torch.nn import functional as F

from ...core import Image, LabelledImage, MicrosamError
from .augment import vary_intensity
from .distances import distance_targets

#: Objects smaller than this many pixels of the label grid are not prompted.
_SMALLEST = 10


@dataclass(frozen=True, slots=True)
class Crop:
    """One training example.

    image float (3, s, s) in 0..255; inside bool (s, s), False beyond the image; labels int (s/2, s/2);
    distances float (3, s/2, s/2).
    """

    image: Tensor
    inside: Tensor
    labels: Tensor
    distances: Tensor


@dataclass(frozen=True, slots=True)
class _Prepared:
    image: Tensor
    labels: Tensor
    distances: Tensor
    group: str
    centres: Tensor


class CropDataset:
    """Draws crops; every group (data set and modality) is drawn with a chance of its share to the power ``balance``.

    ``weights`` multiplies the chance of single groups. Raises MicrosamError when no image holds an object.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        *,
        frame: int,
        balance: float = 0.25,
        weights: dict[str, float] | None = None,
    ) -> None:
        self.frame = frame
        self._prepared = [_prepare(one, frame) for one in images if one.labels.any()]
        if not self._prepared:
            raise MicrosamError("None of the training images has a labelled object.", "Add images with labels above 0.")
        groups = [p.group for p in self._prepared]
        counts = {g: groups.count(g) for g in groups}
        chance = {g: n**balance * (weights or {}).get(g, 1.0) for g, n in counts.items()}
        each = np.array([chance[g] / counts[g] for g in groups])
        self._chance = each / each.sum()
        self.groups = counts

    def draw(self, size: int, random: np.random.Generator) -> Crop:
        """Draw one crop of ``size`` pixels with random place, scale, angle, flip and intensities."""
        one = self._prepared[int(random.choice(len(self._prepared), p=self._chance))]
        height, width = one.labels.shape
        scale = self.frame / max(height, width) * math.exp(random.uniform(math.log(0.6), math.log(1.6)))
        turn = random.integers(4) * math.pi / 2
        if random.random() < 0.4:
            turn += random.uniform(-math.pi / 4, math.pi / 4)
        flip = -1.0 if random.random() < 0.5 else 1.0
        aim = one.centres[int(random.integers(len(one.centres)))].numpy()
        jitter = random.uniform(-0.4, 0.4, 2) * size / scale
        middle = np.clip(aim + jitter, 0, [height, width])
        image = _sample(one.image, middle, scale, turn, flip, size, size, "bilinear")
        inside = _sample(torch.ones(1, height, width), middle, scale, turn, flip, size, size, "nearest")[0] > 0.5
        labels = _sample(one.labels[None].float(), middle, scale, turn, flip, size, size // 2, "nearest")[0].round()
        distances = _sample(one.distances, middle, scale, turn, flip, size, size // 2, "bilinear")
        distances[1:][:, labels == 0] = 1.0
        distances[0] = (labels > 0).float()
        image = vary_intensity(image, random)
        return Crop(image, inside, labels.long(), distances)


def _prepare(one: LabelledImage, frame: int) -> _Prepared:
    pixels = Image(one.pixels).shown()
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    image = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
    # An id may name pieces that are apart in this plane; a prompt can only mean one of them.
    labels = connected(one.labels, connectivity=2).astype(np.int32)
    distances = distance_targets(labels)
    longest = max(labels.shape)
    maps, ids = torch.from_numpy(distances), torch.from_numpy(labels)
    if longest > frame:
        shape = tuple(max(1, round(side * frame / longest)) for side in labels.shape)
        image = F.interpolate(image[None], shape, mode="bilinear", antialias=True)[0]
        maps = F.interpolate(maps[None], shape, mode="bilinear", antialias=True)[0]
        ids = F.interpolate(ids[None, None].float(), shape, mode="nearest")[0, 0].int()
    rows, cols = torch.nonzero(ids, as_tuple=True)
    pick = torch.linspace(0, max(len(rows) - 1, 0), min(len(rows), 2000)).long()
    centres = torch.stack([rows[pick], cols[pick]], dim=1).float()
    return _Prepared(image, ids, maps, one.group, centres)


def _sample(
    source: Tensor,
    middle: np.ndarray[tuple[int], np.dtype[np.float64]],
    scale: float,
    turn: float,
    flip: float,
    size: int,
    grid: int,
    mode: str,
) -> Tensor:
    """Resample (c, h, w) to (c, grid, grid): a square of ``size`` frame pixels around ``middle`` (y, x)."""
    step = size / grid
    axis = (torch.arange(grid, dtype=torch.float32) + 0.5) * step - size / 2
    v, u = torch.meshgrid(axis / scale, axis / scale, indexing="ij")
    u = u * flip
    y = float(middle[0]) + v * math.cos(turn) + u * math.sin(turn)
    x = float(middle[1]) - v * math.sin(turn) + u * math.cos(turn)
    height, width = source.shape[-2:]
    where = torch.stack([x / width * 2 - 1, y / height * 2 - 1], dim=-1)
    return F.grid_sample(source[None], where[None], mode=mode, padding_mode="zeros", align_corners=False)[0]


def objects_of(labels: Tensor, limit: int, random: np.random.Generator) -> list[int]:
    """Draw up to ``limit`` object ids of a crop without replacement."""
    ids, areas = torch.unique(labels, return_counts=True)
    big = [int(i) for i, a in zip(ids, areas, strict=True) if i > 0 and a >= _SMALLEST]
    if len(big) <= limit:
        return big
    return [int(i) for i in random.choice(big, limit, replace=False)]
