"""The recipe of the embedded model."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...core import LabelledImage
from ..backbones.nano import FRAME, NanoDistances, build_nano
from ..models import Model, ModelSpec
from .dataset import CropDataset

#: Chances of single groups, beyond their share of the images: volumes hold many planes that look alike,
#: bacteria and epithelia come as few images with many objects.
_WEIGHTS = {
    "gonuclear | confocal nuclei (plant ovule, noisy)": 0.4,
    "iitgoa_nuclei | confocal nuclei (cell culture)": 0.5,
    "neuroproof | FIB-SEM neurites": 0.5,
    "mcstracker | fluorescence membranes (epithelium)": 2.0,
    "omnipose | phase contrast/fluorescence bacteria": 2.0,
}


def new_nano(seed: int = 0) -> Model:
    """Return an untrained nano model with instance decoder."""
    torch.manual_seed(seed)
    return Model(ModelSpec("nano", "nano", "untrained"), build_nano(), NanoDistances(), torch.device("cpu"))


def embedded_dataset(images: Sequence[LabelledImage]) -> CropDataset:
    """Return the crops that the embedded model is trained on."""
    return CropDataset(images, frame=FRAME, weights=_WEIGHTS)
