"""Random changes of brightness, contrast, noise and focus."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def vary_intensity(image: Tensor, random: np.random.Generator) -> Tensor:
    """Return a changed copy of a float image (3, h, w) in 0..255."""
    x = image / 255.0
    if random.random() < 0.15:
        x = 1.0 - x
    if random.random() < 0.3:
        x = x[torch.from_numpy(random.permutation(3))]
    if random.random() < 0.15:
        x = x.mean(0, keepdim=True).expand(3, -1, -1)
    if random.random() < 0.6:
        x = x.clamp(0, 1) ** float(np.exp(random.uniform(-0.6, 0.6)))
    if random.random() < 0.6:
        x = x * float(random.uniform(0.5, 1.2)) + float(random.uniform(-0.1, 0.15))
    if random.random() < 0.25:
        x = _blur(x, float(random.uniform(0.4, 1.6)))
    if random.random() < 0.35:
        grain = torch.from_numpy(random.standard_normal(x.shape[1:], dtype=np.float32))
        x = x + grain * float(random.uniform(0.01, 0.12))
    return x.clamp(0, 1) * 255.0


def _blur(x: Tensor, sigma: float) -> Tensor:
    axis = torch.arange(-4, 5, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (axis / sigma) ** 2)
    kernel = kernel / kernel.sum()
    x = F.conv2d(F.pad(x[:, None], (4, 4, 0, 0), mode="replicate"), kernel.reshape(1, 1, 1, 9))
    x = F.conv2d(F.pad(x, (0, 0, 4, 4), mode="replicate"), kernel.reshape(1, 1, 9, 1))
    return x[:, 0]
