"""Losses of promptable segmentation and of the instance decoder."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .settings import MaskLoss

#: Exponent and weight of the focal loss, as segment-anything was trained (Kirillov et al., ICCV 2023).
_FOCUS = 2.0
_FOCAL = 20.0


def mask_loss(
    logits: Tensor,
    target: Tensor,
    balance: float = 0.0,
    *,
    kind: MaskLoss = MaskLoss.ENTROPY,
    known: Tensor | None = None,
) -> Tensor:
    """Soft Dice error plus what ``kind`` says of logits and target (..., h, w), one value per mask.

    With ``balance`` 1 object and background weigh the same in the cross-entropy, however small the object is: an
    untrained model otherwise settles on empty masks for hundreds of steps. With 0 all pixels weigh the same, so that
    the boundary is not pushed outwards; the sum is relative to the object's size. ``known`` (..., h, w) is 0 where
    nobody knows what is there: such pixels do not count.
    """
    weight = torch.ones_like(target) if known is None else known.to(target.dtype).expand_as(target)
    p = torch.sigmoid(logits) * weight
    object_, rest = target * weight, (1 - target) * weight
    size, around = object_.sum((-2, -1)), rest.sum((-2, -1))
    dice = 1 - (2 * (p * target).sum((-2, -1)) + 1) / (p.sum((-2, -1)) + size + 1)
    if kind is MaskLoss.DICE:
        return dice
    entropy = F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
    if kind is MaskLoss.FOCAL:
        focal = (1 - torch.exp(-entropy)) ** _FOCUS * entropy * weight
        return dice + _FOCAL * focal.sum((-2, -1)) / weight.sum((-2, -1)).clamp(min=1)
    inside = (entropy * object_).sum((-2, -1)) / (size + 1)
    outside = (entropy * rest).sum((-2, -1)) / ((size + 1) ** (1 - balance) * (around + 1) ** balance)
    return dice + 0.5 * (inside + outside)


def overlap(logits: Tensor, target: Tensor, known: Tensor | None = None) -> Tensor:
    """Intersection over union of (logits > 0) with a binary target over the last two axes, where ``known``."""
    mask = logits > 0
    truth = target > 0.5
    if known is not None:
        mask, truth = mask & known, truth & known
    joint = (mask & truth).sum((-2, -1))
    either = (mask | truth).sum((-2, -1))
    return joint / either.clamp(min=1)


def distance_loss(logits: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """Foreground cross-entropy and Dice, plus the absolute distance errors, most of their weight within objects.

    logits and target (n, 3, h, w), inside (n, h, w) marks pixels of the image whose content is known.
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
