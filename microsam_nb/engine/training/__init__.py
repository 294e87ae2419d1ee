"""Training with iterative prompts and instance distances."""

from .dataset import CropDataset
from .export import export
from .finetuning import finetune
from .loop import EpochResult, train
from .parts import with_decoder
from .settings import FinetuningSettings, MaskLoss, Schedule, TrainingPrecision, TrainingSettings
from .validation import Score, Validator

__all__ = [
    "CropDataset",
    "EpochResult",
    "FinetuningSettings",
    "MaskLoss",
    "Schedule",
    "Score",
    "TrainingPrecision",
    "TrainingSettings",
    "Validator",
    "export",
    "finetune",
    "train",
    "with_decoder",
]
