"""What a session asks the model about the object in hand."""

from __future__ import annotations

import heapq
import math
import statistics
from typing import TYPE_CHECKING

from ..core import Labels
from .planes import fixed_planes, in_hand, stop_planes
from .requests import Extend, Predict, Question
from .state import State
from .volumes import base, slices

if TYPE_CHECKING:
    from .session import Session

#: Of how many committed objects the usual size is taken, and how many it needs.
_NEWEST, _FEW = 32, 3


def question(session: Session, ticket: int) -> Question:
    """Return what is to be asked: to carry the object through the planes, or about the prompts of one plane."""
    state = session.state
    if state.extension is not None and state.extending:
        return Extend(
            ticket, slices(state), tuple(one.mask for one in state.proposals), _ends(session),
            state.extension.planes, state.extension.options, state.extension.taken,
        )  # fmt: skip
    plane = state.stale[-1] if state.stale else state.prompts[-1].plane
    objects = in_hand(state, plane)
    return Predict(ticket, objects, _usual_size(session.labels), plane, base(state, plane, len(objects)))


def plane_to_ask(state: State, planes: int) -> tuple[int, ...]:
    """Return the plane whose prompts are asked about when all are answered: the one on screen if it has some."""
    fixed = fixed_planes(state.prompts) if planes > 1 else ()
    shown = state.browsing.plane
    return (shown if shown in fixed else fixed[-1],) if fixed else ()


def _ends(session: Session) -> tuple[int, ...]:
    """Return the planes which the object in hand does not reach: stops; where its daughters, or its mother, are."""
    state, stops = session.state, set(stop_planes(session.state.prompts))
    if state.lineage is not None:
        mother = state.mother
        if state.target in state.lineage:
            mother = state.lineage.parent(state.target) or 0
            stops |= {session.frames(one)[0] for one in state.lineage.children(state.target)}
        stops |= {session.frames(mother)[-1]} if mother else set()
    return tuple(sorted(stops))


def _usual_size(labels: Labels) -> float | None:
    """Return the median diameter of the newest objects in their planes, in pixels, None when they are few."""
    newest = heapq.nlargest(_NEWEST, labels)
    if len(newest) < _FEW:
        return None
    areas = [labels.area(one) / labels.box(one).shape[0] for one in newest]
    return math.sqrt(statistics.median(areas) * 4 / math.pi)
