"""What happens in a worker: one model per process, one task at a time, images and stores opened by their paths."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...core import Image, MicrosamError, ModelError
from ...engine.load import load_model
from ...engine.models import Model
from ...engine.store import EmbeddingStore, Item, open_store
from ...engine.tiling import Tiling
from ...files.volumes import open_image

#: A worker of several threads gets several tasks; they would load a model and fill a memory each.
_ONE = threading.Lock()
#: Errors of file systems that may be gone a moment later; not every system knows all of them.
_PASSING = {
    getattr(errno, name)
    for name in (
        "EIO", "ENOSPC", "EDQUOT", "ESTALE", "EAGAIN", "EBUSY", "EINTR", "ENOLCK", "ENXIO", "EREMOTEIO", "ETIMEDOUT",
        "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETRESET",
        "ENETUNREACH", "ENOTCONN", "ESHUTDOWN",
    )
    if hasattr(errno, name)
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """Which model to load: a name or path, where it runs and how; ``hash`` tells whether it is the same one."""

    name: str
    device: str
    precision: str
    hash: str

    @classmethod
    def of(cls, model: Model, name: str, device: str = "auto", precision: str = "auto") -> Source:
        """Describe a model that was loaded here."""
        return cls(str(Path(name).absolute()) if Path(name).is_file() else name, device, precision, model.spec.hash)


@dataclass(frozen=True, slots=True)
class Place:
    """An image and its store of embeddings."""

    source: Source
    image: str
    axes: str
    key: str
    store: str
    tiling: Tiling | None
    half: bool


class Passing(Exception):
    """What comes of a disk or a network that may be back soon; its argument is the error that says so."""


def may_pass(error: BaseException) -> bool:
    """Whether an error was caused by something that may pass, as with a disk that is full or was away."""
    known: BaseException | None = error
    while known is not None:
        away = isinstance(known, ConnectionError | TimeoutError)
        if away or (isinstance(known, OSError) and known.errno in _PASSING):
            return True
        known = known.__cause__
    return False


def in_turn(what: Callable[..., Any], threads: int | None, *arguments: Any) -> Any:
    """Do a task, when the one before is done, with so many threads (None: those that the worker has)."""
    import torch
    from distributed import get_worker

    with _ONE:
        # What a sum comes to depends on the number of threads.
        torch.set_num_threads(threads or get_worker().state.nthreads)
        try:
            return what(*arguments)
        except MicrosamError as error:
            if may_pass(error):  # said here: its causes are not sent along with it
                raise Passing(error) from error
            raise


@lru_cache(maxsize=1)
def model_of(source: Source) -> Model:
    """Return the model, loaded once. Raises ModelError when another one goes by that name here."""
    model = load_model(source.name, source.device, precision=source.precision)
    if model.spec.hash != source.hash:
        raise ModelError(
            f"The worker finds another model as {source.name} ({model.spec.hash}, not {source.hash}).",
            "Install the same version of microsam_nb there, or name a file that all workers see.",
        )
    return model


def encode_items(place: Place, items: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Encode some planes or tiles (plane, tile) together, put them into the store, and return which they were."""
    _opened(place).deliver([Item(*one) for one in items])
    return items


def finish_store(place: Place) -> None:
    """Mark the store as complete; nobody else writes it any more."""
    # Opened anew: the flags were written by others, and what dead workers have left is older than this.
    _opened.__wrapped__(place).finish()


def open_here(path: str, axes: str, key: str) -> Image:
    """Open an image by its path."""
    return Image(open_image(Path(path), key), axes, Path(path).stem)


@lru_cache(maxsize=1)
def _opened(place: Place) -> EmbeddingStore:
    image = open_here(place.image, place.axes, place.key)
    return open_store(place.store, model_of(place.source), image, place.tiling, half=place.half, budget=0)
