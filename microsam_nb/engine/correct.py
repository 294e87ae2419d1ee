"""Masks that are there already, corrected by clicks: a positive one adds to a mask, a negative one takes away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import ndimage

from ..core import Candidate, Mask, MaskPrompt, Point, Prompt, PromptError, Scribble
from .models import Model
from .predict import predict_many
from .prompting import PointsOf, points_of
from .store import EmbeddingStore

#: Points that stand for the mask beside a positive click, and how many pixels they keep away from every click.
_STANDING, _APART = 3, 3.0
#: An object of which a negative click leaves no larger share is lost.
_LOST = 0.3
#: How far around a click its answer counts: so many times as far as it is from the border of what is wrong, and at
#: least this share of the mask's side.
_WIDTHS, _LEAST = 2.0, 0.6


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
    mask itself, with its box, is the prompt. Only what lies around the newest prompt changes. So no click makes
    another object of one that was carried to a plane.
    ``size``: as for ``predict_many``, which also says what is raised. Measured with simulated clicks, see
    tests/benchmarks/mending.py.
    """
    if len(masks) != len(objects):
        raise PromptError(f"There are {len(masks)} masks for {len(objects)} objects.", "Give one for each object.")
    asked, places = [], []
    for place, (prompts, mask) in enumerate(zip(objects, masks, strict=True)):
        ways = _ways(prompts, mask, store.shape[1:])
        asked += ways
        places += [place] * len(ways)
    answers = predict_many(model, store, asked, previous=[masks[place] for place in places], size=size)
    found: list[list[Candidate]] = [[] for _ in objects]
    for place, one in zip(places, answers, strict=True):
        found[place].append(_limited(one, masks[place], objects[place][-1]))
    return [_better(some, mask) for some, mask in zip(found, masks, strict=True)]


def _ways(prompts: Sequence[Prompt], mask: Mask, image: tuple[int, int]) -> list[list[Prompt]]:
    """Return what to ask: one question, or two of which the second is for where the first one loses the object."""
    if not mask.area:
        return [list(prompts)]
    if not _adds(prompts[-1]):
        return [list(prompts), [MaskPrompt(mask), *prompts]]
    clicks = [p for one in prompts for p in _points(one)]
    inside = (p for p in points_of(mask, image, PointsOf.SEVERAL) if p.positive)
    apart = [p for p in inside if all(math.dist((p.y, p.x), one) > _APART for one in clicks)]
    return [[*apart[:_STANDING], *prompts]]


def _limited(answer: Candidate, mask: Mask, newest: Prompt) -> Candidate:
    """Return what an answer changes of a mask around the newest prompt, in its direction only.

    How far around: a click in the middle of what is wrong is as far from its border as that is wide.
    """
    if not mask.area:
        return answer
    around = mask.box.union(answer.mask.box) if answer.mask.area else mask.box
    old, new = mask.dense_in(around)[0], answer.mask.dense_in(around)[0]
    changed = new & ~old if _adds(newest) else old & ~new
    _, top, left = around.start
    rows, columns = np.indices(old.shape)
    far, deep = np.full(old.shape, np.inf), 0.0
    # Beyond the box there is no object.
    border = ndimage.distance_transform_edt(~old if _adds(newest) else np.pad(old, 1))
    border = border if _adds(newest) else border[1:-1, 1:-1]
    for y, x in _points(newest):
        far = np.minimum(far, np.hypot(rows + 0.5 + top - y, columns + 0.5 + left - x))
        row, column = math.floor(y) - top, math.floor(x) - left
        if 0 <= row < old.shape[0] and 0 <= column < old.shape[1]:
            deep = max(deep, float(border[row, column]))
    changed &= far <= max(_WIDTHS * deep, _LEAST * math.sqrt(mask.area))
    both = old | changed if _adds(newest) else old & ~changed
    return Candidate(Mask.crop(both[None], around.start), answer.score, answer.origin)


def _better(answers: Sequence[Candidate], mask: Mask) -> Candidate:
    first = answers[0]
    return first if len(answers) == 1 or first.mask.area > _LOST * mask.area else answers[1]


def _adds(prompt: Prompt) -> bool:
    return isinstance(prompt, Point | Scribble) and prompt.positive


def _points(prompt: Prompt) -> list[tuple[float, float]]:
    """Return where a point or a scribble is, (y, x), a pixel apart at most."""
    if isinstance(prompt, Point):
        return [(prompt.y, prompt.x)]
    if not isinstance(prompt, Scribble):
        return []
    found = [prompt.points[0]]
    for (y0, x0), (y1, x1) in pairwise(prompt.points):
        steps = max(1, math.ceil(math.hypot(y1 - y0, x1 - x0)))
        found += [(y0 + (y1 - y0) * i / steps, x0 + (x1 - x0) * i / steps) for i in range(1, steps + 1)]
    return found
