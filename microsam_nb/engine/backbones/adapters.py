"""Small trained additions to a vision transformer, merged into its own weights.

LoRA (Hu et al. 2022), FacT (Jie & Deng 2023) and SSF (Lian et al. 2022) change linear layers linearly: the sum is
computed once and inference costs nothing more. Ranks are read from the shapes. AdaptFormer has an activation of its own
and cannot be merged. Keys are those of micro-sam's checkpoints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ...core import ModelError

Weights = dict[str, Tensor]
_REFINETUNE = "finetune again with LoRA or without adapters, or use the checkpoint in micro-sam."
_SCALED = re.compile(r"(.+)\.(?:layer\.(?:weight|bias)|scale|shift)")


def merge_adapters(weights: Weights, name: str) -> Weights:
    """Return the weights of a plain model; ``name`` of the file is for errors. Raises ModelError.

    Without adapters the weights come back as they are.
    """
    if not any(_is_adapter(key) for key in weights):
        return weights
    _refuse(weights, name)
    merged = dict(weights)
    try:
        for merge in (_merge_scales, _merge_attention, _merge_perceptron):
            merge(merged)
    except (KeyError, RuntimeError) as error:
        raise ModelError(
            f"The adapters in {name} do not fit its weights ({str(error).splitlines()[0]}).",
            "The file is incomplete or changed; export it again.",
        ) from error
    return merged


def _is_adapter(key: str) -> bool:
    parts = (".qkv_proj.", ".mlp_layer.", ".mlp_proj.", ".layer.weight", "_linear_", "FacT", "quant")
    return key.startswith("image_encoder.") and any(part in key for part in parts)


def _refuse(weights: Weights, name: str) -> None:
    if any(".mlp_proj." in key for key in weights):
        raise ModelError(f"{name} was finetuned with AdaptFormer, which is not supported.", f"To go on, {_REFINETUNE}")
    if any("quant" in key or (key.endswith(".weight") and not w.is_floating_point()) for key, w in weights.items()):
        raise ModelError(
            f"{name} holds weights quantised to 4 bits (QLoRA), which cannot be used for inference.",
            "Export it with micro_sam.util.export_custom_qlora_model and load that file.",
        )


def _prefixes(weights: Weights, marker: str) -> Iterator[str]:
    """Yield what comes before ``marker`` in keys that hold it, each once."""
    yield from dict.fromkeys(key[: key.index(marker)] for key in list(weights) if marker in key)


def _merge_scales(weights: Weights) -> None:
    """SSF: the output of a layer times ``scale`` plus ``shift``."""
    for prefix in dict.fromkeys(found[1] for key in list(weights) if (found := _SCALED.fullmatch(key))):
        scale, shift = weights.pop(f"{prefix}.scale"), weights.pop(f"{prefix}.shift")
        weight, bias = weights.pop(f"{prefix}.layer.weight"), weights.pop(f"{prefix}.layer.bias")
        weights[f"{prefix}.weight"] = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        weights[f"{prefix}.bias"] = bias * scale + shift


def _merge_attention(weights: Weights) -> None:
    """LoRA and FacT of queries, keys and values, which are thirds of one layer's rows."""
    for prefix in _prefixes(weights, "qkv_proj.weight"):
        weight = weights.pop(f"{prefix}qkv_proj.weight").clone()
        rows = weight.shape[1]

        def take(name: str, prefix: str = prefix) -> Tensor | None:
            return weights.pop(f"{prefix}{name}.weight", None)

        inner, outer = take("FacTu"), take("FacTv")
        for place, letter in enumerate("qkv"):
            third = weight[place * rows : (place + 1) * rows]
            _add(third, take, f"w_a_linear_{letter}", f"w_b_linear_{letter}")
            core = take(f"{letter}_FacTs")
            if core is not None and inner is not None and outer is not None:
                third += _product(outer, core, inner)
        weights[f"{prefix}weight"] = weight
        weights[f"{prefix}bias"] = weights.pop(f"{prefix}qkv_proj.bias")


def _merge_perceptron(weights: Weights) -> None:
    """LoRA of both layers of the perceptron."""
    for prefix in _prefixes(weights, "mlp_layer.lin1.weight"):

        def take(name: str, prefix: str = prefix) -> Tensor | None:
            return weights.pop(f"{prefix}{name}.weight", None)

        for number in "12":
            weight = weights.pop(f"{prefix}mlp_layer.lin{number}.weight").clone()
            _add(weight, take, f"w_a_linear_{number}", f"w_b_linear_{number}")
            weights[f"{prefix}lin{number}.weight"] = weight
            weights[f"{prefix}lin{number}.bias"] = weights.pop(f"{prefix}mlp_layer.lin{number}.bias")


def _add(weight: Tensor, take: Callable[[str], Tensor | None], first: str, second: str) -> None:
    """Add a low-rank product to ``weight`` where both factors are there."""
    a, b = take(first), take(second)
    if (a is None) != (b is None):
        raise KeyError(first if a is None else second)
    if a is not None and b is not None:
        weight += _product(b, a)


def _product(*factors: Tensor) -> Tensor:
    """Multiply in double precision: merging must not cost accuracy."""
    total = factors[0].double()
    for factor in factors[1:]:
        total = total @ factor.double()
    return total.to(torch.float32)
