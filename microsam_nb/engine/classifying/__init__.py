"""Objects told apart by class: features of each, a random forest trained on a few of them, and its file."""

from .classifier import Classifier, Training, join, train
from .features import Describer, Features
from .saving import from_bytes, to_bytes

__all__ = ["Classifier", "Describer", "Features", "Training", "from_bytes", "join", "to_bytes", "train"]
