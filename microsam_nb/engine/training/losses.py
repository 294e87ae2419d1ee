"""Losses of promptable segmentation and of the instance decoder."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Soft Dice error plus focal loss (Lin et al., ICCV 2017) of logits and target (..., h, w), one value per mask."""
    p = torch.sigmoid(logits)
    dice = 1 - (2 * (p * target).sum((-2, -1)) + 1) / (p.square().sum((-2, -1)) + target.sum((-2, -1)) + 1)
    entropy = F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
    miss = p * (1 - target) + (1 - p) * target
    # Normalised by the object's own area, so that small objects weigh as much as large ones.
    focal = (entropy * miss.square()).sum((-2, -1)) / (target.sum((-2, -1)) + 16)
    return dice + focal


def overlap(logits: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of (logits > 0) with a binary target, over the last two axes."""
    mask = logits > 0
    truth = target > 0.5
    joint = (mask & truth).sum((-2, -1))
    either = (mask | truth).sum((-2, -1))
    return joint / either.clamp(min=1)


def distance_loss(logits: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """Foreground cross-entropy and Dice, plus the absolute distance errors, most of their weight within objects.

    logits and target (n, 3, h, w), inside (n, h, w) marks pixels of the image.
    """
    valid = inside.float()
    foreground = target[:, 0]
    p = torch.sigmoid(logits)
    entropy = F.binary_cross_entropy_with_logits(logits[:, 0], foreground, reduction="none")
    entropy = (entropy * valid).sum() / valid.sum().clamp(min=1)
    joint = (p[:, 0] * foreground * valid).sum((-2, -1))
    either = (p[:, 0].square() * valid).sum((-2, -1)) + (foreground * valid).sum((-2, -1))
    dice = (1 - (2 * joint + 1) / (either + 1)).mean()
    weight = (valid * (0.1 + 0.9 * foreground))[:, None]
    distance = ((p[:, 1:] - target[:, 1:]).abs() * weight).sum() / weight.sum().clamp(min=1)
    return entropy + dice + distance
