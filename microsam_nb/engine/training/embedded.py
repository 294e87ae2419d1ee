"""The recipe of the embedded model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ...core import LabelledImage, ModelError
from ...core.replacing import replaced_whole
from ..backbones.nano import NanoDistances, build_nano
from ..models import Model, ModelSpec
from ..precision import find_device
from .dataset import CropDataset
from .drawn import KINDS, drawn_images

#: Chances of single groups, beyond their share of the images: volumes hold many planes that look alike,
#: bacteria and epithelia come as few images with many objects, drawn images only fill gaps.
_WEIGHTS = {
    "gonuclear | confocal nuclei (plant ovule, noisy)": 0.4,
    "iitgoa_nuclei | confocal nuclei (cell culture)": 0.5,
    "neuroproof | FIB-SEM neurites": 0.5,
    "axondeepseg_sem | SEM myelinated axons": 1.3,
    "dsb2018 | histology H&E/IHC (RGB)": 1.4,
    "usiigaci | phase contrast cells": 1.5,
    "mcstracker | fluorescence membranes (epithelium)": 3.0,
    "omnipose | phase contrast/fluorescence bacteria": 3.0,
} | {f"drawn | {kind}": 0.3 for kind in KINDS}


def new_nano(seed: int = 0, device: str = "cpu") -> Model:
    """Return an untrained nano model with instance decoder on a device, "auto" for the fastest there is."""
    torch.manual_seed(seed)
    place = find_device(device)
    return Model(ModelSpec("nano", "nano", "untrained"), build_nano().to(place), NanoDistances().to(place), place)


def embedded_dataset(images: Sequence[LabelledImage], drawn: int = 90) -> CropDataset:
    """Return the crops that the embedded model is trained on: of ``images``, and of some ``drawn`` by program."""
    return CropDataset([*images, *drawn_images(drawn)], weights=_WEIGHTS)


def save_embedded(model: Model, path: Path, *, note: str) -> None:
    """Write the weights of a nano model as safetensors in float16; ``note`` is kept in the file's metadata."""
    if model.distances is None:
        raise ModelError("This model has no instance decoder.", "Train a model made by new_nano().")
    tensors = {f"sam.{k}": v for k, v in model.sam.state_dict().items()}
    tensors |= {f"distances.{k}": v for k, v in model.distances.state_dict().items()}
    packed = {k: _half(v.detach().cpu()) for k, v in tensors.items()}
    with replaced_whole(path) as part:
        save_file(packed, part, metadata={"architecture": "nano", "note": note})
        part.chmod(0o644)  # safetensors writes files that only their owner can read


def _half(value: Tensor) -> Tensor:
    return (value.half() if value.is_floating_point() else value).contiguous()
