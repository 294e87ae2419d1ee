"""The embedding store: every plane or tile of an image encoded once, kept anywhere, computed on demand."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from ...core import Image, SettingsError, StoreError
from ..embedding import Embedding
from ..models import Model
from ..pixels import Pixels
from ..stepwise import finish
from ..tiling import Tiling, Window
from .begun import Begun
from .key import EmbeddingKey, signature
from .layout import ZarrShelf
from .opening import open_shelf
from .place import find_place
from .recent import Recent
from .shelf import ForgettingShelf, Item, MemoryShelf, Shelf
from .source import Source

#: Memory for embeddings used lately, in bytes; 256 planes of vit_b.
BUDGET = 1 << 30
#: A cache of micro-sam knows nothing but the hash of all bytes; images up to this size are always compared.
_QUICK = 64 << 20
#: Encodings that were left and can be gone on with: somebody who looks at two planes in turn finishes both.
_LEFT = 2


class EmbeddingStore:
    """The embeddings of one image by one model; made by ``open_store``. Safe to share between threads.

    An embedding is looked up among those used lately, then in the store, and else computed and stored.
    """

    def __init__(self, key: EmbeddingKey, shelf: Shelf, source: Source | None, budget: int) -> None:
        self.key = key
        self._shelf: Shelf = shelf
        self._source = source
        self._bare: tuple[int, Embedding] | None = None
        self._recent = Recent(budget)
        self._begun: deque[Begun] = deque(maxlen=_LEFT)
        self._computing = threading.RLock()

    @property
    def tiling(self) -> Tiling | None:
        return self.key.tiling

    @property
    def shape(self) -> tuple[int, int, int]:
        """Planes, height and width of the image."""
        return self.key.shape

    @property
    def tiles(self) -> int:
        """Tiles of one plane, 1 without tiling."""
        return self.key.tiles

    @property
    def complete(self) -> bool:
        """Whether everything is there and the store says so on disk."""
        return self._shelf.complete

    @property
    def stretched_by_peer(self) -> bool:
        """Whether micro-sam computed it, which stretches every plane or tile from its minimum to its maximum."""
        return isinstance(self._shelf, ZarrShelf) and not self._shelf.ours

    def has(self, plane: int, tile: int = 0) -> bool:
        """Say whether an embedding need not be computed."""
        return self._shelf.has(self._item(plane, tile))

    def refresh(self) -> None:
        """Notice what another process has added to the store meanwhile."""
        self._shelf.refresh()

    def items(self) -> Iterator[Item]:
        """Yield every plane and tile in order."""
        return (Item(plane, tile) for plane in range(self.shape[0]) for tile in range(self.tiles))

    def plane(self, index: int) -> Embedding:
        """Return the embedding of a plane, computed now if it is missing. Raises StoreError."""
        if self.tiling is not None:
            raise StoreError("The planes of this store are cut into tiles.", "Ask for tile(plane, index).")
        return self._get(self._item(index, 0))

    def tile(self, plane: int, index: int) -> Embedding:
        """Return the embedding of a tile, computed now if it is missing. Raises StoreError."""
        return self._get(self._item(plane, index))

    @property
    def has_image(self) -> bool:
        """Whether the store was opened with its image, so that it can look at more than what is stored."""
        return self._source is not None

    @property
    def image(self) -> Image | None:
        """The image that the store was opened with."""
        return None if self._source is None else self._source.image

    def shown(self, plane: int) -> Pixels:
        """Return a plane as the network sees it, uint8 (y, x) or (y, x, 3); a large one is read when it is indexed.

        Raises StoreError without the image.
        """
        if self._source is None:
            raise StoreError("The store was opened for reading.", "Open it with the model and the image.")
        return self._source.shown(self._item(plane, 0).plane)

    def pixels_only(self, plane: int) -> Embedding:
        """Return a whole plane that holds its pixels but no features, for models that look at windows of it."""
        # Another thread may ask for another plane meanwhile: what is returned is never read again.
        kept = self._bare
        if kept is not None and kept[0] == plane:
            return kept[1]
        pixels = self.shown(plane)
        size = (int(pixels.shape[0]), int(pixels.shape[1]))
        made = Embedding(torch.zeros(0), size, size, pixels)
        self._bare = plane, made
        return made

    def window(self, plane: int, window: Window) -> Embedding:
        """Return the embedding of any window of a plane, encoded from the image; remembered, but not stored."""
        if self._source is None:
            raise StoreError("The store was opened for reading.", "Open it with the model and the image.")
        with self._computing:
            found = self._recent.get((plane, window))
            if found is None:
                found = self._source.encode_window(self._item(plane, 0).plane, window)
                self._recent.put((plane, window), found)
        return found

    def fill(self, items: Sequence[Item]) -> None:
        """Compute together what is missing of ``items``, and store it. Raises StoreError."""
        with self._computing:
            for _ in self.fill_stepwise(items):
                pass

    def fill_stepwise(self, items: Sequence[Item]) -> Iterator[None]:
        """Do what ``fill`` does, and yield between the blocks of the network, where others may use the store.

        What is left is not in the store; whoever needs one of the same items next goes on with it.
        """
        with self._computing:
            missing = tuple(item for item in items if not self._shelf.has(item))
            begun = self._begin(missing) if missing else None
        while begun is not None and self._advance(begun) is None:
            yield

    def make_room(self, items: Iterable[Item]) -> None:
        """Prepare the store on disk for what workers will ``deliver``. Raises StoreError."""
        shelf, source = self._shared()
        for tile in sorted({item.tile for item in items}):
            shelf.make_room(tile, source.features_shape)

    def deliver(self, items: Sequence[Item]) -> None:
        """Compute items together and store them, for one who says that they are there: a worker of a cluster.

        Only chunks of their own are written. Raises StoreError.
        """
        shelf, source = self._shared()
        for item, made in zip(items, finish(source.encode_stepwise(items)), strict=True):
            shelf.put(item, made.features.cpu().numpy())

    def receive(self, items: Iterable[tuple[int, int]]) -> None:
        """Say that items (plane, tile) are there which workers have delivered. Raises StoreError."""
        self._shared()[0].mark(Item(*one) for one in items)

    def _shared(self) -> tuple[ZarrShelf, Source]:
        if self._source is None or not isinstance(self._shelf, ZarrShelf) or not self._shelf.writable:
            raise StoreError(
                "Workers cannot write this store together.", "Name a folder, such as NAME.zarr, and give the image."
            )
        return self._shelf, self._source

    def finish(self) -> None:
        """Mark the store as complete when everything is there; reads the whole image once for its hash."""
        if self._source is None or not self._shelf.writable or self._shelf.complete:
            return
        image = self._source.image
        with self._computing:
            if all(self._shelf.has(item) for item in self.items()):
                self._shelf.finish(lambda: signature(image))

    def verify(self) -> None:
        """Compare every pixel of the image with the store, if it is complete. Raises StoreError."""
        known = self._shelf.signature if isinstance(self._shelf, ZarrShelf) else None
        if self._source is not None and known is not None and signature(self._source.image) != known:
            raise StoreError(
                "The store belongs to another image, or to the same pixels as another type.",
                "Open it with that image, or choose another store.",
            )

    def check(self, model: Model, image: Image) -> None:
        """Raise StoreError unless the store was opened with ``model`` and ``image``, or with equal ones."""
        if self._source is None:
            raise StoreError("The store was opened for reading.", "Open it with the model and the image.")
        if self._source.model is not model or self._source.image is not image:
            EmbeddingKey.of(image, model, self.tiling).check(self.key, "The store")

    def _item(self, plane: int, tile: int) -> Item:
        if not (0 <= plane < self.shape[0] and 0 <= tile < self.tiles):
            raise StoreError(
                f"There is no tile {tile} of plane {plane}.",
                f"Planes end at {self.shape[0] - 1}, tiles at {self.tiles - 1}.",
            )
        return Item(plane, tile)

    def _get(self, item: Item) -> Embedding:
        found = self._find(item)
        if found is None:
            with self._computing:
                # Another thread may have computed it meanwhile.
                found = self._find(item) or self._finished(item)
                self._recent.put(item, found)
        return found

    def _find(self, item: Item) -> Embedding | None:
        found = self._recent.get(item)
        return self._read(item) if found is None and self._shelf.has(item) else found

    def _read(self, item: Item) -> Embedding | None:
        """Return a stored embedding, or None when it is damaged and can be computed again."""
        try:
            features = self._shelf.read(item)
        except StoreError:
            if self._source is None:
                raise
            return None
        source = self._source
        if source is not None and features.shape != source.features_shape:
            return None
        device = torch.device("cpu") if source is None else source.model.device
        tensor = torch.from_numpy(np.ascontiguousarray(features)).to(device).float()
        embedding = Embedding(
            features=tensor,
            original_size=self.key.original_size(item.tile),
            input_size=self.key.input_size(item.tile),
            # Only nano looks closer at pixels; others need not wait for them.
            pixels=source.pixels(item) if source is not None and source.model.is_nano else None,
        )
        self._recent.put(item, embedding)
        return embedding

    def _begin(self, items: tuple[Item, ...]) -> Begun:
        """Return the encoding of these items, perhaps one that was left."""
        source = self._source
        if source is None:
            raise StoreError(
                f"Plane {items[0].plane}, tile {items[0].tile} is not in the store.",
                "Open the store with the model and the image to compute it.",
            )
        found = next((one for one in self._begun if one.items == items), None)
        if found is None:
            found = Begun(items, lambda: source.encode_stepwise(items))
            self._begun.append(found)
        return found

    def _advance(self, begun: Begun) -> list[Embedding] | None:
        """Go on with an encoding by one step; when it is done, store and return what was made."""
        with self._computing:
            made = begun.step()
            if made is None:
                return None
            if begun in self._begun:
                self._begun.remove(begun)
            if not begun.stored:
                for item, embedding in zip(begun.items, made, strict=True):
                    if self._shelf.writable:
                        self._shelf.write(item, embedding.features.cpu().numpy())
                    else:
                        self._recent.put(item, embedding)
                begun.stored = True
            return made

    def _finished(self, item: Item) -> Embedding:
        """Encode one item now, or finish what was begun with it."""
        begun = next((one for one in self._begun if item in one.items), None) or self._begin((item,))
        while (made := self._advance(begun)) is None:
            pass
        return made[begun.items.index(item)]


def open_store(
    where: str | os.PathLike[str] | None = None,
    model: Model | None = None,
    image: Image | None = None,
    tiling: Tiling | None = None,
    *,
    half: bool = False,
    budget: int = BUDGET,
    verify: bool = False,
    keep: bool = True,
) -> EmbeddingStore:
    """Open the embeddings of ``image`` by ``model``, or begin them, without computing any.

    ``where`` is a folder, a .zip file, an address such as "s3://bucket/name", or None for memory. Without model and
    image a store is only read. ``half`` stores new features as float16, half the size, but not for micro-sam.
    ``budget`` bounds the memory for recently used embeddings, in bytes; with ``keep`` False a store in memory keeps no
    others, for images that are gone through once. A cache of micro-sam is read, never changed.

    The image is recognised by a sample of its pixels; ``verify`` compares all of them with a complete store. Raises
    StoreError when the store belongs to another image, model, tiling or contrast, or cannot be read.
    """
    if (model is None) != (image is None):
        raise SettingsError("A store needs both a model and an image to compute with.", "Give both, or neither.")
    if model is None or image is None:
        if where is None:
            raise SettingsError("A store in memory begins empty.", "Give a model and an image.")
        shelf = open_shelf(find_place(where, writing=False), None, None, half)
        return EmbeddingStore(shelf.key, shelf, None, budget)
    key, source = EmbeddingKey.of(image, model, tiling), Source(model, image, tiling)
    if where is None:
        return EmbeddingStore(key, MemoryShelf(half) if keep else ForgettingShelf(), source, budget)
    shelf = open_shelf(find_place(where, writing=True), key, model, half)
    store = EmbeddingStore(key, shelf, source, budget)
    size = math.prod(image.pixels.shape) * image.pixels.dtype.itemsize
    if verify or (not shelf.ours and size <= _QUICK):
        store.verify()
    return store
