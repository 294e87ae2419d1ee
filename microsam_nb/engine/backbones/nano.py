"""The embedded model: a small convolutional encoder under segment-anything's prompt encoder and mask decoder.

The frame is 256 pixels wide, for a window of the image around an object; the embedding has stride 8. Dense 3x3
convolutions keep the AMX and AVX-512 units of a CPU busy; batch normalisation is folded into them for inference.
"""

from __future__ import annotations

import math

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

FRAME = 256
STRIDE = 8
CHANNELS = 128
#: Images are enlarged at most by this; it has seen none enlarged much further.
ENLARGEMENT = 10.0
#: Standard deviation of a drawn click, in frame pixels.
_SPOT = 3.0
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
        self.norm = _ChannelNorm(CHANNELS, 1e-6)

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


class _ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (n, c, h, w) in one pass; same numbers as segment-anything's."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class NanoPrompts(PromptEncoder):
    """segment-anything's prompt encoder that also draws clicks and boxes as maps into the dense part.

    Drawn prompts (Xu et al., CVPR 2016) tell a convolutional model where to look from the first training step on;
    tokens alone take very long to learn it.
    """

    def __init__(self, grid: int) -> None:
        super().__init__(
            embed_dim=CHANNELS, image_embedding_size=(grid, grid), input_image_size=(FRAME, FRAME), mask_in_chans=16
        )
        last = nn.Conv2d(48, CHANNELS, 1)
        last.bias = nn.Parameter(torch.zeros(CHANNELS))
        self.drawn = nn.Sequential(
            nn.Conv2d(4, 16, 2, stride=2),
            _ChannelNorm(16, 1e-6),
            nn.ReLU(),
            nn.Conv2d(16, 48, 2, stride=2),
            _ChannelNorm(48, 1e-6),
            nn.ReLU(),
            last,
        )

    def forward(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        sparse, dense = super().forward(points, boxes, masks)
        places, labels = points or (None, None)
        return sparse, dense + self.draw(places, labels, boxes, dense.shape[-2:])

    def draw(self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, size: torch.Size) -> Tensor:
        """Return the dense part (n or 1, c, h, w) of points (n, p, 2), labels (n, p) and boxes (n, 4) as (x, y)."""
        height, width = 4 * size[0], 4 * size[1]
        pitch = STRIDE / 4
        device = self.no_mask_embed.weight.device
        y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * pitch
        x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * pitch
        # Without any the maps are empty, the same for all objects.
        count = len(points) if points is not None else len(boxes) if boxes is not None else 1
        maps = torch.zeros(count, 4, height, width, device=device)
        if points is not None and labels is not None:
            spread_y = torch.exp(-0.5 * ((y - points[..., 1:] - 0.5) / _SPOT).square())
            spread_x = torch.exp(-0.5 * ((x - points[..., :1] - 0.5) / _SPOT).square())
            spots = spread_y[..., None] * spread_x[..., None, :]
            for channel, sign in enumerate((1, 0)):
                chosen = (labels == sign).to(spots.dtype)[..., None, None]
                maps[:, channel] = (spots * chosen).amax(1)
        if boxes is not None:
            boxes = boxes.reshape(-1, 4)
            inside_y = _ramp(y - boxes[:, 1:2]) * _ramp(boxes[:, 3:4] - y)
            inside_x = _ramp(x - boxes[:, 0:1]) * _ramp(boxes[:, 2:3] - x)
            maps[:, 2] = inside_y[:, :, None] * inside_x[:, None, :]
            # Where in the box a pixel lies: 1 in its middle, 0 on its border and beyond.
            maps[:, 3] = (
                _hat(y, boxes[:, 1:2], boxes[:, 3:4])[:, :, None] * _hat(x, boxes[:, 0:1], boxes[:, 2:3])[:, None]
            )
        out: Tensor = self.drawn(maps)
        return out


def _ramp(inside: Tensor) -> Tensor:
    return (inside / 2 + 0.5).clamp(0, 1)


def _hat(places: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    half = (stop - start).clamp(min=1) / 2
    return (1 - (places - (start + stop) / 2).abs() / half).clamp(0, 1)


def build_nano() -> Sam:
    """Make an untrained nano model with segment-anything's own prompt encoder and mask decoder."""
    grid = FRAME // STRIDE
    prompts = NanoPrompts(grid)
    masks = MaskDecoder(
        transformer_dim=CHANNELS,
        transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=512, num_heads=4),
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=CHANNELS,
    )
    # The largest maps of the network: on a CPU GELU's gradient there costs as much as an encoder.
    masks.output_upscaling[1] = _ChannelNorm(CHANNELS // 4, 1e-6)
    masks.output_upscaling[2] = nn.ReLU()
    masks.output_upscaling[4] = nn.ReLU()
    _spread_frequencies(prompts)
    _point_at_places(prompts, masks)
    return Sam(NanoEncoder(), prompts, masks, _MEAN, _STD)


def _spread_frequencies(prompts: PromptEncoder) -> None:
    """Draw the position encoding's frequencies log-uniformly from 1/4 to 6 cycles per half frame.

    Unit-variance frequencies locate a click only after very long training; the buffer is saved with the weights.
    """
    matrix = prompts.pe_layer.positional_encoding_gaussian_matrix
    random = torch.Generator().manual_seed(7)
    count = matrix.shape[1]
    angle = torch.rand(count, generator=random) * 2 * math.pi
    cycles = torch.exp(torch.rand(count, generator=random) * math.log(24.0)) * 0.25
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
