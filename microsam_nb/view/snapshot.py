"""A picture of an annotation that needs no browser."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as Picture

from ..core import Image
from ..session import Session
from .palette import entries, palette

_OPAQUE = 0.45


def snapshot(image: Image, session: Session, *, width: int = 640) -> bytes:
    """Return the shown plane with its objects as PNG, at most ``width`` pixels wide; larger planes are thinned."""
    plane = session.state.browsing.plane
    _, rows, columns = image.shape
    step = max(1, -(-max(rows, columns) // width))
    pixels = image.overview(plane, step)
    base = (pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)).astype(np.float32)
    labels = session.labels.volume[plane, ::step, ::step]
    colours = palette()[entries(labels)].astype(np.float32)
    mixed = np.where((labels > 0)[..., None], base + (colours - base) * _OPAQUE, base)
    out = io.BytesIO()
    Picture.fromarray(np.rint(mixed).astype(np.uint8)).save(out, "PNG", optimize=False, compress_level=6)
    return out.getvalue()
