"""The settings that suit each model."""

from __future__ import annotations

from ...core import SettingsError
from ..models import Model
from ..registry import AutomaticDefaults, registered
from .settings import AutomaticSettings, DistanceSettings, GridSettings, Mode, PromptOf, PromptSettings


def mode_for(model: Model, mode: Mode | str = Mode.AUTO) -> Mode:
    """Return the mode to use with a model: for AUTO distances where it has a decoder that is good for that.

    Raises SettingsError for a word that is no mode.
    """
    if mode not in list(Mode):
        raise SettingsError(f"There is no mode {mode!r}.", f"Use one of: {', '.join(Mode)}.")
    if Mode(mode) is not Mode.AUTO:
        return Mode(mode)
    return Mode.AIS if model.distances is not None and _defaults(model).use_decoder else Mode.AMG


def settings_for(model: Model, mode: Mode | str = Mode.AUTO) -> AutomaticSettings:
    """Return the settings that suit a model: micro-sam's for its models, and our own for nano."""
    which = mode_for(model, mode)
    if model.is_nano:
        return NANO[which]
    own = _defaults(model)
    if which is Mode.AMG:
        return GridSettings(pred_iou=own.iou, stability=own.stability, min_size=own.min_size)
    distances = {
        "center_distance": own.centre, "boundary_distance": own.boundary, "distance_smoothing": own.smoothing,
        "smoothing_share": 0.0, "min_size": own.min_size,
    }  # fmt: skip
    if which is Mode.AIS:
        return DistanceSettings(**distances)  # type: ignore[arg-type]
    return PromptSettings(**{**distances, "min_size": own.min_size or 25}, prompt=PromptOf.POINT)  # type: ignore[arg-type]


#: Chosen on the validation split.
NANO: dict[Mode, AutomaticSettings] = {
    Mode.AMG: GridSettings(pred_iou=0.5, stability=0.7, box_nms=0.4, crop_nms=0.4, min_size=25),
    Mode.AIS: DistanceSettings(),
    Mode.APG: PromptSettings(min_score=0.5),
}


def _defaults(model: Model) -> AutomaticDefaults:
    known = registered(model.spec.name)
    return AutomaticDefaults() if known is None else known.automatic
