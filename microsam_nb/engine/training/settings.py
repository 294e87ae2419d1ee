"""Settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass

from ...core import Settings, option


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """How a model is trained; the defaults train the embedded model from scratch."""

    steps: int = option(9000, "Optimiser steps in total.", low=1, high=10_000_000)
    steps_per_epoch: int = option(50, "Steps between two reports and checkpoints.", low=1, high=100_000)
    batch: int = option(4, "Crops per step.", low=1, high=256)
    objects: int = option(4, "Prompts per crop.", low=1, high=64)
    corrections: int = option(4, "Correction clicks after the first prompt, at most.", low=0, high=8)
    crop: int = option(
        256, "Side of a crop in the model's image frame; a multiple of 32.", low=64, high=1024, unit="px"
    )
    rate: float = option(1e-3, "Highest learning rate.", low=1e-7, high=1.0)
    warmup: int = option(100, "Steps of linear warm-up before the cosine decay.", low=0, high=100_000)
    decay: float = option(0.02, "Weight decay of AdamW.", low=0.0, high=1.0)
    average: float = option(0.995, "Decay of the exponential moving average of the weights.", low=0.0, high=0.99999)
    mask_chance: float = option(0.5, "Chance that an answer is fed back as mask prompt.", low=0.0, high=1.0)
    box_chance: float = option(
        0.35, "Chance that the first prompt of a step is a box, else a point.", low=0.0, high=1.0
    )
    several_chance: float = option(
        0.25, "Chance that the first prompt of a step is several points at once.", low=0.0, high=1.0
    )
    box_jitter: float = option(0.05, "Largest shift of a box edge as a fraction of its side.", low=0.0, high=0.5)
    distances: float = option(1.0, "Weight of the instance decoder's loss; 0 trains without it.", low=0.0, high=100.0)
    seed: int = option(0, "Seed of all random draws.", low=0, high=2**31 - 1)
