"""Automatic instance segmentation (AIS): distances predicted per pixel, then a seeded watershed.

Method of Archit et al., "Segment Anything for Microscopy" (Nature Methods 2025).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import relabel_sequential, watershed
from torch.nn import functional as F

from ...core import ModelError, Settings, option
from ..encode import encode
from ..looks import window_at
from ..models import Model
from ..pixels import Pixels
from ..precision import inference
from ..tiling import Tiling

#: Typical size of an object in the network's frame when the scale is chosen for it, as a share of the frame.
_TYPICAL = 0.24
#: Looks at the plane until its scale fits its objects.
_TRIES = 4


@dataclass(frozen=True)
class DistanceSettings(Settings):
    """How predicted distances become objects; the defaults suit nano best, by the validation split."""

    foreground: float = option(0.5, "Least probability of a pixel to be part of an object.", low=0.0, high=1.0)
    center_distance: float = option(0.6, "Seeds lie nearer than this to the centre of their object.", low=0.0, high=1.0)
    boundary_distance: float = option(0.6, "Seeds lie deeper than this in their object.", low=0.0, high=1.0)
    foreground_smoothing: float = option(1.0, "Blur of the foreground.", low=0.0, high=20.0, unit="px")
    distance_smoothing: float = option(1.6, "Blur of both distances.", low=0.0, high=20.0, unit="px")
    smoothing_share: float = option(
        0.08,
        "The blurs are at least this share of a typical object's diameter; half of it for the foreground.",
        low=0.0,
        high=1.0,
    )
    min_size: int = option(25, "Smaller objects are left out.", low=0, high=10_000_000, unit="px")


def segment_distances(maps: NDArray[np.float32], settings: DistanceSettings = DistanceSettings()) -> NDArray[np.int32]:
    """Turn maps (3, y, x), all in 0..1, into labels int32 (y, x) counted from 1.

    The maps are the foreground probability and the normalised distances to the centre and to the boundary, both
    small deep inside an object. Seeds are 8-connected, the watershed runs over the boundary distance.
    """
    s = settings
    blur = s.smoothing_share * (_object_size(maps) or 0.0) if s.smoothing_share else 0.0
    foreground = _smooth(maps[0], max(s.foreground_smoothing, blur / 2)) > s.foreground
    center, boundary = (_smooth(one, max(s.distance_smoothing, blur)) for one in maps[1:])
    seeds = (center < s.center_distance) & (boundary < s.boundary_distance) & foreground
    markers, _ = ndimage.label(seeds, structure=np.ones((3, 3)))
    labels = watershed(boundary, markers, mask=foreground)
    sizes = np.bincount(labels.ravel())
    labels[sizes[labels] < s.min_size] = 0
    return np.asarray(relabel_sequential(labels)[0], np.int32)


def _smooth(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    if sigma == 0:
        return values
    return np.asarray(ndimage.gaussian_filter(values, sigma, mode="mirror", truncate=3.0), np.float32)


def distance_maps(model: Model, pixels: NDArray[np.uint8], zoom: float | None = None) -> NDArray[np.float32]:
    """Predict the maps (3, y, x) of ``segment_distances`` for one plane, uint8 (y, x) or (y, x, 3).

    nano looks at tiles at ``zoom`` frame pixels per pixel, blended where they overlap; left out, it is found so
    that objects have the size nano sees best. Other models look at the whole plane at once.
    Raises ModelError when the model has no instance decoder.
    """
    if model.distances is None:
        raise ModelError(
            f"The model {model.spec.name} has no instance decoder.", "Use nano, or a model with decoder weights."
        )
    if not model.is_nano:
        return _look(model, pixels)
    if zoom is not None:
        return _tiled(model, pixels, zoom)
    zoom = min(max(1.0, model.frame / max(pixels.shape[:2])), model.enlargement)
    for _ in range(_TRIES):
        maps = _tiled(model, pixels, zoom)
        size = _object_size(maps)
        if size is None:
            return maps
        better = _fitting(model, size)
        if 0.75 < better / zoom < 1.33:
            return maps
        zoom = better
    return maps


def typical_diameter(model: Model, pixels: Pixels, middle: tuple[float, float]) -> float | None:
    """Return the diameter in pixels that objects around a place (y, x) of a plane typically have, None without any.

    nano looks at four windows beside each other, closer or from farther away until it sees objects at the size that
    suits it: some tenths of a second on a processor. ``pixels`` as for ``encode``. Raises ModelError when the model
    has no instance decoder.
    """
    *_, found = measure_diameter(model, pixels, middle)
    return found


def measure_diameter(model: Model, pixels: Pixels, middle: tuple[float, float]) -> Iterator[float | None]:
    """Yield after every look what is known by then; the last is what ``typical_diameter`` returns."""
    if model.distances is None:
        raise ModelError(f"The model {model.spec.name} has no instance decoder.", "Use nano.")
    height, width = int(pixels.shape[0]), int(pixels.shape[1])
    zoom = min(max(1.0, model.frame / max(height, width)), model.enlargement)
    size = None
    for _ in range(_TRIES):
        side = max(16, int(model.frame / zoom))
        shifts = (-0.45 * side, 0.45 * side)
        windows = {window_at((height, width), (middle[0] + y, middle[1] + x), side) for y in shifts for x in shifts}
        areas = []
        for one in windows:
            areas.append(_areas(_look(model, np.ascontiguousarray(pixels[one.slices]))))
            yield size
        found = _typical(np.concatenate(areas))
        if found is None:
            return
        size = found
        yield size
        better = _fitting(model, size)
        if 0.75 < better / zoom < 1.33:
            return
        zoom = better


def _fitting(model: Model, size: float) -> float:
    """Return the zoom at which nano sees objects of a diameter best."""
    return min(max(_TYPICAL * model.frame / size, 0.25), model.enlargement)


def _object_size(maps: NDArray[np.float32]) -> float | None:
    """Return the typical diameter of the objects in pixels, or None without any."""
    return _typical(_areas(maps))


def _areas(maps: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the areas of the objects in pixels."""
    labels = segment_distances(maps, DistanceSettings(smoothing_share=0.0))
    return np.asarray(np.bincount(labels.ravel())[1:], np.int64)


def _typical(areas: NDArray[np.int64]) -> float | None:
    if not len(areas):
        return None
    # Large objects count by their area: specks of noise do not decide.
    order = np.sort(areas)
    middle = order[np.searchsorted(np.cumsum(order), order.sum() / 2)]
    return float(2 * math.sqrt(middle / math.pi))


def _tiled(model: Model, pixels: NDArray[np.uint8], zoom: float) -> NDArray[np.float32]:
    height, width = pixels.shape[:2]
    outer = max(16, int(model.frame / zoom))
    if max(height, width) <= outer:
        return _look(model, pixels)
    halo = outer // 5
    step = outer - 2 * halo
    total, weights = np.zeros((3, height, width), np.float32), np.zeros((height, width), np.float32)
    for tile in Tiling((step, step), (0, 0)).tiles((height, width)):
        middle = ((tile.inner.y0 + tile.inner.y1) / 2, (tile.inner.x0 + tile.inner.x1) / 2)
        # Windows at the border are moved inwards, not cut: all are seen at one scale.
        window = window_at((height, width), middle, outer)
        rows, columns = window.slices
        weight = _bump(window.shape)
        total[:, rows, columns] += _look(model, pixels[rows, columns]) * weight
        weights[rows, columns] += weight
    return total / weights


def _bump(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Weights that fall off towards the border, never to 0."""
    ramps = [np.minimum(np.arange(n) + 1, n - np.arange(n)).astype(np.float32) for n in shape]
    return np.multiply.outer(*ramps) ** 2


def _look(model: Model, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    embedding = encode(model, pixels)
    assert model.distances is not None
    with inference(model.device, model.precision):
        logits = model.distances(embedding.features)
    maps = torch.sigmoid(logits.float())
    height, width = embedding.input_size
    maps = F.interpolate(maps, (model.frame, model.frame), mode="bilinear", align_corners=False)
    maps = F.interpolate(maps[..., :height, :width], embedding.original_size, mode="bilinear", align_corners=False)
    return np.asarray(maps[0].cpu().numpy(), np.float32)
