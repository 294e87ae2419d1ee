"""Images to embeddings."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ..core import ImageError
from .embedding import Embedding
from .models import Model
from .precision import inference


def encode(model: Model, pixels: NDArray[np.uint8]) -> Embedding:
    """Encode one plane, uint8 (y, x) or (y, x, 3), as ``Image.shown`` returns it."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ImageError(
            f"The network reads uint8 (y, x) or (y, x, 3), not {pixels.dtype} {pixels.shape}.",
            "Pass Image(pixels).shown().",
        )
    colour = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
    sam = model.sam
    x = torch.from_numpy(np.ascontiguousarray(colour)).to(model.device).permute(2, 0, 1)[None].float()
    original = (int(colour.shape[0]), int(colour.shape[1]))
    size = scaled_size(original, model.frame, model.enlargement)
    if size != original:
        x = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False).round_().clamp_(0, 255)
    x = sam.preprocess(x).contiguous(memory_format=torch.channels_last)
    with inference(model.device):
        features = sam.image_encoder(x)
    return Embedding(features.float().contiguous(), original, size, pixels)


def scaled_size(size: tuple[int, int], frame: int, enlargement: float = math.inf) -> tuple[int, int]:
    """Return (height, width) after scaling the longest side to ``frame``, rounded as segment-anything does.

    No side grows by more than ``enlargement``.
    """
    scale = min(frame / max(size), enlargement)
    height, width = (max(1, int(side * scale + 0.5)) for side in size)
    return height, width
