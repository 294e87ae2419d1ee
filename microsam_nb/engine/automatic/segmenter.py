"""All objects of a plane, in two stages: what the model has to compute, and what settings make of it."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ...core import Candidate, StoreError
from ...core.image import is_large, spread
from ..decode import together
from ..models import Model
from ..store import EmbeddingStore
from .answers import Asked
from .batches import Batches
from .distances import Smooth, flooded, objects_of, selected, smooth, typical_size
from .grid import candidates_of, choose, find_by_grid, floor_of
from .kept import Kept, PlaneMaps
from .maps import Scale, check_decoder, decoder_identity, find_scale, fitting, plane_maps
from .prompts import ask, choose_masks, expected, proposals
from .proposals import Proposals
from .select import painted
from .settings import AutomaticSettings, GridSettings, Mode, PromptSettings, mode_of

_Found = TypeVar("_Found")
#: Answers to automatic prompts that are kept beside those that are needed.
_SPARE = 4000
#: Planes of a volume in which the size of objects is measured.
_MEASURED = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """The expensive stage has done ``done`` of ``total`` ``unit``; ``note``: what there is to say about it."""

    done: int
    total: int
    unit: str
    note: str = ""


class Segmenter:
    """Finds all objects of the planes of a store, with any settings; safe to share between threads.

    ``prepare`` computes what is missing with the model, ``candidates`` and ``labels`` make objects of it in a
    fraction of a second. ``kept`` remembers the results of the model, by default in memory. ``batch``: prompts that
    are answered together, by default what suits the device; it is halved where the memory does not suffice. ``zoom``:
    what ``measure`` of another one of the same image has found.
    """

    def __init__(
        self,
        model: Model,
        store: EmbeddingStore,
        kept: Kept | None = None,
        batch: int | None = None,
        zoom: float | None = None,
    ) -> None:
        self.model, self.store = model, store
        self.kept = Kept(store.key) if kept is None else kept
        self.kept.belong_to(decoder_identity(model))
        self.batches = Batches(batch or together(model.device))
        self._measured = zoom
        self._smooth: tuple[tuple[object, ...], Smooth] | None = None
        self._said = 0
        self._lock = threading.Lock()

    def prepared(self, plane: int, settings: AutomaticSettings) -> bool:
        """Whether nothing has to be computed by the model for these settings."""
        mode = mode_of(settings)
        if isinstance(settings, GridSettings):
            return self._grid(plane, settings) is not None
        if self._maps(plane, settings) is None:
            return False
        if mode is Mode.APG:
            assert isinstance(settings, PromptSettings)
            known = self.kept.answers(plane, self._zoom(settings)).found
            return all(one in known for one in self._expected(plane, settings))
        return True

    def prepare(self, plane: int, settings: AutomaticSettings) -> Iterator[Progress]:
        """Compute what these settings need of a plane, unless it is known; stop iterating to cancel.

        Raises ModelError when an instance decoder is needed and missing, and StoreError when an embedding is missing
        and cannot be computed, or when the plane is too large to be held in memory.
        """
        mode_of(settings)
        self.store.key.check_model(self.model, "The store")
        if is_large(self.store.key.shown_shape):
            raise StoreError(
                "This plane is too large to be segmented in one piece.",
                "Use segment_large, or the command 'segment', which go through it in blocks.",
            )
        if not isinstance(settings, GridSettings):
            check_decoder(self.model)
        yield from self.measure(settings)
        if isinstance(settings, GridSettings):
            yield from self._prepare_grid(plane, settings)
            return
        yield from self._prepare_maps(plane, settings)
        if isinstance(settings, PromptSettings):
            yield from self._prepare_answers(plane, settings)

    def candidates(self, plane: int, settings: AutomaticSettings) -> list[Candidate]:
        """Return the objects of a plane that is prepared; those of a grid and of prompts may overlap.

        Raises StoreError for a plane that is not prepared.
        """
        mode = mode_of(settings)
        if mode is Mode.AIS:
            maps = _needed(self._maps(plane, settings), plane)
            return objects_of(self.labels(plane, settings), maps.maps[0], plane)
        found = self.chosen(plane, settings)
        # Of those that overlap the first gets the pixels, as in ``labels``.
        order = np.argsort(found.areas if mode is Mode.AMG else -found.areas, kind="stable")
        return candidates_of(found[order], str(mode))

    def labels(self, plane: int, settings: AutomaticSettings) -> NDArray[np.uint32]:
        """Return the objects of a plane that is prepared as labels uint32 (y, x), numbered from 1.

        Where masks overlap a pixel goes to the smallest (AMG) or to the largest (APG), as in micro-sam. Raises
        StoreError for a plane that is not prepared.
        """
        if mode_of(settings) is Mode.AIS:
            assert not isinstance(settings, GridSettings)
            maps = _needed(self._maps(plane, settings), plane)
            parts = self._smoothed(plane, maps, settings)
            return selected(flooded(parts, parts.seeds(settings)), maps.maps[0], settings).astype(np.uint32)
        found = self.chosen(plane, settings)
        return painted(found.masks, found.size, larger_first=not isinstance(settings, GridSettings))

    def chosen(self, plane: int, settings: AutomaticSettings) -> Proposals:
        """Return the masks of a grid or of prompts that become objects, best first. Raises StoreError."""
        if isinstance(settings, GridSettings):
            return choose(_needed(self._grid(plane, settings), plane), settings)
        assert isinstance(settings, PromptSettings)
        return choose_masks(self._answered(plane, settings), settings)

    def spread(self, plane: int, settings: AutomaticSettings) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return scores in 0..1 and areas in pixels, both (n,), of what limits of score and size choose from.

        Raises StoreError for a plane that is not prepared.
        """
        if isinstance(settings, GridSettings):
            whole = _needed(self._grid(plane, settings), plane)
        elif isinstance(settings, PromptSettings):
            whole = self._answered(plane, settings)
        else:
            maps = _needed(self._maps(plane, settings), plane)
            parts = self._smoothed(plane, maps, settings)
            labels = flooded(parts, parts.seeds(settings))
            areas = np.bincount(labels.ravel())[1:]
            sums = np.bincount(labels.ravel(), weights=maps.maps[0].ravel())[1:]
            there = areas > 0
            return (sums[there] / areas[there]).clip(0, 1).astype(np.float32), areas[there]
        return whole.scores.clip(0, 1), whole.areas

    def _answered(self, plane: int, settings: PromptSettings) -> Proposals:
        wanted = self._expected(plane, settings)
        answers = self.kept.answers(plane, self._zoom(settings))
        if any(one not in answers.found for one in wanted):
            raise _unprepared(plane)
        foreground = _needed(self._maps(plane, settings), plane).maps[0]
        return proposals(answers, wanted, self.store.shape[1:], plane, settings, foreground)

    @property
    def zoom(self) -> float | None:
        """Frame pixels per pixel at which nano looks at the image, None before it is measured."""
        return self._measured

    def _scaled(self, settings: AutomaticSettings) -> bool:
        """Whether it is known at which scale to look at the image."""
        return self._measured is not None or not self._looks_closer or settings.diameter > 0

    def _zoom(self, settings: AutomaticSettings) -> float:
        if not self._looks_closer:
            return 1.0
        if settings.diameter > 0:
            return fitting(self.model, settings.diameter)
        return self._measured or 1.0

    @property
    def _looks_closer(self) -> bool:
        return self.model.is_nano and self.model.distances is not None and self.store.has_image

    def measure(self, settings: AutomaticSettings) -> Iterator[Progress]:
        """Find out how large objects are, where these settings need it and it is not known yet.

        In volumes from a few planes, so that all are seen at one scale.
        """
        if self._scaled(settings):
            return
        zooms = []
        for plane in spread(self.store.shape[0], _MEASURED):
            scale = Scale(1.0, None)
            for looks, scale in enumerate(find_scale(self.model, self.store, plane)):  # noqa: B007 - the last counts
                yield Progress(looks, 0, "looks")
            zooms.append((scale.size is not None, scale.zoom))
        # Planes in which something was found decide.
        seen = [zoom for found, zoom in zooms if found] or [zoom for _, zoom in zooms]
        self._measured = statistics.median_low(seen)

    def _prepare_maps(self, plane: int, settings: AutomaticSettings) -> Iterator[Progress]:
        if self._maps(plane, settings) is not None:
            return
        zoom = self._zoom(settings)
        for done, total, maps in plane_maps(self.model, self.store, plane, zoom):
            yield Progress(done, total, "windows" if self.model.is_nano else "tiles")
            if maps is not None:
                self.kept.put_maps(plane, zoom, PlaneMaps(maps.astype(np.float16), typical_size([maps])))

    def _prepare_grid(self, plane: int, settings: GridSettings) -> Iterator[Progress]:
        if self._grid(plane, settings) is not None:
            return
        floor, parts = floor_of(settings.pred_iou), []
        grid = find_by_grid(
            self.model, self.store, plane, settings, zoom=self._zoom(settings), floor=floor, batches=self.batches
        )
        for done, total, found in grid:
            parts.append(found)
            yield Progress(done, total, "points", self._note())
        whole = Proposals.joined(parts, self.store.shape[1:], plane)
        self.kept.put_grid(plane, self._about(settings), floor, whole)

    def _prepare_answers(self, plane: int, settings: PromptSettings) -> Iterator[Progress]:
        zoom, wanted = self._zoom(settings), self._expected(plane, settings)
        answers = self.kept.answers(plane, zoom)
        if all(one in answers.found for one in wanted):
            return
        steps = ask(self.model, self.store, plane, wanted, answers, zoom=zoom, batches=self.batches)
        for done, total in steps:
            yield Progress(done, total, "prompts", self._note())
        # Of what was asked for other settings the rest would grow with every one that is tried.
        answers.forget(wanted, _SPARE)
        self.kept.put_answers(plane, zoom, answers)

    def _maps(self, plane: int, settings: AutomaticSettings) -> PlaneMaps | None:
        return self.kept.maps(plane, self._zoom(settings)) if self._scaled(settings) else None

    def _grid(self, plane: int, settings: GridSettings) -> Proposals | None:
        if not self._scaled(settings):
            return None
        return self.kept.grid(plane, self._about(settings), settings.pred_iou)

    def _about(self, settings: GridSettings) -> dict[str, object]:
        return {**settings.costly(), "diameter": 0.0, "zoom": round(self._zoom(settings), 6)}

    def _expected(self, plane: int, settings: PromptSettings) -> list[Asked]:
        maps = _needed(self._maps(plane, settings), plane)
        return expected(self._smoothed(plane, maps, settings), settings, plane)

    def _smoothed(self, plane: int, maps: PlaneMaps, settings: AutomaticSettings) -> Smooth:
        """Return smoothed maps; those of the last plane are kept, for whoever moves another slider."""
        assert not isinstance(settings, GridSettings)
        s = settings
        about = (plane, self._zoom(s), s.foreground, s.foreground_smoothing, s.distance_smoothing, s.smoothing_share)
        with self._lock:
            if self._smooth is not None and self._smooth[0] == about:
                return self._smooth[1]
        made = smooth(maps.maps, s, s.diameter or maps.size)
        with self._lock:
            self._smooth = about, made
        return made

    def _note(self) -> str:
        """Return what the batches have to say that was not said yet."""
        new = self.batches.notes[self._said :]
        self._said += len(new)
        return " ".join(new)


def _needed(found: _Found | None, plane: int) -> _Found:
    if found is None:
        raise _unprepared(plane)
    return found


def _unprepared(plane: int) -> StoreError:
    return StoreError(f"Plane {plane} is not prepared.", "Go through prepare(plane, settings) first.")
