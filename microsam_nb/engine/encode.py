"""Images to embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..core import ImageError
from .embedding import Embedding
from .models import Model
from .pixels import Pixels, thinned
from .stepwise import Steps, finish, run_stepwise
from .tiling import Window

#: Planes encoded at once on a GPU at most, and the memory one of them needs at most: vit_h at 1024 px.
_MOST = 16
_NEED = 1 << 30


def encode(model: Model, pixels: Pixels) -> Embedding:
    """Encode one plane, uint8 (y, x) or (y, x, 3), as ``Image.shown`` returns it."""
    return encode_many(model, [pixels])[0]


def encode_many(model: Model, planes: Sequence[Pixels]) -> list[Embedding]:
    """Encode planes or tiles of any sizes; see ``encode``. As many go through the network together as memory allows.

    Planes of more than 64 Mi values are thinned before they are scaled.
    """
    return finish(encode_stepwise(model, planes))


def encode_stepwise(model: Model, planes: Sequence[Pixels]) -> Steps[list[Embedding]]:
    """Do what ``encode_many`` does, and yield between the blocks of the network."""
    for pixels in planes:
        if isinstance(pixels, np.ndarray):
            _check(pixels)
    step = _together(model)
    made: list[Embedding] = []
    for i in range(0, len(planes), step):
        if i:
            yield
        made += yield from _encode(model, planes[i : i + step])
    return made


def encode_window(model: Model, pixels: Pixels, window: Window) -> Embedding:
    """Encode a part of a plane, as ``thinned`` gives it; without its pixels, which could keep the plane in memory."""
    size = window.shape
    scaled = scaled_size(size, model.frame, model.enlargement)
    ready = [_framed(model, _part(model, pixels, window), scaled)]
    return Embedding(finish(_features(model, ready)), size, scaled)


def _check(pixels: NDArray[np.uint8]) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ImageError(
            f"The network reads uint8 (y, x) or (y, x, 3), not {pixels.dtype} {pixels.shape}.",
            "Pass Image(pixels).shown().",
        )


def _together(model: Model) -> int:
    """Return how many planes to encode at once.

    One already keeps all cores of a processor busy, and more only leave its cache; a GPU takes what fits its memory.
    """
    if model.device.type != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info(model.device)
    return max(1, min(_MOST, free // (2 * _NEED)))


def _encode(model: Model, planes: Sequence[Pixels]) -> Steps[list[Embedding]]:
    sizes = [(int(pixels.shape[0]), int(pixels.shape[1])) for pixels in planes]
    scaled = [scaled_size(size, model.frame, model.enlargement) for size in sizes]
    parts = (_part(model, pixels, Window(0, 0, *size)) for pixels, size in zip(planes, sizes, strict=True))
    ready = [_framed(model, part, size) for part, size in zip(parts, scaled, strict=True)]
    features = yield from _features(model, ready)
    made = []
    for i, (pixels, original, size) in enumerate(zip(planes, sizes, scaled, strict=True)):
        # A copy, so that one plane's embedding does not keep the whole batch in memory.
        own = features if len(planes) == 1 else features[i : i + 1].clone()
        made.append(Embedding(own, original, size, pixels))
    return made


def _features(model: Model, ready: Sequence[Tensor]) -> Steps[Tensor]:
    x = torch.cat(list(ready)).contiguous(memory_format=torch.channels_last)
    return run_stepwise(model.sam.image_encoder, x, model.device, model.precision)


def _part(model: Model, pixels: Pixels, window: Window) -> NDArray[np.uint8]:
    """Return a part of a plane, read at the step that suits its size."""
    step = thinned(window, pixels.shape, model.frame)[1]
    rows, columns = window.slices
    return pixels[rows.start : rows.stop : step, columns.start : columns.stop : step]


def _framed(model: Model, pixels: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Scale a plane to ``size``, normalise it and pad it to the frame: float32 (1, 3, frame, frame)."""
    colour = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
    x = torch.from_numpy(np.ascontiguousarray(colour)).to(model.device).permute(2, 0, 1)[None].float()
    if size != x.shape[2:]:
        x = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False).round_().clamp_(0, 255)
    return model.sam.preprocess(x)


def scaled_size(size: tuple[int, int], frame: int, enlargement: float = math.inf) -> tuple[int, int]:
    """Return (height, width) after scaling the longest side to ``frame``, rounded as segment-anything does.

    No side grows by more than ``enlargement``.
    """
    scale = min(frame / max(size), enlargement)
    height, width = (max(1, int(side * scale + 0.5)) for side in size)
    return height, width
