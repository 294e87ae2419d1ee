"""Pictures of an image, in parts and at any resolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Image, ImageError
from ..core.image import spread
from ..core.pixels import sample_blocks
from ..session import Browsing, Channel
from .channels import COLOURS, Stain, compose, rgb_of, within
from .raster import Raster, overview

#: Pixels of the plane that are read at a time for an overview.
_STRIP = 4 << 20
#: Planes of a volume from which its black and white are found.
_SAMPLED = 9
#: Each pixel of an overview is the mean of so many times so many places in the plane, where there are as many.
_FINE = 4
_PRIMARY = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
#: Planes of which the common contrast of all is taken.
_SPREAD = 5
#: Bytes of an overview, and of a part, that are kept, so that another contrast need not read the plane again.
_KEPT = 256 << 20


@dataclass(frozen=True, slots=True)
class Look:
    """What decides about the picture: which plane, how its channels are shown, or what the model sees."""

    plane: int = 0
    channels: tuple[Channel, ...] = ()
    as_model: bool = False

    @classmethod
    def of(cls, browsing: Browsing) -> Look:
        return cls(browsing.plane, () if browsing.as_model else browsing.channels, browsing.as_model)


def is_rgb(image: Image) -> bool:
    """Whether the channels are the red, green, blue (and alpha) of a photograph, shown as they are.

    Of 8-bit images with four channels those are, whose fourth is opaque nearly everywhere.
    """
    if image.pixels.dtype != np.uint8 or image.channels not in (3, 4):
        return False
    return image.channels == 3 or float(np.mean(_sample(image, 0)[..., 3] == 255)) > 0.9


class Pictures:
    """Makes pictures of one image; as slow as it is to read. What was read last is kept for another contrast."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._windows: dict[int, tuple[tuple[float, float], ...]] = {}
        self._raw: dict[tuple[int, Raster], NDArray[np.generic]] = {}
        self._last: tuple[int, Raster, NDArray[np.generic]] | None = None
        self._rgb: bool | None = None

    def windows(self, plane: int) -> tuple[tuple[float, float], ...]:
        """Return of every channel the intensities that are black and white when nothing else is chosen.

        Those of an RGB photograph are 0 and 255. All planes of a volume have the same ones: an empty plane is dark
        then, and nothing flickers. Those of a single plane of up to two channels are what the model sees.
        """
        plane = 0 if self._image.shape[0] > 1 else plane
        if plane not in self._windows:
            count = max(1, self._image.channels)
            if self.photograph:
                found = ((0.0, 255.0),) * count
            elif self._image.shape[0] == 1 and count <= 2:
                found = self._image.contrast_of(plane)
            else:
                sample = self._sample().reshape(-1, count)
                found = tuple(self._image.contrast.window(sample[:, c]) for c in range(count))
            self._windows[plane] = found
        return self._windows[plane]

    def _sample(self) -> NDArray[np.generic]:
        """Return pixels from all over the image, (n,) or (n, c): of many planes those of a few."""
        planes = self._image.shape[0]
        some = np.unique(np.linspace(0, planes - 1, min(planes, _SAMPLED)).round().astype(int))
        found = []
        for plane in some:
            try:
                found.append(_sample(self._image, int(plane)))
            except (ImageError, OSError):
                # It is told where that plane is shown; the others can be seen.
                if plane == some[-1] and not found:
                    raise
        join: Any = np.ma.concatenate if any(map(np.ma.is_masked, found)) else np.concatenate
        out: NDArray[np.generic] = join(found)
        return out

    def stains(self, look: Look, windows: Sequence[tuple[float, float]] | None = None) -> list[Stain]:
        """Return how the visible channels are shown. A channel without colour has its own.

        ``windows``: what is black and white where the user chose nothing, by default as in the plane.
        """
        out = []
        for number, own in enumerate(self.windows(look.plane) if windows is None else windows):
            chosen = look.channels[number] if number < len(look.channels) else Channel(visible=not self._alpha(number))
            if not chosen.visible:
                continue
            low, high = within(chosen.low, chosen.high, own)
            out.append(Stain(number, low, high, rgb_of(chosen.colour or self.colour(number))))
        return out

    def colour(self, channel: int) -> str:
        """Return a channel's own colour: white when it is the only one, red, green and blue of a photograph."""
        if self._image.channels <= 1:
            return "#ffffff"
        if self.photograph:
            return ("#ff0000", "#00ff00", "#0000ff", "#ffffff")[channel]
        return COLOURS[channel % len(COLOURS)]

    def part(self, look: Look, raster: Raster) -> NDArray[np.uint8]:
        """Return the picture of a part of a plane, uint8 (h, w) or (h, w, 3); steps are whole. Raises ImageError."""
        if look.as_model:
            return self._image.shown_region(look.plane, *self._rectangle(raster), int(raster.step))
        last = self._last
        if last is not None and last[:2] == (look.plane, raster):
            return self._compose(look, last[2])
        pixels = self._read(look.plane, raster)
        if pixels.nbytes <= _KEPT:
            self._last = look.plane, raster, pixels
        return self._compose(look, pixels)

    def through(self, look: Look, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Return pixels of many planes (n, m) or (n, m, c) as a picture, all with one contrast.

        It reaches from the darkest to the brightest of some planes, evenly spread, where the user chose none.
        """
        if self.photograph and not look.channels and not look.as_model:
            return np.ascontiguousarray(pixels[..., :3], np.uint8)
        windows = self._image.contrast_of if look.as_model else self.windows
        some = [windows(plane) for plane in spread(self._image.shape[0], _SPREAD)]
        common = [(min(low for low, _ in one), max(high for _, high in one)) for one in zip(*some, strict=True)]
        if not look.as_model or self._image.channels <= 1:
            return compose(pixels, self.stains(look, common))
        # The model sees the first three channels as red, green and blue, with one window; two have one each.
        common = common * 3 if len(common) == 1 else common
        return compose(pixels, [Stain(c, *common[c], _PRIMARY[c]) for c in range(min(3, self._image.channels))])

    def overview(self, look: Look) -> Iterator[tuple[Raster, NDArray[np.uint8]]]:
        """Yield a picture of the whole plane bit by bit: where a part of it lies, and the part."""
        full = overview(self._image.shape[1:])
        self._raw = {key: pixels for key, pixels in self._raw.items() if key[0] == look.plane}
        for raster in _strips(full, self._image):
            if look.as_model:
                yield raster, self.part(look, raster)
                continue
            pixels = self._raw.get((look.plane, raster))
            if pixels is None:
                pixels = self._read(look.plane, raster, _FINE)
                if pixels.nbytes * full.area <= _KEPT * raster.area:
                    self._raw[look.plane, raster] = pixels
            yield raster, self._compose(look, pixels)

    def _compose(self, look: Look, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        if self.photograph and not look.channels:
            plain = np.ma.filled(pixels[..., :3], 0) if np.ma.is_masked(pixels) else np.asarray(pixels[..., :3])
            return np.ascontiguousarray(plain, np.uint8)
        return compose(pixels, self.stains(look))

    @property
    def photograph(self) -> bool:
        """Whether the channels are red, green, blue and maybe alpha, shown as they are."""
        if self._rgb is None:
            self._rgb = is_rgb(self._image)
        return self._rgb

    def _alpha(self, channel: int) -> bool:
        return channel == 3 and self.photograph

    def _rectangle(self, raster: Raster) -> tuple[int, int, int, int]:
        _, height, width = self._image.shape
        step = int(raster.step)
        y1, x1 = min(height, raster.bottom * step), min(width, raster.right * step)
        return raster.top * step, raster.left * step, y1, x1

    def _read(self, plane: int, raster: Raster, fine: int = 2) -> NDArray[np.generic]:
        """Return the intensities of a part: means of ``fine`` x ``fine`` places in each cell of a coarse raster."""
        step = int(raster.step)
        inner = _finer(self._image, step, fine)
        pixels = self._image.region(plane, *self._rectangle(raster), inner)
        while inner < step:
            pixels, inner = _halved(pixels), 2 * inner
        return pixels[: raster.height, : raster.width]


def _finer(image: Image, step: int, fine: int) -> int:
    """Return the step to read at for means of ``fine`` x ``fine``, or that of a smaller copy, which holds means."""
    inner = max(1, step // fine)
    copies = [one.shrink for one in image.levels if inner <= one.shrink <= step and one.shrink & (one.shrink - 1) == 0]
    return max(copies, default=inner)


def _sample(image: Image, plane: int) -> NDArray[np.generic]:
    """Return pixels from all over a plane, (n,) or (n, c)."""
    blocks = [image.region(plane, *where) for where in sample_blocks(*image.shape[1:])]
    join: Any = np.ma.concatenate if any(map(np.ma.is_masked, blocks)) else np.concatenate
    out: NDArray[np.generic] = join([b.reshape(-1, *b.shape[2:]) for b in blocks])
    return out


def _halved(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the means of 2 x 2 pixels of (y, x) or (y, x, c), in their own dtype where that is of small integers."""
    odd = [(0, n % 2) for n in pixels.shape[:2]]
    if any(more for _, more in odd):
        wide = np.ma.getmaskarray(pixels) if np.ma.is_masked(pixels) else None
        padding = odd + [(0, 0)] * (pixels.ndim - 2)
        padded = np.pad(np.asarray(pixels), padding, mode="edge")
        pixels = padded if wide is None else np.ma.masked_array(padded, np.pad(wide, padding, mode="edge"))
    small = pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= 2
    kind = np.int32 if small else np.float64 if pixels.dtype.itemsize >= 4 and pixels.dtype.kind in "iu" else np.float32
    kind = np.float64 if pixels.dtype == np.float64 else kind
    with np.errstate(over="ignore", invalid="ignore"):
        total: Any = pixels[0::2, 0::2].astype(kind)
        for one in (pixels[0::2, 1::2], pixels[1::2, 0::2], pixels[1::2, 1::2]):
            total = total + one
        out: NDArray[np.generic] = ((total + 2) >> 2).astype(pixels.dtype) if small else total / 4
        return out


def _strips(full: Raster, image: Image) -> Iterator[Raster]:
    """Yield the parts of a whole plane's raster in the order in which its file is best read."""
    step = int(full.step)
    # Of a file whole chunks are read, out of memory only what is wanted; a smaller copy is quick.
    shrink = _finer(image, step, _FINE)
    if image.lazy:
        shrink = max((one.shrink for one in image.levels if one.shrink <= shrink), default=1)
    tall = max(1, image.block[0] * shrink // step)
    wide = min(full.width, max(1, _STRIP * shrink**2 // (tall * step * step)))
    if wide * step > image.block[1]:
        wide = min(full.width, max(1, wide * step // image.block[1] * image.block[1] // step))
    for top in range(0, full.height, tall):
        for left in range(0, full.width, wide):
            yield Raster(full.step, top, left, min(tall, full.height - top), min(wide, full.width - left))
