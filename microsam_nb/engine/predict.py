"""Prompts to masks. Here, and nowhere else in the engine, coordinates become (x, y)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..core import BoxPrompt, Candidate, Mask, Point, Prompt, PromptError
from .decode import SparsePrompts, decode
from .embedding import Embedding
from .models import Model
from .precision import inference

#: Prompts decoded in one call; more do not fit the processor's cache.
_BATCH = 16


def predict(model: Model, embedding: Embedding, prompts: Sequence[Prompt]) -> Candidate:
    """Segment one object from points and at most one box, all in the plane of ``embedding``.

    A lone positive point is ambiguous: of three answers (four by nano) that with the highest predicted IoU is given.
    The mask may be empty when nothing is found. Raises PromptError without prompts, for prompts outside the
    image, in several planes, or for more than one box.
    """
    return predict_many(model, embedding, [prompts])[0]


def predict_many(model: Model, embedding: Embedding, objects: Sequence[Sequence[Prompt]]) -> list[Candidate]:
    """Segment one object per set of prompts; see ``predict``. Sets of the same form are answered together."""
    for prompts in objects:
        _check(prompts, embedding)
    forms: dict[tuple[int, bool], list[int]] = {}
    for index, prompts in enumerate(objects):
        points = sum(isinstance(p, Point) for p in prompts)
        forms.setdefault((points, points < len(prompts)), []).append(index)
    position = model.sam.prompt_encoder.get_dense_pe()
    answers: dict[int, Candidate] = {}
    for indices in forms.values():
        for start in range(0, len(indices), _BATCH):
            some = indices[start : start + _BATCH]
            found = _answer(model, embedding, position, [objects[i] for i in some])
            answers.update(zip(some, found, strict=True))
    return [answers[i] for i in range(len(objects))]


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


def _answer(
    model: Model, embedding: Embedding, position: Tensor, objects: Sequence[Sequence[Prompt]]
) -> Iterator[Candidate]:
    sparse = _to_frame(model, embedding, objects)
    form = objects[0]
    lone = len(form) == 1 and isinstance(form[0], Point)
    # nano's single answer has learned lone points too; segment-anything's is meant for unambiguous prompts.
    first = 0 if model.is_nano else 1
    with inference(model.device, model.precision):
        logits, scores = decode(model.sam, embedding.features, position, sparse, several=None if lone else False)
    for prompts, planes, quality in zip(objects, logits.float(), scores.float(), strict=True):
        best = 0
        if lone and isinstance(prompts[0], Point) and prompts[0].positive:
            best = first + int(quality[first:].argmax())
        mask = _upsample(planes[best], embedding, model.frame, prompts[0].plane)
        score = float(quality[best].clamp(0, 1))
        box = next((p for p in prompts if isinstance(p, BoxPrompt)), None)
        if box is not None and model.is_nano:
            mask = _within(mask, box)
        yield Candidate(mask, score, "box" if box is not None else "points")


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


def _to_frame(model: Model, embedding: Embedding, objects: Sequence[Sequence[Prompt]]) -> SparsePrompts:
    """Convert prompts of one form to the model's frame, as (x, y).

    segment-anything adds half a pixel to every coordinate, so a continuous point is first made a pixel index.
    """
    ys, xs = embedding.scale
    height, width = embedding.original_size
    points, signs = [], []
    boxes: list[tuple[float, float, float, float]] = []
    for prompts in objects:
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
