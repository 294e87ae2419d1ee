"""Interactive segmentation of volumes: an object is prompted in its middle plane and carried into all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...core import Image, Mask
from ...core.sections import planes_of, replaced, section_at
from ..models import Model
from ..project import Known, project_many
from ..reprompt import ProjectSettings
from ..store import open_store
from .interactive import InteractiveScore, InteractiveSettings, answers, check_labels, objects_of, painted
from .scores import score

#: Memory for embeddings, in bytes.
_BUDGET = 512 << 20


def evaluate_volume(
    model: Model,
    image: Image,
    labels: NDArray[np.integer],
    settings: InteractiveSettings | None = None,
    projecting: ProjectSettings | None = None,
) -> InteractiveScore:
    """Prompt every object of ``labels`` (planes, y, x) in its middle plane, correct it there, and carry it on.

    As micro-sam evaluates volumes. There is one step: what all corrections together lead to; by default there are
    none. ``projecting``: how objects are carried, by default as suits the model. Raises as ``evaluate_interactive``.
    """
    chosen = settings or InteractiveSettings(corrections=0)
    truth = check_labels(labels, image)
    objects = objects_of(truth)
    store = open_store(None, model, image, budget=_BUDGET)
    middles = [planes_of(one)[len(planes_of(one)) // 2] for one in objects]
    found: list[Mask] = [Mask((0, 0, 0), np.zeros((0, 0, 0), bool))] * len(objects)
    for plane in sorted(set(middles)):
        own = [place for place, middle in enumerate(middles) if middle == plane]
        sections = [section_at(objects[place], plane) for place in own]
        *_, masks = answers(model, store.plane(plane), sections, chosen)
        found = [dict(zip(own, masks, strict=True)).get(place, one) for place, one in enumerate(found)]
    seeded = [place for place, one in enumerate(found) if one.area]
    known = [Known({middles[place]: found[place]}) for place in seeded]
    parts: dict[int, dict[int, Mask]] = {place: {} for place in seeded}
    for some in project_many(model, store, known, projecting):
        for one in some:
            parts[seeded[one.place]][one.plane] = one.mask
    for place in seeded:
        found[place] = replaced(found[place], parts[place].keys(), list(parts[place].values()))
    ious = [_iou(one, mask) for one, mask in zip(objects, found, strict=True)]
    return InteractiveScore((score(truth, painted(found, image.shape)),), np.array(ious)[:, None])


def _iou(one: Mask, other: Mask) -> float:
    shared = one.shared(other) if other.area else 0
    return shared / (one.area + other.area - shared)
