"""micro-sam's instance decoder: a UNETR that sees the embedding only (Archit et al., Nature Methods 2025).

Names and shapes are those of its checkpoints, in both variants. Two changes make it light without changing the
result: a 1x1 convolution comes before the bilinear enlargement, with which it commutes, instead of after it; and maps
are not concatenated, their convolutions are added.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .folding import fold

_EMBEDDING = 256
_WIDTHS = (512, 256, 128, 64)
_EPSILON = 1e-5


class _Enlarge(nn.Module):
    """Twice the side by interpolation, and another width by a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.conv(x), scale_factor=2.0, mode="bilinear", align_corners=False)


class _EnlargeTransposed(nn.Module):
    """Twice the side and another width by a transposed convolution, as older checkpoints have it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.block = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return out


class _Conv(nn.Module):
    """A 3x3 convolution, one level down in the names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Conv2d(channels, channels, 3, padding=1)


class _Deconv(nn.Module):
    """Twice the side, 3x3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, enlarge: type[nn.Module]) -> None:
        super().__init__()
        self.block = nn.Sequential(enlarge(inputs, outputs), _Conv(outputs), nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        layers: list[Any] = list(self.block)
        enlarge, wrapped, norm, _ = layers
        x = enlarge(x)
        if self.training:
            return F.relu(norm(wrapped.block(x)))
        weight, bias = fold(wrapped.block, norm)
        return F.relu_(F.conv2d(x, weight, bias, padding=1))


class _DoubleConv(nn.Module):
    """Twice: normalise every map by itself, 3x3 convolution, ReLU. Takes one or several inputs, as if concatenated."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # The normalisations hold no weights, but a place in the names.
        self.block = nn.Sequential(
            nn.InstanceNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.ReLU(),
            nn.InstanceNorm2d(outputs),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.ReLU(),
        )

    def forward(self, *parts: Tensor) -> Tensor:
        layers: list[Any] = list(self.block)
        first, second = layers[1], layers[4]
        weights = first.weight.split([part.shape[1] for part in parts], dim=1)
        x = F.conv2d(_normalised(parts[0]), weights[0], first.bias, padding=1)
        for part, weight in zip(parts[1:], weights[1:], strict=True):
            x += F.conv2d(_normalised(part), weight, padding=1)
        return F.relu_(second(_normalised(F.relu_(x))))


class _Climb(nn.Module):
    """The main path, from the embedding's side to eight times that."""

    def __init__(self, enlarge: type[nn.Module]) -> None:
        super().__init__()
        steps = list(pairwise(_WIDTHS))
        self.samplers = nn.ModuleList(enlarge(wide, narrow) for wide, narrow in steps)
        self.blocks = nn.ModuleList(_DoubleConv(wide, narrow) for wide, narrow in steps)


class UnetrDistances(nn.Module):
    """Instance decoder: (n, 256, h, w) embeddings to (n, 3, 16 h, 16 w) logits.

    Channels after a sigmoid, which is left to the caller as with nano's decoder: foreground, normalised distance to
    the object's centre, and inverted normalised distance to its boundary (both 0 deep inside, 1 in the background).
    """

    def __init__(self, transposed: bool = False) -> None:
        super().__init__()
        enlarge: type[nn.Module] = _EnlargeTransposed if transposed else _Enlarge
        self.base = _DoubleConv(_EMBEDDING, _WIDTHS[0])
        self.deconv1 = _Deconv(_EMBEDDING, _WIDTHS[0], enlarge)
        self.deconv2 = _Deconv(_WIDTHS[0], _WIDTHS[1], enlarge)
        self.deconv3 = _Deconv(_WIDTHS[1], _WIDTHS[2], enlarge)
        self.deconv4 = _Deconv(_WIDTHS[2], _WIDTHS[3], enlarge)
        self.decoder = _Climb(enlarge)
        self.deconv_out = enlarge(_WIDTHS[3], _WIDTHS[3])
        self.decoder_head = _DoubleConv(2 * _WIDTHS[3], _WIDTHS[3])
        self.out_conv = nn.Conv2d(_WIDTHS[3], 3, 1)

    def forward(self, embedding: Tensor) -> Tensor:
        x = self.base(embedding)
        side = embedding
        pairs = zip(self.decoder.samplers, self.decoder.blocks, strict=True)
        # The side path is walked along with the main path, so that its maps need not be kept.
        for deconv, (sampler, block) in zip((self.deconv1, self.deconv2, self.deconv3), pairs, strict=True):
            side = deconv(side)
            x = sampler(x)
            width = x.shape[1]
            # The side path is twice as wide; the middle half of its channels is used.
            x = block(x, side.narrow(1, width // 2, width))
        x = self.decoder_head(self.deconv_out(x), self.deconv4(side))
        out: Tensor = self.out_conv(x)
        return out


def is_transposed(names: Iterable[str]) -> bool:
    """Whether the names of a decoder's weights are those of the older variant with transposed convolutions."""
    return any(name.startswith("decoder.samplers.") and ".block." in name for name in names)


def _normalised(x: Tensor) -> Tensor:
    """Bring every map to mean 0 and variance 1: instance normalisation, in one pass where torch makes copies.

    On a processor torch's own moves channels_last memory to another order and back, and sums bfloat16 in copies of
    float32. Over one sample, batch normalisation is the same thing and does neither; with weights of float32 it also
    keeps the mean and the variance in float32.
    """
    ones = torch.ones(x.shape[1], device=x.device)
    zeros = torch.zeros(x.shape[1], device=x.device)
    samples = [F.batch_norm(one, None, None, ones, zeros, True, 0.0, _EPSILON) for one in x.split(1)]
    return samples[0] if len(samples) == 1 else torch.cat(samples)
