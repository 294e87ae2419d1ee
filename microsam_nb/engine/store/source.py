"""Where embeddings come from when the store does not have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...core import Image
from ..embedding import Embedding
from ..encode import encode_stepwise, encode_window
from ..models import Model
from ..pixels import LargePlane, Pixels
from ..stepwise import Steps
from ..tiling import Tiling, Window
from .shelf import Item


@dataclass(frozen=True, slots=True)
class Source:
    """A model and the image it encodes, in tiles when there is a tiling."""

    model: Model
    image: Image
    tiling: Tiling | None
    _last: list[tuple[int, Pixels]] = field(default_factory=list)

    @property
    def features_shape(self) -> tuple[int, int, int, int]:
        """Shape (1, c, h, w) of the features of every item."""
        return self.model.features_shape

    def encode_stepwise(self, items: Sequence[Item]) -> Steps[list[Embedding]]:
        """Encode tiles or planes together, and yield between the blocks of the network."""
        return (yield from encode_stepwise(self.model, [self.pixels(item) for item in items]))

    def encode_window(self, plane: int, window: Window) -> Embedding:
        """Encode a window of a plane; without its pixels."""
        return encode_window(self.model, self.shown(plane), window)

    def pixels(self, item: Item) -> Pixels:
        """Return what the network sees: a part of the plane as it is shown, so that tiles share its contrast."""
        shown = self.shown(item.plane)
        if self.tiling is None:
            return shown
        window = self.tiling.tile_at(self.image.shape[1:], item.tile).outer
        # A copy, so that a tile does not keep its whole plane in memory.
        return shown[window.slices].copy()

    def shown(self, plane: int) -> Pixels:
        """Return a stretched plane; the last one is kept, since its tiles are asked for one after the other.

        Of a large plane nothing is read before a part of it is asked for.
        """
        for index, kept in tuple(self._last):
            if index == plane:
                return kept
        pixels: Pixels = LargePlane(self.image, plane) if self.image.large else self.image.shown(plane)
        self._last[:] = [(plane, pixels)]
        return pixels
