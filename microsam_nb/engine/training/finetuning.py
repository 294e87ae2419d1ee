"""A trained model learns from more images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...core import SettingsError
from ..models import Model
from .dataset import CropDataset
from .loop import Between, EpochResult, train
from .lora import merge_lora
from .parts import choose_parts, forget_recomputing, network
from .settings import TrainingSettings
from .validation import Validator


def finetune(
    model: Model,
    data: CropDataset,
    settings: TrainingSettings,
    *,
    folder: Path | None = None,
    validation: Validator | None = None,
    between: Between | None = None,
) -> Iterator[EpochResult]:
    """Train the parts of ``model`` that the settings choose, in place, yielding a result per epoch; see ``train``.

    Load it with ``load_model(..., trainable=True)``. When the iterator ends or is closed, low-rank additions are
    merged and the model can be used. Its name and hash stay those of the weights it began with: to keep embeddings of
    both apart, ``export`` it and load the file. Raises SettingsError for settings that do not fit the model, and
    ModelError for a model that was loaded for inference only.
    """
    if model.distances is None and settings.distances > 0:
        raise SettingsError(
            f"{model.spec.name} has no instance decoder to train.",
            "Train with_decoder(model) instead, or choose distances=0.",
        )
    with released(model):
        choose_parts(model, settings)
        yield from train(model, data, settings, folder=folder, validation=validation, between=between)


@contextmanager
def released(model: Model) -> Iterator[None]:
    """Leave a model ready to be used, whatever a training has made of it."""
    try:
        yield
    finally:
        merge_lora(model)
        forget_recomputing(model.sam.image_encoder)
        network(model).eval().requires_grad_(False)
