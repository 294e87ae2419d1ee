"""How good a model is."""

from .matching import accuracies, mean_segmentation_accuracy, overlaps
from .protocol import PromptScore, evaluate_prompts

__all__ = ["PromptScore", "accuracies", "evaluate_prompts", "mean_segmentation_accuracy", "overlaps"]
