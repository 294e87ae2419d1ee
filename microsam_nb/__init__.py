"""Segment Anything for Microscopy in a notebook.

``annotate_2d(image)``, ``annotate_3d(volume)`` and ``annotate_tracks(movie)`` open an annotator, ``annotate_series``
one for a folder of images; ``segment(image)`` finds all objects without one, ``track(movie)`` follows them;
``finetune(images, labels)`` lets a model learn from what was annotated.
Everything is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .annotators.annotate_2d import annotate_2d
    from .annotators.annotate_3d import annotate_3d
    from .annotators.annotate_series import annotate_series
    from .annotators.annotate_tracks import annotate_tracks
    from .annotators.classifier_files import load_classifier, save_classifier
    from .annotators.classify import apply_classifier, classify, train_classifier
    from .annotators.finetune import finetune
    from .annotators.segment_files import segment
    from .annotators.track_files import track
    from .engine.automatic.tuning import tune
    from .engine.load import load_model

_DOORS = {
    "annotate_2d": ".annotators.annotate_2d",
    "annotate_3d": ".annotators.annotate_3d",
    "annotate_series": ".annotators.annotate_series",
    "annotate_tracks": ".annotators.annotate_tracks",
    "apply_classifier": ".annotators.classify",
    "classify": ".annotators.classify",
    "finetune": ".annotators.finetune",
    "load_classifier": ".annotators.classifier_files",
    "save_classifier": ".annotators.classifier_files",
    "train_classifier": ".annotators.classify",
    "load_model": ".engine.load",
    "segment": ".annotators.segment_files",
    "track": ".annotators.track_files",
    "tune": ".engine.automatic.tuning",
}

__all__ = [
    "__version__",
    "annotate_2d",
    "annotate_3d",
    "annotate_series",
    "annotate_tracks",
    "apply_classifier",
    "classify",
    "finetune",
    "load_classifier",
    "load_model",
    "save_classifier",
    "segment",
    "track",
    "train_classifier",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        return getattr(importlib.import_module(_DOORS[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
