"""Questions, that is prompts of one object and a window of the plane, to masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..core import Candidate, Mask
from .backbones.two_way import draw
from .decode import decode_prompts, dense_position, together
from .looks import Look, plausible
from .models import Model
from .precision import inference
from .prompting import Form, Gathered, batches, to_frame
from .upsample import upsample

#: Pixels of a gap in a mask that is none.
_PINHOLE = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """What the decoder says to one question: logits (m, h, w) of what may be meant, and their predicted IoU (m,)."""

    look: Look
    logits: Tensor
    scores: Tensor


@dataclass(frozen=True, slots=True)
class Chosen:
    """One mask of an answer, and what speaks for it: less than 0 where it is not plausible in its window."""

    answer: Answer
    row: int
    quality: float


def answer(model: Model, questions: Sequence[tuple[Look, Gathered]], *, single: bool = False) -> list[Answer]:
    """Decode every question, those of one form together, and return the answers in the order of the questions.

    A lone positive point may mean several things. segment-anything's models answer with the best of three masks: its
    predicted IoU decides before anything is drawn. nano gives all four, of which the caller chooses. With ``single``
    it means the one answer that both have for other prompts.
    """
    moved = [own.move(asked) for own, asked in questions]
    position = dense_position(model.sam.prompt_encoder)
    answers: dict[int, Answer] = {}
    for indices in batches(moved, together(model.device)):
        looks = [questions[i][0] for i in indices]
        alone = all(one.embedding is looks[0].embedding for one in looks)
        sparse = to_frame([moved[i] for i in indices], [one.embedding for one in looks], model.frame, model.device)
        features = torch.cat(
            # A store without its model keeps features on the processor.
            [one.embedding.features.to(model.device) for one in (looks[:1] if alone else looks)]
        )
        with inference(model.device, model.precision):
            hidden = decode_prompts(model.sam, features, position, sparse)
            wanted = _meant(model, [moved[i] for i in indices], hidden.scores, single)
            logits = draw(model.sam.mask_decoder, hidden, wanted).float()
        scores = hidden.scores.gather(1, wanted)
        for i, own, masks, quality in zip(indices, looks, logits, scores, strict=True):
            answers[i] = Answer(own, masks, quality)
    return [answers[i] for i in range(len(questions))]


def _meant(model: Model, asked: Sequence[Gathered], scores: Tensor, single: bool) -> Tensor:
    """Return which masks (n, m) to draw: 0 is the single answer, 1 to 3 those to an ambiguous prompt."""
    if single:
        return torch.zeros(len(asked), 1, dtype=torch.int64, device=scores.device)
    several = asked[0].form == Form(1, False, False)
    if several and model.is_nano:
        # nano's single answer has learned lone points too.
        return torch.arange(4, device=scores.device).expand(len(asked), 4)
    best = 1 + scores[:, 1:].argmax(1)
    ambiguous = torch.tensor([one.ambiguous for one in asked], device=scores.device)
    return torch.where(ambiguous, best, torch.zeros_like(best))[:, None]


def best(model: Model, asked: Gathered, answers: Sequence[Answer], plane_size: tuple[int, int]) -> Candidate:
    """Return the best mask of all answers to one question, which differ in the window they were looked at in."""
    return drawn(model, asked, choose(model, asked, answers, plane_size))


def choose(model: Model, asked: Gathered, answers: Sequence[Answer], plane_size: tuple[int, int]) -> Chosen:
    """Return which of all masks speaks for itself most, before it is drawn."""
    chosen = Chosen(answers[0], 0, -math.inf)
    for one in answers:
        for index in range(len(one.scores) if asked.ambiguous else 1):  # with a single answer there is but one
            quality = float(one.scores[index])
            if len(answers) > 1 or asked.ambiguous:
                quality += plausible(one.look, plane_size, model.frame, one.logits[index])
                quality -= _missed(one, model.frame, index, asked)
            if quality > chosen.quality:
                chosen = Chosen(one, index, quality)
    return chosen


def drawn(model: Model, asked: Gathered, chosen: Chosen) -> Candidate:
    """Return the mask that was chosen, in the pixels of the plane."""
    one, row, plane = chosen.answer, chosen.row, asked.plane
    mask = one.look.back(upsample(one.logits[row], one.look.embedding, model.frame, plane), plane)
    if model.is_nano:
        mask = _filled(_connected(_within(mask, asked), asked))
    origin = "region" if asked.mask is not None else "box" if asked.box is not None else "points"
    return Candidate(mask, float(one.scores[row].clamp(0, 1)), origin)


def _missed(one: Answer, frame: int, index: int, asked: Gathered) -> int:
    """Return how many clicks a mask does not obey."""
    logits, step = one.logits[index], frame / one.logits.shape[-1]
    ys, xs = one.look.embedding.scale
    missed = 0
    for p in one.look.move(asked).points:
        row, column = int(p.y * ys / step), int(p.x * xs / step)
        missed += bool(logits[row, column] > 0) != p.positive
    return missed


def _connected(mask: Mask, asked: Gathered) -> Mask:
    """Return the pieces of a mask of one plane that positive points lie in, or all when they lie in none.

    nano sometimes adds islands to what was clicked at. What a region or a box holds may be in pieces.
    """
    inside = [p for p in asked.points if p.positive]
    if asked.box is not None or asked.mask is not None or not inside or not mask.area:
        return mask
    pieces, count = ndimage.label(mask.bitmap[0], structure=np.ones((3, 3)))
    plane, top, left = mask.start
    height, width = pieces.shape
    meant = set()
    for p in inside:
        y, x = int(p.y) - top, int(p.x) - left
        if 0 <= y < height and 0 <= x < width:
            meant.add(int(pieces[y, x]))
    meant.discard(0)
    if not meant or count == len(meant):
        return mask
    return Mask.crop(np.isin(pieces, list(meant))[None], (plane, top, left))


def _filled(mask: Mask) -> Mask:
    """Return a mask of one plane without pinholes: gaps of a few pixels, or of a hundredth of the object.

    segment-anything calls this the smallest area of a region, and does it where everything is segmented.
    """
    if not mask.area:
        return mask
    gaps, count = ndimage.label(np.pad(~mask.bitmap[0], 1, constant_values=True))
    if count < 2:
        return mask
    sizes = np.bincount(gaps.reshape(-1))
    small = sizes <= max(_PINHOLE, mask.area / 100)
    small[[0, gaps[0, 0]]] = False
    return Mask(mask.start, mask.bitmap | small[gaps][None, 1:-1, 1:-1])


def _within(mask: Mask, asked: Gathered) -> Mask:
    """Return the part of a mask of one plane inside the box, and the positive points, grown by a tenth of its sides.

    nano sometimes adds specks far away from the box; segment-anything's models need no such help.
    """
    box = asked.box
    if box is None or not mask.area:
        return mask
    margin_y, margin_x = (box.y1 - box.y0) / 10, (box.x1 - box.x0) / 10
    ys = [box.y0, box.y1, *(p.y for p in asked.points if p.positive)]
    xs = [box.x0, box.x1, *(p.x for p in asked.points if p.positive)]
    plane, top, left = mask.start
    inside = mask.bitmap.copy()
    rows = np.arange(top, top + inside.shape[1]) + 0.5
    columns = np.arange(left, left + inside.shape[2]) + 0.5
    inside[:, (rows < min(ys) - margin_y) | (rows > max(ys) + margin_y)] = False
    inside[:, :, (columns < min(xs) - margin_x) | (columns > max(xs) + margin_x)] = False
    return Mask.crop(inside, (plane, top, left))
