"""Where engine and session meet: requests are computed, answers are actions."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ..core import BoxPrompt, Candidate, Image, Mask, Point, Section, StoreError
from ..engine.correct import corrects
from ..engine.download import cached_files, download
from ..engine.embed import embed_stepwise
from ..engine.finding import find_weights, is_name
from ..engine.load import load_model
from ..engine.models import Model
from ..engine.plan import choose_tiling
from ..engine.predict import predict_many, predict_stepwise
from ..engine.project import Known, project_many
from ..engine.registry import registered
from ..engine.reprompt import project_settings_for
from ..engine.store import EmbeddingStore, Item, open_store
from ..session import (
    Action,
    Embed,
    Embedded,
    Extend,
    Extended,
    Fit,
    Glimpsed,
    Link,
    LoadModel,
    ModelLoaded,
    Predict,
    Predicted,
    Request,
    SegmentAll,
    Work,
    Working,
)
from .answers import Group, answers_to, corrected, measure, measures, with_base, without_begin
from .automatic import AutomaticService
from .compute import compute
from .tracking import link_all

_log = logging.getLogger("microsam_nb")

#: Loads a model by its name or path, and a device.
Load = Callable[[str | os.PathLike[str], str], Model]

#: Bytes of answers kept, so that an undo or a further object in a batch costs nothing.
_KEPT = 64 * 2**20
#: Tiles prepared around what is looked at; the others when somebody clicks into them, or looks there.
_AHEAD = 64
#: Seconds between two reports of progress.
_PAUSE = 0.2
#: Bytes of embeddings of other planes that are kept in memory where there is no folder for them.
_MOST = 2 * 2**30


class EngineService:
    """Answers the requests of one session about one image; safe to call from several threads.

    What models compute, they compute on one thread; downloads wait on that of the caller.

    ``model`` is loaded, and if need be downloaded, when it is first needed. ``folder``: where embeddings that take
    long are kept on disk, None for memory. ``embeddings``: a store or its address, used instead, and completed where it
    can be written, for the model that it was made with. ``load`` loads models by name and device.
    """

    def __init__(
        self,
        image: Image,
        model: Model | str | os.PathLike[str],
        device: str = "auto",
        folder: Path | None = None,
        embeddings: str | None = None,
        load: Load | None = None,
    ) -> None:
        self._image, self._device, self._folder, self._embeddings = image, device, folder, embeddings
        self._source, self._load = model, load or load_model
        self._store: EmbeddingStore | None = None
        self._movie = image.axes.startswith("t")
        self._automatic = AutomaticService(folder)
        self._answers: OrderedDict[Group, Candidate] = OrderedDict()
        #: Typical diameters of objects by plane, as nano sees them before there are committed ones.
        self._sizes: dict[int, float | None] = {}
        self._announced = False
        self._said: set[tuple[str, int]] = set()
        #: What was found so far of the newest object: what a click before its answer corrects.
        self._glimpsed: tuple[Group, Candidate] | None = None
        self._lock, self._loading = threading.RLock(), threading.Lock()

    @property
    def model(self) -> Model:
        """The model, loaded when it is first needed."""
        return self._ready()[0]

    def engine(self) -> tuple[Model, EmbeddingStore]:
        """The model that answers now, and its store; loaded when they are first needed."""
        return self._ready()

    @property
    def source(self) -> Model | str | os.PathLike[str]:
        """The model, or what it is to be loaded from."""
        with self._lock:
            return self._source

    def forget_told(self) -> None:
        """Tell the next one who asks again which model answers, and that a plane is prepared."""
        with self._lock:
            self._announced = False
            self._said.clear()

    def __call__(self, request: Request) -> Iterator[Action]:
        if isinstance(request, Predict):
            yield from self._begin()
            yield from self._predict(request)
        elif isinstance(request, Extend):
            yield from self._begin()
            yield from self._extend(request)
        elif isinstance(request, LoadModel):
            yield from self._change(request.name)
        elif isinstance(request, Embed):
            yield from self._prepare(request)
        elif isinstance(request, Link):
            yield from self._begin()
            yield from link_all(self._automatic, *self._ready(), request)
        elif isinstance(request, SegmentAll | Fit):
            yield from self._begin()
            work = self._automatic.segment if isinstance(request, SegmentAll) else self._automatic.fit
            yield from work(*self._ready(), request)  # type: ignore[arg-type]

    def _predict(self, request: Predict) -> Iterator[Action]:
        model, store = self._ready()
        if self._blank(request):
            nothing = Candidate(Mask((request.plane, 0, 0), np.zeros((1, 0, 0), bool)), 0.0, "blank")
            yield Predicted(request.ticket, (nothing,) * len(request.objects), model.spec.name)
            return
        objects = with_base(request)
        with self._lock:
            known = {one: self._answers[one] for one in objects if one in self._answers}
            missing = [one for one in objects if one not in known]
            # A click that corrects the last answer is read together with it.
            previous = [corrected(one, self._mask_of) for one in missing]
        found = dict(known)
        if missing:
            size = request.size or self._sizes.get(missing[0][0].plane)
            if len(objects) > 1 or corrects(model, missing[0]):
                answers = compute.call(lambda: answers_to(model, store, missing, previous, size), urgent=True)
                found.update(zip(missing, answers, strict=True))
            else:
                asked = without_begin(missing[0]) if model.is_nano else missing[0]
                steps = predict_stepwise(model, store, asked, previous=previous[0], size=size)
                for one, final in compute.steps(steps, urgent=True):
                    found[missing[0]] = one
                    if final:
                        break
                    self._glimpsed = missing[0], one
                    yield Glimpsed(request.ticket, (one,))
        with self._lock:
            if store is self._store:
                for own in objects:
                    self._answers[own] = found[own]
                    self._answers.move_to_end(own)
                self._forget()
        yield Predicted(request.ticket, tuple(found[own] for own in objects), model.spec.name)

    def _blank(self, request: Predict) -> bool:
        """Whether somebody points at something in a plane of one value, where a model finds what is not there."""
        pointed = all(isinstance(one, Point | BoxPrompt) for one in request.prompts)
        # Of a large plane only a sample is known.
        return (
            pointed
            and not self._image.large
            and all(low == high for low, high in self._image.contrast_of(request.plane))
        )

    def _extend(self, request: Extend) -> Iterator[Action]:
        """Carry objects through the planes; what is found is shown, and kept, as it comes."""
        model, store = self._ready()
        own = project_settings_for(model.spec.name, model.spec.architecture, motion=self._movie)
        settings = own.changed({one.name: one.value for one in request.options})
        objects = [
            Known({mask.start[0]: mask for mask in seeds}, current, request.planes, request.taken)
            for seeds, current in zip(request.objects, request.current, strict=True)
        ]
        steps = project_many(model, store, objects, settings, stops=request.stops)
        waiting: list[Section] = []
        told, done = time.perf_counter(), 0
        unit = "frames" if self._movie else "planes"
        what = f"{'Following' if self._movie else 'Segmenting'} through the {unit}"
        work = Work(what)
        for found in compute.steps(steps, urgent=True):
            waiting += found
            done += len(found)
            if time.perf_counter() - told > _PAUSE and waiting:
                told = time.perf_counter()
                yield Extended(request.ticket, tuple(waiting), False, model.spec.name)
                waiting, work = [], Work(what, done, 0, unit)
            # The one who runs this may leave it here.
            yield Working(work, request.ticket)
        yield Extended(request.ticket, tuple(waiting), True, model.spec.name)

    def _forget(self) -> None:
        """Let go of the oldest answers when they take too much memory."""
        size = sum(one.mask.bitmap.nbytes for one in self._answers.values())
        while size > _KEPT and len(self._answers) > 1:
            size -= self._answers.popitem(last=False)[1].mask.bitmap.nbytes

    def _mask_of(self, prompts: Group) -> Mask | None:
        """Return what was answered to prompts, or found so far."""
        known = self._answers.get(prompts)
        if known is None and self._glimpsed is not None and self._glimpsed[0] == prompts:
            known = self._glimpsed[1]
        return None if known is None else known.mask

    def _prepare(self, request: Embed) -> Iterator[Action]:
        start = time.perf_counter()
        if not self._announced:
            # The session asks for this plane again.
            yield from self._begin()
            return
        model, store = self._ready()
        _, height, width = self._image.shape
        y = height / 2 if request.y is None else min(max(request.y, 0.0), height - 1)
        x = width / 2 if request.x is None else min(max(request.x, 0.0), width - 1)
        volume = self._image.shape[0] > 1
        about = model.spec.hash, 0 if volume else request.plane
        if model.is_nano and about in self._said:
            pass  # it has answered before
        elif model.is_nano:
            # It looks at windows of the image when it is asked; the first question takes longest.
            compute.call(lambda: predict_many(model, store, [[Point(request.plane, y, x)]]))
        elif store.tiling is None:
            yield Working(work := Work(f"Encoding the image with {model.spec.label}"))
            for _ in compute.steps(store.fill_stepwise([Item(request.plane)])):
                yield Working(work)  # clicks in other planes come in between; it may be left, and gone on with
            compute.call(lambda: store.plane(request.plane))
        else:
            yield Working(Work(f"Encoding the image with {model.spec.label}"))
            first = store.tiling.tile_of((height, width), y, x)
            yield from self._encode(model, store, request.plane, first)
        if about in self._said:
            yield Working(None)
        else:
            self._said.add(about)
            yield Embedded(request.plane, time.perf_counter() - start, model.spec.label)
        if measures(model) and request.plane not in self._sizes:
            yield from self._measure(model, store, request.plane, (y, x))
        if volume and not model.is_nano and self._keeps(store):
            yield from self._encode_others(model, store, request.plane)

    def _measure(
        self, model: Model, store: EmbeddingStore, plane: int, middle: tuple[float, float]
    ) -> Iterator[Action]:
        """Find out how large objects are; clicks come in between, and are answered in half the time afterwards."""
        size = None
        try:
            for known in compute.steps(measure(model, store, plane, middle)):
                size = known
                # The one who runs this may leave it here.
                yield Working(None)
        except Exception:  # noqa: BLE001 - clicks are answered without it
            _log.exception("The size of objects could not be measured.")
        self._sizes[plane] = size

    def follows(self, request: Embed) -> bool:
        """Whether there is something to prepare at a place that the user looks at now."""
        with self._lock:
            store = self._store
        if store is None or store.tiling is None or request.y is None or request.x is None:
            return False
        return not store.has(request.plane, store.tiling.tile_of(store.shape[1:], request.y, request.x))

    def _encode(self, model: Model, store: EmbeddingStore, plane: int, first: int) -> Iterator[Action]:
        """Encode a plane tile by tile, the nearest first, and tell how it goes."""
        what = f"Encoding the image with {model.spec.label}"
        start, work, done = time.perf_counter(), Work(what), 0
        tiles = embed_stepwise(model, self._image, store, plane, first_tile=first, planes=[plane])
        for one in compute.steps(tiles):
            if one is not None:
                done += 1
                total = min(_AHEAD, one.total - one.done + done)
                each = (time.perf_counter() - start) / done
                work = Work(what, done, total, "tiles", each * (total - done))
            yield Working(work)
            if done >= _AHEAD:
                return

    def _keeps(self, store: EmbeddingStore) -> bool:
        """Whether the embeddings of all planes can be kept."""
        channels, height, width = self._ready()[0].features_shape[1:]
        return self._folder is not None or store.shape[0] * store.tiles * channels * height * width * 4 <= _MOST

    def _encode_others(self, model: Model, store: EmbeddingStore, plane: int) -> Iterator[Action]:
        """Encode all other planes, the nearest first. Clicks come in between; another plane begins this anew."""
        what, start, first = f"Encoding the planes with {model.spec.label}", time.perf_counter(), None
        work, unit = Work(what), "planes" if store.tiling is None else "tiles"
        for one in compute.steps(embed_stepwise(model, self._image, store, plane)):
            if one is not None:
                first = one.done - 1 if first is None else first
                each = (time.perf_counter() - start) / (one.done - first)
                work = Work(what, one.done, one.total, unit, each * (one.total - one.done))
            yield Working(work)
        yield Working(None)

    def _begin(self) -> Iterator[Action]:
        """Load the first model, and say so; nothing when that is done."""
        if self._announced:
            return
        if not isinstance(self._source, Model):
            yield from self._fetch(self._source)
        model, _ = self._ready()
        with self._lock:
            first, self._announced = not self._announced, True
        if first:
            yield ModelLoaded(model.spec.label, model.device.type)

    def _change(self, name: str) -> Iterator[Action]:
        """Load another model; the present one answers until its weights are there, and are read."""
        yield Working(Work(f"Loading the model {name}"))
        find_weights(name)
        yield from self._fetch(name)
        model = compute.call(lambda: self._load(name, self._device))
        store = self._open(model)
        with self._lock:
            self._source, self._store, self._announced = model, store, True
            self._answers.clear()
            self._glimpsed = None
        yield ModelLoaded(model.spec.label, model.device.type)

    def _fetch(self, name: str | os.PathLike[str]) -> Iterator[Action]:
        """Download what is missing of a model of the registry."""
        known = registered(os.fspath(name)) if is_name(name) else None
        for file in cached_files(known) if known is not None else []:
            if file.size and file.is_intact():
                continue
            start, told, begun = time.perf_counter(), 0.0, None
            for now in download(file):
                begun = now.done if begun is None else begun
                passed = time.perf_counter() - start
                if passed - told < _PAUSE:
                    continue
                told, got = passed, now.done - begun
                left = passed / got * (now.total - now.done) if now.total and got else None
                megabytes = (now.done // 2**20, (now.total or 0) // 2**20)
                yield Working(Work(f"Downloading {file.name}", *megabytes, "MB", left))
        yield Working(Work(f"Loading the model {os.fspath(name)}"))

    def _ready(self) -> tuple[Model, EmbeddingStore]:
        """Return model and store, made when they are first needed."""
        with self._lock:
            if isinstance(self._source, Model) and self._store is not None:
                return self._source, self._store
        # Not under the lock that the screen asks for: this may take long.
        with self._loading:
            with self._lock:
                source, store = self._source, self._store
            model = source if isinstance(source, Model) else compute.call(lambda: self._load(source, self._device))
            store = store or self._open(model)
            with self._lock:
                self._source, self._store = model, store
                return model, store

    def _open(self, model: Model) -> EmbeddingStore:
        if self._embeddings is not None:
            try:
                return open_store(self._embeddings, model, self._image, open_store(self._embeddings).tiling)
            except StoreError:
                if not self._announced:
                    raise
                # Whoever has chosen another model since can do without it.
        tiling = None if model.is_nano else choose_tiling(self._image.shape, model)
        if self._folder is None or model.is_nano:
            return open_store(None, model, self._image, tiling)
        place = self._folder / f"embeddings-{model.spec.architecture}-{model.spec.hash[-8:]}.zarr"
        try:
            return open_store(place, model, self._image, tiling)
        except StoreError:
            # Embeddings can be made again: a damaged or unwritable store must not keep anybody from annotating.
            return open_store(None, model, self._image, tiling)
