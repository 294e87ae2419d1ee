"""Settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ...core import Settings, SettingsError, option


class MaskLoss(StrEnum):
    """What is added to the soft Dice error of a mask."""

    DICE = "dice"
    ENTROPY = "dice + cross-entropy"
    FOCAL = "dice + focal"


class Schedule(StrEnum):
    """How the learning rate goes on after its warm-up."""

    CONSTANT = "constant"
    COSINE = "cosine"
    PLATEAU = "plateau"


class TrainingPrecision(StrEnum):
    """Number format of the network's products; AUTO is what the device computes fast."""

    AUTO = "auto"
    FULL = "fp32"


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """How a model is trained; the defaults train the embedded model from scratch.

    Raises SettingsError when nothing is left to train.
    """

    steps: int = option(9000, "Optimiser steps in total.", low=1, high=10_000_000)
    steps_per_epoch: int = option(50, "Steps between two reports and checkpoints.", low=1, high=100_000)
    checkpoint_every: int = option(0, "Steps between two checkpoints within an epoch; 0: none.", low=0, high=100_000)
    batch: int = option(4, "Crops per step.", low=1, high=256)
    accumulate: int = option(1, "Batches whose gradients are added up for one step.", low=1, high=256)
    objects: int = option(4, "Prompts per crop.", low=1, high=64)
    corrections: int = option(4, "Correction clicks after the first prompt, at most.", low=0, high=8)
    crop: int = option(
        256, "Side of a crop in the model's image frame; a multiple of 32.", low=64, high=1024, unit="px"
    )
    typical_chance: float = option(
        0.0, "Chance that a crop is scaled as for automatic segmentation, else at random (nano).", low=0.0, high=1.0
    )
    rate: float = option(1e-3, "Highest learning rate.", low=1e-7, high=1.0)
    warmup: int = option(100, "Steps of linear warm-up of the learning rate.", low=0, high=100_000)
    schedule: Schedule = option(Schedule.COSINE, "How the learning rate goes on after the warm-up.")
    patience: int = option(3, "Epochs without a better score before a plateau lowers the rate.", low=1, high=1000)
    decay: float = option(0.02, "Weight decay of AdamW.", low=0.0, high=1.0)
    clip: float = option(1.0, "Largest norm of a step's gradient.", low=1e-3, high=1e6)
    average: float = option(0.995, "Decay of the exponential moving average of the weights.", low=0.0, high=0.99999)
    early_stop: int = option(0, "Epochs without a better score until the end; 0: never.", low=0, high=10_000)
    mask_chance: float = option(0.5, "Chance that an answer is fed back as mask prompt.", low=0.0, high=1.0)
    box_chance: float = option(
        0.35, "Chance that the first prompt of a step is a box, else a point.", low=0.0, high=1.0
    )
    several_chance: float = option(
        0.25, "Chance that the first prompt of a step is several points at once.", low=0.0, high=1.0
    )
    box_points_chance: float = option(0.0, "Chance that a first box comes with several points.", low=0.0, high=1.0)
    box_jitter: float = option(0.05, "Largest shift of a box edge as a fraction of its side.", low=0.0, high=0.5)
    loss: MaskLoss = option(MaskLoss.ENTROPY, "The error of a mask.")
    balanced: float = option(
        0.3, "Share of the training over which small objects weigh as much as what is around them.", low=0.0, high=1.0
    )
    prompts: bool = option(True, "Train the answers to prompts; without, the instance decoder alone.")
    distances: float = option(1.0, "Weight of the instance decoder's loss; 0 trains without it.", low=0.0, high=100.0)
    freeze_image_encoder: bool = option(False, "Leave the image encoder as it is.")
    freeze_prompt_encoder: bool = option(False, "Leave the prompt encoder as it is.")
    freeze_mask_decoder: bool = option(False, "Leave the mask decoder as it is.")
    freeze_decoder: bool = option(False, "Leave the instance decoder as it is.")
    freeze_norms: bool = option(False, "Leave the running statistics of the encoder's batch normalisation as they are.")
    last_blocks: int = option(0, "Train only so many of the image encoder's last blocks; 0: all.", low=0, high=64)
    lora_rank: int = option(0, "Rank of low-rank additions to the frozen encoder; 0: none.", low=0, high=256)
    lora_layers: str = option("q,v", "What gets low-rank additions, of q, k, v, mlp and conv (nano).")
    recompute: bool = option(False, "Compute the encoder's blocks twice instead of keeping what they made.")
    precision: TrainingPrecision = option(TrainingPrecision.AUTO, "Number format.")
    clicks: int = option(3, "Clicks per object when the model is validated.", low=1, high=9)
    seed: int = option(0, "Seed of all random draws.", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.prompts and not self.distances:
            raise SettingsError(
                "Neither prompts nor the instance decoder are to be trained.", "Choose prompts, or distances above 0."
            )


@dataclass(frozen=True)
class FinetuningSettings(TrainingSettings):
    """How a trained model learns from some more images; the defaults suit the embedded model on a processor."""

    steps: int = option(600, "Optimiser steps in total.", low=1, high=10_000_000)
    steps_per_epoch: int = option(50, "Steps between two reports and checkpoints.", low=1, high=100_000)
    typical_chance: float = option(
        0.6, "Chance that a crop is scaled as for automatic segmentation, else at random (nano).", low=0.0, high=1.0
    )
    rate: float = option(3e-4, "Highest learning rate.", low=1e-7, high=1.0)
    warmup: int = option(20, "Steps of linear warm-up of the learning rate.", low=0, high=100_000)
    average: float = option(0.98, "Decay of the exponential moving average of the weights.", low=0.0, high=0.99999)
    balanced: float = option(
        0.0, "Share of the training over which small objects weigh as much as what is around them.", low=0.0, high=1.0
    )
    distances: float = option(2.0, "Weight of the instance decoder's loss; 0 trains without it.", low=0.0, high=100.0)
    early_stop: int = option(10, "Epochs without a better score until the end; 0: never.", low=0, high=10_000)
