"""Questions, that is prompts of one object and a window of the plane, to masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..core import Candidate, Mask
from .decode import decode
from .looks import Look, plausible
from .models import Model
from .precision import inference
from .prompting import Gathered, batches, to_frame
from .upsample import upsample


@dataclass(frozen=True, slots=True)
class Answer:
    """What the decoder says to one question: logits (m, h, w) of all masks and their predicted IoU (m,)."""

    look: Look
    logits: Tensor
    scores: Tensor


def answer(model: Model, questions: Sequence[tuple[Look, Gathered]]) -> list[Answer]:
    """Decode every question, those of one form together, and return the answers in the order of the questions."""
    moved = [own.move(asked) for own, asked in questions]
    position = model.sam.prompt_encoder.get_dense_pe()
    answers: dict[int, Answer] = {}
    for indices in batches(moved):
        looks = [questions[i][0] for i in indices]
        form = moved[indices[0]].form
        several = None if form.points == 1 and not (form.box or form.mask) else False
        alone = all(one.embedding is looks[0].embedding for one in looks)
        sparse = to_frame([moved[i] for i in indices], [one.embedding for one in looks], model.frame, model.device)
        features = torch.cat([one.embedding.features for one in (looks[:1] if alone else looks)])
        with inference(model.device, model.precision):
            logits, scores = decode(model.sam, features, position, sparse, several=several)
        for i, own, planes, quality in zip(indices, looks, logits.float(), scores.float(), strict=True):
            answers[i] = Answer(own, planes, quality)
    return [answers[i] for i in range(len(questions))]


def best(model: Model, asked: Gathered, answers: Sequence[Answer], plane_size: tuple[int, int]) -> Candidate:
    """Return the best mask of all answers to one question, which differ in the window they were looked at in."""
    # segment-anything's single answer is meant for unambiguous prompts; nano's has learned lone points too.
    several = asked.ambiguous and len(answers[0].scores) > 1
    first = 1 if several and not model.is_nano else 0
    chosen, row, highest = answers[0], first, -math.inf
    for one in answers:
        for index in range(first, len(one.scores) if several else first + 1):
            quality = float(one.scores[index])
            if len(answers) > 1:
                quality += plausible(one.look, plane_size, model.frame, one.logits[index])
            if quality > highest:
                chosen, row, highest = one, index, quality
    plane = asked.plane
    mask = chosen.look.back(upsample(chosen.logits[row], chosen.look.embedding, model.frame, plane), plane)
    if asked.box is not None and model.is_nano:
        mask = _within(mask, asked)
    origin = "region" if asked.mask is not None else "box" if asked.box is not None else "points"
    return Candidate(mask, float(chosen.scores[row].clamp(0, 1)), origin)


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
