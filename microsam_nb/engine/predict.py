"""Prompts and embeddings to masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..core import BoxPrompt, Candidate, Mask, Prompt
from .decode import decode
from .embedding import Embedding
from .looks import Look, around, ladder, look, plausible
from .models import Model
from .precision import inference
from .prompting import Gathered, RegionUse, batches, box_of, gather, to_frame
from .tiling import Window

#: Objects whose closer looks are in memory at the same time.
_CLOSE = 8


def predict(
    model: Model,
    embedding: Embedding,
    prompts: Sequence[Prompt],
    *,
    previous: Mask | None = None,
    use: RegionUse | None = None,
) -> Candidate:
    """Segment one object from prompts of any kinds, all in the plane of ``embedding``.

    A lone positive point is ambiguous: of three answers (four by nano) that with the highest predicted IoU is given.
    nano looks closer at the object when the embedding holds the plane's pixels; ``previous``, the mask that the
    user is correcting, tells it where. ``use`` says how regions (ellipse, polygon, mask) are put to the model.
    The mask may be empty when nothing is found. Raises PromptError as ``prompting.gather`` does.
    """
    return predict_many(model, embedding, [prompts], previous=[previous], use=use)[0]


def predict_many(
    model: Model,
    embedding: Embedding,
    objects: Sequence[Sequence[Prompt]],
    *,
    previous: Sequence[Mask | None] | None = None,
    use: RegionUse | None = None,
) -> list[Candidate]:
    """Segment one object per set of prompts; see ``predict``. Sets of the same form are answered together."""
    asked = [gather(prompts, embedding.original_size, use) for prompts in objects]
    if not (model.is_nano and embedding.pixels is not None):
        whole = Look(Window(0, 0, *embedding.original_size), embedding)
        answers = _answer(model, [(whole, own) for own in asked])
        pairs = zip(asked, answers, strict=True)
        return [_best(model, own, [answer], embedding.original_size) for own, answer in pairs]
    before = previous or [None] * len(asked)
    found: list[Candidate] = []
    for start in range(0, len(asked), _CLOSE):
        some = slice(start, start + _CLOSE)
        found.extend(_look_closer(model, embedding, asked[some], before[some]))
    return found


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the decoder says to one question: logits (m, h, w) of all masks and their predicted IoU (m,)."""

    look: Look
    logits: Tensor
    scores: Tensor


def _look_closer(
    model: Model, embedding: Embedding, asked: Sequence[Gathered], previous: Sequence[Mask | None]
) -> Iterator[Candidate]:
    """Answer each object in a window around it; the size of what was only clicked at is found by trying several."""
    windows, questions = [], []
    for own, mask in zip(asked, previous, strict=True):
        some = _windows(model, embedding, own, mask)
        # What is being corrected is itself a prompt.
        full = replace(own, mask=mask) if own.mask is None and mask is not None and mask.area else own
        questions += [(one, full) for one in look(model, embedding, some)]
        windows.append(some)
    answers = iter(_answer(model, questions))
    for own, some in zip(asked, windows, strict=True):
        yield _best(model, own, [next(answers) for _ in some], embedding.original_size)


def _windows(model: Model, embedding: Embedding, asked: Gathered, previous: Mask | None) -> list[Window]:
    shape = embedding.original_size
    known = asked.mask if asked.mask is not None and asked.mask.area else previous
    boxes = [asked.box] if asked.box else []
    if known is not None and known.area:
        boxes.append(box_of(known, shape))
    if not boxes:
        return ladder(shape, asked.points)
    # Whatever was clicked at has to be seen as well.
    inside = [(p.y, p.x) for p in asked.points if p.positive]
    ys = [v for b in boxes for v in (b.y0, b.y1)] + [y for y, _ in inside]
    xs = [v for b in boxes for v in (b.x0, b.x1)] + [x for _, x in inside]
    extent = BoxPrompt(asked.plane, min(ys), min(xs), max(ys), max(xs))
    return [around(shape, extent, model.frame / model.enlargement)]


def _answer(model: Model, questions: Sequence[tuple[Look, Gathered]]) -> list[_Answer]:
    """Decode every question, those of one form together, and return the answers in the order of the questions."""
    moved = [own.move(asked) for own, asked in questions]
    position = model.sam.prompt_encoder.get_dense_pe()
    answers: dict[int, _Answer] = {}
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
            answers[i] = _Answer(own, planes, quality)
    return [answers[i] for i in range(len(questions))]


def _best(model: Model, asked: Gathered, answers: Sequence[_Answer], plane_size: tuple[int, int]) -> Candidate:
    """Return the best mask of all answers to one question, which differ in the window they were looked at in."""
    # segment-anything's single answer is meant for unambiguous prompts; nano's has learned lone points too.
    several = asked.ambiguous and len(answers[0].scores) > 1
    first = 1 if several and not model.is_nano else 0
    chosen, best, highest = answers[0], first, -math.inf
    for answer in answers:
        for index in range(first, len(answer.scores) if several else first + 1):
            quality = float(answer.scores[index])
            if len(answers) > 1:
                quality += plausible(answer.look, plane_size, model.frame, answer.logits[index])
            if quality > highest:
                chosen, best, highest = answer, index, quality
    plane = asked.plane
    mask = chosen.look.back(_upsample(chosen.logits[best], chosen.look.embedding, model.frame, plane), plane)
    if asked.box is not None and model.is_nano:
        mask = _within(mask, asked)
    origin = "region" if asked.mask is not None else "box" if asked.box is not None else "points"
    return Candidate(mask, float(chosen.scores[best].clamp(0, 1)), origin)


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
