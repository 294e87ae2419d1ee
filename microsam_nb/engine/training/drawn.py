"""Images made by program, with exact labels: shapes and looks that a data pack lacks.

Every picture is drawn from a seed: blobs (nuclei), packed rods (bacteria), polygons behind bright membranes
(epithelia), rings (axons, vesicles), spread cells with halos (phase contrast), and coloured stains.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ...core import LabelledImage

_Floats = NDArray[np.float32]
_Labels = NDArray[np.int32]
#: Side of a picture in pixels.
_SIDE = 320


def drawn_images(count: int, seed: int = 0) -> list[LabelledImage]:
    """Draw ``count`` images, uint8 (320, 320) or (320, 320, 3); the kinds take turns."""
    images = []
    for index in range(count):
        random = np.random.default_rng([seed, index])
        name, draw = _DRAW[index % len(_DRAW)]
        pixels, labels = draw(random)
        images.append(LabelledImage(_finish(pixels, random), labels, f"drawn | {name}", f"{name}{index}"))
    return images


def _finish(pixels: _Floats, random: np.random.Generator) -> NDArray[np.uint8]:
    """Add uneven light, focus and noise, and scale to uint8."""
    grey = pixels.ndim == 2
    light = 1 + random.uniform(0, 0.5) * _clouds(random, _SIDE / 3)
    pixels = pixels * (light if grey else light[..., None])
    blur = random.uniform(0, 1.4)
    pixels = ndimage.gaussian_filter(pixels, (blur, blur, 0)[: pixels.ndim])
    pixels = pixels + random.standard_normal(pixels.shape).astype(np.float32) * random.uniform(0, 0.08)
    low, high = np.percentile(pixels, [0.2, 99.8])
    return (np.clip((pixels - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)


def _clouds(random: np.random.Generator, size: float) -> _Floats:
    """Smooth noise of about the given grain with standard deviation 1."""
    noise = ndimage.gaussian_filter(random.standard_normal((_SIDE, _SIDE)).astype(np.float32), size, mode="wrap")
    return (noise / max(float(noise.std()), 1e-6)).astype(np.float32)


def _texture(labels: _Labels, random: np.random.Generator, spread: float) -> _Floats:
    """Give every object a brightness of its own around 1, and grain of two sizes."""
    level = 1 + spread * random.standard_normal(int(labels.max()) + 1).astype(np.float32)
    grain = random.uniform(0, 0.25) * _clouds(random, random.uniform(0.8, 4))
    return np.clip(level, 0.25, 2.0)[labels] + grain


def _depth(labels: _Labels) -> _Floats:
    """Distance of each pixel of an object to the nearest pixel of another object or of the background."""
    edge = np.zeros(labels.shape, bool)
    for axis in range(2):
        step = np.diff(labels, axis=axis) != 0
        pad = [(0, 0), (0, 0)]
        pad[axis] = (0, 1)
        edge |= np.pad(step, pad)
        pad[axis] = (1, 0)
        edge |= np.pad(step, pad)
    return ndimage.distance_transform_edt(~edge).astype(np.float32)


def _places(random: np.random.Generator, radius: float, density: float) -> NDArray[np.float64]:
    """Random centres (n, 2), thinned until none is much nearer to another than two radii."""
    count = max(2, int(density * _SIDE**2 / (np.pi * radius**2)))
    points = random.uniform(0, _SIDE, (count * 3, 2))
    kept: list[NDArray[np.float64]] = []
    for point in points:
        if all(np.hypot(*(point - other)) > 1.7 * radius for other in kept):
            kept.append(point)
        if len(kept) >= count:
            break
    return np.array(kept)


def _lobed(random: np.random.Generator, centre: NDArray[np.float64], radius: float, rough: float) -> NDArray[np.bool_]:
    """A filled ellipse whose outline waves by ``rough``."""
    y, x = np.indices((_SIDE, _SIDE), dtype=np.float32) + 0.5
    turn, squeeze = random.uniform(0, np.pi), random.uniform(0.55, 1.0)
    dy, dx = y - centre[0], x - centre[1]
    u = (dx * np.cos(turn) + dy * np.sin(turn)) / radius
    v = (-dx * np.sin(turn) + dy * np.cos(turn)) / (radius * squeeze)
    angle = np.arctan2(v, u)
    outline = np.ones_like(angle)
    for k in (2, 3, 4, 5):
        outline += rough * random.standard_normal() / k * np.cos(k * angle + random.uniform(0, 2 * np.pi))
    return np.hypot(u, v) < np.clip(outline, 0.4, 1.8)


def _blobs(random: np.random.Generator) -> tuple[_Floats, _Labels]:
    radius = float(np.exp(random.uniform(np.log(5), np.log(45))))
    labels = np.zeros((_SIDE, _SIDE), np.int32)
    for number, centre in enumerate(_places(random, radius, random.uniform(0.15, 0.7)), 1):
        shape = _lobed(random, centre, radius * random.uniform(0.7, 1.3), random.uniform(0, 0.25))
        labels[shape & (labels == 0)] = number
    inside = labels > 0
    body = _texture(labels, random, 0.3)
    ground = random.uniform(0, 0.5) + 0.1 * _clouds(random, random.uniform(3, 30))
    return np.where(inside, body, ground).astype(np.float32), labels


def _rods(random: np.random.Generator) -> tuple[_Floats, _Labels]:
    width = random.uniform(3.5, 12)
    length = width * random.uniform(2, 7)
    labels = np.zeros((_SIDE, _SIDE), np.int32)
    y, x = np.indices((_SIDE, _SIDE), dtype=np.float32) + 0.5
    flow = _clouds(random, _SIDE / 5) * random.uniform(0.2, 1.2)
    number = 0
    for centre in _places(random, width * 1.1, random.uniform(0.4, 1.2)):
        turn = flow[int(centre[0]), int(centre[1])] + 0.15 * random.standard_normal()
        dy, dx = y - centre[0], x - centre[1]
        along = dx * np.cos(turn) + dy * np.sin(turn)
        across = -dx * np.sin(turn) + dy * np.cos(turn) - random.uniform(-0.01, 0.01) * along**2 / width
        half = length * random.uniform(0.3, 0.6) - width / 2
        shape = np.hypot(np.maximum(np.abs(along) - half, 0), across) < width / 2
        free = shape & (ndimage.binary_dilation(labels > 0) == 0)
        if free.sum() > 0.75 * shape.sum() > 0:
            number += 1
            labels[free] = number
    inside = labels > 0
    halo = np.exp(-ndimage.distance_transform_edt(~inside) / random.uniform(1.5, 5)).astype(np.float32)
    rim = np.clip(_depth(labels) / (width / 4), 0, 1)
    body = 0.45 * _texture(labels, random, 0.15) - 0.35 * rim
    ground = 0.7 + random.uniform(0, 0.7) * halo
    pixels = np.where(inside, body, ground)
    return (pixels if random.random() < 0.6 else -pixels).astype(np.float32), labels


def _membranes(random: np.random.Generator) -> tuple[_Floats, _Labels]:
    size = float(np.exp(random.uniform(np.log(8), np.log(40))))
    seeds = random.uniform(-size, _SIDE + size, (int((_SIDE / size) ** 2), 2))
    y, x = np.indices((_SIDE, _SIDE)) + 0.5
    places = np.stack([y + 2 * _clouds(random, size / 2), x + 2 * _clouds(random, size / 2)], -1)
    gaps, nearest = cKDTree(seeds).query(places, k=2)
    labels = np.unique(nearest[..., 0], return_inverse=True)[1].reshape(_SIDE, _SIDE).astype(np.int32) + 1
    wall = np.exp(-(((gaps[..., 1] - gaps[..., 0]) / random.uniform(1.5, 4)) ** 2)).astype(np.float32)
    faint = 1 + random.uniform(0, 0.4) * _clouds(random, size)
    body = random.uniform(0, 0.5) * _texture(labels, random, 0.3)
    pixels = body + wall * np.clip(faint, 0.2, 2)
    return (pixels if random.random() < 0.6 else -pixels).astype(np.float32), labels


def _rings(random: np.random.Generator) -> tuple[_Floats, _Labels]:
    radius = float(np.exp(random.uniform(np.log(7), np.log(35))))
    wall = radius * random.uniform(0.12, 0.4)
    labels = np.zeros((_SIDE, _SIDE), np.int32)
    shell = np.zeros((_SIDE, _SIDE), bool)
    for number, centre in enumerate(_places(random, radius, random.uniform(0.3, 0.8)), 1):
        shape = (
            _lobed(random, centre, radius * random.uniform(0.6, 1.2), random.uniform(0, 0.2)) & ~shell & (labels == 0)
        )
        core = ndimage.distance_transform_edt(shape) > wall
        labels[core] = number
        shell |= shape & ~core
    ground = 0.55 + 0.15 * _clouds(random, random.uniform(1, 6))
    pixels = np.where(
        shell, random.uniform(0, 0.25), np.where(labels > 0, 0.8 * _texture(labels, random, 0.15), ground)
    )
    return (pixels if random.random() < 0.7 else 1 - pixels).astype(np.float32), labels


def _spread(random: np.random.Generator) -> tuple[_Floats, _Labels]:
    radius = random.uniform(18, 60)
    labels = np.zeros((_SIDE, _SIDE), np.int32)
    for number, centre in enumerate(_places(random, radius, random.uniform(0.15, 0.5)), 1):
        shape = _lobed(random, centre, radius * random.uniform(0.6, 1.3), random.uniform(0.2, 0.6))
        labels[shape & (labels == 0)] = number
    inside = labels > 0
    outer = ndimage.distance_transform_edt(~inside)
    slope = ndimage.sobel(ndimage.gaussian_filter(inside.astype(np.float32), 2), axis=int(random.integers(2)))
    halo = np.exp(-outer / random.uniform(1.5, 6)) * (~inside) * random.uniform(0.1, 0.6)
    rough = random.uniform(0.08, 0.3) * _clouds(random, random.uniform(0.8, 3))
    nucleus = np.clip(_depth(labels) / radius, 0, 1) * random.uniform(-0.5, 0.5)
    ground = 0.5 + 0.04 * _clouds(random, random.uniform(1, 20))
    pixels = ground + halo + random.uniform(0, 0.3) * slope + np.where(inside, rough + nucleus, 0)
    return pixels.astype(np.float32), labels


def _stains(random: np.random.Generator) -> tuple[_Floats, _Labels]:
    grey, labels = _blobs(random)
    inside = (labels > 0)[..., None]
    nuclei, tissue = random.uniform(0.2, 0.7, 3), random.uniform(0.6, 1.0, 3)
    fibres = 0.12 * _clouds(random, random.uniform(1, 8))[..., None]
    body = nuclei * (0.6 + 0.4 * np.clip(grey, 0, 2))[..., None]
    return np.where(inside, body, tissue + fibres * random.uniform(0.5, 2, 3)).astype(np.float32), labels


_DRAW: tuple[tuple[str, Callable[[np.random.Generator], tuple[_Floats, _Labels]]], ...] = (
    ("blobs", _blobs),
    ("rods", _rods),
    ("membranes", _membranes),
    ("rings", _rings),
    ("spread cells", _spread),
    ("stains", _stains),
)
#: Names of all kinds.
KINDS = tuple(name for name, _ in _DRAW)
