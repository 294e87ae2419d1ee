"""Prompts to masks. Here, and nowhere else in the engine, coordinates become (x, y)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..core import BoxPrompt, Candidate, Mask, Point, Prompt, PromptError
from .decode import SparsePrompts, decode
from .embedding import Embedding
from .looks import Look, around, choose, ladder, look
from .models import Model
from .precision import inference
from .tiling import Window

#: Prompts decoded in one call; more do not fit the processor's cache.
_BATCH = 16


#: Objects whose closer looks are in memory at the same time.
_CLOSE = 8


def predict(model: Model, embedding: Embedding, prompts: Sequence[Prompt]) -> Candidate:
    """Segment one object from points and at most one box, all in the plane of ``embedding``.

    A lone positive point is ambiguous: of three answers (four by nano) that with the highest predicted IoU is given.
    nano looks closer at the object when the embedding holds the plane's pixels. The mask may be empty when nothing
    is found. Raises PromptError without prompts, for prompts outside the image, in several planes, or for more
    than one box.
    """
    return predict_many(model, embedding, [prompts])[0]


def predict_many(model: Model, embedding: Embedding, objects: Sequence[Sequence[Prompt]]) -> list[Candidate]:
    """Segment one object per set of prompts; see ``predict``. Sets of the same form are answered together."""
    for prompts in objects:
        _check(prompts, embedding)
    if not (model.is_nano and embedding.pixels is not None):
        questions = [(Look(Window(0, 0, *embedding.original_size), embedding), prompts) for prompts in objects]
        return [_best(model, answer) for answer in _answer(model, questions)]
    found: list[Candidate] = []
    for start in range(0, len(objects), _CLOSE):
        found.extend(_look_closer(model, embedding, objects[start : start + _CLOSE]))
    return found


def _look_closer(model: Model, embedding: Embedding, objects: Sequence[Sequence[Prompt]]) -> list[Candidate]:
    """Answer each object in a window around it; the size of what was only clicked at is found by trying several."""
    shape = embedding.original_size
    least = model.frame / model.enlargement
    windows: list[list[Window]] = []
    for prompts in objects:
        box = next((p for p in prompts if isinstance(p, BoxPrompt)), None)
        windows.append(
            [around(shape, box, least)] if box else ladder(shape, [p for p in prompts if isinstance(p, Point)])
        )
    questions = [
        (one, prompts) for prompts, own in zip(objects, windows, strict=True) for one in look(model, embedding, own)
    ]
    answers = iter(_answer(model, questions))
    return [choose([_best(model, next(answers)) for _ in own]) for own in windows]


def _check(prompts: Sequence[Prompt], embedding: Embedding) -> None:
    if not prompts:
        raise PromptError("There is no prompt.", "Click on an object or draw a box around it.")
    planes = {p.plane for p in prompts}
    if len(planes) > 1:
        raise PromptError(f"The prompts lie in several planes {sorted(planes)}.", "Predict one plane at a time.")
    if sum(isinstance(p, BoxPrompt) for p in prompts) > 1:
        raise PromptError("There is more than one box for one object.", "Keep one box, or predict one object per box.")
    shape = (next(iter(planes)) + 1, *embedding.original_size)
    for prompt in prompts:
        prompt.check(shape)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the decoder says to one question: logits (m, h, w) of all masks and their predicted IoU (m,)."""

    look: Look
    prompts: Sequence[Prompt]
    logits: Tensor
    scores: Tensor


def _answer(model: Model, questions: Sequence[tuple[Look, Sequence[Prompt]]]) -> list[_Answer]:
    """Decode every question, those of one form together, and return the answers in the order of the questions."""
    forms: dict[tuple[int, bool], list[int]] = {}
    moved = [own.move(prompts) for own, prompts in questions]
    for index, prompts in enumerate(moved):
        points = sum(isinstance(p, Point) for p in prompts)
        forms.setdefault((points, points < len(prompts)), []).append(index)
    position = model.sam.prompt_encoder.get_dense_pe()
    answers: dict[int, _Answer] = {}
    for (points, boxed), indices in forms.items():
        several = None if points == 1 and not boxed else False
        for start in range(0, len(indices), _BATCH):
            some = indices[start : start + _BATCH]
            looks = [questions[i][0] for i in some]
            sparse = _to_frame(model, [one.embedding for one in looks], [moved[i] for i in some])
            alone = all(one.embedding is looks[0].embedding for one in looks)
            features = [one.embedding.features for one in (looks[:1] if alone else looks)]
            with inference(model.device):
                logits, scores = decode(model.sam, torch.cat(features), position, sparse, several=several)
            for i, own, planes, quality in zip(some, looks, logits.float(), scores.float(), strict=True):
                answers[i] = _Answer(own, questions[i][1], planes, quality)
    return [answers[i] for i in range(len(questions))]


def _best(model: Model, answer: _Answer) -> Candidate:
    """Return the mask of the highest predicted IoU; nano's single answer has learned lone points too."""
    prompts, quality = answer.prompts, answer.scores
    best = 0
    if len(quality) > 1 and all(isinstance(p, Point) and p.positive for p in prompts):
        # segment-anything's single answer is meant for unambiguous prompts.
        first = 0 if model.is_nano else 1
        best = first + int(quality[first:].argmax())
    plane = prompts[0].plane
    embedding = answer.look.embedding
    mask = answer.look.back(_upsample(answer.logits[best], embedding, model.frame, plane), plane)
    box = next((p for p in prompts if isinstance(p, BoxPrompt)), None)
    if box is not None and model.is_nano:
        mask = _within(mask, box)
    return Candidate(mask, float(quality[best].clamp(0, 1)), "box" if box is not None else "points")


def _within(mask: Mask, box: BoxPrompt) -> Mask:
    """Return the part of a mask of one plane inside the box grown by a tenth of its sides.

    nano sometimes adds specks far away from the box; segment-anything's models need no such help.
    """
    plane, top, left = mask.start
    margin_y, margin_x = (box.y1 - box.y0) / 10, (box.x1 - box.x0) / 10
    inside = mask.bitmap.copy()
    rows = np.arange(top, top + inside.shape[1]) + 0.5
    columns = np.arange(left, left + inside.shape[2]) + 0.5
    inside[:, (rows < box.y0 - margin_y) | (rows > box.y1 + margin_y)] = False
    inside[:, :, (columns < box.x0 - margin_x) | (columns > box.x1 + margin_x)] = False
    return Mask.crop(inside, (plane, top, left))


def _to_frame(model: Model, embeddings: Sequence[Embedding], objects: Sequence[Sequence[Prompt]]) -> SparsePrompts:
    """Convert prompts of one form, each set with its own embedding, to the model's frame, as (x, y).

    segment-anything adds half a pixel to every coordinate, so a continuous point is first made a pixel index.
    """
    points, signs = [], []
    boxes: list[tuple[float, float, float, float]] = []
    for embedding, prompts in zip(embeddings, objects, strict=True):
        ys, xs = embedding.scale
        height, width = embedding.original_size
        own = [p for p in prompts if isinstance(p, Point)]
        points.append([((p.x - 0.5) * xs, (p.y - 0.5) * ys) for p in own])
        signs.append([1.0 if p.positive else 0.0 for p in own])
        clipped = (p.clip((1, height, width)) for p in prompts if isinstance(p, BoxPrompt))
        boxes.extend((box.x0 * xs, box.y0 * ys, box.x1 * xs, box.y1 * ys) for box in clipped)
    device = model.device
    return SparsePrompts(
        points=torch.tensor(points, device=device) if points[0] else None,
        labels=torch.tensor(signs, device=device) if points[0] else None,
        boxes=torch.tensor(boxes, device=device) if boxes else None,
    )


def _upsample(logits: Tensor, embedding: Embedding, frame: int, plane: int) -> Mask:
    """Scale low-resolution logits (h, w) to the plane and threshold at 0, only where the object is.

    Gives the pixels of segment-anything's way (bilinear to the frame, crop, bilinear to the plane's size).
    """
    rows, cols = (_reach((logits > 0).any(1 - axis)) for axis in range(2))
    if rows is None or cols is None:
        return Mask((plane, 0, 0), np.zeros((0, 0, 0), bool))
    x = logits
    start = []
    for axis, (first, last) in enumerate((rows, cols)):
        low = _Stretch(logits.shape[axis], frame)
        full = _Stretch(embedding.input_size[axis], embedding.original_size[axis])
        # Linear interpolation reaches one source pixel beyond the object on each side.
        out0, out1 = full.covered(*low.covered(first - 1, last + 1))
        mid0, mid1 = full.needed(out0, out1)
        low0, low1 = low.needed(mid0, mid1)
        x = x.narrow(axis, low0, low1 - low0)
        x = low.sample(x, axis, low0, mid0, mid1)
        x = full.sample(x, axis, mid0, out0, out1)
        start.append(out0)
    return Mask.crop((x > 0).cpu().numpy(), (plane, start[0], start[1]))


def _reach(flags: Tensor) -> tuple[int, int] | None:
    hits = torch.nonzero(flags)
    return (int(hits[0]), int(hits[-1])) if len(hits) else None


class _Stretch:
    """Bilinear scaling of one axis from ``old`` to ``new`` pixels (``align_corners=False``), a part at a time."""

    def __init__(self, old: int, new: int) -> None:
        self.old, self.new, self.step = old, new, old / new

    def covered(self, first: int, last: int) -> tuple[int, int]:
        """Return the half-open range of new pixels that old pixels ``first`` to ``last`` may influence."""
        start = math.floor((first - 0.5) / self.step) - 1
        stop = math.ceil((last + 1.5) / self.step) + 1
        return max(0, min(start, self.new - 1)), max(1, min(stop, self.new))

    def needed(self, start: int, stop: int) -> tuple[int, int]:
        """Return the half-open range of old pixels that new pixels [start, stop) are made of."""
        first = math.floor((start + 0.5) * self.step - 0.5)
        last = math.floor(max(0.0, (stop - 0.5) * self.step - 0.5)) + 1
        return max(0, min(first, self.old - 1)), max(1, min(last + 1, self.old))

    def sample(self, x: Tensor, axis: int, origin: int, start: int, stop: int) -> Tensor:
        """Return new pixels [start, stop) from ``x``, which holds old pixels from ``origin`` on."""
        if self.old == self.new:
            return x.narrow(axis, start - origin, stop - start)
        where = (torch.arange(start, stop, device=x.device, dtype=torch.float64) + 0.5) * self.step - 0.5
        where = where.clamp(0, self.old - 1)
        low = where.floor().long()
        high = (low + 1).clamp(max=self.old - 1)
        weight = (where - low).to(x.dtype)
        weight = weight.reshape((-1, 1) if axis == 0 else (1, -1))
        lower = x.index_select(axis, low - origin)
        return lower + (x.index_select(axis, high - origin) - lower) * weight
