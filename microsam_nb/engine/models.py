"""What a model is: a segment-anything ``Sam``, perhaps an instance decoder, and where they run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from segment_anything.modeling import Sam
from torch import nn

from .backbones.nano import ENLARGEMENT


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Name, architecture (``nano``, ``vit_t``, ``vit_b``, ``vit_l`` or ``vit_h``) and identity of a model's weights.

    ``hash`` is that of the file, ``xxh128:`` and hexadecimal digits, as micro-sam's embedding stores carry it.
    ``version`` such as "v4", for models that have one.
    """

    name: str
    architecture: str
    hash: str
    version: str = ""

    @property
    def label(self) -> str:
        """The name with its version, for people."""
        return f"{self.name} ({self.version})" if self.version else self.name


@dataclass(frozen=True, slots=True)
class Model:
    """A promptable model ready to run.

    ``distances`` maps an embedding to three logits (foreground, centre distance, boundary distance), at 4 pixels per
    pixel of nano's embedding and 16 of the others', that is over the frame; or is None.
    ``precision`` is "auto", "fp32", "bf16" or "fp16".
    """

    spec: ModelSpec
    sam: Sam
    distances: nn.Module | None
    device: torch.device
    precision: str = "auto"

    @property
    def frame(self) -> int:
        """Side of the square that images are scaled to, in pixels."""
        return int(self.sam.image_encoder.img_size)

    @property
    def features_shape(self) -> tuple[int, int, int, int]:
        """Shape (1, c, h, w) of the features that the decoder reads."""
        encoder = self.sam.prompt_encoder
        height, width = encoder.image_embedding_size
        return 1, int(encoder.embed_dim), int(height), int(width)

    @property
    def is_nano(self) -> bool:
        """Whether this is the embedded model's architecture, which differs from segment-anything's in a few habits."""
        return self.spec.architecture == "nano"

    @property
    def enlargement(self) -> float:
        """By how much small images are enlarged at most; segment-anything fills its frame always."""
        return ENLARGEMENT if self.is_nano else math.inf
