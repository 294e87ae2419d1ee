"""Batches of crops with the objects that are prompted in them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from ...core import MicrosamError, SettingsError
from ..models import Model
from .crops import Crop, Grids
from .dataset import CropDataset, objects_of
from .settings import TrainingSettings

#: Crops without objects in one batch before the training gives up.
_TRIES = 500


@dataclass(frozen=True, slots=True)
class Batch:
    """n crops and k objects in them.

    images float (n, 3, s, s), normalised; learned bool (n, f, f) and distances float (n, 3, f, f) for the instance
    decoder; owner int (k,), the crop of every object; targets and depth float, known bool, all (k, c, c).
    """

    images: Tensor
    learned: Tensor
    distances: Tensor
    owner: Tensor
    targets: Tensor
    depth: Tensor
    known: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, one.name).to(device) for one in fields(self)))


def grids_of(model: Model, crop: int) -> Grids:
    """Return how crops of ``crop`` frame pixels are cut for a model. Raises SettingsError for a side it cannot take."""
    if model.frame % 32 == 0 and (crop % 32 or crop > model.frame):
        raise SettingsError(
            f"crop = {crop} px does not fit the model's frame of {model.frame} px.",
            f"Choose a multiple of 32 up to {model.frame}.",
        )
    if getattr(model.sam.image_encoder, "pos_embed", None) is not None and crop != model.frame:
        raise SettingsError(
            f"crop = {crop} px, but {model.spec.architecture} only takes its whole frame of {model.frame} px.",
            f"Choose crop={model.frame}, or a model without positions in its encoder, such as vit_t.",
        )
    stride = model.frame // model.features_shape[-1]
    return Grids(crop, 4 * crop // stride, crop // 2, close=model.is_nano)


def draw_batch(
    model: Model,
    data: CropDataset,
    settings: TrainingSettings,
    random: np.random.Generator,
    *,
    vary: bool = True,
) -> Batch:
    """Draw a batch, on the processor. Raises MicrosamError when there is hardly any object to prompt."""
    s = settings
    grids = replace(grids_of(model, s.crop), typical=s.typical_chance)
    crops: list[Crop] = []
    owner: list[int] = []
    chosen: list[int] = []
    misses = 0
    while len(crops) < s.batch:
        crop = data.draw(grids, random, vary=vary)
        ids = objects_of(crop.labels, s.objects, random)
        # A crop without objects teaches the instance decoder what is none; one at least is prompted.
        bare = s.distances > 0 and not crop.labels.any() and (bool(chosen) or not s.prompts)
        if not ids and not bare:
            misses += 1
            if misses > _TRIES:
                raise MicrosamError(
                    "The training images show hardly any object of ten pixels or more.",
                    "Add images with larger objects, or enlarge these.",
                )
            continue
        owner += [len(crops)] * len(ids)
        chosen += ids
        crops.append(crop)
    # Repeats fill the step up; their prompts differ from the first ones.
    for again in random.integers(0, len(owner), s.batch * s.objects - len(owner)) if owner else ():
        owner.append(owner[again])
        chosen.append(chosen[again])
    return _stacked(model, crops, owner, chosen)


def _stacked(model: Model, crops: list[Crop], owner: list[int], chosen: list[int]) -> Batch:
    sam = model.sam
    images = torch.stack([c.image for c in crops])
    inside = torch.stack([c.inside for c in crops])
    images = (images - sam.pixel_mean.cpu()) / sam.pixel_std.cpu() * inside[:, None]
    index = torch.tensor(owner, dtype=torch.long)
    labels = torch.stack([c.labels for c in crops])
    targets = (labels[index] == torch.tensor(chosen, dtype=torch.long)[:, None, None]).float()
    # What has known ground all around ends there: the rest is not of it, whatever else nobody has looked at.
    ends = torch.tensor([i not in crops[j].open_ended for i, j in zip(chosen, owner, strict=True)], dtype=torch.bool)
    return Batch(
        images.contiguous(memory_format=torch.channels_last),
        torch.stack([c.learned for c in crops]),
        torch.stack([c.distances for c in crops]),
        index,
        targets,
        torch.stack([c.deep for c in crops])[index] * targets,
        torch.stack([c.known for c in crops])[index] | ends[:, None, None],
    )
