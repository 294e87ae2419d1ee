"""The windows of a plane through which a model finds all objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...core import StoreError
from ..embedding import Embedding
from ..looks import window_at
from ..models import Model
from ..store import EmbeddingStore
from ..tiled import readable
from ..tiling import Tiling, Window


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A window ``outer`` of a plane; what lies in ``inner`` is seen best through it. ``load`` encodes or reads it."""

    inner: Window
    outer: Window
    load: Callable[[], Embedding]


def views(model: Model, store: EmbeddingStore, plane: int, zoom: float) -> list[View]:
    """Return windows whose inner parts make up a plane, row by row.

    Those of a tiled store are its tiles; an untiled plane is one. nano looks through windows of its own, at ``zoom``
    frame pixels per pixel, where the store was opened with the image.
    """
    size = store.shape[1:]
    if model.is_nano and store.has_image:
        return [closer(store, plane, own, outer) for own, outer in windows(model, size, zoom)]
    if store.tiling is None:
        whole = Window(0, 0, *size)
        return [View(whole, whole, lambda: readable(model, store.plane(plane)))]
    return [_tile(model, store, plane, tile.index, tile.inner, tile.outer) for tile in store.tiling.tiles(size)]


def windows(model: Model, size: tuple[int, int], zoom: float) -> Iterator[tuple[Window, Window]]:
    """Yield inner and outer windows in which nano sees a plane of ``size`` (height, width) at ``zoom``, row by row.

    Those at the border are moved inwards, not cut: all are seen at one scale.
    """
    outer = max(16, int(model.frame / zoom))
    if max(size) <= outer:
        yield Window(0, 0, *size), Window(0, 0, *size)
        return
    step = outer - 2 * (outer // 5)
    for tile in Tiling((step, step), (0, 0)).tiles(size):
        middle = ((tile.inner.y0 + tile.inner.y1) / 2, (tile.inner.x0 + tile.inner.x1) / 2)
        yield tile.inner, window_at(size, middle, outer)


def touching(some: list[View], region: Window) -> list[View]:
    """Return the views that show a part of a region."""
    return [
        one
        for one in some
        if one.outer.y0 < region.y1 and region.y0 < one.outer.y1 and one.outer.x0 < region.x1
        and region.x0 < one.outer.x1
    ]  # fmt: skip


def closer(store: EmbeddingStore, plane: int, inner: Window, outer: Window) -> View:
    """Return a view of a window that is encoded from the image."""
    return View(inner, outer, lambda: store.window(plane, outer))


def _tile(model: Model, store: EmbeddingStore, plane: int, index: int, inner: Window, outer: Window) -> View:
    return View(inner, outer, lambda: readable(model, store.tile(plane, index)))


def need_image(store: EmbeddingStore) -> None:
    """Raise StoreError for a store that was opened without its image."""
    if not store.has_image:
        raise StoreError("The store was opened for reading.", "Open it with the model and the image.")
