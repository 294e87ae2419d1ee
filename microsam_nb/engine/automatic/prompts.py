"""Automatic prompt generation (APG): the instance decoder says where objects are, the mask decoder draws them.

Method of Archit et al., "Revisiting foundation models for cell instance segmentation" (MIDL 2026, arXiv 2603.17845).
Every answer is kept by its prompt, so that moving a threshold asks only what was not asked before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...core import BoxPrompt, Mask, Point
from ..answer import Chosen, answer, choose, drawn
from ..decode import together
from ..looks import Look
from ..models import Model
from ..predict import predict_many
from ..prompting import Gathered, box_of
from ..store import EmbeddingStore
from ..tiling import Window
from .answers import Answers, Asked, Found, proposals_of
from .batches import Batches
from .distances import Smooth, flooded, within_limits
from .proposals import Proposals
from .select import suppress_masks
from .settings import PromptOf, PromptSettings
from .views import View, views

#: How far a box of the second look reaches beyond the first answer, as a share of its sides.
_GROWN = 0.01


def expected(parts: Smooth, settings: PromptSettings, plane: int) -> list[Asked]:
    """Return what to ask: one prompt for each seed.

    The point is the deepest by the predicted distances, not by the shape of the seed, so that it stays where it is
    when thresholds move.
    """
    seeds = parts.seeds(settings)
    count = int(seeds.max(initial=0))
    if not count:
        return []
    places = ndimage.minimum_position(parts.boundary + parts.centre, seeds, range(1, count + 1))
    points = [Point(plane, float(y) + 0.5, float(x) + 0.5) for y, x in places]
    if settings.prompt is PromptOf.POINT:
        return [Asked(point, None, settings.multimask, settings.refine) for point in points]
    out: list[Asked] = []
    labels = flooded(parts, seeds)
    for number, (point, place) in enumerate(zip(points, ndimage.find_objects(labels), strict=False), start=1):
        if place is None:
            continue
        if settings.prompt is PromptOf.REGION:
            region = Mask((plane, place[0].start, place[1].start), (labels[place] == number)[None])
            out.append(Asked(None, None, region=region))
        else:
            box = BoxPrompt(plane, place[0].start, place[1].start, place[0].stop, place[1].stop)
            told = point if settings.prompt is PromptOf.BOTH else None
            out.append(Asked(told, box, settings.multimask, settings.refine))
    return out


def ask(
    model: Model,
    store: EmbeddingStore,
    plane: int,
    wanted: Sequence[Asked],
    answers: Answers,
    *,
    zoom: float = 1.0,
    batches: Batches | None = None,
) -> Iterator[tuple[int, int]]:
    """Answer what was not answered yet, window by window; yield how many of how many are done."""
    missing = [one for one in dict.fromkeys(wanted) if one not in answers.found]
    done = len(set(wanted)) - len(missing)
    total = done + len(missing)
    batches = batches or Batches(together(model.device))
    yield done, total
    for view, some in _by_view(model, store, plane, missing, zoom):
        for part in batches.run(some, lambda part, view=view: _answer(model, store, view, part)):  # type: ignore[misc]
            answers.found.update(part)
            done += len(part)
            yield done, total


def _by_view(
    model: Model, store: EmbeddingStore, plane: int, missing: Sequence[Asked], zoom: float
) -> Iterator[tuple[View | None, list[Asked]]]:
    """Sort prompts to the windows that show them best; None for regions, and what fits into none of them.

    A region says how large its object is: it is looked at in a window of its own, at the scale that suits it.
    """
    some = views(model, store, plane, zoom)
    # Inner windows make up the plane row by row.
    rows = np.unique([one.inner.y0 for one in some])
    columns = np.unique([one.inner.x0 for one in some])
    places: dict[int, list[Asked]] = {}
    for one in missing:
        row, column = (
            int(np.searchsorted(a, v, "right")) - 1 for a, v in zip((rows, columns), one.middle, strict=True)
        )
        index = row * len(columns) + column
        alone = one.region is not None or not _shows(some[index].outer, one)
        places.setdefault(-1 if alone else index, []).append(one)
    for index, prompts in sorted(places.items()):
        yield (some[index] if index >= 0 else None), prompts


def _shows(window: Window, one: Asked) -> bool:
    box = one.box
    return box is None or (window.y0 <= box.y0 and box.y1 <= window.y1 and window.x0 <= box.x0 and box.x1 <= window.x1)


def _answer(model: Model, store: EmbeddingStore, view: View | None, some: Sequence[Asked]) -> dict[Asked, Found]:
    if view is None:
        return _by_themselves(model, store, some)
    size, single = store.shape[1:], not some[0].multimask
    look = Look(view.outer, view.load())
    gathered = [Gathered(one.plane, (one.point,) if one.point is not None else (), one.box) for one in some]
    chosen = _chosen(model, look, gathered, size, single)
    if some[0].refine:
        masks = [drawn(model, own, one).mask for own, one in zip(gathered, chosen, strict=True)]
        gathered = [
            Gathered(own.plane, own.points, box_of(mask, size, _GROWN)) if mask.area else own
            for own, mask in zip(gathered, masks, strict=True)
        ]
        chosen = _chosen(model, look, gathered, size, single)
    out = {}
    for asked, own, one in zip(some, gathered, chosen, strict=True):
        logits = one.answer.logits[one.row]
        stability = float((logits > 1).sum()) / max(1.0, float((logits > -1).sum()))
        score = float(one.answer.scores[one.row])
        out[asked] = Found(drawn(model, own, one).mask, score, stability, view.outer)
    return out


def _by_themselves(model: Model, store: EmbeddingStore, some: Sequence[Asked]) -> dict[Asked, Found]:
    """Answer as prompts on the screen are, in windows of their own."""
    found = predict_many(model, store, [one.prompts for one in some])
    whole = Window(0, 0, *store.shape[1:])
    # Nothing is known of how stable they are.
    return {asked: Found(one.mask, one.score, 1.0, whole) for asked, one in zip(some, found, strict=True)}


def _chosen(
    model: Model, look: Look, gathered: Sequence[Gathered], size: tuple[int, int], single: bool
) -> list[Chosen]:
    answers = answer(model, [(look, own) for own in gathered], single=single)
    return [choose(model, own, [one], size) for own, one in zip(gathered, answers, strict=True)]


def proposals(
    answers: Answers,
    wanted: Sequence[Asked],
    size: tuple[int, int],
    plane: int,
    settings: PromptSettings,
    foreground: NDArray[np.floating],
) -> Proposals:
    """Return the answers to some prompts, each once.

    What was asked with a region has a second opinion: the score counts times the mean of ``foreground`` (y, x) in the
    region, and the region stays where the answer is not trusted, or is another object.
    """
    found = []
    for one in dict.fromkeys(wanted):
        answered = answers.found[one]
        if one.region is None:
            if answered.mask.area:
                found.append(answered)
            continue
        _, rows, columns = one.region.box.slices
        sure = float(foreground[rows, columns][one.region.bitmap[0]].mean(dtype=np.float64))
        trusted = answered.score >= settings.trust and answered.mask.iou(one.region) > 0.5
        mask = answered.mask if trusted else one.region
        found.append(replace(answered, mask=mask, score=answered.score * sure))
    return proposals_of(found, size, plane)


def choose_masks(found: Proposals, settings: PromptSettings) -> Proposals:
    """Return the proposals that become objects, best first: the cheap stage. Quality counts times stability."""
    s = settings
    found = found[within_limits(found.areas, s) & (found.scores >= s.min_score)]
    order = suppress_masks(found.masks, found.scores * found.stability, s.nms, over_smaller=s.over_smaller)
    return found[order]
