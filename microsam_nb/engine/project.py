"""Objects carried from the planes in which they are known into all others, many at a time.

The mask of one plane is put to the model as prompts in the next, outwards until the object ends, and between two
known planes from both sides to the middle: the way of micro-sam (Archit et al., Nature Methods 2025). Beyond that an
object is also known by how it stands out from its surroundings, and where the two sides do not agree in the middle
the shape that is interpolated between them is what is put to the model.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

from ..core import Mask, Section
from .models import Model
from .reprompt import ProjectSettings, project_settings_for
from .store import EmbeddingStore, Item
from .walks import Known, Question, Walk, answers, case_of, faded, missing, walks_of

__all__ = ["Known", "project", "project_many"]

#: Objects asked for in one call: between two calls other work may come.
_TOGETHER = 8


def project(
    model: Model,
    store: EmbeddingStore,
    seeds: Mapping[int, Mask],
    settings: ProjectSettings | None = None,
    *,
    stops: Sequence[int] = (),
) -> Iterator[Section]:
    """Carry one object through the planes; yield it in each plane that is found, nearest to the seeds first.

    ``seeds``: masks of one plane each, by plane. ``settings``: by default those that suit the model. The object ends
    before a plane in ``stops``. Stop iterating to leave. Raises PromptError without seeds and for seeds outside the
    image, StoreError when an embedding is missing and cannot be computed.
    """
    for found in project_many(model, store, [Known(seeds)], settings, stops=stops):
        yield from found


def project_many(
    model: Model,
    store: EmbeddingStore,
    objects: Sequence[Known],
    settings: ProjectSettings | None = None,
    *,
    stops: Sequence[int] = (),
) -> Iterator[list[Section]]:
    """Carry several objects at a time, as ``project`` does; yield what one call of the model has found.

    Sections say by ``place`` which object they are of. A section of area 0: the object is no longer in that plane.
    An empty list is a place to do something else, and to leave: while a plane is encoded, or a cell is looked for.
    """
    own = settings or project_settings_for(model.spec.name, model.spec.architecture)
    cases = [case_of(store, own, place, one, stops) for place, one in enumerate(objects)]
    pale = [section for case, one in zip(cases, objects, strict=True) for section in faded(case, one.changed)]
    if pale:
        yield pale
    walks = [walk for case, one in zip(cases, objects, strict=True) for walk in walks_of(case, one.changed)]
    while walks:
        asked = yield from _questions(walks, looked_for=own.motion and own.search > 0)
        for start in range(0, len(asked), _TOGETHER):
            some = asked[start : start + _TOGETHER]
            questions = [question for _, question in some]
            yield from _encoded(store, missing(model, store, questions, own))
            found = []
            for (walk, question), (mask, score) in zip(some, answers(model, store, questions, own), strict=True):
                found += walk.take(question, mask, score)
            yield found
        following = (walk.after() if walk.done else walk for walk in walks)
        walks = [walk for walk in following if walk is not None]


def _questions(
    walks: Sequence[Walk], *, looked_for: bool
) -> Generator[list[Section], None, list[tuple[Walk, Question]]]:
    """Return what all walks ask, by plane: those that are in the same plane share its embedding."""
    asked = []
    for walk in walks:
        asked += [(walk, question) for question in walk.questions()]
        if looked_for:
            yield []
    return sorted(asked, key=lambda one: one[1].plane)


def _encoded(store: EmbeddingStore, items: Sequence[Item]) -> Iterator[list[Section]]:
    """Encode what is missing, and yield between the blocks of the network."""
    for item in items:
        for _ in store.fill_stepwise([item]):
            yield []
