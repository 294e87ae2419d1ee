"""Simulated prompts for training: first points, jittered boxes, corrections."""

from __future__ import annotations

import torch
from torch import Tensor


def first_points(targets: Tensor, depth: Tensor, random: torch.Generator | None = None) -> Tensor:
    """Draw one pixel (n, 2) as (row, column) inside each binary target (n, h, w); deep pixels are likelier.

    depth (n, h, w) in 0..1 is 1 at the deepest place of the object.
    """
    return _draw(targets * (0.05 + depth.square()), random)


def scattered_points(
    targets: Tensor,
    positive: int,
    negative: int,
    random: torch.Generator | None = None,
    known: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw pixels inside and close beside each binary target (n, h, w).

    Returns places (n, p, 2) as (row, column) and labels (n, p), 1 inside and 0 beside; those beside lie in the
    object's box grown by half its sides, and where ``known`` (n, h, w) is True.
    """
    rows, cols = targets.amax(2) > 0.5, targets.amax(1) > 0.5
    around = []
    for start, stop, length in ((*_ends(rows), targets.shape[1]), (*_ends(cols), targets.shape[2])):
        axis = torch.arange(length, device=targets.device)
        reach = (stop - start + 1) // 2 + 1
        around.append((axis >= (start - reach)[:, None]) & (axis < (stop + reach)[:, None]))
    beside = (around[0][:, :, None] & around[1][:, None, :]).float() * (1 - targets)
    beside = beside if known is None else beside * known
    places = [_draw(targets, random) for _ in range(positive)] + [_draw(beside, random) for _ in range(negative)]
    labels = torch.tensor([1.0] * positive + [0.0] * negative, device=targets.device)
    return torch.stack(places, 1), labels.expand(len(targets), -1)


def boxes_of(targets: Tensor, jitter: float, random: torch.Generator) -> Tensor:
    """Return tight half-open boxes (n, 4) as (x0, y0, x1, y1) on the grid, each edge moved at random."""
    rows, cols = targets.amax(2) > 0.5, targets.amax(1) > 0.5
    y0, y1 = _ends(rows)
    x0, x1 = _ends(cols)
    boxes = torch.stack([x0, y0, x1, y1], dim=1).float()
    sides = torch.stack([x1 - x0, y1 - y0, x1 - x0, y1 - y0], dim=1).float()
    noise = torch.rand(boxes.shape, generator=random, device=boxes.device) * 2 - 1
    return boxes + noise * (sides * jitter + 0.25)


def corrections(
    logits: Tensor, targets: Tensor, random: torch.Generator | None = None, known: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Draw one wrong pixel (n, 2) as (row, column) per mask and its label (n,): 1 missed, 0 too much.

    Where ``known`` (n, h, w) is False nothing is wrong.
    """
    mask, truth = logits > 0, targets > 0.5
    missed, extra = truth & ~mask, mask & ~truth
    if known is not None:
        missed, extra = missed & known, extra & known
    missed, extra = missed.float(), extra.float()
    positive = missed.sum((1, 2)) >= extra.sum((1, 2))
    error = torch.where(positive[:, None, None], missed, extra)
    perfect = error.sum((1, 2)) == 0
    error = torch.where(perfect[:, None, None], targets, error)
    return _draw(error, random), (positive | perfect).long()


def _draw(weights: Tensor, random: torch.Generator | None) -> Tensor:
    flat = weights.flatten(1) + 1e-12
    index = torch.multinomial(flat, 1, generator=random)[:, 0]
    width = weights.shape[2]
    return torch.stack([index // width, index % width], dim=1)


def _ends(flags: Tensor) -> tuple[Tensor, Tensor]:
    length = flags.shape[1]
    first = flags.int().argmax(1)
    last = length - flags.flip(1).int().argmax(1)
    return first, last
