"""How nano answers: in windows that show the object at the size it sees best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from ..core import Candidate, Mask, Point
from .answer import answer, rated
from .embedding import Embedding
from .looks import MARGIN, around, ladder, look, window_at
from .models import Model
from .pixels import farthest
from .prompting import Gathered, box_of
from .tiling import Window

#: Objects whose windows are in memory at the same time.
_CLOSE = 8
#: Windows tried around a mask that is corrected, beside the one that fits it, as multiples of that.
_FARTHER = (1.7,)
#: How many times smaller or larger than usual a clicked object may be to be believed at once, and what must speak for
#: it; chosen on the validation split: half as many windows as trying all, mean IoU .732 instead of .730.
_USUAL = 2.5
_CONVINCING = 0.8


def look_closer(
    model: Model,
    embedding: Embedding,
    asked: Sequence[Gathered],
    previous: Sequence[Mask | None],
    size: float | None = None,
) -> Iterator[Candidate]:
    """Answer each object in a window around it; the size of what was only clicked at is found by trying several.

    ``previous`` are the masks that are being corrected, if any. ``size``, the usual diameter of objects in pixels,
    spares those that show much smaller or larger ones, unless what is found is not usual. The embedding must hold the
    plane's pixels.
    """
    for start in range(0, len(asked), _CLOSE):
        some = slice(start, start + _CLOSE)
        rates = list(_some(model, embedding, asked[some], previous[some], size))
        found = [one for one, _ in rates]
        if size is not None:
            clicked = [
                own.box is None and own.mask is None and p is None for own, p in zip(asked, previous, strict=True)
            ]
            odd = [i for i, one in enumerate(found) if clicked[start + i] and not _usual(one.mask, rates[i][1], size)]
            again = _some(model, embedding, [asked[some][i] for i in odd], [previous[some][i] for i in odd], None)
            for i, (one, _) in zip(odd, again, strict=True):
                found[i] = one
        yield from found


def _some(
    model: Model,
    embedding: Embedding,
    asked: Sequence[Gathered],
    previous: Sequence[Mask | None],
    size: float | None,
) -> Iterator[tuple[Candidate, float]]:
    windows, questions = [], []
    for own, mask in zip(asked, previous, strict=True):
        some = _windows(model, embedding, own, mask, size)
        full = own
        if own.mask is None and mask is not None and mask.area:
            # What is being corrected is itself a prompt.
            full = replace(own, mask=mask, points=(*own.points, *_anchor(own, mask)))
        questions += [(one, full) for one in look(model, embedding, some)]
        windows.append(some)
    answers = iter(answer(model, questions))
    for own, some in zip(asked, windows, strict=True):
        yield rated(model, own, [next(answers) for _ in some], embedding.original_size)


def _anchor(asked: Gathered, mask: Mask) -> tuple[Point, ...]:
    """Return a positive point in a mask from which only parts are taken away, far from those and from its border.

    Without any positive point nano loses the object (mean IoU after one negative click on a mask that is too large
    .33, with the anchor .76; before it .66).
    """
    if asked.box is not None or any(p.positive for p in asked.points):
        return ()
    _, top, left = mask.start
    depth = ndimage.distance_transform_edt(np.pad(mask.bitmap[0], 1))[1:-1, 1:-1]
    rows, columns = np.indices(depth.shape) + 0.5
    for p in asked.points:
        depth = np.minimum(depth, np.hypot(rows + top - p.y, columns + left - p.x))
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return (Point(asked.plane, float(row) + top + 0.5, float(column) + left + 0.5),)


def _usual(mask: Mask, rate: float, size: float) -> bool:
    """Whether a mask of one plane is convincing and has about the usual diameter."""
    return rate >= _CONVINCING and size / _USUAL <= math.sqrt(mask.area * 4 / math.pi) <= size * _USUAL


def _windows(
    model: Model, embedding: Embedding, asked: Gathered, previous: Mask | None, size: float | None
) -> list[Window]:
    shape = embedding.original_size
    assert embedding.pixels is not None
    region = asked.mask is not None and asked.mask.area > 0
    # A region says what is meant, whatever was answered before.
    earlier = [box_of(previous, shape)] if not region and previous is not None and previous.area else []
    if asked.box is None and not region and not earlier:
        # Up to the whole plane, which is far more than any object where that is large.
        steps = ladder(shape, asked.points, farthest(embedding.pixels.shape))
        if size is None:
            return steps
        wanted = size * MARGIN
        near = [one for one in steps if wanted / _USUAL <= max(one.shape) <= wanted * _USUAL]
        return near or [min(steps, key=lambda one: abs(math.log(max(one.shape) / wanted)))]
    extent, least = asked.extent(earlier), model.frame / model.enlargement
    close = around(shape, extent, least)
    if previous is None:
        return [close]
    # What is corrected may be only a part of what is meant.
    return list(dict.fromkeys([close, *(window_at(shape, extent.middle, max(close.shape) * f) for f in _FARTHER)]))
