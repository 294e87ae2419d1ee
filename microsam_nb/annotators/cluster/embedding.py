"""Encoding an image on a cluster."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ...core import StoreError
from ...engine.embed import missing_groups
from ...engine.models import Model
from ...engine.plan import choose_tiling
from ...engine.store import open_store
from ...engine.tiling import Tiling
from .plans import Call, Plan
from .workers import Place, Source, encode_items, finish_store, open_here


def embed_plan(
    model: Model,
    source: Source,
    path: Path,
    store: str,
    tiling: Tiling | None = None,
    *,
    auto_tile: bool = False,
    axes: str = "",
    key: str = "",
    half: bool = False,
    first_plane: int = 0,
    batch: int | None = None,
) -> Plan[None]:
    """Plan to encode what is missing in ``store`` of an image; the bytes of the result are those of ``embed``.

    That holds for workers that compute as this process would: the same device, number of threads and ``batch``.
    Raises MicrosamError.
    """
    if store.endswith(".zip"):
        raise StoreError("Workers cannot write one zip file together.", "Name a folder, such as NAME.zarr.")
    image = open_here(str(path), axes, key)
    tiling = choose_tiling(image.shape[1:], model) if auto_tile else tiling
    known = open_store(store, model, image, tiling, half=half, budget=0)
    if known.complete:
        return
    where = store if "://" in store else str(Path(store).absolute())
    place = Place(source, str(path.absolute()), axes, key, where, tiling, half)
    yield [
        Call(
            encode_items, (place, tuple(tuple(item) for item in some)),
            before=partial(known.make_room, some), then=known.receive, size=len(some),
        )
        for some in missing_groups(model, known, first_plane, batch=batch)
    ]  # fmt: skip
    yield [Call(finish_store, (place,), size=0)]
