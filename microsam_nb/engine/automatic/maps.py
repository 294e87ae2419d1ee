"""The expensive stage of automatic segmentation by distances: what the instance decoder sees in a plane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch.nn import functional as F

from ...core import ModelError
from ..embedding import Embedding
from ..encode import encode
from ..looks import window_at
from ..models import Model
from ..pixels import Pixels
from ..precision import inference
from ..registry import MODELS
from ..store import EmbeddingStore
from ..tiling import Window
from .distances import typical_size
from .views import View, touching, views, windows

#: Typical size of an object in nano's frame when the scale is chosen for it, as a share of the frame.
_TYPICAL = 0.24
#: Looks at the plane until its scale fits its objects.
_TRIES = 4
#: Windows that are looked at to find the scale of a plane; more are spread over it.
_PROBES = 20

Maps = NDArray[np.float32]
_identities: WeakKeyDictionary[torch.nn.Module, str] = WeakKeyDictionary()


def check_decoder(model: Model) -> None:
    """Raise ModelError, naming models that have one, unless a model has an instance decoder."""
    if model.distances is None:
        names = ", ".join(one.name for one in MODELS if one.has_decoder)
        raise ModelError(
            f"The model {model.spec.name} has no instance decoder.",
            f"Use mode 'amg', which needs none, or a model that has one: {names}; or give decoder weights.",
        )


def decoder_identity(model: Model) -> str:
    """Return a hash of the weights of a model's instance decoder, "" without one; found once for each."""
    if model.distances is None:
        return ""
    known = _identities.get(model.distances)
    if known is None:
        digest = xxhash.xxh64()
        for name, value in sorted(model.distances.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        known = _identities[model.distances] = digest.hexdigest()
    return known


def look_at(model: Model, embedding: Embedding) -> Maps:
    """Return the maps (3, y, x), all in 0..1, of what an embedding shows; see ``segment_distances``."""
    assert model.distances is not None
    with inference(model.device, model.precision):
        logits = model.distances(embedding.features.to(model.device))
    maps = torch.sigmoid(logits.float())
    height, width = embedding.input_size
    maps = F.interpolate(maps, (model.frame, model.frame), mode="bilinear", align_corners=False)
    maps = F.interpolate(maps[..., :height, :width], embedding.original_size, mode="bilinear", align_corners=False)
    return np.asarray(maps[0].cpu().numpy(), np.float32)


def distance_maps(model: Model, pixels: NDArray[np.uint8], zoom: float | None = None) -> Maps:
    """Predict the maps (3, y, x) of ``segment_distances`` for one plane, uint8 (y, x) or (y, x, 3).

    nano looks at tiles at ``zoom`` frame pixels per pixel, blended where they overlap; left out, it is found so
    that objects have the size nano sees best. Other models look at the whole plane at once.
    Raises ModelError when the model has no instance decoder.
    """
    check_decoder(model)
    if not model.is_nano:
        return look_at(model, encode(model, pixels))
    height, width = pixels.shape[:2]
    if zoom is None:
        *_, scale = _fit_zoom(model, pixels)
        zoom = scale.zoom
    seen = [_window(model, pixels, *one) for one in windows(model, (height, width), zoom)]
    return blended(model, seen, Window(0, 0, height, width))


def plane_maps(
    model: Model, store: EmbeddingStore, plane: int, zoom: float, region: Window | None = None
) -> Iterator[tuple[int, int, Maps | None]]:
    """Predict the maps of a region of a plane of a store, of all of it by default, window by window.

    Yields how many windows of how many are done, and with the last the maps (3, y, x). The windows lie where they
    do for the whole plane, so that what is predicted of a pixel does not depend on the region. Raises ModelError
    without an instance decoder, and StoreError when an embedding is missing and cannot be computed.
    """
    check_decoder(model)
    region = region or Window(0, 0, *store.shape[1:])
    some = touching(views(model, store, plane, zoom), region)
    total, weights = np.zeros((3, *region.shape), np.float32), np.zeros(region.shape, np.float32)
    for done, one in enumerate(some, start=1):
        _add(total, weights, one.outer, region, look_at(model, one.load()))
        yield done, len(some), total / weights if done == len(some) else None


def blended(model: Model, some: Sequence[View], region: Window) -> Maps:
    """Return the maps of a region from views that cover it: each counts most in its middle."""
    total, weights = np.zeros((3, *region.shape), np.float32), np.zeros(region.shape, np.float32)
    for one in some:
        _add(total, weights, one.outer, region, look_at(model, one.load()))
    out: Maps = total / weights
    return out


def _add(total: Maps, weights: NDArray[np.float32], outer: Window, region: Window, maps: Maps) -> None:
    y0, x0, y1, x1 = (
        max(outer.y0, region.y0), max(outer.x0, region.x0), min(outer.y1, region.y1), min(outer.x1, region.x1),
    )  # fmt: skip
    here = slice(y0 - region.y0, y1 - region.y0), slice(x0 - region.x0, x1 - region.x0)
    there = slice(y0 - outer.y0, y1 - outer.y0), slice(x0 - outer.x0, x1 - outer.x0)
    weight = _bump(outer.shape)[there]
    total[(slice(None), *here)] += maps[(slice(None), *there)] * weight
    weights[here] += weight


def _bump(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Weights that fall off towards the border, never to 0."""
    ramps = [np.minimum(np.arange(n) + 1, n - np.arange(n)).astype(np.float32) for n in shape]
    return np.multiply.outer(*ramps) ** 2


def _window(model: Model, pixels: Pixels, inner: Window, outer: Window) -> View:
    return View(inner, outer, lambda: encode(model, np.ascontiguousarray(pixels[outer.slices])))


@dataclass(frozen=True, slots=True)
class Scale:
    """How nano looks at a plane: ``zoom`` frame pixels per pixel; ``size``: typical diameter of objects in pixels.

    Other models look at planes and tiles as they are stored: zoom 1. The size is None where nothing was found.
    """

    zoom: float
    size: float | None


def find_scale(model: Model, store: EmbeddingStore, plane: int) -> Iterator[Scale]:
    """Yield, look after look, how to look at a plane, and how large its objects are; the last one counts.

    For nano the typical size of what is found at one zoom gives the next. Of large planes some windows or tiles are
    looked at, spread evenly. Raises as ``plane_maps``.
    """
    check_decoder(model)
    if model.is_nano and store.has_image:
        yield from _fit_zoom(model, store.shown(plane))
        return
    maps = []
    for one in _some(views(model, store, plane, 1.0)):
        maps.append(look_at(model, one.load()))
        yield Scale(1.0, None)
    yield Scale(1.0, typical_size(maps))


def _fit_zoom(model: Model, pixels: Pixels) -> Iterator[Scale]:
    height, width = int(pixels.shape[0]), int(pixels.shape[1])
    zoom = _first_zoom(model, (height, width))
    size: float | None = None
    yield Scale(zoom, None)
    for _ in range(_TRIES):
        every = list(windows(model, (height, width), zoom))
        some = [_window(model, pixels, *one) for one in _some(every)]
        maps = []
        region = Window(0, 0, height, width)
        whole = len(some) == len(every)
        shape = region.shape if whole else (0, 0)
        total, weights = np.zeros((3, *shape), np.float32), np.zeros(shape, np.float32)
        for one in some:
            seen = look_at(model, one.load())
            if whole:
                _add(total, weights, one.outer, region, seen)
            else:
                maps.append(seen)
            yield Scale(zoom, size)
        found = typical_size(maps or [total / weights])
        if found is None:
            return
        size = found
        better = fitting(model, size)
        near = 0.75 < better / zoom < 1.33
        yield Scale(zoom if near else better, size)
        if near:
            return
        zoom = better


_One = TypeVar("_One")


def _some(every: Sequence[_One]) -> list[_One]:
    """Return all, or where there are many some of them, spread evenly."""
    places = np.unique(np.linspace(0, len(every) - 1, min(_PROBES, len(every))).round().astype(int))
    return [every[i] for i in places]


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
    check_decoder(model)
    height, width = int(pixels.shape[0]), int(pixels.shape[1])
    zoom = _first_zoom(model, (height, width))
    size = None
    for _ in range(_TRIES):
        side = max(16, int(model.frame / zoom))
        shifts = (-0.45 * side, 0.45 * side)
        around = {window_at((height, width), (middle[0] + y, middle[1] + x), side) for y in shifts for x in shifts}
        maps = []
        for one in around:
            maps.append(look_at(model, _window(model, pixels, one, one).load()))
            yield size
        found = typical_size(maps)
        if found is None:
            return
        size = found
        yield size
        better = fitting(model, size)
        if 0.75 < better / zoom < 1.33:
            return
        zoom = better


def fitting(model: Model, size: float) -> float:
    """Return the zoom at which nano sees objects of a diameter in pixels best."""
    return min(max(_TYPICAL * model.frame / size, 0.25), model.enlargement)


def _first_zoom(model: Model, size: tuple[int, int]) -> float:
    return min(max(1.0, model.frame / max(size)), model.enlargement) if model.is_nano else 1.0
