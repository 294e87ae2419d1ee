"""An image, volume or movie with named axes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .box import Triple
from .contrast import Contrast
from .errors import ImageError

#: Axes that can be given; z and t are the plane axis.
AXES = ("yx", "yxc", "zyx", "tyx", "zyxc", "tyxc")


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """Pixels of any real dtype, stored as given, and the names of their axes.

    ``axes`` is one of "yx", "yxc", "zyx", "tyx", "zyxc", "tyxc"; left out it is guessed: 2 axes are yx; a last
    axis of 1 to 4 holds channels; any other first axis of 3 is z. Up to 4 channels (the fourth is alpha and ignored).
    Raises ImageError for anything that is not an image.
    """

    pixels: NDArray[np.generic]
    axes: str = ""
    name: str = "image"
    contrast: Contrast = field(default_factory=Contrast)

    def __post_init__(self) -> None:
        pixels = _as_array(self.pixels)
        axes = str(self.axes or _guess(pixels)).lower()
        if axes not in AXES:
            raise ImageError(f"The axes {self.axes!r} are not known.", f"Use one of: {', '.join(AXES)}.")
        if len(axes) != pixels.ndim:
            raise ImageError(
                f"The axes {axes!r} do not fit an image of shape {pixels.shape}.",
                f"Name {pixels.ndim} axes, or pick one plane first.",
            )
        if axes.endswith("c") and not 1 <= pixels.shape[-1] <= 4:
            raise ImageError(
                f"The last axis of an image with axes {axes!r} holds {pixels.shape[-1]} channels.",
                "Give 1 to 4 channels, or name the axes, for example axes='zyx'.",
            )
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "axes", axes)

    @property
    def shape(self) -> Triple:
        """Planes, height and width."""
        sizes = dict(zip(self.axes, self.pixels.shape, strict=True))
        return sizes.get("z", sizes.get("t", 1)), sizes["y"], sizes["x"]

    @property
    def channels(self) -> int:
        """0 for a grey image without channel axis."""
        return int(self.pixels.shape[-1]) if self.axes.endswith("c") else 0

    def plane(self, index: int = 0) -> NDArray[np.generic]:
        """Return one plane as (y, x), or (y, x, c) when there are channels."""
        return self.pixels[index] if self.axes[0] in "zt" else self.pixels

    def shown(self, index: int = 0) -> NDArray[np.uint8]:
        """Return one plane as the user and the network see it: contrast stretched, uint8 (y, x) or (y, x, 3).

        One channel becomes grey, two become red and green, a fourth (alpha) is dropped.
        """
        plane = self.plane(index)
        if plane.ndim == 2:
            return self.contrast.stretch(plane)
        plane = plane[..., :3]
        if plane.shape[2] == 1:
            return self.contrast.stretch(plane[..., 0])
        if plane.shape[2] == 3:
            return self.contrast.stretch(plane)
        blank = np.zeros(plane.shape[:2], np.uint8)
        # Two stains may differ in brightness by orders of magnitude: each has its own window.
        return np.stack([*(self.contrast.stretch(plane[..., c]) for c in range(2)), blank], axis=-1)

    def fingerprint(self) -> str:
        """SHA-1 of shape, dtype and pixels; another shape or dtype is another image."""
        digest = hashlib.sha1(f"{self.pixels.shape} {self.pixels.dtype.str}".encode(), usedforsecurity=False)
        for index in range(self.shape[0]):
            digest.update(np.ascontiguousarray(self.plane(index)).tobytes())
        return digest.hexdigest()


def _as_array(value: Any) -> NDArray[np.generic]:
    if isinstance(value, (str, bytes)) or value is None or (isinstance(value, Sequence) and not len(value)):
        raise ImageError(f"{value!r} is not an image.", "Give a numpy array, or the path of an image file.")
    if isinstance(value, np.ma.MaskedArray):
        value = value.filled(0)
    try:
        pixels = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ImageError(f"A {type(value).__name__} cannot be read as an image.", "Give a numpy array.") from error
    if pixels.dtype.kind not in "buif":
        raise ImageError(
            f"Pixels of type {pixels.dtype} are not an image.", "Convert them to a real number type such as uint8."
        )
    if pixels.ndim < 2:
        raise ImageError(f"An array of shape {pixels.shape} is not an image.", "Give at least the axes y and x.")
    if pixels.size == 0:
        raise ImageError(f"The image of shape {pixels.shape} is empty.", "Check how it was read or cropped.")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).any():
        raise ImageError("The image holds nothing but NaN or infinity.", "Check how it was computed.")
    return pixels


def _guess(pixels: NDArray[np.generic]) -> str:
    if pixels.ndim == 2:
        return "yx"
    if pixels.ndim == 3:
        # One or two channels are told from thin volumes by the size of the other axes.
        few = pixels.shape[-1] in (1, 2) and min(pixels.shape[:2]) > 4
        return "yxc" if few or pixels.shape[-1] in (3, 4) else "zyx"
    if pixels.ndim == 4 and pixels.shape[-1] in (1, 2, 3, 4):
        return "zyxc"
    raise ImageError(
        f"The axes of an image of shape {pixels.shape} cannot be guessed.",
        f"Pick one plane, or name the axes: {', '.join(AXES)}.",
    )
