"""Iterative prompting: a first prompt, then clicks where the answer is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..backbones.two_way import decode_hidden, draw
from ..decode import SparsePrompts, encode_prompts
from ..models import Model
from ..prompting import SURE
from .batches import Batch
from .clicks import boxes_of, corrections, first_points, scattered_points
from .losses import mask_loss, overlap
from .settings import TrainingSettings

#: Weight of the predicted IoU's squared error: it decides between the answers to a lone click.
_SCORES = 3.0
#: Objects decoded at once: more only takes memory.
_TOGETHER = {"cpu": 16, "cuda": 64}


@dataclass(slots=True)
class Draws:
    """The random draws of one step: choices for all objects, and numbers for each."""

    random: np.random.Generator
    noise: torch.Generator


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a crop lies in the model's frame: ``position`` encoding (1, c, h, w), its corner (x, y), px per cell."""

    position: Tensor
    corner: Tensor
    pitch: float

    def points(self, where: Tensor) -> Tensor:
        """Cells (..., 2) as (row, column) to points (..., 2) as (x, y) in the middle of each."""
        return where.flip(-1) * self.pitch + (self.pitch - 1) / 2 + self.corner

    def boxes(self, cells: Tensor) -> Tensor:
        return cells * self.pitch + self.corner.repeat(2)


@dataclass(slots=True)
class _Prompts:
    points: Tensor | None = None
    labels: Tensor | None = None
    boxes: Tensor | None = None
    logits: Tensor | None = None

    def add(self, point: Tensor, label: Tensor) -> None:
        """Add one point (n, 1, 2) with its label (n, 1) per object."""
        self.points = point if self.points is None else torch.cat([self.points, point], 1)
        self.labels = label if self.labels is None else torch.cat([self.labels, label], 1)

    @property
    def lone(self) -> bool:
        return self.boxes is None and self.logits is None and self.points is not None and self.points.shape[1] == 1


@dataclass(frozen=True, slots=True)
class Prompted:
    """Mean loss of all turns, and mean IoU after the first and the last."""

    loss: float
    first: float
    last: float


def teach(
    model: Model,
    batch: Batch,
    features: Tensor,
    settings: TrainingSettings,
    draws: Draws,
    *,
    balance: float,
    dtype: torch.dtype,
    backward: Callable[[Tensor], None],
    most: bool = False,
) -> Prompted:
    """Prompt every object, correct it, and send the gradient of every turn back at once.

    features (n, c, h, w) are a leaf that collects gradients: what a turn has computed need not be kept for the next.
    ``most``: take all turns there may be.
    """
    s = settings
    frame = _frame(model, batch, draws.random)
    prompts = _first(batch, frame, s, draws)
    # Half of all steps end with the first answer: it is what users see most.
    turns = s.corrections + 1 if most else min(int(draws.random.geometric(0.5)), s.corrections + 1)
    total = first = last = 0.0
    for turn in range(turns):
        answers, overlaps = [], []
        for rows in torch.arange(len(batch.owner)).split(_TOGETHER.get(features.device.type, 16)):
            some = slice(int(rows[0]), int(rows[-1]) + 1)
            loss, answer, real = _turn(model, batch, features, prompts, frame, some, s, balance, dtype)
            share = len(rows) / len(batch.owner)
            backward(loss * (share / turns))
            total += float(loss.detach()) * share / turns
            answers.append(answer)
            overlaps.append(real)
        answer = torch.cat(answers)
        last = float(torch.cat(overlaps).mean())
        first = last if turn == 0 else first
        if turn + 1 < turns:
            where, sign = corrections(answer, batch.targets, draws.noise, batch.known)
            prompts.add(frame.points(where)[:, None], sign[:, None].float())
            fed = draws.random.random() < s.mask_chance
            prompts.logits = _mask_prompt(answer, draws.random) if fed else None
    return Prompted(total, first, last)


@torch.no_grad()
def examine(
    model: Model, batch: Batch, features: Tensor, clicks: int, draws: Draws, dtype: torch.dtype
) -> list[Tensor]:
    """Return the IoU (k,) of every object after each of ``clicks`` clicks.

    The first click lies on the deepest cell; each further one is drawn from the larger kind of error.
    """
    frame = _frame(model, batch, draws.random)
    flat = (batch.depth + 1e-3 * batch.targets).flatten(1).argmax(1)
    width = batch.targets.shape[-1]
    prompts = _Prompts()
    prompts.add(frame.points(torch.stack([flat // width, flat % width], 1))[:, None], torch.ones_like(flat)[:, None])
    out = []
    for _ in range(clicks):
        answers = []
        for rows in torch.arange(len(batch.owner)).split(16):
            some = slice(int(rows[0]), int(rows[-1]) + 1)
            masks, scores = _answer(model, batch, features, prompts, frame, some, dtype)
            best = scores[:, 1:].argmax(1) + 1 if prompts.lone else torch.zeros(len(scores), dtype=torch.long)
            answers.append(masks[torch.arange(len(best)), best])
        answer = torch.cat(answers)
        out.append(overlap(answer, batch.targets, batch.known))
        where, sign = corrections(answer, batch.targets, draws.noise, batch.known)
        prompts.add(frame.points(where)[:, None], sign[:, None].float())
        prompts.logits = answer[:, None].clamp(-16, 16)
    return out


def _frame(model: Model, batch: Batch, random: np.random.Generator) -> _Frame:
    """Place the crops at random in the frame, so that every part of the position encoding is learned."""
    whole = model.sam.prompt_encoder.get_dense_pe()
    stride = model.frame / whole.shape[-1]
    grid = round(batch.images.shape[-1] / stride)
    top, left = (int(v) for v in random.integers(0, whole.shape[-1] - grid + 1, 2))
    position = whole[..., top : top + grid, left : left + grid]
    corner = torch.tensor([left, top], device=whole.device) * stride
    return _Frame(position, corner, batch.images.shape[-1] / batch.targets.shape[-1])


def _first(batch: Batch, frame: _Frame, s: TrainingSettings, draws: Draws) -> _Prompts:
    """Draw the first prompt: a box, several points, or one point."""
    prompts, random = _Prompts(), draws.random
    kind = random.random()
    if kind < s.box_chance:
        prompts.boxes = frame.boxes(boxes_of(batch.targets, s.box_jitter, draws.noise))
    elif kind < s.box_chance + s.several_chance:
        inside, beside = int(random.integers(1, 5)), int(random.integers(0, 4))
        beside = beside if inside > 1 else beside + 1
        where, labels = scattered_points(batch.targets, inside, beside, draws.noise, batch.known)
        prompts.points, prompts.labels = frame.points(where), labels
    else:
        where = first_points(batch.targets, batch.depth, draws.noise)
        prompts.add(frame.points(where)[:, None], torch.ones(len(where), 1, device=where.device))
    return prompts


def _turn(
    model: Model,
    batch: Batch,
    features: Tensor,
    prompts: _Prompts,
    frame: _Frame,
    some: slice,
    s: TrainingSettings,
    balance: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean loss of some objects, their chosen answers (k, c, c) and the IoU of these."""
    masks, scores = _answer(model, batch, features, prompts, frame, some, dtype)
    targets, known = batch.targets[some][:, None], batch.known[some][:, None]
    loss = mask_loss(masks, targets, balance, kind=s.loss, known=known)
    masks = masks.detach()
    real = overlap(masks, targets, known)
    if prompts.lone:
        # The best of three answers learns, and so does the single one.
        prompted = loss[:, 1:].amin(1).mean() + 0.5 * loss[:, 0].mean()
        best = scores[:, 1:].argmax(1) + 1
    else:
        prompted = loss.mean()
        best = torch.zeros(len(scores), dtype=torch.long, device=scores.device)
    rows = torch.arange(len(best), device=best.device)
    return prompted + _SCORES * (scores - real).square().mean(), masks[rows, best], real[rows, best]


def _answer(
    model: Model, batch: Batch, features: Tensor, prompts: _Prompts, frame: _Frame, some: slice, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return float32 logits (k, m, c, c) and predicted IoU (k, m): all four of a lone point, else the single one."""
    decoder = model.sam.mask_decoder
    wanted = range(4) if prompts.lone else range(1)
    asked = SparsePrompts(prompts.points, prompts.labels, prompts.boxes, prompts.logits)[some]
    with torch.autocast(features.device.type, enabled=False):
        sparse, dense = encode_prompts(model.sam.prompt_encoder, asked, features.shape[-2:])
        hidden = decode_hidden(decoder, features[batch.owner[some]], frame.position, sparse.float(), dense, dtype)
        masks = draw(decoder, hidden, wanted).float()
    return masks, hidden.scores[:, : len(wanted)]


def _mask_prompt(answer: Tensor, random: np.random.Generator) -> Tensor:
    """Feed an answer (n, h, w) back, as it is or, as often, as the sure mask that a shape or an edit gives."""
    if random.random() < 0.5:
        return answer[:, None].clamp(-16, 16)
    return torch.where(answer > 0, SURE, -SURE)[:, None]
