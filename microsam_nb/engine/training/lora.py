"""Low-rank additions to chosen layers (LoRA, Hu et al., ICLR 2022), computed into the weights they belong to.

What reads a layer's ``weight`` reads the sum, so that no layer has to be replaced: segment-anything's, TinyViT's and
nano's alike, and convolutions too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ...core import SettingsError
from ..models import Model
from .settings import TrainingSettings

_PERCEPTRON = ("lin1", "lin2", "fc1", "fc2")
_WORDS = ("q", "k", "v", "mlp", "conv")
_PARAMETRIZED = re.compile(r"(.+)\.parametrizations\.weight\.(?:original|0\.(inner|outer)\.(\w+))")


class LowRank(nn.Module):
    """A weight (out, ...) plus outer @ inner on some of its rows, for every part that has a name.

    ``parts`` gives the rows of each part, None for all.
    """

    def __init__(self, weight: Tensor, rank: int, parts: dict[str, Tensor | None]) -> None:
        super().__init__()
        columns = weight[0].numel()
        self.inner, self.outer = nn.ParameterDict(), nn.ParameterDict()
        for name, rows in parts.items():
            count = len(weight) if rows is None else len(rows)
            self.register_buffer(f"rows_{name}", rows, persistent=False)
            inner = torch.empty(rank, columns, device=weight.device)
            nn.init.kaiming_uniform_(inner, a=math.sqrt(5))
            self.inner[name] = nn.Parameter(inner)
            self.outer[name] = nn.Parameter(torch.zeros(count, rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        for name, outer in self.outer.items():
            product = outer @ self.inner[name]
            rows = getattr(self, f"rows_{name}")
            if rows is None:
                weight = weight + product.view_as(weight)
            else:
                weight = weight.index_add(0, rows, product.view(-1, *weight.shape[1:]))
        return weight


def add_lora(model: Model, settings: TrainingSettings) -> None:
    """Give a model low-rank additions and let nothing else of the parts that hold them learn.

    Raises SettingsError when there is no such layer in the model.
    """
    words = [word.strip() for word in settings.lora_layers.split(",") if word.strip()]
    strange = [word for word in words if word not in _WORDS]
    if strange or not words:
        raise SettingsError(
            f"lora_layers = {settings.lora_layers!r} is not possible.", f"Name some of {', '.join(_WORDS)}."
        )
    layers = list(_layers(model, words))
    if not layers:
        raise SettingsError(
            f"{model.spec.architecture} has no layers of the kind {settings.lora_layers!r} for LoRA.",
            "Choose conv for nano's encoder, q, k, v and mlp for its mask decoder and for the other models.",
        )
    model.sam.image_encoder.requires_grad_(False)
    if any(name.startswith("mask_decoder") for name, _ in layers):
        model.sam.mask_decoder.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        for name, parts in layers:
            layer = model.sam.get_submodule(name)
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, settings.lora_rank, parts))


def merge_lora(model: Model) -> None:
    """Make plain weights of all low-rank additions; without any nothing happens."""
    for module in list(model.sam.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def merged(model: Model) -> dict[str, Tensor]:
    """Return the weights of a ``Sam`` under its plain names, with low-rank additions in them."""
    out: dict[str, Tensor] = {}
    for key, value in model.sam.state_dict().items():
        found = _PARAMETRIZED.fullmatch(key)
        if found is None:
            out[key] = value.detach()
        elif found[2] is None:
            out[f"{found[1]}.weight"] = model.sam.get_submodule(found[1]).weight.detach()
    return out


def with_adapters(model: Model) -> dict[str, Tensor]:
    """Return the weights of a ``Sam`` with low-rank additions under the names that micro-sam gives them.

    It has names for segment-anything's encoders only; for the others the weights are merged.
    """
    named = re.compile(r"image_encoder\.blocks\.\d+\.(attn\.qkv|mlp\.lin[12])")
    state = model.sam.state_dict()
    found = {key: match for key in state if (match := _PARAMETRIZED.fullmatch(key))}
    if not found or not all(named.fullmatch(match[1]) for match in found.values()):
        return merged(model)
    touched = {match[1] for match in found.values()}
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        match = found.get(key)
        layer, _, last = key.rpartition(".")
        if match is not None:
            out[_peer_name(match[1], match[2], match[3])] = value.detach()
        elif layer in touched:
            out[f"{_wrapped(layer)}.{last}"] = value.detach()
        else:
            out[key] = value.detach()
    return out


def _wrapped(layer: str) -> str:
    prefix, _, last = layer.rpartition(".")
    return f"{layer}.qkv_proj" if last == "qkv" else f"{prefix}.mlp_layer.{last}"


def _peer_name(layer: str, factor: str | None, part: str | None) -> str:
    if factor is None:
        return f"{_wrapped(layer)}.weight"
    prefix, _, last = layer.rpartition(".")
    kind = "w_a_linear" if factor == "inner" else "w_b_linear"
    return f"{layer}.{kind}_{part}.weight" if last == "qkv" else f"{prefix}.{kind}_{last[3:]}.weight"


def _layers(model: Model, words: list[str]) -> Iterator[tuple[str, dict[str, Tensor | None]]]:
    """Yield the name of every layer that gets additions, and the rows of its parts."""
    letters = [word for word in words if word in "qkv"]
    for name, module in model.sam.named_modules():
        last = name.rpartition(".")[2]
        encoder, linear = name.startswith("image_encoder"), isinstance(module, nn.Linear)
        if linear and last == "qkv" and letters:
            # TinyViT keeps queries, keys and values of one head together, segment-anything those of all heads.
            heads = int(getattr(model.sam.get_submodule(name.rpartition(".")[0]), "heads", 0))
            yield name, {letter: _rows(module.weight, letter, heads) for letter in letters}
        elif (
            (linear and last in _PERCEPTRON and "mlp" in words and (encoder or model.is_nano))
            or (linear and last in [f"{letter}_proj" for letter in letters] and model.is_nano)
            or (isinstance(module, nn.Conv2d) and "conv" in words and encoder and model.is_nano)
        ):
            yield name, {"all": None}


def _rows(weight: Tensor, letter: str, heads: int) -> Tensor:
    """Return the rows of queries, keys or values: thirds, or with ``heads`` thirds within every head."""
    count = len(weight) // 3
    rows = torch.arange(len(weight), device=weight.device)
    place = "qkv".index(letter)
    return rows.view(heads, 3, -1)[:, place].flatten() if heads else rows[place * count : (place + 1) * count]
