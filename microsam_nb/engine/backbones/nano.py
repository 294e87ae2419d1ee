"""The embedded model: a small convolutional encoder under segment-anything's prompt encoder and mask decoder.

The image frame is 512 pixels wide, the embedding has stride 8. Dense 3x3 convolutions keep the AMX and
AVX-512 units of a CPU busy; batch normalisation is folded into them for inference.
"""

from __future__ import annotations

import math

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

FRAME = 512
STRIDE = 8
CHANNELS = 128
#: Images are enlarged at most by this; it has seen none enlarged much further.
ENLARGEMENT = 2.5
_MEAN = [123.675, 116.28, 103.53]
_STD = [58.395, 57.12, 57.375]


class _ConvNorm(nn.Module):
    """3x3 convolution with batch normalisation."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv: nn.Module = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out

    def fold(self) -> None:
        """Merge the normalisation into the convolution; only for inference."""
        if isinstance(self.conv, nn.Conv2d) and isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.norm = nn.Identity()


class _Residual(nn.Module):
    """Two convolutions around a shortcut (He et al., CVPR 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _ConvNorm(channels, channels)
        self.second = _ConvNorm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class _Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int, blocks: int) -> None:
        super().__init__()
        self.down = _ConvNorm(inputs, outputs, stride=2)
        self.blocks = nn.Sequential(*(_Residual(outputs) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(torch.relu(self.down(x)))
        return out


class NanoEncoder(nn.Module):
    """Encode (n, 3, h, w) normalised images to (n, 128, h / 8, w / 8) embeddings; h and w are multiples of 32.

    Features of stride 16 and 32 are added top-down to those of stride 8 (feature pyramid, Lin et al., CVPR 2017).
    """

    def __init__(self) -> None:
        super().__init__()
        self.img_size = FRAME
        self.stem = _ConvNorm(3, 32, stride=2)
        self.stage4 = _Stage(32, 64, blocks=2)
        self.stage8 = _Stage(64, 128, blocks=3)
        self.stage16 = _Stage(128, 160, blocks=2)
        self.stage32 = _Stage(160, 192, blocks=1)
        self.lateral8 = nn.Conv2d(128, CHANNELS, 1)
        self.lateral16 = nn.Conv2d(160, CHANNELS, 1)
        self.lateral32 = nn.Conv2d(192, CHANNELS, 1)
        self.merge = _ConvNorm(CHANNELS, CHANNELS)
        self.out = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        self.norm = LayerNorm2d(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        x8 = self.stage8(self.stage4(torch.relu(self.stem(x))))
        x16 = self.stage16(x8)
        x32 = self.stage32(x16)
        top = self.lateral16(x16) + _double(self.lateral32(x32))
        merged = torch.relu(self.merge(self.lateral8(x8) + _double(top)))
        out: Tensor = self.norm(self.out(merged).float())
        return out

    def fold(self) -> None:
        """Merge every batch normalisation into its convolution; afterwards the encoder cannot be trained."""
        for module in self.modules():
            if isinstance(module, _ConvNorm):
                module.fold()


class NanoDistances(nn.Module):
    """Instance decoder: (n, 128, h, w) embeddings to (n, 3, 4h, 4w) logits.

    Channels after a sigmoid: foreground, normalised distance to the object's centre, and inverted normalised
    distance to its boundary (both 0 deep inside, 1 in the background).
    """

    def __init__(self) -> None:
        super().__init__()
        self.at8 = _ConvNorm(CHANNELS, 64)
        self.at4 = _ConvNorm(64, 32)
        self.at2 = _ConvNorm(32, 24)
        self.head = nn.Conv2d(24, 3, 1)

    def forward(self, embedding: Tensor) -> Tensor:
        x = torch.relu(self.at8(embedding))
        x = torch.relu(self.at4(_double(x)))
        x = torch.relu(self.at2(_double(x)))
        out: Tensor = self.head(x)
        return out


def build_nano() -> Sam:
    """Make an untrained nano model with segment-anything's own prompt encoder and mask decoder."""
    grid = FRAME // STRIDE
    prompts = PromptEncoder(
        embed_dim=CHANNELS, image_embedding_size=(grid, grid), input_image_size=(FRAME, FRAME), mask_in_chans=16
    )
    masks = MaskDecoder(
        transformer_dim=CHANNELS,
        transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=512, num_heads=4),
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=CHANNELS,
    )
    _spread_frequencies(prompts)
    _point_at_places(prompts, masks)
    return Sam(NanoEncoder(), prompts, masks, _MEAN, _STD)


def _spread_frequencies(prompts: PromptEncoder) -> None:
    """Draw the position encoding's frequencies log-uniformly from 1/2 to 12 cycles per half frame.

    Unit-variance frequencies locate a click only after very long training; the buffer is saved with the weights.
    """
    matrix = prompts.pe_layer.positional_encoding_gaussian_matrix
    random = torch.Generator().manual_seed(7)
    count = matrix.shape[1]
    angle = torch.rand(count, generator=random) * 2 * math.pi
    cycles = torch.exp(torch.rand(count, generator=random) * math.log(24.0)) * 0.5
    matrix.copy_(torch.stack([torch.cos(angle) * cycles, torch.sin(angle) * cycles]))


@torch.no_grad()
def _point_at_places(prompts: PromptEncoder, masks: MaskDecoder) -> None:
    """Start training with cross-attention that already links a prompt to the place it lies at.

    Equal query and key projections keep the inner product of two position encodings, which is largest for equal
    places; the gain makes the softmax sharp. From random projections this takes many hundred steps to learn.
    """
    transformer = masks.transformer
    crosses = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        crosses += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    for cross in crosses:
        cross.q_proj.weight.mul_(2.5)
        cross.k_proj.weight.copy_(cross.q_proj.weight)
    for kind in prompts.point_embeddings:
        kind.weight.mul_(0.25)


def _double(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
