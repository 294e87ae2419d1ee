"""Where engine and session meet: requests are computed, answers are actions."""

from __future__ import annotations

import os
import time

from ..core import Image, Mask, Prompt
from ..engine.embedding import Embedding
from ..engine.load import load_model
from ..engine.models import Model
from ..engine.predict import predict
from ..engine.store import EmbeddingStore, open_store
from ..session import Action, Embed, Embedded, Predict, Predicted, Request


class EngineService:
    """Answers the requests of one session about one image; only the worker thread calls it."""

    def __init__(self, image: Image, model: Model | str | os.PathLike[str], device: str = "auto") -> None:
        self._image, self._device = image, device
        self._source = model
        self._last: tuple[tuple[Prompt, ...], Mask | None] = ((), None)
        self._store: EmbeddingStore | None = None

    @property
    def model(self) -> Model:
        """The model, loaded when it is first needed."""
        if not isinstance(self._source, Model):
            self._source = load_model(self._source, self._device)
        return self._source

    def __call__(self, request: Request) -> Action:
        return self._predict(request) if isinstance(request, Predict) else self._embed(request)

    def _embed(self, request: Embed) -> Action:
        model = self.model
        start = time.perf_counter()
        self._embedding(request.plane)
        return Embedded(request.plane, time.perf_counter() - start, model.spec.name)

    def _predict(self, request: Predict) -> Action:
        # A click that corrects the last answer is read together with it.
        earlier, mask = self._last
        corrects = 0 < len(earlier) < len(request.prompts) and request.prompts[: len(earlier)] == earlier
        embedding = self._embedding(request.prompts[0].plane)
        found = predict(self.model, embedding, request.prompts, previous=mask if corrects else None)
        self._last = request.prompts, found.mask
        return Predicted(request.ticket, found.mask, found.score, found.origin)

    def _embedding(self, plane: int) -> Embedding:
        if self._store is None:
            self._store = open_store(None, self.model, self._image)
        return self._store.plane(plane)
