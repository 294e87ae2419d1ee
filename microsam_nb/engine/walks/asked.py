"""What the model is asked on the way, and what must be encoded before."""

from __future__ import annotations

from collections.abc import Sequence

from ...core import Mask, MaskPrompt, Prompt
from ...core.sections import overlap
from ..models import Model
from ..predict import needed, predict_many
from ..prompting import PointsOf, RegionUse, points_of
from ..reprompt import ProjectSettings, Reprompt
from ..store import EmbeddingStore, Item
from .walk import Question


def missing(
    model: Model, store: EmbeddingStore, questions: Sequence[Question], settings: ProjectSettings
) -> list[Item]:
    """Return what must be encoded before questions are answered."""
    full = [question for question in questions if question.mask.area]
    prompts, _ = _prompts(full, store.shape[1:], settings.prompt)
    return needed(model, store, prompts, use=_use(settings.prompt, settings.box_extension))


def answers(
    model: Model, store: EmbeddingStore, questions: Sequence[Question], settings: ProjectSettings
) -> list[tuple[Mask, float]]:
    """Return what the model makes of masks that lie in the planes asked about already, and its predicted IoU."""
    found = _asked(model, store, questions, settings, settings.prompt)
    if not settings.second_look:
        return found
    doubtful = [
        i
        for i, (question, (mask, score)) in enumerate(zip(questions, found, strict=True))
        if overlap(question.mask, mask) < settings.iou or score < settings.score
    ]
    others = Reprompt.CORRECTION if settings.prompt is not Reprompt.CORRECTION else Reprompt.POINTS_AND_MASK
    again = _asked(model, store, [questions[i] for i in doubtful], settings, others)
    for i, other in zip(doubtful, again, strict=True):
        # What the model believes in more, and only if it would not end the object as well.
        if other[1] > found[i][1] and overlap(questions[i].mask, other[0]) >= settings.iou:
            found[i] = other
    return found


def _asked(
    model: Model, store: EmbeddingStore, questions: Sequence[Question], settings: ProjectSettings, how: Reprompt
) -> list[tuple[Mask, float]]:
    full = [question for question in questions if question.mask.area]
    prompts, before = _prompts(full, store.shape[1:], how)
    use = _use(how, settings.box_extension)
    found = iter(predict_many(model, store, prompts, previous=before, use=use) if full else [])
    out = []
    for question in questions:
        if not question.mask.area:
            out.append((question.mask, 0.0))
            continue
        one = next(found)
        out.append((one.mask, float(one.score)))
    return out


def _prompts(
    questions: Sequence[Question], size: tuple[int, int], how: Reprompt
) -> tuple[list[Sequence[Prompt]], list[Mask | None]]:
    """Return how masks are put to the model, and what is corrected by that."""
    if how is Reprompt.CORRECTION:
        points = [points_of(question.mask, size, PointsOf.SEVERAL) for question in questions]
        return list(points), [question.mask for question in questions]
    return [[MaskPrompt(question.mask)] for question in questions], [None] * len(questions)


def _use(how: Reprompt, reach: float) -> RegionUse | None:
    """Return how a mask is put to the model as micro-sam puts it."""
    if how is Reprompt.CORRECTION:
        return None
    if how is Reprompt.SINGLE_POINT:
        return RegionUse(box=False, mask=False, points=PointsOf.DEEPEST)
    if how in (Reprompt.POINTS, Reprompt.POINTS_AND_MASK):
        return RegionUse(box=False, mask=how is Reprompt.POINTS_AND_MASK, points=PointsOf.SEVERAL)
    return RegionUse(box=True, mask=how is Reprompt.MASK, box_extension=reach)
