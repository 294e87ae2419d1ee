"""What the screen shows as a picture file, drawn without a browser."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw

from ..core import Image
from ..session import Session, State
from .edges import Pen
from .marks import Dot, Line, marks
from .overlays import (
    AFTER,
    BEFORE,
    CANDIDATES,
    MASKS,
    PROPOSALS,
    Source,
    Style,
    coloured,
    edge_opacity,
    edges,
    fill_entries,
    label_source,
    mask_prompts,
    mask_source,
    neighbour_source,
    objects,
)
from .paint import SHADE
from .pictures import Look, Pictures
from .raster import Raster, overview, whole
from .trails import Trails

#: Pixels on the picture per pixel of a small image, at most.
_CLOSEST = 4.0
#: Bytes of a picture that stays lossless in a notebook file.
MOST = 150_000
#: Prompts are drawn so many times larger and reduced, so that their lines are smooth.
_SMOOTH = 2


def snapshot(image: Image, session: Session, width: int = 900, pictures: Pictures | None = None) -> bytes:
    """Return a PNG of the whole plane with what lies on it, at most ``width`` pixels wide and high.

    Layers are visible and opaque as on screen. ``pictures`` of the image that were made before save reading it again.
    """
    state = session.state
    shape = (image.shape[1], image.shape[2])
    zoom = min(width / max(shape), _CLOSEST)
    size = (max(1, round(shape[1] * zoom)), max(1, round(shape[0] * zoom)))
    out = Picture.new("RGBA", size, "white")
    layers = state.browsing.layers
    if layers.image.visible:
        picture = _image(pictures or Pictures(image), Look.of(state.browsing), shape).convert("RGBA")
        smaller = picture.width > size[0]
        picture = picture.resize(size, Picture.Resampling.BOX if smaller else Picture.Resampling.NEAREST)
        picture.putalpha(round(255 * layers.image.opacity))
        out = Picture.alpha_composite(out, picture)
    raster = whole(2.0 ** math.floor(math.log2(1 / zoom)), shape)
    for source, style, opacity, marked in _overlays(session, state):
        out = Picture.alpha_composite(out, _overlay(source, style, opacity, marked, raster, size))
    if session.movie and layers.neighbours.visible:
        trails = Trails(session).lines(session.selected, state.browsing.plane)
        out = Picture.alpha_composite(out, _marks(trails, zoom, size, edge_opacity(layers.neighbours.opacity)))
    if layers.prompts.visible:
        shown = marks(state.prompts, state.browsing.plane)
        out = Picture.alpha_composite(out, _marks(shown, zoom, size, layers.prompts.opacity))
    file = io.BytesIO()
    out.convert("RGB").save(file, "PNG")
    return file.getvalue()


def compact(picture: bytes, most: int = MOST) -> tuple[str, bytes]:
    """Return a PNG and its MIME type; one of more than ``most`` bytes, such as a photograph, as JPEG."""
    if len(picture) <= most:
        return "image/png", picture
    file = io.BytesIO()
    Picture.open(io.BytesIO(picture)).convert("RGB").save(file, "JPEG", quality=85, subsampling=0)
    return "image/jpeg", file.getvalue()


def _image(pictures: Pictures, look: Look, shape: tuple[int, int]) -> Picture.Image:
    full = overview(shape)
    pixels: NDArray[np.uint8] | None = None
    for part, found in pictures.overview(look):
        if pixels is None:
            pixels = np.zeros((full.height, full.width, *found.shape[2:]), np.uint8)
        pixels[part.top : part.bottom, part.left : part.right] = found
    assert pixels is not None
    return Picture.fromarray(pixels)


def _overlays(session: Session, state: State) -> list[tuple[Source, Style, float, Collection[int]]]:
    """Return what lies on the image, from below: the numbers, their style, how opaque, and which are picked."""
    layers, plane = state.browsing.layers, state.browsing.plane
    labels = label_source(session.labels, plane, state.target)
    found: list[tuple[Source, Style, float, Collection[int]]] = []
    if layers.objects.visible:
        found.append((labels, objects(layers.contours), layers.objects.opacity, session.selected))
    proposals = [one.mask for one in state.proposals]
    for layer, masks, style in (
        (layers.candidates, [one.mask for one in state.candidates], CANDIDATES),
        (layers.proposal, proposals, PROPOSALS),
        (layers.prompts, mask_prompts(state.prompts), MASKS),
    ):
        if layer.visible and masks:
            found.append((mask_source(masks, plane), style, layer.opacity, ()))
    for style, step in ((BEFORE, -1), (AFTER, 1)):
        beside = neighbour_source(session.labels, plane + step, session.selected, proposals)
        if layers.neighbours.visible and beside is not None:
            found.append((beside, style, layers.neighbours.opacity, ()))
    return found


def _overlay(
    source: Source, style: Style, opacity: float, marked: Collection[int], raster: Raster, size: tuple[int, int]
) -> Picture.Image:
    scale = raster.width / size[0]
    pen = style.pen(1.0)
    pen = Pen(*(math.ceil(value * scale) for value in (pen.width, pen.rim, pen.dashes, pen.mark)))
    out = Picture.new("RGBA", (raster.width, raster.height))
    if style.filled:
        out = coloured(fill_entries(source, raster, style), style, opacity)
    lines = coloured(edges(source, raster, pen, marked), style, edge_opacity(opacity))
    return Picture.alpha_composite(out, lines).resize(size, Picture.Resampling.BOX)


def _marks(shown: Sequence[Dot | Line], zoom: float, size: tuple[int, int], opacity: float) -> Picture.Image:
    scale = zoom * _SMOOTH
    out = Picture.new("RGBA", (size[0] * _SMOOTH, size[1] * _SMOOTH))
    pen = ImageDraw.Draw(out, "RGBA")
    for mark in shown:
        if isinstance(mark, Line):
            _line(pen, mark, scale)
        else:
            _dot(pen, mark, scale)
    if opacity < 1:
        out.putalpha(out.getchannel("A").point(lambda value: round(value * opacity)))
    return out.resize(size, Picture.Resampling.BOX)


def _line(pen: ImageDraw.ImageDraw, line: Line, scale: float) -> None:
    points = [(float(x) * scale, float(y) * scale) for y, x in line.points]
    points += points[:2] if line.closed else []
    if line.width:
        pen.line(points, (*line.colour, 70), max(1, round(line.width * scale)), joint="curve")
    pen.line(points, (0, 0, 0, SHADE), 4 * _SMOOTH, joint="curve")
    pen.line(points, (*line.colour, 255), 2 * _SMOOTH, joint="curve")


def _dot(pen: ImageDraw.ImageDraw, dot: Dot, scale: float) -> None:
    x, y, arm, radius = dot.x * scale, dot.y * scale, 3 * _SMOOTH, 5 * _SMOOTH
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), (*dot.colour, 255), (255, 255, 255, 255), _SMOOTH)
    pen.line((x - arm, y, x + arm, y), (0, 0, 0, 255), 2 * _SMOOTH)
    if dot.positive:
        pen.line((x, y - arm, x, y + arm), (0, 0, 0, 255), 2 * _SMOOTH)
