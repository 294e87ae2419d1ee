"""What an encoder makes of one plane."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """``features`` float32 (1, c, h, w) of one plane.

    ``original_size`` (height, width) of the plane, ``input_size`` after scaling it to the model's frame and
    before padding.
    """

    features: Tensor
    original_size: tuple[int, int]
    input_size: tuple[int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """Frame pixels per image pixel in y and x."""
        return self.input_size[0] / self.original_size[0], self.input_size[1] / self.original_size[1]
