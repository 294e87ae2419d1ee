"""What encoding an image will cost, said before it starts; and the tiling that suits its objects.

The rule for tiles, with D the largest object to expect, in pixels:

- the halo is D / 2, so that an object whose middle lies in a tile is seen whole;
- the tile with its halo is 4 D wide, so that this object fills a quarter of what the network sees, and one of an
  eighth of its size still spans two cells of a segment-anything embedding;
- but pixels are not enlarged more than 4 times, nor more than the model allows, as that adds nothing;
- planes up to 1.4 times as wide as a tile with its halo are looked at whole;
- where the embeddings do not fit the memory, tiles grow until they do, or one look is left.

Where D is not known it is 128 px, for networks with a small frame a quarter of that. For segment-anything this gives
tiles of 384 px with a halo of 64 px from 700 px on, which is what micro-sam's documentation advises.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass

import numpy as np

from ..core import Image, SettingsError
from .encode import encode
from .models import Model
from .tiling import Tiling

_LARGEST = 128  # pixels; the largest object where nothing is known
_SPAN = 4  # width of a tile with its halo, in largest objects
_ENLARGED = 4.0  # times
_WHOLE = 1.4  # tiles with halo that one look may cover instead
_GRAIN = 16  # pixels; tiles and halos are multiples
_PATIENCE = 2.0  # seconds; a calibration that takes longer is not repeated


def choose_tiling(
    shape: tuple[int, ...], model: Model, object_size: float | None = None, memory: int | None = None
) -> Tiling | None:
    """Return the tiling for an image of ``shape`` (h, w) or (planes, h, w), or None for one look at the whole plane.

    ``object_size``: diameter of the largest object to expect, in pixels. ``memory``: bytes that all embeddings
    together may take. The rule is that of this module. Raises SettingsError for sizes that are not above 0.
    """
    cells = model.sam.prompt_encoder.image_embedding_size
    each = embedding_bytes(int(model.sam.prompt_encoder.embed_dim), int(cells[0]), int(cells[1]))
    return tiling_for(shape, model.frame, model.enlargement, object_size, memory, each)


def tiling_for(
    shape: tuple[int, ...],
    frame: int,
    enlargement: float = math.inf,
    object_size: float | None = None,
    memory: int | None = None,
    each: int = 0,
) -> Tiling | None:
    """Return what ``choose_tiling`` does, for a network that sees ``frame`` pixels and enlarges at most so much.

    ``each``: bytes of one embedding.
    """
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise SettingsError(f"{shape} is not the size of an image.", "Give (height, width) or (planes, height, width).")
    if object_size is not None and not 0 < object_size < math.inf:
        raise SettingsError(f"An object cannot be {object_size} px large.", "Give its diameter in pixels, above 0.")
    if memory is not None and memory <= 0:
        raise SettingsError(f"{memory} bytes hold no embedding.", "Give the memory in bytes, above 0.")
    largest = min(_LARGEST, frame / _SPAN) if object_size is None else float(object_size)
    halo = _round_up(largest / 2)
    outer = max(_SPAN * largest, 2 * halo + _GRAIN, frame / min(enlargement, _ENLARGED))
    planes = shape[0] if len(shape) == 3 else 1
    plane = (shape[-2], shape[-1])
    while max(plane) > _WHOLE * outer:
        step = _round_up(outer - 2 * halo)
        tiling = Tiling((step, step), (halo, halo))
        rows, columns = tiling.grid(plane)
        if memory is None or planes * rows * columns * each <= memory:
            return tiling
        outer *= 1.25
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """What encoding an image will cost.

    ``planes`` of ``tiles`` each (1 without tiling); ``seconds`` for all, None when it was not measured; ``disk``
    bytes of all embeddings, float32 and not compressed; ``memory`` bytes of the model and of all embeddings, which
    is needed when no store on disk takes them.
    """

    planes: int
    tiles: int
    tiling: Tiling | None
    seconds: float | None
    disk: int
    memory: int
    model: str
    device: str

    @property
    def encodings(self) -> int:
        """How often the encoder runs."""
        return self.planes * self.tiles

    def __str__(self) -> str:
        count = f"{self.encodings} encoding{'s' if self.encodings > 1 else ''}"
        parts = []
        if self.planes > 1:
            parts.append(f"{self.planes} planes")
        if self.tiling is not None:
            (height, width), (dy, dx) = self.tiling.tile, self.tiling.halo
            tiles = f"{self.tiles} tile{'s' if self.tiles > 1 else ''}"
            parts.append(f"{tiles} of {height} x {width} px with a halo of {dy} x {dx} px")
        how = f" ({' of '.join(parts)})" if parts else ""
        time_ = "" if self.seconds is None else f", about {_duration(self.seconds)}"
        return (
            f"{count}{how} by {self.model} on {self.device}{time_}; "
            f"{_size(self.disk)} on disk, or {_size(self.memory)} of memory without a store."
        )


def plan(model: Model, image: Image, tiling: Tiling | None = None, *, repeats: int = 3, measure: bool = True) -> Plan:
    """Say what encoding every plane of ``image`` will cost, with ``tiling`` or (None) one look per plane.

    The time is that of a blank tile, encoded ``repeats`` times: the median, times the number of encodings. No pixel
    of the image is read. ``measure`` False leaves the time out.
    """
    plane = image.shape[1:]
    size = plane if tiling is None else largest_tile(tiling, plane)
    seconds = calibrate(model, size, repeats) if measure else None
    cells = model.sam.prompt_encoder.image_embedding_size
    return estimate(
        image.shape,
        tiling,
        each=embedding_bytes(int(model.sam.prompt_encoder.embed_dim), int(cells[0]), int(cells[1])),
        seconds=seconds,
        weights=weight_bytes(model),
        model=model.spec.name,
        device=model.device.type,
    )


def estimate(
    shape: tuple[int, int, int],
    tiling: Tiling | None,
    *,
    each: int,
    seconds: float | None,
    weights: int = 0,
    model: str = "the model",
    device: str = "cpu",
) -> Plan:
    """Return the plan for an image of ``shape`` (planes, h, w): plain arithmetic.

    ``each``: bytes of one embedding; ``seconds``: time of one encoding; ``weights``: bytes of the model.
    """
    planes = shape[0]
    tiles = 1 if tiling is None else math.prod(tiling.grid(shape[1:]))
    total = planes * tiles
    whole = None if seconds is None else total * seconds
    return Plan(planes, tiles, tiling, whole, total * each, weights + total * each, model, device)


def calibrate(model: Model, size: tuple[int, int], repeats: int = 3) -> float:
    """Return the seconds that encoding a plane of ``size`` (height, width) takes, the median of a few times.

    The first run, which warms up, only counts when it is so slow that it is not repeated.
    """
    blank = np.zeros(size, np.uint8)
    times: list[float] = []
    for _ in range(max(1, repeats) + 1):
        start = time.perf_counter()
        features = encode(model, blank).features
        float(features.flatten()[0])  # a GPU answers before it is done; reading a number waits for it
        times.append(time.perf_counter() - start)
        if times[-1] > _PATIENCE:
            break
    return statistics.median(times[1:] or times)


def largest_tile(tiling: Tiling, shape: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of the largest tile, halo included, of a plane of ``shape`` (height, width)."""
    height, width = (
        max(min(side, start + tile + halo) - max(0, start - halo) for start in range(0, side, tile))
        for side, tile, halo in zip(shape, tiling.tile, tiling.halo, strict=True)
    )
    return height, width


def embedding_bytes(channels: int, height: int, width: int) -> int:
    """Return the size of one embedding (1, c, h, w) in float32."""
    return channels * height * width * 4


def weight_bytes(model: Model) -> int:
    """Return how much memory the model's weights take."""
    parts = [model.sam, *([model.distances] if model.distances is not None else [])]
    return sum(p.numel() * p.element_size() for part in parts for p in part.parameters())


def _round_up(value: float) -> int:
    return max(_GRAIN, math.ceil(value / _GRAIN) * _GRAIN)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
