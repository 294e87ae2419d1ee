"""Batch normalisation merged into the convolution before it, without changing either."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of one convolution that does the work of both outside training.

    Costs next to nothing beside the feature map that it saves from being read and written once more.
    """
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise ValueError("The normalisation keeps no running statistics.")
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    shift = norm.bias - mean * scale
    if convolution.bias is not None:
        shift = shift + convolution.bias * scale
    return convolution.weight * scale.reshape(-1, 1, 1, 1), shift
