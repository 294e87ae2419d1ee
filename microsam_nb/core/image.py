"""An image, volume or movie with named axes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .box import Triple
from .contrast import Contrast
from .errors import ImageError
from .voxels import VoxelSize

#: Axes that can be given; z and t are the plane axis.
AXES = ("yx", "yxc", "zyx", "tyx", "zyxc", "tyxc")

_CHECKED = 4_000_000  # pixels looked at in one go when searching for a finite one


class PixelArray(Protocol):
    """What holds pixels: a numpy array, or anything that is read by indexing (dask, zarr, h5py, np.memmap)."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """Pixels of any real dtype, stored as given, and the names of their axes.

    ``axes`` is one of "yx", "yxc", "zyx", "tyx", "zyxc", "tyxc"; left out it is guessed: 2 axes are yx; a last
    axis of 3 or 4 holds channels, one of 1 or 2 does where y and x are longer than 4; any other first axis of 3
    is z. Pixels from a file that names its axes (their ``axes``, as ``open_image`` gives them) are not guessed.
    ``reading`` says what was guessed. Up to 4 channels (the fourth is alpha and ignored).

    ``pixels`` may be lazy (dask, zarr, h5py, np.memmap): it is kept and read one plane at a time. ``voxel_size`` is
    a ``VoxelSize``, or (z, y, x) or (y, x) in µm, where it is known.
    Raises ImageError for anything that is not an image.
    """

    pixels: PixelArray
    axes: str = ""
    name: str = "image"
    contrast: Contrast = field(default_factory=Contrast)
    voxel_size: VoxelSize | None = None
    guessed: bool = field(init=False, default=False)
    named: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        given, named = _unnamed(self.pixels, str(self.axes or "").lower())
        pixels = _as_array(given)
        shape = tuple(pixels.shape)
        axes = str(self.axes or named or _guess(shape)).lower()
        if axes not in AXES:
            raise ImageError(f"The axes {self.axes!r} are not known.", f"Use one of: {', '.join(AXES)}.")
        if len(axes) != len(shape):
            raise ImageError(
                f"The axes {axes!r} do not fit an image of shape {shape}.",
                f"Name {len(shape)} axes, or pick one plane first.",
            )
        if axes.endswith("c") and not 1 <= shape[-1] <= 4:
            raise ImageError(
                f"The last axis of an image with axes {axes!r} holds {shape[-1]} channels.",
                "Pick 1 to 4 channels, for example pixels[..., :3], or name the axes, for example axes='zyx'.",
            )
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "guessed", not (self.axes or named))
        object.__setattr__(self, "named", bool(named and not self.axes))
        object.__setattr__(self, "axes", axes)
        if self.voxel_size is not None:
            object.__setattr__(self, "voxel_size", VoxelSize.read(self.voxel_size))

    @property
    def shape(self) -> Triple:
        """Planes, height and width."""
        sizes = dict(zip(self.axes, self.pixels.shape, strict=True))
        return sizes.get("z", sizes.get("t", 1)), sizes["y"], sizes["x"]

    @property
    def channels(self) -> int:
        """0 for a grey image without channel axis."""
        return int(self.pixels.shape[-1]) if self.axes.endswith("c") else 0

    @property
    def lazy(self) -> bool:
        """Whether the pixels lie outside the memory and are read when a plane is asked for."""
        return not isinstance(self.pixels, np.ndarray) or isinstance(self.pixels, np.memmap)

    @property
    def reading(self) -> str:
        """One sentence on how the axes were understood, and how to say it otherwise where they were guessed."""
        planes, height, width = self.shape
        kind = {"z": "planes (z)", "t": "frames (t)"}.get(self.axes[0], "")
        size = f"{planes} {kind} of {height} x {width} pixels" if kind else f"one plane of {height} x {width} pixels"
        colour = f" with {self.channels} channel{'s' if self.channels > 1 else ''}" if self.channels else ""
        sentence = f"Read as {size}{colour}, axes {self.axes!r}"
        if self.named:
            return f"{sentence}, as the file names them."
        if not self.guessed or self.axes == "yx":
            return f"{sentence}."
        others = [f"axes={one!r}" for one in AXES if len(one) == len(self.axes) and one != self.axes]
        how = f"{sentence}, guessed from the shape {tuple(self.pixels.shape)}; say {' or '.join(others)} if not."
        if kind and planes in (3, 4) and not self.channels:
            how += " Channels come last: np.moveaxis(pixels, 0, -1)."
        return how

    def plane(self, index: int = 0) -> NDArray[np.generic]:
        """Return one plane as (y, x), or (y, x, c) when there are channels; of lazy pixels only this one is read.

        Masked pixels stay masked. Raises ImageError for a plane that is not there, that cannot be read, or, where
        it is the only one, that holds nothing but NaN and infinities.
        """
        planes = self.shape[0]
        if not 0 <= index < planes:
            raise ImageError(f"There is no plane {index}.", f"Choose a plane from 0 to {planes - 1}.")
        stacked = self.axes[0] in "zt"
        if isinstance(self.pixels, np.ndarray):
            return self.pixels[index] if stacked else self.pixels
        try:
            pixels = _plain(self.pixels[index] if stacked else self.pixels[...])
        except Exception as error:  # every kind of lazy array fails in its own way
            raise ImageError(
                f"Plane {index} of {self.name} cannot be read ({error}).", "Check that its file is there and whole."
            ) from error
        if planes == 1:
            _check_content(pixels)
        return pixels

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
        """SHA-1 of shape, dtype and pixels; another shape or dtype is another image.

        Reads every plane once, one at a time: of lazy pixels this costs as much as reading the whole file.
        """
        shape, dtype = tuple(self.pixels.shape), self.pixels.dtype
        digest = hashlib.sha1(f"{shape} {dtype.str}".encode(), usedforsecurity=False)
        for index in range(self.shape[0]):
            digest.update(raw_bytes(self.plane(index)))
        return digest.hexdigest()


def raw_bytes(pixels: NDArray[np.generic]) -> bytes:
    """Return all that makes up an image, for hashing: its pixels, 0 where they are masked, and which ones are."""
    found = np.ascontiguousarray(np.ma.filled(pixels, 0)).tobytes()
    return found + np.packbits(np.ma.getmaskarray(pixels)).tobytes() if np.ma.is_masked(pixels) else found


def _plain(value: Any) -> NDArray[np.generic]:
    """Return ``value`` as a numpy array; a masked one stays so, as what it hides must not count in the contrast."""
    # Only dask's own way keeps the mask; np.asarray drops it.
    computed = value.compute() if hasattr(value, "compute") else value
    return computed if isinstance(computed, np.ma.MaskedArray) else np.asarray(computed)


def _unnamed(value: Any, said: str) -> tuple[Any, str]:
    """Return pixels without the axes that their file names, and those axes, "" where they are none of ``AXES``.

    Where channels were moved last but ``said``, the user's axes, has none, they go back to where the file has them.
    """
    named = getattr(value, "axes", "")
    if not isinstance(named, str) or named not in AXES or len(named) != len(getattr(value, "shape", ())):
        return value, ""
    if said and not said.endswith("c") and hasattr(value, "stored"):
        value = value.stored()
    return (np.asarray(value) if isinstance(value, np.ndarray) else value), named


def _as_array(value: Any) -> PixelArray:
    """Return ``value`` if it can be read by indexing, else as a numpy array. Raises ImageError."""
    if isinstance(value, (str, bytes)) or value is None or (isinstance(value, Sequence) and not len(value)):
        raise ImageError(f"{value!r} is not an image.", "Give a numpy array, or the path of an image file.")
    pixels: Any = value
    if not _indexed(value) and not isinstance(value, np.ndarray):
        try:
            pixels = _plain(value)
        except (ValueError, TypeError, RuntimeError) as error:
            raise ImageError(f"A {type(value).__name__} cannot be read as an image.", "Give a numpy array.") from error
    shape = tuple(pixels.shape)
    if pixels.dtype.kind not in "buif":
        raise ImageError(
            f"Pixels of type {pixels.dtype} are not an image.", "Convert them to a real number type such as uint8."
        )
    if len(shape) < 2:
        raise ImageError(f"An array of shape {shape} is not an image.", "Give at least the axes y and x.")
    if any(n != n for n in shape):
        raise ImageError("The array does not know its shape yet.", "Call its compute_chunk_sizes() first.")
    if 0 in shape:
        raise ImageError(f"The image of shape {shape} is empty.", "Check how it was read or cropped.")
    if isinstance(pixels, np.ndarray) and not isinstance(pixels, np.memmap):
        _check_content(pixels)
    out: PixelArray = pixels
    return out


def _indexed(value: Any) -> bool:
    """Whether ``value`` is a lazy array: not numpy's, but with a shape, one of numpy's dtypes, and indexing."""
    if isinstance(value, (np.ndarray, np.generic)) or not hasattr(value, "__getitem__"):
        return False
    return isinstance(getattr(value, "dtype", None), np.dtype) and isinstance(getattr(value, "shape", None), tuple)


def _check_content(pixels: NDArray[np.generic]) -> None:
    """Raise ImageError unless one pixel is finite."""
    if pixels.dtype.kind == "f" and not _any_finite(pixels):
        raise ImageError("The image holds nothing but NaN or infinity.", "Check how it was computed.")


def _any_finite(pixels: NDArray[np.generic]) -> bool:
    """Look at a small part at a time and stop at the first finite pixel."""
    if pixels.size > _CHECKED and pixels.ndim > 1:
        return any(_any_finite(part) for part in pixels)
    return bool(np.isfinite(pixels).any())


def _guess(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return "yx"
    if len(shape) == 3:
        # One or two channels are told from thin volumes by the size of the other axes.
        few = shape[-1] in (1, 2) and min(shape[:2]) > 4
        return "yxc" if few or shape[-1] in (3, 4) else "zyx"
    if len(shape) == 4 and shape[-1] in (1, 2, 3, 4):
        return "zyxc"
    raise ImageError(
        f"The axes of an image of shape {shape} cannot be guessed.",
        f"Pick one plane, or name the axes: {', '.join(AXES)}; channels come last.",
    )
