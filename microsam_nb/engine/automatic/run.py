"""Images to labels in one call."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core import Image
from ..load import load_model
from ..models import Model
from ..plan import choose_tiling
from ..store import EmbeddingStore, open_store
from ..tiling import Tiling
from .kept import Kept
from .modes import settings_for
from .segmenter import Progress, Segmenter
from .settings import AutomaticSettings, Mode, settings_with
from .stitch import StitchSettings
from .volumes import join_planes, segment_planes

#: Memory for embeddings of planes and tiles in work, in bytes.
_BUDGET = 256 << 20


def segment(
    image: Image | NDArray[np.generic],
    model: Model | str | os.PathLike[str] = "nano",
    mode: Mode | str = Mode.AUTO,
    *,
    settings: AutomaticSettings | None = None,
    stitching: StitchSettings | None = None,
    tiling: Tiling | None = None,
    store: EmbeddingStore | None = None,
    kept: Kept | None = None,
    progress: Callable[[Progress], object] | None = None,
    **options: Any,
) -> NDArray[np.uint32]:
    """Find all objects of an image or volume: labels uint32 (y, x), or (planes, y, x) where there is a plane axis.

    ``mode``: "amg", "ais", "apg", or "auto" for what suits the model. ``settings`` instead, or single ``options``
    such as ``min_size=100`` on top of what suits the model. The planes of a volume are joined to 3D objects, as
    ``stitching`` says; the frames of a movie are not. ``store``: embeddings that were made before, and ``kept``: what
    the model found before; else ``tiling`` says how they are made; for None as suits the model and the image.
    ``progress`` is called with every step. Raises SettingsError for settings that do not exist, and as
    ``Segmenter.prepare`` does.
    """
    whole = image if isinstance(image, Image) else Image(image)
    loaded = model if isinstance(model, Model) else load_model(model)
    chosen = settings_with(settings if settings is not None else settings_for(loaded, mode), options)
    if store is None:
        tiles = tiling if tiling is not None or loaded.is_nano else choose_tiling(whole.shape, loaded)
        # Of a volume every plane is needed once.
        store = open_store(None, loaded, whole, tiles, keep=whole.shape[0] == 1, budget=_BUDGET)
    store.check(loaded, whole)
    # What the model finds in the planes of a volume is needed once.
    if kept is None and whole.shape[0] > 1:
        kept = Kept(store.key, budget=1)
    segmenter = Segmenter(loaded, store, kept)
    out = np.zeros(whole.shape, np.uint32)
    told = progress or (lambda _: None)
    for step in segment_planes(segmenter, chosen, out):
        told(step)
    if whole.axes[0] == "z":
        for step in join_planes(out, stitching or StitchSettings()):
            told(step)
    return out if whole.axes[0] in "zt" else out[0]
