"""How good a model is."""

from .protocol import PromptScore, evaluate_prompts

__all__ = ["PromptScore", "evaluate_prompts"]
