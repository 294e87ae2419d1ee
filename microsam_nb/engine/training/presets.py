"""Models and settings that suit a machine, by the memory it has."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...core import SettingsError
from .settings import FinetuningSettings

#: Share of a GPU's memory that a preset may count on: drivers and other programs hold some.
_COUNTED = 0.9


@dataclass(frozen=True, slots=True)
class Preset:
    """What to train on a machine; ``gigabytes`` (10^9 bytes) of GPU memory it needs, 0 for a processor."""

    name: str
    gigabytes: int
    architecture: str
    settings: FinetuningSettings

    @property
    def label(self) -> str:
        """For people."""
        return "processor" if not self.gigabytes else f"GPU with {self.gigabytes} GB"


def _large(**changes: object) -> FinetuningSettings:
    """Settings of the models that look at whole images, with micro-sam's learning rate."""
    base = {"crop": 1024, "rate": 1e-5, "batch": 1, "steps": 5000, "steps_per_epoch": 100, "average": 0.99}
    return FinetuningSettings().changed({**base, **changes})


#: Smallest first. What they need is reckoned, not measured on such GPUs: ``preflight`` measures before a training.
PRESETS = (
    Preset("cpu", 0, "nano", FinetuningSettings()),
    Preset("gpu4", 4, "vit_t", _large(objects=4, corrections=3, recompute=True)),
    Preset("gpu8", 8, "vit_b", _large(objects=6, corrections=5, lora_rank=4, recompute=True)),
    Preset("gpu12", 12, "vit_b", _large(objects=8, corrections=7, recompute=True)),
    Preset("gpu16", 16, "vit_b", _large(objects=16, corrections=7, recompute=True)),
    Preset("gpu24", 24, "vit_b", _large(objects=25, corrections=7, batch=2, recompute=True)),
    Preset("gpu40", 40, "vit_l", _large(objects=25, corrections=7, batch=2, recompute=True)),
    Preset("gpu80", 80, "vit_h", _large(objects=25, corrections=7, batch=2, recompute=True)),
)


def preset_for(gigabytes: float) -> Preset:
    """Return the largest preset that fits so much GPU memory (10^9 bytes), the processor's for less than any needs."""
    return [one for one in PRESETS if one.gigabytes * _COUNTED <= gigabytes][-1]


def preset_of(device: torch.device) -> Preset:
    """Return the preset that suits a device."""
    if device.type != "cuda":
        return PRESETS[0]
    return preset_for(torch.cuda.get_device_properties(device).total_memory / 1e9)


def preset_named(name: str) -> Preset:
    """Return the preset of a name. Raises SettingsError for another."""
    for one in PRESETS:
        if one.name == name:
            return one
    raise SettingsError(f"There is no preset {name!r}.", f"Choose one of {', '.join(one.name for one in PRESETS)}.")
