"""Prompts to masks: the door of the engine for interactive segmentation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from torch import Tensor

from ..core import Candidate, Mask, ModelError, Prompt, PromptError
from .answer import answer, best
from .closer import look_closer, look_stepwise
from .decode import decode, dense_position
from .embedding import Embedding
from .looks import Look
from .models import Model
from .precision import inference
from .prompting import Gathered, RegionUse, gather, to_frame
from .store import EmbeddingStore, Item
from .tiled import answer_from_tiles, readable, tiles_for
from .tiling import Window


def predict(
    model: Model,
    source: Embedding | EmbeddingStore,
    prompts: Sequence[Prompt],
    *,
    previous: Mask | None = None,
    size: float | None = None,
    use: RegionUse | None = None,
) -> Candidate:
    """Segment one object from prompts of any kinds, all in one plane.

    ``source`` is the embedding of that plane, or a store; of a tiled store the tile that fits best answers, and an
    object larger than a tile is still segmented whole. A lone positive point is ambiguous: of three answers (four by
    nano) that with the highest predicted IoU is given. nano looks closer at the object when the plane's pixels are
    there; ``previous``, the mask that the user is correcting, tells it where, and ``size``, the usual diameter of
    objects in pixels, how close it need look at what is only clicked at. ``use`` says how regions (ellipse,
    polygon, mask) are put to the model. The mask may be empty when nothing is found. Raises PromptError as
    ``prompting.gather`` does, and StoreError when an embedding is missing and cannot be computed.
    """
    return predict_many(model, source, [prompts], previous=[previous], size=size, use=use)[0]


def predict_many(
    model: Model,
    source: Embedding | EmbeddingStore,
    objects: Sequence[Sequence[Prompt]],
    *,
    previous: Sequence[Mask | None] | None = None,
    size: float | None = None,
    use: RegionUse | None = None,
) -> list[Candidate]:
    """Segment one object per set of prompts; see ``predict``. Sets of the same form are answered together."""
    before = [None] * len(objects) if previous is None else list(previous)
    if len(before) != len(objects):
        raise PromptError(
            f"There are {len(before)} previous masks for {len(objects)} objects.",
            "Give one for each object, None where there is none.",
        )
    asked = _asked(source, objects, size, use)
    if isinstance(source, Embedding):
        _check(model, source)
        return _in_plane(model, source, asked, before, size)
    return _in_store(model, source, asked, before, size)


def needed(
    model: Model, store: EmbeddingStore, objects: Sequence[Sequence[Prompt]], *, use: RegionUse | None = None
) -> list[Item]:
    """Return what of a store is to be encoded before ``predict_many`` answers, so that others may come in between.

    nano answers from windows, which are small. What an object that outgrows its tile needs is known only then.
    """
    if model.is_nano and store.has_image:
        return []
    asked = _asked(store, objects, None, use)
    tiles = tiles_for(store, asked) if store.tiling is not None else [0] * len(asked)
    items = dict.fromkeys(Item(own.plane, tile) for own, tile in zip(asked, tiles, strict=True))
    return [item for item in items if not store.has(*item)]


def predict_stepwise(
    model: Model,
    source: Embedding | EmbeddingStore,
    prompts: Sequence[Prompt],
    *,
    previous: Mask | None = None,
    size: float | None = None,
    use: RegionUse | None = None,
) -> Iterator[tuple[Candidate, bool]]:
    """Return what is found of one object, look after look, and whether that is all; the last is as of ``predict``.

    nano, which looks again and again for what was only clicked at, has something to show after its first looks.
    Raises as ``predict`` does, at once.
    """
    own = _asked(source, [prompts], size, use)[0]
    if isinstance(source, Embedding):
        _check(model, source)
    else:
        _check_store(model, source, [own])
    return _steps(model, source, own, previous, size)


def _steps(
    model: Model, source: Embedding | EmbeddingStore, own: Gathered, previous: Mask | None, size: float | None
) -> Iterator[tuple[Candidate, bool]]:
    if model.is_nano and _has_pixels(source):
        embedding = source if isinstance(source, Embedding) else _embedding(model, source, own.plane)
        yield from look_stepwise(model, embedding, own, previous, size)
    elif isinstance(source, Embedding):
        yield _in_plane(model, source, [own], [previous], size)[0], True
    else:
        yield _in_store(model, source, [own], [previous], size)[0], True


def predict_logits(
    model: Model, embedding: Embedding, prompts: Sequence[Prompt], *, logits: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return low-resolution logits (4, 4h, 4w) of one object's masks and their predicted IoU (4,).

    The first is the single answer, the others are those to an ambiguous prompt. ``logits`` (4h, 4w) of one of them may
    be given back as a further prompt: segment-anything's way to correct an answer. The model looks at the embedding
    as it is, nano too. Raises PromptError as ``predict`` does.
    """
    _check(model, embedding)
    asked = gather(prompts, embedding.original_size, logits=logits)
    sparse = to_frame([asked], embedding, model.frame, model.device)
    with inference(model.device, model.precision):
        masks, scores = decode(
            model.sam, embedding.features.to(model.device), dense_position(model.sam.prompt_encoder), sparse
        )
    return masks[0].float(), scores[0].float()


def _asked(
    source: Embedding | EmbeddingStore, objects: Sequence[Sequence[Prompt]], size: float | None, use: RegionUse | None
) -> list[Gathered]:
    if size is not None and not 0 < size < math.inf:
        raise PromptError(f"Objects cannot be {size} pixels wide.", "Give their usual diameter, above 0, or None.")
    shape = source.shape[1:] if isinstance(source, EmbeddingStore) else source.original_size
    return [gather(prompts, shape, use) for prompts in objects]


def _has_pixels(source: Embedding | EmbeddingStore) -> bool:
    """Whether nano can look at windows of the image itself."""
    return source.has_image if isinstance(source, EmbeddingStore) else source.pixels is not None


def _check(model: Model, embedding: Embedding) -> None:
    """Raise ModelError for features that the model cannot read; nano needs none where it has the pixels."""
    shape = tuple(embedding.features.shape)
    bare = embedding.features.numel() == 0 and model.is_nano and embedding.pixels is not None
    if not bare and shape != model.features_shape:
        raise ModelError(
            f"The embedding {shape} is of another model than {model.spec.label}, which reads {model.features_shape}.",
            "Encode the plane with this model, or load the model that made the embedding.",
        )


def _in_store(
    model: Model,
    store: EmbeddingStore,
    asked: Sequence[Gathered],
    previous: Sequence[Mask | None],
    size: float | None,
) -> list[Candidate]:
    _check_store(model, store, asked)
    if store.tiling is not None and not (model.is_nano and store.has_image):
        return answer_from_tiles(model, store, asked)
    found: dict[int, Candidate] = {}
    for plane in sorted({own.plane for own in asked}):
        some = [i for i, own in enumerate(asked) if own.plane == plane]
        embedding = _embedding(model, store, plane)
        answers = _in_plane(model, embedding, [asked[i] for i in some], [previous[i] for i in some], size)
        found.update(zip(some, answers, strict=True))
    return [found[i] for i in range(len(asked))]


def _check_store(model: Model, store: EmbeddingStore, asked: Sequence[Gathered]) -> None:
    """Raise StoreError for a store of another model, PromptError for prompts in planes that it has not."""
    store.key.check_model(model, "The store")
    planes = store.shape[0]
    for own in asked:
        if not 0 <= own.plane < planes:
            raise PromptError(f"The image has no plane {own.plane}.", f"Prompt in one of the planes 0 to {planes - 1}.")


def _embedding(model: Model, store: EmbeddingStore, plane: int) -> Embedding:
    """Return a whole plane. nano answers from windows: one that is not stored need not be encoded."""
    windows = model.is_nano and store.has_image and (store.tiling is not None or not store.has(plane))
    return store.pixels_only(plane) if windows else readable(model, store.plane(plane))


def _in_plane(
    model: Model,
    embedding: Embedding,
    asked: Sequence[Gathered],
    previous: Sequence[Mask | None],
    size: float | None,
) -> list[Candidate]:
    if model.is_nano and embedding.pixels is not None:
        return list(look_closer(model, embedding, asked, previous, size))
    whole = Look(Window(0, 0, *embedding.original_size), embedding)
    answers = answer(model, [(whole, own) for own in asked])
    return [best(model, own, [one], embedding.original_size) for own, one in zip(asked, answers, strict=True)]
