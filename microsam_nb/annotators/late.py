"""The engine, loaded when it is first asked: torch takes seconds to import, and no picture must wait for that."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..core import Image
from ..session import Action, Embed, Embedded, Request
from . import compute  # noqa: F401 - what is registered first ends last: after the threads that wait for it

if TYPE_CHECKING:
    from ..engine import Model
    from ..engine.store import EmbeddingStore
    from .service import EngineService, Load


class LateService:
    """An ``EngineService`` that is made by the first request; it takes the same arguments."""

    def __init__(
        self,
        image: Image,
        model: Model | str | os.PathLike[str],
        device: str = "auto",
        folder: Path | None = None,
        embeddings: str | None = None,
        load: Load | None = None,
    ) -> None:
        self._given = (image, model, device, folder, embeddings, load)
        self._made: EngineService | None = None
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Iterator[Action]:
        yield from self._service()(request)

    @property
    def model(self) -> Model:
        """The model, loaded when it is first needed."""
        return self._service().model

    def engine(self) -> tuple[Model, EmbeddingStore]:
        """The model that answers now, and its store; loaded when they are first needed."""
        return self._service().engine()

    @property
    def source(self) -> Model | str | os.PathLike[str]:
        """The model that answers now, where it is loaded, else what was given."""
        return self._given[1] if self._made is None else self._made.source

    def ahead(self, plane: int) -> Iterator[None]:
        """Prepare a plane before there is a session, step by step; a session is told of it later."""
        service = self._service()
        try:
            for _ in range(2):  # the first request only says which model there is
                for action in service(Embed(plane)):
                    yield
                    if isinstance(action, Embedded) and not service.model.is_nano:
                        return  # other planes can wait until somebody looks
        finally:
            service.forget_told()

    def follows(self, request: Embed) -> bool:
        """Whether there is something to prepare at a place that the user looks at now."""
        return self._made is not None and self._made.follows(request)

    def _service(self) -> EngineService:
        with self._lock:
            if self._made is None:
                from .service import EngineService

                self._made = EngineService(*self._given)
            return self._made
