"""What the form of a training offers: settings, and presets that suit a model and a machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..core import SettingsError
from ..engine.load import architecture_of
from ..engine.precision import find_device
from ..engine.training.presets import PRESETS, Preset, preset_named, preset_of
from ..engine.training.settings import FinetuningSettings
from ..widgets.training_setup import PresetChoice

_NANO, *_LARGE = PRESETS


def presets_for(model: str | os.PathLike[str], device: str = "auto") -> tuple[list[Preset], Preset]:
    """Return the presets whose crops fit a model, and the one that suits the device."""
    if architecture_of(model) == _NANO.architecture:
        return [_NANO], _NANO
    fitting = preset_of(find_device(device))
    return list(_LARGE), fitting if fitting in _LARGE else _LARGE[0]


def preset_chosen(model: str | os.PathLike[str], device: str = "auto", name: str = "") -> Preset:
    """Return the preset of a name, by default the one that suits model and machine. Raises SettingsError."""
    presets, fitting = presets_for(model, device)
    chosen = preset_named(name) if name else fitting
    if chosen not in presets:
        raise SettingsError(
            f"The crops of preset {name} do not suit {os.fspath(model)}.",
            f"Use one of: {', '.join(one.name for one in presets)}.",
        )
    return chosen


def choices(presets: list[Preset]) -> list[PresetChoice]:
    """Return presets as the form takes them."""
    return [PresetChoice(one.label.capitalize(), one.settings.plain()) for one in presets]


def settings_of(given: FinetuningSettings | Mapping[str, Any] | None, preset: FinetuningSettings) -> FinetuningSettings:
    """Return what a call gave, or the preset with some settings changed. Raises SettingsError."""
    if isinstance(given, FinetuningSettings):
        return given
    return preset.changed(given or {})
