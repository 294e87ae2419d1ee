"""Objects of single frames linked to tracks, with divisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import Image
from ..core.tracks import Tracks
from .linking.around import Kept
from .linking.assign import Link, link_frames
from .linking.learned import check_trackastra, links_by_trackastra
from .linking.merged import through_merged
from .linking.objects import Objects, together
from .linking.rest import Costs, costs_of_rest, link_rest
from .linking.settings import Linker, LinkSettings

__all__ = ["Kept", "Linked", "Linker", "LinkSettings", "check_linker", "images_for", "link", "link_stepwise"]


@dataclass(frozen=True, slots=True)
class Linked:
    """``done`` of ``total`` frames are linked; the last step has the ``tracks``."""

    done: int
    total: int
    unit: str = "frames"
    note: str = ""
    tracks: Tracks | None = None


def link(
    frames: Sequence[ArrayLike] | NDArray[np.integer],
    settings: LinkSettings = LinkSettings(),
    images: NDArray[Any] | None = None,
) -> Tracks:
    """Return the tracks of labels (frames, h, w), or a sequence of (h, w), whose numbers differ from frame to frame.

    ``images`` (frames, h, w) are looked at by the linker trackastra only. Raises LabelError for what is no labels, or
    frames of different shapes, and ModelError where the linker cannot be used.
    """
    for step in link_stepwise(frames, settings, images):
        if step.tracks is not None:
            return step.tracks
    raise AssertionError("The last step has the tracks.")


def link_stepwise(
    frames: Sequence[ArrayLike] | NDArray[np.integer],
    settings: LinkSettings = LinkSettings(),
    images: NDArray[Any] | None = None,
    kept: Kept | None = None,
) -> Iterator[Linked]:
    """Link as ``link`` does, frame by frame, twice; the last step has the tracks. Stop iterating to cancel.

    ``kept``: tracks that stay as they are, with their numbers; only what they leave is linked.
    """
    labels = together(frames)
    if kept is not None:
        seen = None if images is None else images[kept.start :]
        # How long a track is shows once it is joined with what is kept of it.
        for step in link_stepwise(kept.rest(labels), settings.changed({"min_length": 1}), seen):
            tracks = step.tracks if step.tracks is None else kept.joined(step.tracks)
            if tracks is not None:
                tracks = tracks.without(_short(tracks, settings.min_length) - set(kept.tracks.present))
            yield replace(step, tracks=tracks)
        return
    total = len(labels)
    if settings.linker is Linker.TRACKASTRA:
        yield Linked(0, total)
        tracks = Tracks.from_links(labels, links_by_trackastra(labels, images, settings))
    else:
        objects = Objects.of(labels)
        links: list[Link] = []
        yield Linked(min(1, total - 1), total)
        for frame, some in enumerate(link_frames(objects, settings), start=2):
            links += some
            yield Linked(min(frame, total - 1), total)
        links = through_merged(objects, links, settings.gap)
        costs: list[Costs] = []
        for cost in costs_of_rest(objects, links, settings):
            costs.append(cost)
            yield Linked(total - 1, total)
        links += link_rest(objects, costs)
        spots = list(zip(objects.frame.tolist(), objects.number.tolist(), strict=True))
        tracks = Tracks.from_links(labels, [(spots[a], spots[b]) for a, b in links])
    yield Linked(total, total, tracks=_long_enough(tracks, settings.min_length))


def images_for(settings: LinkSettings, image: Image | None) -> NDArray[Any] | None:
    """Return what the linker looks at, (frames, h, w): the brightness of a movie; None for those that do not."""
    if settings.linker is not Linker.TRACKASTRA or image is None:
        return None
    pixels = np.asarray(image.pixels)
    return np.asarray(pixels.mean(axis=-1)) if image.channels else pixels


def check_linker(settings: LinkSettings) -> None:
    """Raise ModelError where the linker is not installed."""
    if settings.linker is Linker.TRACKASTRA:
        check_trackastra()


def _long_enough(tracks: Tracks, least: int) -> Tracks:
    """Return the tracks of ``least`` frames from first to last or more, and those that have relatives."""
    short = _short(tracks, least)
    return tracks.without(short).numbered() if short else tracks


def _short(tracks: Tracks, least: int) -> set[int]:
    """Return the tracks of less than ``least`` frames that have no relatives."""
    mothers, spans = tracks.lineage.parents, tracks.spans
    return {
        track
        for track, some in tracks.lineage.daughters.items()
        if not some and track not in mothers and spans[track][1] - spans[track][0] + 1 < least
    }
