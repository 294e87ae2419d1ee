"""Linking the objects of a movie for one annotator: requests to tracks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..core import Tracks
from ..engine.link import Kept, LinkSettings, check_linker, images_for, link_stepwise
from ..engine.link import Linked as LinkStep
from ..engine.models import Model
from ..engine.store import EmbeddingStore
from ..session import Action, Link, Linked, Working
from ..session.wording import be, listed
from .automatic import AutomaticService, paced
from .compute import compute


def link_all(automatic: AutomaticService, model: Model, store: EmbeddingStore, request: Link) -> Iterator[Action]:
    """Answer a request for all tracks: find the objects where they are not given, link them; yield how it goes."""
    names = {one.name for one in LinkSettings.describe()}
    settings = LinkSettings().changed({one.name: one.value for one in request.options if one.name in names})
    check_linker(settings)
    labels = request.labels
    if labels is None:
        found: list[NDArray[np.uint32]] = []
        yield from automatic.frames(model, store, request, found)
        (labels,) = found
    made: list[Tracks] = []
    around = request.around
    kept = None
    if around is not None:
        kept = Kept.of(Tracks(around.labels, around.lineage), around.only, around.first, around.free)

    def steps() -> Iterator[LinkStep]:
        for step in link_stepwise(labels, settings, images_for(settings, store.image), kept):
            if step.tracks is not None:
                made.append(step.tracks)
            yield step

    yield from paced(compute.steps(steps()), "Linking")
    yield Working(None)
    stays = () if kept is None else tuple(kept.tracks.present)
    about = "" if made[0].present else "No object is found in any frame."
    if kept is not None:
        about += f"{len(stays)} {be(len(stays))} kept."
        if lost := kept.lost(made[0]):
            about += f" {listed(lost, 'Track', len(lost))} no longer divide{'s' if len(lost) == 1 else ''} there."
    yield Linked.of(request.ticket, made[0], about, stays)
