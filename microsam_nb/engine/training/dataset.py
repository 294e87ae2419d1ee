"""Random augmented crops of labelled images, in the frame of the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import find_objects
from skimage.measure import label as connected
from torch import Tensor
from torch.nn import functional as F

from ...core import Image, LabelledImage, MicrosamError
from .augment import vary_intensity
from .distances import distance_targets

#: Objects smaller than this many pixels, of the image and of the crop's label grid, are not prompted.
_SMALLEST = 10
#: Images are enlarged at most by this.
_LARGEST = 10.0
#: Size of the object a crop is drawn around, as shares of the crop, and how likely each range is.
_SPANS = ((0.06, 0.2), (0.2, 0.6), (0.6, 0.9))
_SPAN_CHANCES = (0.25, 0.6, 0.15)


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
    boxes: Tensor


class CropDataset:
    """Draws crops; every group (data set and modality) is drawn with a chance of its share to the power ``balance``.

    ``weights`` multiplies the chance of single groups. Images with a side of more than ``longest`` pixels are
    reduced. Raises MicrosamError when no image holds an object.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        *,
        longest: int = 640,
        balance: float = 0.25,
        weights: dict[str, float] | None = None,
    ) -> None:
        prepared = (_prepare(one, longest) for one in images if one.labels.any())
        self._prepared = [one for one in prepared if len(one.boxes)]
        if not self._prepared:
            raise MicrosamError(
                f"None of the training images has a labelled object of {_SMALLEST} pixels or more.",
                "Add images with labels above 0.",
            )
        groups = [p.group for p in self._prepared]
        counts = {g: groups.count(g) for g in groups}
        chance = {g: n**balance * (weights or {}).get(g, 1.0) for g, n in counts.items()}
        each = np.array([chance[g] / counts[g] for g in groups])
        self._chance = each / each.sum()
        self.groups = counts

    def draw(self, size: int, random: np.random.Generator) -> Crop:
        """Draw one crop of ``size`` pixels around a random object, at random place, scale, angle, flip and intensities.

        The scale gives the object a random size in the crop: the network is shown any object at any size.
        """
        one = self._prepared[int(random.choice(len(self._prepared), p=self._chance))]
        y0, x0, y1, x1 = one.boxes[int(random.integers(len(one.boxes)))].tolist()
        extent = max(y1 - y0, x1 - x0)
        low, high = _SPANS[int(random.choice(len(_SPANS), p=_SPAN_CHANCES))]
        span = math.exp(random.uniform(math.log(low * size), math.log(high * size)))
        scale = min(max(span / extent, 0.25), _LARGEST)
        turn = random.integers(4) * math.pi / 2
        if random.random() < 0.4:
            turn += random.uniform(-math.pi / 4, math.pi / 4)
        flip = -1.0 if random.random() < 0.5 else 1.0
        room = max(0.1, 0.5 - 0.5 * span / size)
        jitter = random.uniform(-room, room, 2) * size / scale
        middle = np.array([(y0 + y1) / 2, (x0 + x1) / 2]) + jitter
        source = one.image
        if scale < 0.7:
            small = tuple(max(1, round(side * scale)) for side in source.shape[-2:])
            source = F.interpolate(source[None], small, mode="bilinear", antialias=True)[0]
        height, width = one.labels.shape
        grid = _grid((height, width), middle, scale, turn, flip, size, size)
        image = F.grid_sample(source[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
        inside = (grid[0].abs() <= 1).all(-1)
        grid = _grid((height, width), middle, scale, turn, flip, size, size // 2)
        labels = F.grid_sample(one.labels[None, None].float(), grid, mode="nearest", align_corners=False)[0, 0].round()
        distances = F.grid_sample(one.distances[None], grid, mode="bilinear", align_corners=False)[0]
        distances[1:][:, labels == 0] = 1.0
        distances[0] = (labels > 0).float()
        image = vary_intensity(image, random)
        return Crop(image, inside, labels.long(), distances)


def _prepare(one: LabelledImage, limit: int) -> _Prepared:
    pixels = Image(one.pixels).shown()
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    image = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
    # An id may name pieces that are apart in this plane; a prompt can only mean one of them.
    labels = connected(one.labels, connectivity=2).astype(np.int32)
    distances = distance_targets(labels)
    side_max = max(labels.shape)
    maps, ids = torch.from_numpy(distances), torch.from_numpy(labels)
    if side_max > limit:
        shape = tuple(max(1, round(side * limit / side_max)) for side in labels.shape)
        image = F.interpolate(image[None], shape, mode="bilinear", antialias=True)[0]
        maps = F.interpolate(maps[None], shape, mode="bilinear", antialias=True)[0]
        ids = F.interpolate(ids[None, None].float(), shape, mode="nearest")[0, 0].int()
    areas = np.bincount(ids.numpy().ravel())
    places = find_objects(ids.numpy())
    boxes = [
        [p[0].start, p[1].start, p[0].stop, p[1].stop]
        for p, area in zip(places, areas[1:], strict=True)
        if p is not None and area >= _SMALLEST
    ]
    return _Prepared(image, ids, maps, one.group, torch.tensor(boxes))


def _grid(
    shape: tuple[int, int],
    middle: np.ndarray[tuple[int], np.dtype[np.float64]],
    scale: float,
    turn: float,
    flip: float,
    size: int,
    count: int,
) -> Tensor:
    """Return where (1, count, count, 2) the pixels of a square of ``size`` frame pixels around ``middle`` lie."""
    step = size / count
    axis = (torch.arange(count, dtype=torch.float32) + 0.5) * step - size / 2
    v, u = torch.meshgrid(axis / scale, axis / scale, indexing="ij")
    u = u * flip
    y = float(middle[0]) + v * math.cos(turn) + u * math.sin(turn)
    x = float(middle[1]) - v * math.sin(turn) + u * math.cos(turn)
    height, width = shape
    return torch.stack([x / width * 2 - 1, y / height * 2 - 1], dim=-1)[None]


def objects_of(labels: Tensor, limit: int, random: np.random.Generator) -> list[int]:
    """Draw up to ``limit`` object ids of a crop without replacement."""
    ids, areas = torch.unique(labels, return_counts=True)
    big = [int(i) for i, a in zip(ids, areas, strict=True) if i > 0 and a >= _SMALLEST]
    if len(big) <= limit:
        return big
    return [int(i) for i in random.choice(big, limit, replace=False)]
