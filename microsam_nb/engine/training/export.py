"""Trained weights as files that ``load_model`` and, but for nano, micro-sam read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ...core.replacing import replaced_whole
from ..models import Model
from .embedded import save_embedded
from .lora import merged, with_adapters
from .parts import check_trainable


def export(model: Model, path: Path, *, note: str = "") -> Path:
    """Write the weights of a trained model to one file, low-rank additions merged; return its path.

    Of a model with instance decoder a PyTorch file (.pt, .pth) holds ``model_state`` and ``decoder_state``, without
    one it is segment-anything's plain dictionary: micro-sam reads both. A name without ending gets .safetensors for
    nano, whose weights become float16 there, and .pt for others. Raises ModelError for a model that was loaded for
    inference only, and OSError as it comes.
    """
    check_trainable(model)
    path = Path(path)
    if not path.suffix:
        path = path.with_suffix(".safetensors" if model.is_nano else ".pt")
    if path.suffix == ".safetensors" and model.is_nano and model.distances is not None:
        save_embedded(model, path, note=note)
        return path
    weights = _still(merged(model))
    decoder = _still(model.distances.state_dict()) if model.distances is not None else {}
    with replaced_whole(path) as part:
        if path.suffix == ".safetensors":
            flat = weights | {f"distances.{k}": v for k, v in decoder.items()}
            save_file(flat, part, metadata={"architecture": model.spec.architecture, "note": note})
            part.chmod(0o644)  # safetensors writes files that only their owner can read
        else:
            torch.save({"model_state": weights, "decoder_state": decoder} if decoder else weights, part)
    return path


def best_state(model: Model, step: int, score: float) -> dict[str, Any]:
    """Return what a training keeps of its best epoch: a checkpoint that ``load_model`` reads.

    Low-rank additions of segment-anything's encoders stay apart, under the names that micro-sam gives them.
    """
    decoder = _still(model.distances.state_dict()) if model.distances is not None else {}
    weights = _still(with_adapters(model))
    ranks = [len(v) for k, v in weights.items() if ".w_a_linear_" in k]
    return {
        "model_state": weights,
        "decoder_state": decoder,
        "step": step,
        "score": score,
        "lora_rank": max(ranks, default=0),
    }


def _still(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.detach().cpu().contiguous() for k, v in weights.items()}
