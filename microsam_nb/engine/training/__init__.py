"""Training with iterative prompts and instance distances."""

from .dataset import CropDataset
from .loop import EpochResult, train
from .settings import TrainingSettings

__all__ = ["CropDataset", "EpochResult", "TrainingSettings", "train"]
