"""Training with iterative prompts and instance distances."""

from .bioimageio import export_bioimageio
from .data import TrainingData
from .dataset import CropDataset
from .export import export
from .finetuning import finetune
from .loop import EpochResult, train
from .parts import with_decoder
from .preflight import Preflight, preflight
from .presets import PRESETS, Preset, preset_for, preset_named, preset_of
from .settings import FinetuningSettings, MaskLoss, Schedule, TrainingPrecision, TrainingSettings
from .validation import Score, Validator

__all__ = [
    "PRESETS",
    "CropDataset",
    "EpochResult",
    "FinetuningSettings",
    "MaskLoss",
    "Preflight",
    "Preset",
    "Schedule",
    "Score",
    "TrainingData",
    "TrainingPrecision",
    "TrainingSettings",
    "Validator",
    "export",
    "export_bioimageio",
    "finetune",
    "preflight",
    "preset_for",
    "preset_named",
    "preset_of",
    "train",
    "with_decoder",
]
