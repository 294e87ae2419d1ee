"""What a model is asked about the objects in hand, for the screen and for scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..core import Candidate, Mask, MaskPrompt, Prompt
from ..engine.automatic import measure_diameter
from ..engine.correct import correct_many, corrects
from ..engine.models import Model
from ..engine.predict import predict_many
from ..engine.store import EmbeddingStore
from ..session import Predict

#: The prompts of one object.
Group = tuple[Prompt, ...]


def without_begin(prompts: Group) -> Group:
    """Return prompts without the mask that they correct: nano takes a mask prompt at its word."""
    return prompts[1:] if len(prompts) > 1 and isinstance(prompts[0], MaskPrompt) else prompts


def with_base(request: Predict) -> tuple[Group, ...]:
    """Return the prompts of every object, before them what it is already where they correct that."""
    if not request.base:
        return request.objects
    pairs = zip(request.objects, request.base, strict=True)
    return tuple(own if mask is None else (MaskPrompt(mask), *own) for own, mask in pairs)


def answers_to(
    model: Model,
    store: EmbeddingStore,
    objects: Sequence[Group],
    previous: Sequence[Mask | None],
    size: float | None = None,
) -> list[Candidate]:
    """Return what a model makes of prompts, each beginning with the mask that they correct if there is one.

    ``previous``: what each object is now, as far as that is known; ``size`` as for ``predict_many``.
    """
    pairs = list(zip(objects, previous, strict=True))
    mending = [i for i, (own, mask) in enumerate(pairs) if corrects(model, own) and mask is not None]
    others = [i for i in range(len(pairs)) if i not in mending]
    asked = [without_begin(objects[i]) if model.is_nano else objects[i] for i in others]
    found = dict(
        zip(others, predict_many(model, store, asked, previous=[previous[i] for i in others], size=size), strict=True)
    )
    masks = [mask for i in mending if (mask := previous[i]) is not None]
    found |= zip(mending, correct_many(model, store, [objects[i][1:] for i in mending], masks, size=size), strict=True)
    return [found[i] for i in range(len(pairs))]


def corrected(prompts: Group, known: Callable[[Group], Mask | None]) -> Mask | None:
    """Return the mask that the last of some prompts correct: an earlier answer, or what they begin with.

    ``known``: what was answered to prompts, None where that is not known.
    """
    for count in range(len(prompts) - 1, 0, -1):
        if (mask := known(prompts[:count])) is not None:
            return mask
    begin = prompts[0]
    return begin.mask if len(prompts) > 1 and isinstance(begin, MaskPrompt) else None


def measures(model: Model) -> bool:
    """Whether a model answers better when it knows how large objects are before there are committed ones."""
    return model.is_nano and model.distances is not None


def measure(
    model: Model, store: EmbeddingStore, plane: int, middle: tuple[float, float] | None = None
) -> Iterator[float | None]:
    """Find out how large objects of a plane typically are, around ``middle`` (y, x) first; the last diameter counts."""
    pixels = store.pixels_only(plane).pixels
    assert pixels is not None
    _, height, width = store.shape
    return measure_diameter(model, pixels, middle or (height / 2, width / 2))
