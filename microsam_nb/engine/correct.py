"""Masks that are there already, corrected by clicks: a positive one adds to a mask, a negative one takes away."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..core import Candidate, Mask, MaskPrompt, Point, Prompt, PromptError, Scribble
from ..core.raster import union
from .models import Model
from .predict import predict_many
from .prompting import PointsOf, points_of
from .store import EmbeddingStore

#: Points that stand for the mask beside a positive click, and how many pixels they keep away from every click.
_STANDING, _APART = 3, 3.0
#: An object of which a negative click leaves no larger share is lost.
_LOST = 0.3
#: What shares less with a mask than this share of the smaller one is another object.
_ELSEWHERE = 0.1


def corrects(model: Model, prompts: Sequence[Prompt]) -> bool:
    """Whether prompts are a mask and clicks or strokes that correct it, which ``correct_many`` is for.

    segment-anything's models have learned to read a mask together with clicks; for nano there is a better way.
    """
    return (
        model.is_nano
        and len(prompts) > 1
        and isinstance(prompts[0], MaskPrompt)
        and isinstance(prompts[-1], Point | Scribble)
    )


def correct_many(
    model: Model,
    store: EmbeddingStore,
    objects: Sequence[Sequence[Prompt]],
    masks: Sequence[Mask],
    *,
    size: float | None = None,
) -> list[Candidate]:
    """Correct one mask of one plane per set of prompts, the newest last, which says what is wrong with the mask now.

    The newest is a point or a scribble. Where it is positive the object keeps what it has, and is asked for together
    with a few points of its inside; where it is negative nothing is added, and where the object would be lost the
    mask itself, with its box, is the prompt. So no click makes another object of one that was carried to a plane;
    but where a positive one, asked by itself, finds something elsewhere, that is the object.
    ``size``: as for ``predict_many``, which also says what is raised. Measured with simulated clicks, see
    tests/benchmarks/mending.py.
    """
    if len(masks) != len(objects):
        raise PromptError(f"There are {len(masks)} masks for {len(objects)} objects.", "Give one for each object.")
    asked: list[list[Prompt]] = []
    before: list[Mask | None] = []
    places = []
    for place, (prompts, mask) in enumerate(zip(objects, masks, strict=True)):
        for way, previous in _ways(prompts, mask, store.shape[1:]):
            asked.append(way)
            before.append(previous)
            places.append(place)
    answers = predict_many(model, store, asked, previous=before, size=size)
    found: list[list[Candidate]] = [[] for _ in objects]
    for place, one in zip(places, answers, strict=True):
        found[place].append(one)
    return [_chosen(some, mask, prompts[-1]) for some, mask, prompts in zip(found, masks, objects, strict=True)]


def _ways(prompts: Sequence[Prompt], mask: Mask, image: tuple[int, int]) -> list[tuple[list[Prompt], Mask | None]]:
    """Return what to ask, with what mask before: one question, or two of which ``_chosen`` takes one."""
    if not mask.area:
        return [(list(prompts), None)]
    if not _adds(prompts[-1]):
        return [(list(prompts), mask), ([MaskPrompt(mask), *prompts], mask)]
    clicks = [p for one in prompts for p in _points(one)]
    inside = (p for p in points_of(mask, image, PointsOf.SEVERAL) if p.positive)
    apart = [p for p in inside if all(math.dist((p.y, p.x), one) > _APART for one in clicks)]
    return [([*apart[:_STANDING], *prompts], mask), (list(prompts), None)]


def _chosen(answers: Sequence[Candidate], mask: Mask, newest: Prompt) -> Candidate:
    """Return what becomes of a mask: all of it and more where the newest prompt adds, else a part of it."""
    first = answers[0]
    if not mask.area:
        return first
    if _adds(newest):
        alone = answers[1]
        if alone.mask.area and alone.mask.shared(mask) < _ELSEWHERE * min(alone.mask.area, mask.area):
            return alone
        return Candidate(union([mask, first.mask]), first.score, first.origin)
    left = Mask.crop(first.mask.dense_in(mask.box) & mask.bitmap, mask.start)
    if left.area > _LOST * mask.area:
        return Candidate(left, first.score, first.origin)
    other = answers[1]
    return Candidate(Mask.crop(other.mask.dense_in(mask.box) & mask.bitmap, mask.start), other.score, other.origin)


def _adds(prompt: Prompt) -> bool:
    return isinstance(prompt, Point | Scribble) and prompt.positive


def _points(prompt: Prompt) -> list[tuple[float, float]]:
    if isinstance(prompt, Point):
        return [(prompt.y, prompt.x)]
    return list(prompt.points) if isinstance(prompt, Scribble) else []
