"""An image, volume or movie with named axes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .box import Triple
from .contrast import Contrast
from .errors import ImageError
from .pixels import (
    Level,
    PixelArray,
    Rectangle,
    block_side,
    levels_of,
    plain,
    raw_bytes,
    read_level,
    read_part,
    sample_blocks,
)
from .voxels import VoxelSize

#: Axes that can be given; z and t are the plane axis.
AXES = ("yx", "yxc", "zyx", "tyx", "zyxc", "tyxc")

#: A plane whose picture holds more values than this is large: it is read in parts and never stretched as a whole.
LARGE = 64 << 20

_CHECKED = 4_000_000  # pixels looked at in one go when searching for a finite one
_HASHED = 64 << 20  # bytes; of larger images the fingerprint sees a sample
_PLANES = 8  # planes that such a sample holds
_STRIP = 4 << 20  # pixels of a plane that are read at a time on the way to a picture of all of it


@dataclass(slots=True)
class _Memory:
    """What was found out about an image by reading it, so that nothing is read twice for it."""

    windows: dict[int, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    traces: dict[int, str] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Image:
    """Pixels of any real dtype, stored as given, and the names of their axes.

    ``axes`` is one of "yx", "yxc", "zyx", "tyx", "zyxc", "tyxc"; left out it is guessed: 2 axes are yx; a last
    axis of 3 or 4 holds channels, one of 1 or 2 does where y and x are longer than 4; any other first axis of 3
    is z. Pixels from a file that names its axes (their ``axes``, as ``open_image`` gives them) are not guessed.
    ``reading`` says what was guessed. Any number of channels where the axes are said or named; the user and the
    network see the first three.

    ``pixels`` may be lazy (dask, zarr, h5py, np.memmap): it is kept and read one plane at a time, and one part at a
    time where a plane is ``large``. Smaller copies of it that its ``levels`` list (a pyramid) serve for overviews.
    ``voxel_size`` is a ``VoxelSize``, or (z, y, x) or (y, x) in µm, where it is known; ``source`` is the file or zarr
    folder that the pixels were read from, None for those of an array. What was found out by reading is remembered: do
    not change the pixels afterwards. Raises ImageError for anything that is not an image.
    """

    pixels: PixelArray
    axes: str = ""
    name: str = "image"
    contrast: Contrast = field(default_factory=Contrast)
    voxel_size: VoxelSize | None = None
    source: Path | None = None
    guessed: bool = field(init=False, default=False)
    named: bool = field(init=False, default=False)
    levels: tuple[Level, ...] = field(init=False, default=(), repr=False)
    _memory: _Memory = field(init=False, default_factory=_Memory, repr=False)

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
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "guessed", not (self.axes or named))
        object.__setattr__(self, "named", bool(named and not self.axes))
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "levels", levels_of(pixels, axes))
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
    def shown_shape(self) -> tuple[int, ...]:
        """Shape of a plane as ``shown`` gives it: (y, x), or (y, x, 3) when there are at least 2 channels."""
        return self.shape[1:] + ((3,) if self.channels > 1 else ())

    @property
    def large(self) -> bool:
        """Whether a plane is so large (more than 64 Mi values when shown) that only parts of it should be read."""
        return is_large(self.shown_shape)

    @property
    def block(self) -> tuple[int, int]:
        """Height and width of the blocks in which a plane is best read: about 1024 pixels, in chunks of its file."""
        return block_side(self.pixels, self.axes)

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
        first = " (the first three are shown)" if self.channels > 4 else ""
        sentence = f"Read as {size}{colour}{first}, axes {self.axes!r}"
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
        self._check_plane(index)
        stacked = self.axes[0] in "zt"
        if isinstance(self.pixels, np.ndarray):
            return self.pixels[index] if stacked else self.pixels
        try:
            pixels = plain(self.pixels[index] if stacked else self.pixels[...])
        except Exception as error:  # every kind of lazy array fails in its own way
            raise self._unreadable(index, error) from error
        if self.shape[0] == 1:
            _check_content(pixels)
        return pixels

    def region(self, index: int, y0: int, x0: int, y1: int, x1: int, step: int = 1) -> NDArray[np.generic]:
        """Return a part of a plane, (y, x) or (y, x, c): what ``plane(index)[y0:y1:step, x0:x1:step]`` is.

        Of lazy pixels only this part is read; where they have a smaller copy (``levels``) of at most ``step``, the
        pixels come from that, so that they are means of their surroundings where it was made so. Masked pixels stay
        masked. Raises ImageError for a part that does not lie in the plane, and for one that cannot be read.
        """
        return self._part(index, (y0, x0, y1, x1), step)

    def contrast_of(self, index: int) -> tuple[tuple[float, float], ...]:
        """Return the intensities shown as black and white in a plane: one window, or two for two channels.

        They are found once and remembered. Of a ``large`` plane they are those of a regular sample, about 144 blocks
        of 80 x 80 pixels, which depends on the pixels alone and not on how they are stored. Where that is all one
        value, anything brighter becomes visible. Raises ImageError as ``plane`` does.
        """
        if index not in self._memory.windows:
            if self.large:
                self._take_sample(index)
            else:
                self._memory.windows[index] = self._windows(self._whole(index))
        return self._memory.windows[index]

    def shown(self, index: int = 0) -> NDArray[np.uint8]:
        """Return one plane as the user and the network see it: contrast stretched, uint8 (y, x) or (y, x, 3).

        One channel becomes grey, two become red and green, of more the first three are red, green and blue (so alpha
        is dropped). A ``large`` plane is better asked for in parts, or as an ``overview``.
        """
        if self.large:
            return self.overview(index, 1)
        pixels = self._whole(index)
        if index not in self._memory.windows:
            self._memory.windows[index] = self._windows(pixels)
        return self._stretch(pixels, self._memory.windows[index])

    def shown_region(self, index: int, y0: int, x0: int, y1: int, x1: int, step: int = 1) -> NDArray[np.uint8]:
        """Return a part of a plane as ``shown`` gives it, uint8 (y, x) or (y, x, 3), with the contrast of the plane.

        It equals ``shown(index)[y0:y1:step, x0:x1:step]``, but for ``levels``; see ``region``. Raises ImageError.
        """
        # Read first: a wrong part should not cost a sample of the plane.
        pixels = self._part(index, (y0, x0, y1, x1), step, 3)
        return self._stretch(pixels, self.contrast_of(index))

    def overview(self, index: int = 0, step: int = 1) -> NDArray[np.uint8]:
        """Return a picture of a plane reduced by the whole number ``step``, rounded up: uint8 (y, x) or (y, x, 3).

        Every ``step``-th pixel of every ``step``-th row, or what ``levels`` have; never more than a part of the plane
        is in memory. Raises ImageError.
        """
        sides = tuple(-(-side // max(1, step)) for side in self.shape[1:])
        out = np.zeros(sides + self.shown_shape[2:], np.uint8)
        for (row, column), part in self.overview_parts(index, step):
            out[row : row + part.shape[0], column : column + part.shape[1]] = part
        return out

    def overview_parts(self, index: int = 0, step: int = 1) -> Iterator[tuple[tuple[int, int], NDArray[np.uint8]]]:
        """Yield an ``overview`` bit by bit, row by row: (row, column) of a part in it, and the part.

        Without ``levels`` the whole plane has to be read for it. Raises ImageError.
        """
        _, height, width = self.shape
        shrink = max((level.shrink for level in self.levels if level.shrink <= step), default=1)
        # Long strips: each block of a file is read once.
        tall, wide = (max(step, side * shrink // step * step) for side in self.block)
        wide *= max(1, _STRIP * shrink**2 // (tall * wide))
        for y in range(0, height, tall):
            for x in range(0, width, wide):
                part = self.shown_region(index, y, x, min(height, y + tall), min(width, x + wide), step)
                yield (y // step, x // step), part

    def trace(self, index: int) -> str:
        """Return a hash of a regular sample of a plane, about a million pixels; remembered. Raises ImageError."""
        if index not in self._memory.traces:
            self._take_sample(index)
        return self._memory.traces[index]

    def fingerprint(self) -> str:
        """SHA-1 of shape, dtype and pixels; another shape or dtype is another image. Found once and remembered.

        Up to 64 MiB every pixel counts. Of larger images, in memory or not, these are regular samples (``trace``) of
        at most 8 planes spread evenly, so that it does not take reading the whole file: a change between them goes
        unnoticed.
        """
        if not self._memory.fingerprint:
            self._memory.fingerprint = self._hash()
        return self._memory.fingerprint

    def _hash(self) -> str:
        shape, dtype = tuple(self.pixels.shape), self.pixels.dtype
        digest = hashlib.sha1(f"{shape} {dtype.str}".encode(), usedforsecurity=False)
        if math.prod(shape) * dtype.itemsize > _HASHED:
            for index in spread(self.shape[0], _PLANES):
                digest.update(f"{index} {self.trace(index)}".encode())
            return digest.hexdigest()
        for index in range(self.shape[0]):
            digest.update(raw_bytes(self.plane(index)))
        return digest.hexdigest()

    def _take_sample(self, index: int) -> None:
        """Read the sample of a plane once, for its trace and, where the plane is large, for its contrast."""
        digest = hashlib.sha1(usedforsecurity=False)
        blocks = [self._part(index, where) for where in sample_blocks(*self.shape[1:])]
        for block in blocks:
            digest.update(raw_bytes(block))
        self._memory.traces[index] = digest.hexdigest()
        if self.large:
            windows = self._windows(_joined(blocks))
            if not all(high > low for low, high in windows):
                windows = self._look_again(index, windows)
            self._memory.windows[index] = windows

    def _look_again(self, index: int, found: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        """Return the contrast of a large plane whose sample, or a channel of it, is all one value: ``found``."""
        if self.levels:
            _, height, width = self.shape
            step = max(self.levels[-1].shrink, math.ceil(math.sqrt(height * width / _STRIP)))
            windows = self._windows(self._part(index, (0, 0, height, width), step, 3))
        else:
            blocks = [self._part(index, where, 1, 3) for where in sample_blocks(*self.shape[1:], finer=2)]
            windows = self._windows(_joined(blocks))
        return tuple(
            first if first[1] > first[0] else (low, high if high > low else low + 1)
            for first, (low, high) in zip(found, windows, strict=True)
        )

    def _windows(self, pixels: NDArray[np.generic]) -> tuple[tuple[float, float], ...]:
        """Return the contrast of pixels (..., c) or, without channels, of any shape."""
        if not self.channels:
            return (self.contrast.window(pixels),)
        seen = pixels[..., :3]
        if seen.shape[-1] == 3:
            return (self.contrast.window(seen),)
        # Two stains may differ in brightness by orders of magnitude: each has its own window.
        return tuple(self.contrast.window(seen[..., c]) for c in range(seen.shape[-1]))

    def _stretch(self, pixels: NDArray[np.generic], windows: tuple[tuple[float, float], ...]) -> NDArray[np.uint8]:
        if pixels.ndim == 2:
            return self.contrast.stretch(pixels, windows[0])
        seen = pixels[..., :3]
        if seen.shape[2] == 1:
            return self.contrast.stretch(seen[..., 0], windows[0])
        if seen.shape[2] == 3:
            return self.contrast.stretch(seen, windows[0])
        out = np.zeros((*seen.shape[:2], 3), np.uint8)
        for c, window in enumerate(windows):
            out[..., c] = self.contrast.stretch(seen[..., c], window)
        return out

    def _whole(self, index: int) -> NDArray[np.generic]:
        """Return a plane with the channels that are shown, and maybe more."""
        if self.lazy and self.channels > 4:
            return self._part(index, (0, 0, *self.shape[1:]), 1, 3)
        return self.plane(index)

    def _part(self, index: int, where: Rectangle, step: int = 1, channels: int | None = None) -> NDArray[np.generic]:
        self._check_plane(index)
        _, height, width = self.shape
        y0, x0, y1, x1 = where
        if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width and step >= 1):
            raise ImageError(
                f"A plane of {height} x {width} pixels has no part y {y0} to {y1}, x {x0} to {x1} at step {step}.",
                f"Choose 0 <= y0 < y1 <= {height}, 0 <= x0 < x1 <= {width} and a step of at least 1.",
            )
        level = max((one for one in self.levels if one.shrink <= step), key=lambda one: one.shrink, default=None)
        try:
            if level is not None:
                return read_level(level, self.axes, index, where, step, channels)
            return read_part(self.pixels, self.axes, index, where, step, channels)
        except Exception as error:  # every kind of lazy array fails in its own way
            raise self._unreadable(index, error) from error

    def _check_plane(self, index: int) -> None:
        if not 0 <= index < self.shape[0]:
            raise ImageError(f"There is no plane {index}.", f"Choose a plane from 0 to {self.shape[0] - 1}.")

    def _unreadable(self, index: int, error: Exception) -> ImageError:
        return ImageError(
            f"Plane {index} of {self.name} cannot be read ({error}).", "Check that its file is there and whole."
        )


def is_large(shown: tuple[int, ...]) -> bool:
    """Whether a plane shown as (y, x) or (y, x, 3) is too large to be stretched as a whole."""
    return math.prod(shown) > LARGE


def spread(count: int, most: int) -> list[int]:
    """Return at most ``most`` of the indices below ``count``, the first and the last and evenly between."""
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})


def _joined(blocks: Sequence[NDArray[np.generic]]) -> NDArray[np.generic]:
    """Return the pixels of blocks (y, x) or (y, x, c) in one row: (n,) or (n, c)."""
    join = np.ma.concatenate if any(map(np.ma.is_masked, blocks)) else np.concatenate
    out: NDArray[np.generic] = join([block.reshape(-1, *block.shape[2:]) for block in blocks])
    return out


def _unnamed(value: Any, said: str) -> tuple[Any, str]:
    """Return pixels without the axes that their file names, and those axes, "" where they are none of ``AXES``.

    Where channels were moved last but ``said``, the user's axes, has none, they go back to where the file has them.
    """
    named = getattr(value, "axes", "")
    # tifffile's pages and series name theirs in capitals, and samples of a colour s.
    named = named.lower().replace("s", "c") if isinstance(named, str) else ""
    if named not in AXES or len(named) != len(getattr(value, "shape", ())):
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
            pixels = plain(value)
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
    if callable(getattr(value, "asarray", None)):  # a series of tifffile: its items are pages
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
    if len(shape) > 3:
        rest = ", 0" * (len(shape) - 4)
        raise ImageError(
            f"An image of shape {shape} has more axes than can be shown.",
            f"Pick one plane, volume or movie of it, for example image[0{rest}] or image[:, 0{rest}], or name the axes:"
            " zyxc, tyxc; channels come last.",
        )
    raise ImageError(
        f"The axes of an image of shape {shape} cannot be guessed.",
        f"Pick one plane, or name the axes: {', '.join(AXES)}; channels come last.",
    )
