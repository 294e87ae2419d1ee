"""Interactive segmentation measured with prompts that are simulated again and again, as micro-sam's study does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ...core import Image, LabelError, Mask, Prompt, Settings, option
from ...core.labels import as_labels
from ...core.sections import overlap
from ...core.tracks import areas, renumbered
from ..decode import decode, dense_position, together
from ..embedding import Embedding
from ..encode import encode
from ..models import Model
from ..precision import inference
from ..predict import predict_many
from ..prompting import batches, gather, to_frame
from ..upsample import upsample
from .corrections import corrections
from .protocol import box_of, deepest_point
from .scores import Scores, score


class Start(StrEnum):
    """What an object is first prompted with: its tight box, or its deepest point."""

    BOX = "box"
    POINT = "point"


@dataclass(frozen=True)
class InteractiveSettings(Settings):
    """How prompts are simulated (Archit et al., Nature Methods 2025); the defaults are those of that study."""

    start: Start = option(Start.BOX, "What every object is first prompted with.")
    corrections: int = option(7, "How often every object is then corrected, by two clicks each.", low=0, high=64)
    mask_prompts: bool = option(False, "Put the answer that is corrected to the model again, beside the clicks.")
    seed: int = option(0, "Chooses where the correcting clicks fall.", low=0, high=2**31 - 1)


@dataclass(frozen=True, slots=True)
class InteractiveScore:
    """What became of one plane or volume: ``steps``, after the first prompt and after every correction.

    ``iou`` float (objects, steps): of every object on its own, before objects that overlap are made labels.
    """

    steps: tuple[Scores, ...]
    iou: NDArray[np.float64]


def evaluate_interactive(
    model: Model, image: Image, labels: NDArray[np.integer], settings: InteractiveSettings | None = None
) -> InteractiveScore:
    """Prompt every object of ``labels`` (y, x), and correct every answer; the image is encoded once.

    Where masks overlap a pixel goes to the smallest, as in micro-sam. nano is told with ``mask_prompts`` what it
    corrects, as annotators do, instead of its logits, which are of a window. Raises LabelError for labels that do not
    fit the image, and for such without objects.
    """
    chosen = settings or InteractiveSettings()
    truth = check_labels(labels, image)
    if len(truth) > 1:
        raise LabelError("These are the labels of a volume.", "Use evaluate_volume for volumes.")
    objects = objects_of(truth)
    ious, steps = [], []
    for masks in answers(model, encode(model, image.shown()), objects, chosen):
        ious.append([overlap(one, mask) for one, mask in zip(objects, masks, strict=True)])
        steps.append(score(truth[0], painted(masks, image.shape)[0]))
    return InteractiveScore(tuple(steps), np.array(ious).T)


def answers(
    model: Model, embedding: Embedding, objects: Sequence[Mask], settings: InteractiveSettings
) -> Iterator[list[Mask]]:
    """Yield the masks of all objects, which lie in one plane, after the first prompt and after every correction."""
    random = np.random.default_rng(settings.seed)
    first = box_of if settings.start is Start.BOX else deepest_point
    prompts: list[list[Prompt]] = [[first(one)] for one in objects]
    masks: list[Mask] | None = None
    logits: list[Tensor] | None = None
    for step in range(settings.corrections + 1):
        if settings.mask_prompts and not model.is_nano:
            masks, logits = _with_logits(model, embedding, prompts, logits)
        else:
            before = masks if settings.mask_prompts else None
            masks = [one.mask for one in predict_many(model, embedding, prompts, previous=before)]
        yield masks
        if step < settings.corrections:
            for own, truth, mask in zip(prompts, objects, masks, strict=True):
                own.extend(corrections(truth, mask, embedding.original_size, random))


def _with_logits(
    model: Model, embedding: Embedding, prompts: Sequence[Sequence[Prompt]], before: Sequence[Tensor] | None
) -> tuple[list[Mask], list[Tensor]]:
    """Return masks and low-resolution logits (4h, 4w) of all objects, with their earlier logits as mask prompts."""
    known = [None] * len(prompts) if before is None else list(before)
    asked = [gather(own, embedding.original_size, logits=one) for own, one in zip(prompts, known, strict=True)]
    features, position = embedding.features.to(model.device), dense_position(model.sam.prompt_encoder)
    found: dict[int, Tensor] = {}
    for some in batches(asked, together(model.device)):
        sparse = to_frame([asked[i] for i in some], embedding, model.frame, model.device)
        with inference(model.device, model.precision):
            logits, scores = decode(model.sam, features, position, sparse)
        for i, own, quality in zip(some, logits.float(), scores.float(), strict=True):
            # Of the three masks of a lone point the best.
            found[i] = own[1 + int(quality[1:].argmax())] if asked[i].ambiguous else own[0]
    every = [found[i] for i in range(len(asked))]
    return [upsample(one, embedding, model.frame, asked[0].plane) for one in every], every


def check_labels(labels: NDArray[np.integer], image: Image) -> NDArray[np.uint32]:
    """Return labels as uint32 (planes, y, x). Raises LabelError where they do not fit the image."""
    truth = as_labels(labels)
    if truth.shape != image.shape:
        raise LabelError(
            f"Labels of shape {np.shape(labels)} do not fit the image {image.name} of {image.shape}.",
            "Give the labels of this image, of the same planes, height and width.",
        )
    if not truth.any():
        raise LabelError(f"There is no object in the labels of {image.name}.", "Leave this image out.")
    return truth


def objects_of(truth: NDArray[np.uint32]) -> list[Mask]:
    """Return the objects of labels (planes, y, x), in the order of their numbers."""
    names = {number: place for place, number in enumerate(areas(truth)[0].tolist(), start=1)}
    own = renumbered(truth, names)
    boxes = ndimage.find_objects(own.astype(np.int32))
    return [
        Mask((box[0].start, box[1].start, box[2].start), own[box] == place) for place, box in enumerate(boxes, start=1)
    ]


def painted(masks: Sequence[Mask], shape: tuple[int, int, int]) -> NDArray[np.uint32]:
    """Return masks as labels (planes, y, x), numbered from 1 in their order; where they overlap the smallest wins."""
    out = np.zeros(shape, np.uint32)
    for place in sorted(range(len(masks)), key=lambda i: -masks[i].area):
        if masks[place].area:
            out[masks[place].box.slices][masks[place].bitmap] = place + 1
    return out
