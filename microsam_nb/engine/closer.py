"""How nano answers: in windows that show the object at the size it sees best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..core import Candidate, Mask
from .answer import answer, best
from .embedding import Embedding
from .looks import around, ladder, look, window_at
from .models import Model
from .pixels import farthest
from .prompting import Gathered, box_of
from .tiling import Window

#: Objects whose windows are in memory at the same time.
_CLOSE = 8
#: Windows tried around a mask that is corrected, beside the one that fits it, as multiples of that.
_FARTHER = (1.7,)


def look_closer(
    model: Model, embedding: Embedding, asked: Sequence[Gathered], previous: Sequence[Mask | None]
) -> Iterator[Candidate]:
    """Answer each object in a window around it; the size of what was only clicked at is found by trying several.

    ``previous`` are the masks that are being corrected, if any. The embedding must hold the plane's pixels.
    """
    for start in range(0, len(asked), _CLOSE):
        some = slice(start, start + _CLOSE)
        yield from _some(model, embedding, asked[some], previous[some])


def _some(
    model: Model, embedding: Embedding, asked: Sequence[Gathered], previous: Sequence[Mask | None]
) -> Iterator[Candidate]:
    windows, questions = [], []
    for own, mask in zip(asked, previous, strict=True):
        some = _windows(model, embedding, own, mask)
        # What is being corrected is itself a prompt.
        full = replace(own, mask=mask) if own.mask is None and mask is not None and mask.area else own
        questions += [(one, full) for one in look(model, embedding, some)]
        windows.append(some)
    answers = iter(answer(model, questions))
    for own, some in zip(asked, windows, strict=True):
        yield best(model, own, [next(answers) for _ in some], embedding.original_size)


def _windows(model: Model, embedding: Embedding, asked: Gathered, previous: Mask | None) -> list[Window]:
    shape = embedding.original_size
    assert embedding.pixels is not None
    region = asked.mask is not None and asked.mask.area > 0
    # A region says what is meant, whatever was answered before.
    earlier = [box_of(previous, shape)] if not region and previous is not None and previous.area else []
    if asked.box is None and not region and not earlier:
        # Up to the whole plane, which is far more than any object where that is large.
        return ladder(shape, asked.points, farthest(embedding.pixels.shape))
    extent, least = asked.extent(earlier), model.frame / model.enlargement
    near = around(shape, extent, least)
    if previous is None:
        return [near]
    # What is corrected may be only a part of what is meant.
    return list(dict.fromkeys([near, *(window_at(shape, extent.middle, max(near.shape) * f) for f in _FARTHER)]))
