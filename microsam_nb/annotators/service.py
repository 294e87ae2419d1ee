"""Where engine and session meet: requests are computed, answers are actions."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from ..core import Image
from ..engine.embedding import Embedding
from ..engine.load import load_model
from ..engine.models import Model
from ..engine.predict import predict_many
from ..engine.store import EmbeddingStore, open_store
from ..session import Action, Embed, Embedded, Predict, Predicted, Request


class EngineService:
    """Answers the requests of one session about one image; only the worker thread calls it."""

    def __init__(self, image: Image, model: Model | str | os.PathLike[str], device: str = "auto") -> None:
        self._image, self._device = image, device
        self._source = model
        self._store: EmbeddingStore | None = None

    @property
    def model(self) -> Model:
        """The model, loaded when it is first needed."""
        if not isinstance(self._source, Model):
            self._source = load_model(self._source, self._device)
        return self._source

    def __call__(self, request: Request) -> Iterator[Action]:
        if isinstance(request, Predict):
            yield self._predict(request)
        elif isinstance(request, Embed):
            yield self._embed(request)

    def _embed(self, request: Embed) -> Action:
        model = self.model
        start = time.perf_counter()
        self._embedding(request.plane)
        return Embedded(request.plane, time.perf_counter() - start, model.spec.name)

    def _predict(self, request: Predict) -> Action:
        embedding = self._embedding(request.prompts[0].plane)
        found = predict_many(self.model, embedding, request.objects)
        return Predicted(request.ticket, tuple(found))

    def _embedding(self, plane: int) -> Embedding:
        if self._store is None:
            self._store = open_store(None, self.model, self._image)
        return self._store.plane(plane)
