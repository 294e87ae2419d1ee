"""How good a model is."""

from .boundaries import Boundaries, boundaries
from .matching import THRESHOLDS, accuracies, mean_segmentation_accuracy, overlaps
from .protocol import PromptScore, evaluate_prompts
from .scores import Scores, pooled, score

__all__ = [
    "THRESHOLDS",
    "Boundaries",
    "PromptScore",
    "Scores",
    "accuracies",
    "boundaries",
    "evaluate_prompts",
    "mean_segmentation_accuracy",
    "overlaps",
    "pooled",
    "score",
]
