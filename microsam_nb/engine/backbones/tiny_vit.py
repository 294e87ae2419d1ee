"""TinyViT, MobileSAM's small image encoder, with the names and shapes of its checkpoints.

Wu et al., ECCV 2022; Zhang et al., arXiv 2306.14289. Only the sizes that MobileSAM uses. Batch normalisation is
folded into its convolution on the fly outside training, so that weights keep their names and nothing runs twice.
"""

from __future__ import annotations

from typing import Any

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional as F

from ..stepwise import Steps, finish
from .folding import fold

FRAME = 1024
STRIDE = 16
CHANNELS = 256
_WIDTHS = (64, 128, 160, 320)
_DEPTHS = (2, 2, 6, 2)
_HEADS = (2, 4, 5, 10)
_WINDOWS = (7, 7, 14, 7)
_GROWTH = 4
_MEAN = [123.675, 116.28, 103.53]
_STD = [58.395, 57.12, 57.375]


class _ConvNorm(nn.Module):
    """Convolution without bias, then batch normalisation."""

    def __init__(self, inputs: int, outputs: int, side: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            out: Tensor = self.bn(self.c(x))
            return out
        weight, bias = fold(self.c, self.bn)
        return F.conv2d(x, weight, bias, self.c.stride, self.c.padding, groups=self.c.groups)


class _Bottleneck(nn.Module):
    """Widen, filter each channel by itself, narrow (Sandler et al., CVPR 2018), around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels * _GROWTH
        self.conv1 = _ConvNorm(channels, inner)
        self.conv2 = _ConvNorm(inner, inner, side=3, groups=inner)
        self.conv3 = _ConvNorm(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(inner))


class _Downsample(nn.Module):
    """Change the width, and halve the side except on the way to the last stage."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if outputs == _WIDTHS[-1] else 2
        self.conv1 = _ConvNorm(inputs, outputs)
        self.conv2 = _ConvNorm(outputs, outputs, side=3, stride=stride, groups=outputs)
        self.conv3 = _ConvNorm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return out


class _Attention(nn.Module):
    """Self-attention among the pixels of a window; (n, window * window, channels) to the same shape.

    A learned bias for every pair of pixels depends on how far apart they are in y and x.
    """

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        self._window = window
        self._expanded: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, channels = x.shape
        parts = self.qkv(self.norm(x)).reshape(n, tokens, self.heads, 3, channels // self.heads)
        q, k, v = parts.permute(3, 0, 2, 1, 4)
        bias = self._bias().to(q.dtype).expand(n, -1, -1, -1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, tokens, channels))
        return out

    def _bias(self) -> Tensor:
        """Return (heads, tokens, tokens); outside training it is made once, until ``train``, ``eval`` or loading."""
        if self.training or torch.is_grad_enabled():
            return self._expand()
        if self._expanded is None or self._expanded.device != self.attention_biases.device:
            self._expanded = self._expand()
        return self._expanded

    def _expand(self) -> Tensor:
        side = torch.arange(self._window, device=self.attention_biases.device)
        y, x = side.repeat_interleave(self._window), side.repeat(self._window)
        far = (y[:, None] - y).abs() * self._window + (x[:, None] - x).abs()
        return self.attention_biases[:, far]

    def train(self, mode: bool = True) -> _Attention:
        self._expanded = None
        super().train(mode)
        return self

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._expanded = None
        super()._load_from_state_dict(*arguments)


class _Perceptron(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, channels * _GROWTH)
        self.fc2 = nn.Linear(channels * _GROWTH, channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class _Block(nn.Module):
    """Attention in windows, a convolution across their borders, a perceptron; (n, h, w, c) to the same shape."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = _Attention(channels, heads, window)
        self.local_conv = _ConvNorm(channels, channels, side=3, groups=channels)
        self.mlp = _Perceptron(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attend(x)
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.mlp(x)

    def _attend(self, x: Tensor) -> Tensor:
        """Attention inside windows; the map is filled with zeros up to whole ones, which take part."""
        n, height, width, channels = x.shape
        side = self.window
        x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        grid = x.reshape(n, rows, side, columns, side, channels).transpose(2, 3)
        mixed = self.attn(grid.reshape(-1, side * side, channels))
        back = mixed.reshape(n, rows, columns, side, side, channels).transpose(2, 3)
        return back.reshape(n, rows * side, columns * side, channels)[:, :height, :width]


class _Stem(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        width = _WIDTHS[0]
        # The activation between them has a place of its own in the names.
        self.seq = nn.Sequential(
            _ConvNorm(3, width // 2, side=3, stride=2), nn.GELU(), _ConvNorm(width // 2, width, side=3, stride=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.seq(x)
        return out


class _ConvStage(nn.Module):
    """The first stage, (n, c, h, w) throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Bottleneck(_WIDTHS[0]) for _ in range(_DEPTHS[0]))
        self.downsample = _Downsample(_WIDTHS[0], _WIDTHS[1])

    def steps(self, x: Tensor) -> Steps[Tensor]:
        for block in self.blocks:
            x = block(x)
            yield
        out: Tensor = self.downsample(x)
        return out


class _AttentionStage(nn.Module):
    """A later stage, from and to (n, c, h, w)."""

    def __init__(self, stage: int) -> None:
        super().__init__()
        width, heads, window = _WIDTHS[stage], _HEADS[stage], _WINDOWS[stage]
        self.blocks = nn.ModuleList(_Block(width, heads, window) for _ in range(_DEPTHS[stage]))
        last = stage == len(_WIDTHS) - 1
        self.downsample = None if last else _Downsample(width, _WIDTHS[stage + 1])

    def steps(self, x: Tensor) -> Steps[Tensor]:
        # channels_last memory makes these changes of axes free.
        x = x.permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
            yield
        x = x.permute(0, 3, 1, 2)
        return x if self.downsample is None else self.downsample(x)


class TinyViT(nn.Module):
    """Encode (n, 3, h, w) normalised images to (n, 256, h / 16, w / 16) embeddings; h and w are multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.img_size = FRAME
        self.patch_embed = _Stem()
        self.layers = nn.ModuleList([_ConvStage(), *(_AttentionStage(stage) for stage in (1, 2, 3))])
        # The two of the classifier are in every checkpoint, and idle.
        self.norm_head = nn.LayerNorm(_WIDTHS[-1])
        self.head = nn.Linear(_WIDTHS[-1], 1000)
        self.neck = nn.Sequential(
            nn.Conv2d(_WIDTHS[-1], CHANNELS, 1, bias=False),
            LayerNorm2d(CHANNELS),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            LayerNorm2d(CHANNELS),
        )

    def forward(self, x: Tensor) -> Tensor:
        return finish(self.steps(x))

    def steps(self, x: Tensor) -> Steps[Tensor]:
        """Do what ``forward`` does, and yield after every block."""
        x = self.patch_embed(x)
        stages: list[Any] = list(self.layers)
        for stage in stages:
            x = yield from stage.steps(x)
        out: Tensor = self.neck(x)
        return out


def build_tiny_vit() -> Sam:
    """Make an untrained MobileSAM: segment-anything's own prompt encoder and mask decoder under TinyViT."""
    grid = FRAME // STRIDE
    prompts = PromptEncoder(
        embed_dim=CHANNELS, image_embedding_size=(grid, grid), input_image_size=(FRAME, FRAME), mask_in_chans=16
    )
    masks = MaskDecoder(
        transformer_dim=CHANNELS,
        transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=2048, num_heads=8),
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=CHANNELS,
    )
    return Sam(TinyViT(), prompts, masks, _MEAN, _STD)
