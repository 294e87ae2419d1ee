"""Iterative prompting: a first prompt, then clicks where the answer is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..backbones.two_way import decode_hidden, draw
from ..decode import SparsePrompts, encode_prompts
from ..models import Model
from .asked import Draws, Frame, Prompts, first_prompts, frame_of, mask_prompt
from .batches import Batch
from .clicks import corrections
from .losses import mask_loss, overlap
from .settings import TrainingSettings

#: Weight of the predicted IoU's squared error: it decides between the answers to a lone click.
_SCORES = 3.0
#: Objects decoded at once: more only takes memory.
_TOGETHER = 16


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
    frame = frame_of(model, batch, draws.random)
    prompts = first_prompts(batch, frame, s, draws)
    # Half of all steps end with the first answer: it is what users see most.
    turns = s.corrections + 1 if most else min(int(draws.random.geometric(0.5)), s.corrections + 1)
    total = first = last = 0.0
    for turn in range(turns):
        answers, overlaps = [], []
        for rows in torch.arange(len(batch.owner)).split(_TOGETHER):
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
            prompts.logits = mask_prompt(answer, draws.random) if fed else None
    return Prompted(total, first, last)


@torch.no_grad()
def examine(
    model: Model, batch: Batch, features: Tensor, clicks: int, draws: Draws, dtype: torch.dtype
) -> list[Tensor]:
    """Return the IoU (k,) of every object after each of ``clicks`` clicks.

    The first click lies on the deepest cell; each further one is drawn from the larger kind of error.
    """
    frame = frame_of(model, batch, draws.random)
    flat = (batch.depth + 1e-3 * batch.targets).flatten(1).argmax(1)
    width = batch.targets.shape[-1]
    prompts = Prompts()
    prompts.add(frame.points(torch.stack([flat // width, flat % width], 1))[:, None], torch.ones_like(flat)[:, None])
    out = []
    for _ in range(clicks):
        answers = []
        for rows in torch.arange(len(batch.owner)).split(_TOGETHER):
            some = slice(int(rows[0]), int(rows[-1]) + 1)
            masks, scores = _answer(model, batch, features, prompts, frame, some, dtype)
            answers.append(_chosen(masks, scores, prompts.lone)[0])
        answer = torch.cat(answers)
        out.append(overlap(answer, batch.targets, batch.known))
        where, sign = corrections(answer, batch.targets, draws.noise, batch.known)
        prompts.add(frame.points(where)[:, None], sign[:, None].float())
        prompts.logits = answer[:, None].clamp(-16, 16)
    return out


def _turn(
    model: Model,
    batch: Batch,
    features: Tensor,
    prompts: Prompts,
    frame: Frame,
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
    # Of a lone point the best of three answers learns, and so does the single one.
    prompted = loss[:, 1:].amin(1).mean() + 0.5 * loss[:, 0].mean() if prompts.lone else loss.mean()
    answer, best = _chosen(masks, scores, prompts.lone)
    return prompted + _SCORES * (scores - real).square().mean(), answer, real.gather(1, best[:, None])[:, 0]


def _chosen(masks: Tensor, scores: Tensor, lone: bool) -> tuple[Tensor, Tensor]:
    """Return the answers (k, c, c) that a user would get, and which of the m they are: the surest of three, if any."""
    best = scores[:, 1:].argmax(1) + 1 if lone else scores.new_zeros(len(scores), dtype=torch.long)
    return masks[torch.arange(len(best), device=best.device), best], best


def _answer(
    model: Model, batch: Batch, features: Tensor, prompts: Prompts, frame: Frame, some: slice, dtype: torch.dtype
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
