"""Cutting a training example out of a labelled image, in the frame of the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects
from skimage.measure import label as connected
from torch import Tensor
from torch.nn import functional as F

from ...core import Image, LabelledImage
from .distances import distance_targets

#: Objects smaller than this many pixels, of the image and of the crop's label grid, are not prompted.
SMALLEST = 10
#: Images are enlarged at most by this.
_LARGEST = 10.0
#: How large the longer side of an image is shown, in crops, where its scale does not depend on its objects.
_SHOWN = (0.7, 2.0)
#: Size of the object a crop is drawn around, as shares of the crop, and how likely each range is.
_SPANS = ((0.06, 0.2), (0.2, 0.6), (0.6, 0.9))
_SPAN_CHANCES = (0.25, 0.6, 0.15)
#: Size of an image's typical object when all of it is segmented, as a share of the crop, and how far around it.
_TYPICAL = (0.16, 0.36)


@dataclass(frozen=True, slots=True)
class Crop:
    """One training example.

    image float (3, s, s) in 0..255; inside bool (s, s), False beyond the image; labels int and known bool (c, c), False
    where nobody has looked what is there; deep float (c, c), 1 at the deepest place of an object;
    distances float (3, f, f) and learned bool (f, f), False beyond the image and where not known. ``open_ended``: the
    objects that touch what is not known, and may go on there.
    """

    image: Tensor
    inside: Tensor
    labels: Tensor
    known: Tensor
    deep: Tensor
    distances: Tensor
    learned: Tensor
    open_ended: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Grids:
    """How crops are cut: ``size`` pixels of the model's frame, masks on ``cells``, distances on ``fine`` squared.

    ``close`` gives the object that a crop is drawn around a random size in it; without, it is the image that is shown
    larger or smaller, as a model sees it that looks at whole images. ``typical`` is the chance that a close crop shows
    the typical object of its image as large as automatic segmentation shows it.
    """

    size: int
    cells: int
    fine: int
    close: bool = True
    typical: float = 0.0


@dataclass(frozen=True, slots=True)
class Prepared:
    image: Tensor
    labels: Tensor
    known: Tensor
    distances: Tensor
    group: str
    boxes: Tensor
    diameter: float
    open_ended: frozenset[int]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a crop lies: its middle (y, x) in the image, frame pixels per pixel, radians, and -1 for mirrored."""

    middle: NDArray[np.float64]
    scale: float
    turn: float
    flip: float


def place_around(box: Sequence[float], one: Prepared, grids: Grids, random: np.random.Generator) -> Place:
    y0, x0, y1, x1 = box
    extent, size = max(y1 - y0, x1 - x0), grids.size
    if grids.close and grids.typical and random.random() < grids.typical:
        share = math.exp(random.uniform(*np.log(_TYPICAL)))
        scale = min(max(share * size / one.diameter, 0.25), _LARGEST)
        span = min(scale * extent, float(size))
    elif grids.close:
        # The object gets a random size in the crop: the network is shown any object at any size.
        low, high = _SPANS[int(random.choice(len(_SPANS), p=_SPAN_CHANCES))]
        span = math.exp(random.uniform(math.log(low * size), math.log(high * size)))
        scale = min(max(span / extent, 0.25), _LARGEST)
    else:
        scale = math.exp(random.uniform(*np.log(_SHOWN))) * size / max(one.labels.shape)
        span = scale * extent
    turn = random.integers(4) * math.pi / 2
    if random.random() < 0.4:
        turn += random.uniform(-math.pi / 4, math.pi / 4)
    flip = -1.0 if random.random() < 0.5 else 1.0
    room = max(0.1, 0.5 - 0.5 * span / size)
    jitter = random.uniform(-room, room, 2) * size / scale
    return Place(np.array([(y0 + y1) / 2, (x0 + x1) / 2]) + jitter, scale, turn, flip)


def prepare(one: LabelledImage, limit: int) -> Prepared:
    pixels = Image(one.pixels).shown()
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    image = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
    # An id may name pieces that are apart in this plane; a prompt can only mean one of them.
    labels = connected(one.labels, connectivity=2).astype(np.int32)
    distances = distance_targets(labels)
    side_max = max(labels.shape)
    maps, ids = torch.from_numpy(distances), torch.from_numpy(labels)
    known = torch.ones(labels.shape, dtype=torch.bool) if one.known is None else torch.from_numpy(one.known.copy())
    if side_max > limit:
        shape = tuple(max(1, round(side * limit / side_max)) for side in labels.shape)
        image = F.interpolate(image[None], shape, mode="bilinear", antialias=True)[0]
        maps = F.interpolate(maps[None], shape, mode="bilinear", antialias=True)[0]
        ids = F.interpolate(ids[None, None].float(), shape, mode="nearest")[0, 0].int()
        known = F.interpolate(known[None, None].float(), shape, mode="nearest")[0, 0] > 0.5
    areas = np.bincount(ids.numpy().ravel())
    places = find_objects(ids.numpy())
    boxes = [
        [p[0].start, p[1].start, p[0].stop, p[1].stop]
        for p, area in zip(places, areas[1:], strict=True)
        if p is not None and area >= SMALLEST
    ]
    ends = _open_ended(labels, one.known)
    return Prepared(image, ids, known, maps, one.group, torch.tensor(boxes), _typical(areas[1:]), ends)


def _open_ended(labels: NDArray[np.int32], known: NDArray[np.bool_] | None) -> frozenset[int]:
    """Return the objects that touch a place where nobody has looked."""
    if known is None:
        return frozenset()
    return frozenset(np.unique(labels[binary_dilation(~known)]).tolist()) - {0}


def _typical(areas: NDArray[np.integer]) -> float:
    """Return the diameter of the object in the middle of the labelled area: specks of noise do not decide."""
    order = np.sort(areas)
    if not order.sum():
        return 1.0
    middle = order[np.searchsorted(np.cumsum(order), order.sum() / 2)]
    return float(2 * math.sqrt(middle / math.pi))


def cut(one: Prepared, place: Place, grids: Grids) -> Crop:
    source, size = one.image, grids.size
    if place.scale < 0.7:
        small = tuple(max(1, round(side * place.scale)) for side in source.shape[-2:])
        source = F.interpolate(source[None], small, mode="bilinear", antialias=True)[0]
    grid = _grid(one.labels.shape, place, size, size)
    image = F.grid_sample(source[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    inside = (grid[0].abs() <= 1).all(-1)
    grid = _grid(one.labels.shape, place, size, grids.fine)
    labels = _sampled(one.labels, grid)
    distances = F.grid_sample(one.distances[None], grid, mode="bilinear", align_corners=False)[0]
    depth = 1 - distances[2]
    distances[1:][:, labels == 0] = 1.0
    distances[0] = (labels > 0).float()
    there = (grid[0].abs() <= 1).all(-1)
    unknown = _sampled(~one.known, grid) > 0
    learned = there & ~unknown
    if grids.cells != grids.fine:
        grid = _grid(one.labels.shape, place, size, grids.cells)
        labels, unknown = _sampled(one.labels, grid), _sampled(~one.known, grid) > 0
        depth = F.interpolate(depth[None, None], (grids.cells, grids.cells), mode="bilinear")[0, 0]
    return Crop(image, inside, labels, ~unknown, depth, distances, learned, one.open_ended)


def _sampled(values: Tensor, grid: Tensor) -> Tensor:
    """Return the integers of a map (y, x) at the places of a grid, 0 beyond the map."""
    found = F.grid_sample(values[None, None].float(), grid, mode="nearest", align_corners=False)
    return found[0, 0].round().long()


def _grid(shape: Sequence[int], place: Place, size: int, count: int) -> Tensor:
    """Return where (1, count, count, 2) the pixels of a square of ``size`` frame pixels lie in the image."""
    step = size / count
    axis = (torch.arange(count, dtype=torch.float32) + 0.5) * step - size / 2
    v, u = torch.meshgrid(axis / place.scale, axis / place.scale, indexing="ij")
    u = u * place.flip
    y = float(place.middle[0]) + v * math.cos(place.turn) + u * math.sin(place.turn)
    x = float(place.middle[1]) - v * math.sin(place.turn) + u * math.cos(place.turn)
    height, width = shape
    return torch.stack([x / width * 2 - 1, y / height * 2 - 1], dim=-1)[None]
