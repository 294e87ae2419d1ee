"""What an encoder makes of one plane, tile or other window."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from torch import Tensor

from .pixels import Pixels
from .tiling import Window

#: Closer looks that are kept per plane; nano's take half a megabyte each.
_LOOKS = 64
#: One for all embeddings: it is held for no time, and a lock of their own could not be copied with them.
_REMEMBERING = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """``features`` float32 (1, c, h, w) of one plane or window.

    ``original_size`` (height, width) of the plane, ``input_size`` after scaling it to the model's frame and
    before padding. ``pixels`` uint8 (y, x) or (y, x, 3), the plane itself, lets a model look closer at a part of it;
    those of a large plane are read when they are asked for. ``looks`` remembers the latest closer looks.
    """

    features: Tensor
    original_size: tuple[int, int]
    input_size: tuple[int, int]
    pixels: Pixels | None = field(default=None, repr=False)
    looks: dict[Window, Embedding] = field(default_factory=dict, repr=False)

    @property
    def scale(self) -> tuple[float, float]:
        """Frame pixels per image pixel in y and x."""
        return self.input_size[0] / self.original_size[0], self.input_size[1] / self.original_size[1]

    def remember(self, window: Window, look: Embedding) -> None:
        """Keep the embedding of a window; the oldest go when there are too many. Threads may share an embedding."""
        with _REMEMBERING:
            self.looks[window] = look
            while len(self.looks) > _LOOKS:
                del self.looks[next(iter(self.looks))]
