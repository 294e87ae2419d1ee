"""An image together with its instance labels, for training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import ImageError


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One plane: ``pixels`` (y, x) or (y, x, 3) of any real dtype, ``labels`` int32 (y, x), 0 = background.

    ``known`` bool (y, x) is False where nobody has looked what is there, None where all is known: an image without
    labels then holds no object.
    ``group`` names the data set and modality it comes from, ``name`` the file.
    """

    pixels: NDArray[np.generic]
    labels: NDArray[np.int32]
    group: str = ""
    name: str = ""
    known: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.known is not None and self.known.shape != self.labels.shape:
            raise ImageError(
                f"What is known of image {self.name or '(unnamed)'} has shape {self.known.shape} but its labels "
                f"{self.labels.shape}.",
                "Give a mask with the same height and width as the labels.",
            )
        if self.pixels.shape[:2] != self.labels.shape:
            raise ImageError(
                f"Image {self.name or '(unnamed)'} has shape {self.pixels.shape} but its labels {self.labels.shape}.",
                "Give labels with the same height and width as the image.",
            )
