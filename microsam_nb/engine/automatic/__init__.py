"""All objects of an image without prompts.

Everything is loaded when it is first used: the settings need not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .distances import segment_distances
    from .kept import Kept
    from .large import segment_large
    from .maps import distance_maps, measure_diameter, typical_diameter
    from .modes import mode_for, settings_for
    from .run import segment
    from .segmenter import Progress, Segmenter
    from .settings import (
        AutomaticSettings,
        DistanceSettings,
        GridSettings,
        Mode,
        PromptOf,
        PromptSettings,
        mode_of,
        settings_with,
    )
    from .stitch import Stitching, StitchSettings
    from .tuning import Tuning, tune
    from .volumes import join_planes, segment_planes, segment_volume

#: The file of every name.
_HOMES = {
    "AutomaticSettings": "settings",
    "DistanceSettings": "settings",
    "GridSettings": "settings",
    "Kept": "kept",
    "Mode": "settings",
    "Progress": "segmenter",
    "PromptOf": "settings",
    "PromptSettings": "settings",
    "Segmenter": "segmenter",
    "StitchSettings": "stitch",
    "Stitching": "stitch",
    "Tuning": "tuning",
    "distance_maps": "maps",
    "join_planes": "volumes",
    "measure_diameter": "maps",
    "mode_for": "modes",
    "mode_of": "settings",
    "segment": "run",
    "segment_distances": "distances",
    "segment_large": "large",
    "segment_planes": "volumes",
    "segment_volume": "volumes",
    "settings_for": "modes",
    "settings_with": "settings",
    "tune": "tuning",
    "typical_diameter": "maps",
}

__all__ = [
    "AutomaticSettings",
    "DistanceSettings",
    "GridSettings",
    "Kept",
    "Mode",
    "Progress",
    "PromptOf",
    "PromptSettings",
    "Segmenter",
    "StitchSettings",
    "Stitching",
    "Tuning",
    "distance_maps",
    "join_planes",
    "measure_diameter",
    "mode_for",
    "mode_of",
    "segment",
    "segment_distances",
    "segment_large",
    "segment_planes",
    "segment_volume",
    "settings_for",
    "settings_with",
    "tune",
    "typical_diameter",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
