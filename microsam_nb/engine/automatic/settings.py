"""Ways to find all objects, and their settings; knows nothing of torch, so that forms need not wait for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ...core import Option, Settings, SettingsError, option


@dataclass(frozen=True)
class GridSettings(Settings):
    """Which masks of a grid of points become objects (AMG).

    What they mean, and their defaults, are those of segment-anything's automatic mask generator.
    """

    diameter: float = option(
        0.0,
        "Typical diameter of the objects; 0: it is measured. nano looks at the image at the scale that suits it.",
        low=0.0,
        high=2000.0,
        unit="px",
        costly=True,
    )
    points_per_side: int = option(
        32, "Points along each side of the plane, or of what is seen of a tile.", low=1, high=256, costly=True
    )
    crop_layers: int = option(
        0, "How often an untiled plane is also looked at in 4, 16, ... parts.", low=0, high=4, costly=True
    )
    crop_overlap: float = option(
        512 / 1500, "How far those parts overlap, as a share of the plane.", low=0.0, high=0.9, costly=True
    )
    crop_points_downscale: int = option(
        1, "Every layer of parts has this many times fewer points along a side.", low=1, high=16, costly=True
    )
    pred_iou: float = option(0.88, "Least quality that the model itself predicts for a mask.", low=0.0, high=1.0)
    stability: float = option(0.95, "How little a mask may change with its threshold.", low=0.0, high=1.0)
    box_nms: float = option(0.7, "Of masks whose boxes overlap more than this, one is kept.", low=0.0, high=1.0)
    crop_nms: float = option(0.7, "The same for masks from different parts or tiles.", low=0.0, high=1.0)
    min_region: int = option(0, "Holes and islands smaller than this go.", low=0, high=1_000_000, unit="px")
    min_size: int = option(0, "Smaller objects are left out.", low=0, high=10_000_000, unit="px")
    max_size: int = option(0, "Larger objects are left out; 0 keeps all.", low=0, high=1_000_000_000, unit="px")


@dataclass(frozen=True)
class DistanceSettings(Settings):
    """How predicted distances become objects (AIS); the defaults suit nano best, by the validation split."""

    diameter: float = option(
        0.0,
        "Typical diameter of the objects; 0: it is measured. nano looks at the image at the scale that suits it.",
        low=0.0,
        high=2000.0,
        unit="px",
        costly=True,
    )
    foreground: float = option(0.5, "Least probability of a pixel to be part of an object.", low=0.0, high=1.0)
    center_distance: float = option(0.6, "Seeds lie nearer than this to the centre of their object.", low=0.0, high=1.0)
    boundary_distance: float = option(0.6, "Seeds lie deeper than this in their object.", low=0.0, high=1.0)
    foreground_smoothing: float = option(1.0, "Blur of the foreground.", low=0.0, high=20.0, unit="px")
    distance_smoothing: float = option(1.6, "Blur of both distances.", low=0.0, high=20.0, unit="px")
    smoothing_share: float = option(
        0.08,
        "The blurs are at least this share of a typical object's diameter; half of it for the foreground.",
        low=0.0,
        high=1.0,
    )
    min_score: float = option(0.0, "Objects with a lower mean foreground are left out.", low=0.0, high=1.0)
    min_size: int = option(25, "Smaller objects are left out.", low=0, high=10_000_000, unit="px")
    max_size: int = option(0, "Larger objects are left out; 0 keeps all.", low=0, high=1_000_000_000, unit="px")


class PromptOf(StrEnum):
    """What the mask decoder is told of an object."""

    POINT = "point"
    BOX = "box"
    BOTH = "both"
    REGION = "region"


@dataclass(frozen=True)
class PromptSettings(DistanceSettings):
    """Where objects are expected, as for distances, and which of the masks found there are kept (APG)."""

    prompt: PromptOf = option(
        PromptOf.REGION,
        "Told of an object: its deepest point, the box that it fills, both, or the region that the distances give it.",
    )
    trust: float = option(
        0.8,
        "An answer to a region takes its place where the predicted quality is at least this.",
        low=0.0,
        high=1.0,
    )
    multimask: bool = option(False, "Of a lone point, take the best of several answers instead of the single one.")
    refine: bool = option(False, "Ask once more, with the box of the first answer.")
    nms: float = option(0.9, "Of masks that overlap more than this, one is kept.", low=0.0, high=1.0)
    over_smaller: bool = option(False, "Overlap is measured by the smaller of two masks, not by both together.")

    @classmethod
    def describe(cls) -> list[Option]:
        """List every setting; what decides where objects are expected decides what is asked."""
        return [replace(one, costly=True) if one.name in _EXPECTING else one for one in super().describe()]


#: Settings of the distances on which the prompts depend.
_EXPECTING = (
    "foreground", "center_distance", "boundary_distance", "foreground_smoothing", "distance_smoothing",
    "smoothing_share",
)  # fmt: skip


class Mode(StrEnum):
    """How objects are found: by a grid of points (AMG), by distances (AIS) or by automatic prompts (APG).

    AUTO is what suits the model best.
    """

    AUTO = "auto"
    AMG = "amg"
    AIS = "ais"
    APG = "apg"


AutomaticSettings = GridSettings | DistanceSettings | PromptSettings

#: The kind of settings of each mode.
KINDS: dict[Mode, type[GridSettings | DistanceSettings]] = {
    Mode.AMG: GridSettings,
    Mode.AIS: DistanceSettings,
    Mode.APG: PromptSettings,
}


def mode_of(settings: Settings) -> Mode:
    """Return the mode that settings belong to. Raises SettingsError for others."""
    for mode, kind in KINDS.items():
        if type(settings) is kind:
            return mode
    raise SettingsError(
        f"{type(settings).__name__} are no settings of an automatic segmentation.",
        "Give GridSettings, DistanceSettings or PromptSettings.",
    )


def needs_decoder(settings: AutomaticSettings) -> bool:
    """Whether settings are of a mode that needs an instance decoder."""
    return mode_of(settings) is not Mode.AMG


def settings_with(settings: AutomaticSettings, options: Mapping[str, Any]) -> AutomaticSettings:
    """Return settings of which some are changed; numbers and words may come from a form or a command line.

    Raises SettingsError for names that do not exist and values that are not possible.
    """
    return settings.changed(options, f" for {mode_of(settings)}")
