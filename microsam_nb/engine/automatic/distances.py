"""The cheap stage of automatic segmentation by distances: seeds and watershed.

Method of Archit et al., "Segment Anything for Microscopy" (Nature Methods 2025). The filters and the watershed are
those of bioimage-cpp, which give scipy's and scikit-image's numbers in a fraction of the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bioimage_cpp.filters import gaussian_smoothing
from bioimage_cpp.segmentation import watershed
from numpy.typing import NDArray
from scipy import ndimage

from ...core import Candidate, Mask
from .settings import DistanceSettings, GridSettings


@dataclass(frozen=True, slots=True, eq=False)
class Smooth:
    """Maps after smoothing: ``foreground`` bool, ``centre`` and ``boundary`` float32, all (y, x)."""

    foreground: NDArray[np.bool_]
    centre: NDArray[np.float32]
    boundary: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.foreground.shape
        return height, width

    def seeds(self, settings: DistanceSettings) -> NDArray[np.int32]:
        """Return the seeds, numbered from 1, 8-connected."""
        deep = (self.centre < settings.center_distance) & (self.boundary < settings.boundary_distance)
        markers, _ = ndimage.label(deep & self.foreground, structure=np.ones((3, 3)))
        return np.asarray(markers, np.int32)


def smooth(maps: NDArray[np.floating], settings: DistanceSettings, size: float | None) -> Smooth:
    """Smooth maps (3, y, x) as suits objects of a typical diameter ``size`` in pixels, None where it is not known."""
    s = settings
    blur = s.smoothing_share * (size or 0.0)
    foreground = _blurred(maps[0], max(s.foreground_smoothing, blur / 2)) > s.foreground
    centre, boundary = (_blurred(one, max(s.distance_smoothing, blur)) for one in maps[1:])
    return Smooth(foreground, centre, boundary)


def flooded(parts: Smooth, markers: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the objects that grow from seeds over the boundary distance, 4-connected."""
    if not markers.any():
        return markers
    return np.asarray(watershed(parts.boundary, markers.astype(np.uint32), mask=parts.foreground), np.int32)


def segment_distances(
    maps: NDArray[np.floating],
    settings: DistanceSettings = DistanceSettings(),
    *,
    size: float | None = None,
) -> NDArray[np.int32]:
    """Turn maps (3, y, x), all in 0..1, into labels int32 (y, x) counted from 1.

    The maps are the foreground probability and the normalised distances to the centre and to the boundary, both
    small deep inside an object. Seeds are 8-connected, the watershed runs over the boundary distance. ``size``: the
    typical diameter of an object in pixels, by default what ``typical_size`` says of the maps.
    """
    if size is None and settings.smoothing_share:
        size = typical_size([maps])
    parts = smooth(maps, settings, size)
    labels = flooded(parts, parts.seeds(settings))
    return selected(labels, maps[0], settings)


def selected(
    labels: NDArray[np.int32], foreground: NDArray[np.floating], settings: DistanceSettings
) -> NDArray[np.int32]:
    """Return labels (y, x) without objects of a wrong size or score, numbered from 1."""
    areas = np.bincount(labels.ravel())
    keep = within_limits(areas, settings)
    if settings.min_score:
        sums = np.bincount(labels.ravel(), weights=foreground.ravel(), minlength=len(areas))
        keep &= sums >= settings.min_score * areas
    keep[0] = False
    table = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    out: NDArray[np.int32] = table[labels]
    return out


def within_limits(areas: NDArray[np.integer], settings: DistanceSettings | GridSettings) -> NDArray[np.bool_]:
    """Return which areas in pixels are within the limits."""
    out: NDArray[np.bool_] = (areas >= max(1, settings.min_size)) & (
        areas <= (settings.max_size or areas.max(initial=0))
    )
    return out


def objects_of(
    labels: NDArray[np.integer], foreground: NDArray[np.floating], plane: int = 0, origin: str = "ais"
) -> list[Candidate]:
    """Return every object of labels (y, x) as a candidate; its score is the mean foreground probability."""
    out = []
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None:
            continue
        bitmap = labels[place] == number
        score = float(np.clip(foreground[place][bitmap].mean(dtype=np.float64), 0, 1))
        mask = Mask((plane, place[0].start, place[1].start), bitmap[None])
        out.append(Candidate(mask, score, origin))
    return out


def typical_size(maps: Sequence[NDArray[np.floating]]) -> float | None:
    """Return the typical diameter of the objects in one or several maps in pixels, or None without any.

    Large objects count by their area: specks of noise do not decide.
    """
    settings = DistanceSettings(smoothing_share=0.0)
    areas = [np.bincount(segment_distances(one, settings).ravel())[1:] for one in maps]
    order = np.sort(np.concatenate(areas))
    if not len(order):
        return None
    middle = order[np.searchsorted(np.cumsum(order), order.sum() / 2)]
    return float(2 * math.sqrt(middle / math.pi))


def _blurred(values: NDArray[np.floating], sigma: float) -> NDArray[np.float32]:
    """Blur with the edge pixel as mirror, the kernel cut at 3 sigma: as scipy's mode "mirror" and truncate 3."""
    values = np.ascontiguousarray(values, np.float32)
    if sigma == 0:
        return values
    return np.asarray(gaussian_smoothing(values, sigma, window_size=3.0), np.float32)
